//! What the steps look for in a deployment.

use std::{sync::Arc, time::Duration};

use failover_lab::{Lab, Sentinels, StepError, docker::Node, wait::Seen};
use lab_report::{
    Verdict,
    judge::{Election, Judgement},
};

/// Far above every bound, and long enough for one election that fails and is tried again: twice the
/// failover timeout of 5 s, and a second. A slow stage fails its bound and nothing else.
pub(super) const STAGE: Duration = Duration::from_secs(15);

/// The configuration epoch that the sentinels hold: the largest.
pub(super) async fn epoch(lab: &Lab<Sentinels>) -> Result<u64, StepError> {
    let mut largest = 0;
    for sentinel in lab.deployment().sentinels() {
        largest = largest.max(lab.deployment().master(sentinel).await?.epoch());
    }
    Ok(largest)
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
    lab.wait(what, STAGE, look).await.map_err(|late| format!("not within {STAGE:?}: {}", late.last_seen))
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
    // One whose milestones are not all there is for the check of the milestones to say.
    let _ = stage(lab, old, "the leader to be done", |election| election.in_order().verdict == Verdict::Pass)
        .await;
    Ok(election(lab, old).ok_or("nothing began")?)
}

/// The node that the election made primary.
pub(super) fn successor(lab: &Lab<Sentinels>, election: &Election) -> Result<Arc<Node>, StepError> {
    let new = election.new.as_ref().ok_or("nobody was promoted")?;
    Ok(Arc::clone(lab.deployment().node(new)))
}

/// Waits until a node follows another, with its link up.
pub(super) async fn follows(lab: &Lab<Sentinels>, node: &Node, primary: &Node) -> Result<(), String> {
    let wanted = primary.address().to_string();
    let look = || async {
        match node.info().await {
            Ok(info) if info.get("master_host") == Some(&wanted) && info.link_up() == Some(true) => {
                Seen::Ready(())
            }
            Ok(info) => Seen::NotYet(info.replication()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    };
    let what = format!("{} to follow {}", node.id(), primary.id());
    lab.wait(&what, STAGE, look).await.map_err(|late| format!("not within {STAGE:?}: {}", late.last_seen))
}
