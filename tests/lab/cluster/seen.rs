//! What the steps look for in a cluster.

use std::sync::Arc;

use failover_lab::{Clusters, Lab, StepError, client::Client, cluster::Health, docker::Node, wait::Seen};
use lab_report::{
    Slot,
    evidence::{Outcome, Role, Timeline, Write},
    judge::Redirected,
};

use super::{cluster_recovery::following, slot_failover::STAGE};

/// Long enough for whatever a busy machine does to one command.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// Clients go on for this long before and after what is to be none of their business: who asks for nothing notices
/// nothing.
pub(super) const A_WHILE: std::time::Duration = std::time::Duration::from_millis(300);

/// A client of one node, that stays there.
pub(super) fn at(lab: &Lab<Clusters>, node: &Node) -> Client {
    lab.client_of(node).patient(PATIENCE)
}

/// A node's answer as a person reads it, or its error.
pub(super) async fn answer(client: &Client, command: &[&str]) -> String {
    match client.ask::<redis::Value>(command).await {
        Ok(value) => words(&value),
        Err(error) => error.to_string(),
    }
}

fn words(value: &redis::Value) -> String {
    use redis::Value;
    match value {
        Value::Nil => "nothing".to_owned(),
        Value::Okay => "OK".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::ServerError(error) => format!("{} {}", error.code(), error.details().unwrap_or_default()),
        other => format!("{other:?}"),
    }
}

/// A key of the shard with this number: the first of many that is.
pub(super) fn key_of(lab: &Lab<Clusters>, shard: usize) -> String {
    let (application, share) = (lab.application(), &lab.deployment().topology().shares()[shard]);
    let mut keys = (0..).map(|number| application.key(number));
    keys.find(|key| share.contains(Slot::of(key))).expect("some key is in every share")
}

/// How often clients were sent elsewhere so far, as all nodes count it.
pub(super) async fn redirected_so_far(lab: &Lab<Clusters>) -> Result<Redirected, StepError> {
    let mut told = Redirected::default();
    for node in lab.deployment().members().iter().chain(lab.deployment().spares()) {
        let info = node.info().await?;
        let (moved, ask) = (info.errors("MOVED"), info.errors("ASK"));
        told += Redirected { moved, ask, try_again: info.errors("TRYAGAIN") };
    }
    Ok(told)
}

/// Waits for a load that is under way, so that there is something to lose.
pub(super) async fn a_few_acknowledged(lab: &Lab<Clusters>) -> Result<(), StepError> {
    let wait = lab.wait("a hundred acknowledged writes", STAGE, async || {
        let acknowledged = |write: &&Write| write.outcome == Outcome::Acknowledged;
        match lab.recorder().look(|timeline| timeline.writes.iter().filter(acknowledged).count()) {
            100.. => Seen::Ready(()),
            some => Seen::NotYet(format!("{some}")),
        }
    });
    Ok(wait.await?)
}

/// Waits until each of `nodes` says that the cluster is `ok`, or that it is `fail`.
pub(super) async fn state_everywhere(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
    state: &str,
) -> Result<(), String> {
    let what = format!("every node that is left to say {state}");
    let asked = lab.wait(&what, STAGE, async || {
        for node in nodes {
            match lab.deployment().state(node).await {
                Ok(said) if said == state => {}
                Ok(said) => return Seen::NotYet(format!("{} says {said}", node.id())),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
        }
        Seen::Ready(())
    });
    asked.await.map_err(|late| late.last_seen)
}

/// Waits until each of `nodes` knows that a majority takes another to be dead.
pub(super) async fn dead_everywhere(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
    dead: &Node,
) -> Result<(), StepError> {
    let (cluster, name) = (lab.deployment(), lab.deployment().name_of(dead));
    let what = format!("every node that is left to take {} to be dead", dead.id());
    let known = lab.wait(&what, STAGE, async || {
        for node in nodes {
            let view = match cluster.view(node).await {
                Ok(view) => view,
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            match view.member(name).map(|member| member.health) {
                Some(Health::Failed) => {}
                other => return Seen::NotYet(format!("{} takes it to be {other:?}", node.id())),
            }
        }
        Seen::Ready(())
    });
    Ok(known.await?)
}

/// Waits until the cluster stands, with one owner of every slot in every view, and until `old` follows `new`.
pub(super) async fn one_owner_each(lab: &Lab<Clusters>, old: &Node, new: &Node) -> Result<(), String> {
    let cluster = lab.deployment();
    let followed = lab.wait("it to follow its successor", STAGE, async || following(lab, old, new).await);
    followed.await.map_err(|late| late.last_seen)?;
    // All views are the same then: one of them says it for all.
    cluster.stands().await.map_err(|late| late.last_seen)?;
    let view = cluster.view(new).await.map_err(|error| error.to_string())?;
    let owners = |slot: Slot| view.shards().filter(|member| member.slots.contains(slot)).count();
    match Slot::all().find(|slot| owners(*slot) != 1) {
        None => Ok(()),
        Some(_) => Err("some slot has no owner, or more than one".to_owned()),
    }
}

/// Every node but those that are `lost`.
pub(super) fn all_but(lab: &Lab<Clusters>, lost: &[&Node]) -> Vec<Arc<Node>> {
    let nodes = lab.deployment().primaries().iter().chain(lab.deployment().replicas());
    nodes.filter(|node| lost.iter().all(|lost| lost.id() != node.id())).cloned().collect()
}

/// What becomes of a command: `answered`, or the class of the error.
pub(super) async fn outcome(client: &Client, command: &[&str]) -> String {
    match client.ask::<redis::Value>(command).await {
        Ok(_) => "answered".to_owned(),
        Err(error) => error.class(),
    }
}

/// What every primary but the first answers to a command about a key of its own, which stands where `#` does:
/// the answer, or the class of the error.
pub(super) async fn of_the_other_shards(lab: &Lab<Clusters>, command: &[&str]) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for (shard, primary) in lab.deployment().primaries().iter().enumerate().skip(1) {
        let key = key_of(lab, shard);
        let words: Vec<&str> =
            command.iter().map(|word| if *word == "#" { key.as_str() } else { word }).collect();
        let answered = match at(lab, primary).ask::<redis::Value>(&words).await {
            Ok(value) => self::words(&value),
            Err(error) => error.class(),
        };
        seen.push((primary.id().to_string(), answered));
    }
    seen
}

/// Waits until the observer has seen a node as the replica that it is: it is not promoted, as far as the timeline
/// shows, if it was nothing before.
pub(super) async fn seen_as_replica(lab: &Lab<Clusters>, node: &Node) -> Result<(), StepError> {
    let seen = lab.wait("the observer to see the replica", STAGE, async || {
        let last = |timeline: &Timeline| {
            timeline.roles.iter().rfind(|change| &change.node == node.id()).map(|change| change.role)
        };
        match lab.recorder().look(last) {
            Some(Role::Replica) => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        }
    });
    Ok(seen.await?)
}
