//! What the steps look for in a deployment.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::Node,
    environment::{Capability, Environment},
    info::Info,
    sentinel::{Flag, Instance},
    wait::Seen,
    writer::KEYS,
};
use lab_report::{
    NodeId,
    evidence::Role,
    judge::{Election, Judgement},
};

use super::clocks;
use crate::step::through_elections;

/// Far above every bound, and long enough for one election that fails and is tried again: twice the
/// failover timeout of 5 s, and a second. A slow stage fails its bound and nothing else.
pub(super) const STAGE: Duration = Duration::from_secs(15);
/// A candidate gives up after this, or its failover timeout if that is shorter (`SENTINEL_ELECTION_TIMEOUT`).
const ELECTION: Duration = Duration::from_secs(10);
/// It stands again no sooner than twice its failover timeout after it began, and up to this later
/// (`SENTINEL_MAX_DESYNC`).
const DESYNC: Duration = Duration::from_secs(1);

/// Far above every bound, where nobody shortened the clocks, too.
pub(super) fn patience(lab: &Lab<Sentinels>) -> Duration {
    let topology = lab.deployment().topology();
    match lab.environment() {
        // Whether one failed is known when its candidates have given up.
        Environment::Containers => {
            let given_up = ELECTION.min(topology.failover_timeout) + DESYNC;
            STAGE.max(clocks(topology).latest_promotion() + given_up)
        }
        _ => STAGE + topology.failover_timeout * 2,
    }
}

/// [`patience`], and for how much longer an election that fails keeps everybody waiting.
fn patience_with_elections(lab: &Lab<Sentinels>) -> (Duration, Duration) {
    let patience = patience(lab);
    let again = lab.deployment().topology().failover_timeout * 2 + DESYNC;
    (patience, again.max(patience))
}

/// The configuration epoch that the sentinels hold: the largest.
pub(super) async fn epoch(lab: &Lab<Sentinels>) -> u64 {
    let mut largest = 0;
    for sentinel in lab.deployment().sentinels() {
        // One that knows no primary has no epoch.
        largest = largest.max(lab.deployment().master(sentinel).await.map_or(0, |master| master.epoch()));
    }
    largest
}

pub(super) fn election(lab: &Lab<Sentinels>, old: &Node) -> Option<Election> {
    lab.recorder().look(|timeline| Election::read(timeline, old.id()))
}

pub(super) async fn stage(
    lab: &Lab<Sentinels>,
    old: &Node,
    what: &str,
    reached: impl Fn(&Election) -> bool,
) -> Result<(), String> {
    let look = || async {
        match election(lab, old) {
            Some(election) if reached(&election) => Seen::Ready(()),
            Some(election) => {
                Seen::NotYet(format!("promoted {:?}, named by {}", election.new, election.advertised.len()))
            }
            None => Seen::NotYet("nothing began".to_owned()),
        }
    };
    through_elections(lab, what, patience_with_elections(lab), look).await
}

pub(super) fn happened(expected: &str, result: Result<(), String>) -> Judgement {
    match result {
        Ok(()) => Judgement::of(true, expected, expected),
        Err(why) => Judgement::of(false, expected, why.split(':').next().unwrap_or_default()).evidence(why),
    }
}

/// Waits until the data nodes that are neither of the two follow the new primary.
pub(super) async fn others_follow(lab: &Lab<Sentinels>, old: &Node, new: &Node) -> Result<(), String> {
    for node in lab.deployment().data().iter().filter(|node| node.id() != old.id() && node.id() != new.id()) {
        follows(lab, node, new).await?;
    }
    Ok(())
}

/// Waits until the leader is done, which it is only when every other replica has been told, and reads
/// the whole failover off the timeline.
pub(super) async fn replaced(lab: &Lab<Sentinels>, old: &Node) -> Result<Election, StepError> {
    // One that never is, is for the check of the milestones to say.
    let done =
        |election: &Election| election.milestones.last().is_some_and(|(last, _)| last == "+switch-master");
    let _ = stage(lab, old, "the leader to be done", done).await;
    Ok(election(lab, old).ok_or("nothing began")?)
}

/// The node that the election made primary.
pub(super) fn successor(lab: &Lab<Sentinels>, election: &Election) -> Result<Arc<Node>, StepError> {
    let new = election.new.as_ref().ok_or("nobody was promoted")?;
    Ok(Arc::clone(lab.deployment().node(new)))
}

/// What [`promoted`] says where nobody was.
pub(super) const NOBODY: &str = "nobody is promoted";

/// Who became primary at any time, beside the node that booted as one.
pub(super) fn promoted(lab: &Lab<Sentinels>, first: &Node) -> String {
    let found: BTreeSet<NodeId> = lab.recorder().look(|timeline| {
        let others = timeline.roles.iter().filter(|seen| seen.node != *first.id());
        others.filter(|seen| seen.role == Role::Primary).map(|seen| seen.node.clone()).collect()
    });
    match found.is_empty() {
        true => NOBODY.to_owned(),
        false => format!("{} promoted", found.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// Waits until a node follows another, with its link up.
pub(super) async fn follows(lab: &Lab<Sentinels>, node: &Node, primary: &Node) -> Result<(), String> {
    let named = |info: &Info| {
        let named = info.get("master_host").zip(info.number("master_port"));
        named.is_some_and(|(host, port)| primary.is_at(host, port))
    };
    let look = || async {
        match node.info().await {
            Ok(info) if named(&info) && info.link_up() == Some(true) => Seen::Ready(()),
            Ok(info) => Seen::NotYet(info.replication()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    };
    let what = format!("{} to follow {}", node.id(), primary.id());
    through_elections(lab, &what, patience_with_elections(lab), look).await
}

/// A setting of a data node's: empty where it has none of that name.
pub(super) async fn setting(node: &Node, name: &str) -> Result<String, StepError> {
    let pair: Vec<String> = node.ask(&["CONFIG", "GET", name]).await?;
    Ok(pair.into_iter().nth(1).unwrap_or_default())
}

/// Ends the step where a data node of somebody else's has another value, with which it would show nothing.
pub(super) async fn all_have(lab: &Lab<Sentinels>, name: &str, value: &str) -> Result<(), StepError> {
    for node in lab.deployment().data() {
        if setting(node, name).await? != value {
            lab.needs(Capability::FreshDeployment)?;
        }
    }
    Ok(())
}

/// Whom the election made primary, in words.
pub(super) fn chosen(election: &Election) -> String {
    election.new.as_ref().map_or_else(|| NOBODY.to_owned(), |new| format!("{new} is promoted"))
}

/// Writes at the primary what `late`, which cannot hear it, does not get, and waits until `ahead` has it
/// and every sentinel knows the difference, and holds both to be eligible.
pub(super) async fn behind(
    lab: &Lab<Sentinels>,
    primary: &Node,
    ahead: &Node,
    late: &Node,
) -> Result<(), StepError> {
    for key in 0..100 {
        primary.ask::<()>(&["SET", &format!("{KEYS}behind:{key}"), &"x".repeat(100)]).await?;
    }
    let end = primary.info().await?.offset();
    let of = |listed: &[Instance], node: &Node| {
        let at =
            |replica: &&Instance| node.is_at(replica.address(), replica.number("port").unwrap_or_default());
        let found = listed.iter().find(|replica| at(replica) && replica.is_only(Flag::Replica));
        found.and_then(|replica| replica.number::<u64>("slave-repl-offset"))
    };
    let look = || async {
        for sentinel in lab.deployment().sentinels() {
            let listed = match lab.deployment().replicas(sentinel).await {
                Ok(listed) => listed,
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            match (of(&listed, ahead), of(&listed, late)) {
                (Some(more), Some(less)) if more >= end && less < end => {}
                other => return Seen::NotYet(format!("{} of {end}: {other:?}", sentinel.id())),
            }
        }
        Seen::Ready(())
    };
    Ok(lab.wait("every sentinel to know who is behind", patience(lab), look).await?)
}
