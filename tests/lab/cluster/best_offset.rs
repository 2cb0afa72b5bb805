use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    docker::{FaultKind, Node, Partition, Split},
    wait::Seen,
};
use lab_report::judge::{Judgement, SlotFailover};

use super::{
    cluster_manual_failover::synchronised,
    seen::{at, key_of},
    slot_failover::failover,
};
use crate::step::{Outcome, step};

step!("cluster", "best-offset", cluster(3).replicas(2), best_offset);

/// Far above every bound, and long enough for one election that fails.
const STAGE: Duration = Duration::from_secs(20);
const KEYS: usize = 100;

/// Of two replicas the one with more of the data takes over: the other waits a second longer before it stands for
/// election (`clusterGetSlaveRank`), and is too late.
///
/// 1. The first shard's first replica is cut off from its primary, and what is written only the second one has.
/// 2. The primary dies: the second replica becomes primary.
/// 3. Everything that it had is there.
/// 4. The first one follows it, and gets what it missed.
async fn best_offset(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. One of them behind.
    let old = Arc::clone(&lab.deployment().primaries()[0]);
    let [late, ahead] = replicas_of_first(lab);
    let cut = cut_off(lab, &old, &late).await?;
    write(lab, &old).await?;
    only_one_has_it(lab, &old, &ahead, &late).await?;

    // 2. The loss.
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let promoted = lab.wait("a replica to become primary", STAGE, async || match failover(lab, &old) {
        Some(SlotFailover { new: Some(new), .. }) => Seen::Ready(new),
        _ => Seen::NotYet("nobody was promoted".to_owned()),
    });
    let observed = promoted.await.map_or_else(|late| late.last_seen, |new| format!("{new} is primary"));
    let chosen = Judgement::equal(format!("{} is primary", ahead.id()), observed);
    if !lab.check("best.promoted", chosen) {
        return Ok(cut.heal().await?);
    }
    if let Some(SlotFailover { began, promoted: Some(promoted), .. }) = failover(lab, &old) {
        let millis = promoted.since(began).as_secs_f64() * 1000.0;
        lab.measure("promotion", millis, "ms", "from the primary's death to the replica being primary");
    }

    // 3. The data.
    let found = found(lab, &ahead).await?;
    lab.check("best.kept", Judgement::equal(format!("{KEYS} of {KEYS}"), format!("{found} of {KEYS}")));

    // 4. The other one.
    cut.heal().await?;
    let follows = "it follows the new primary, and is synchronised";
    let seen = lab.wait("the other to follow", STAGE, async || synchronised(lab, &late, &ahead).await);
    let observed = seen.await.map_or_else(|late| late.last_seen, |()| follows.to_owned());
    lab.check("best.follows", Judgement::equal(follows, observed));
    Ok(())
}

/// The two replicas of the first shard.
fn replicas_of_first(lab: &Lab<Clusters>) -> [Arc<Node>; 2] {
    let (replicas, shards) = (lab.deployment().replicas(), lab.deployment().primaries().len());
    [Arc::clone(&replicas[0]), Arc::clone(&replicas[shards])]
}

/// Cuts a replica off from its primary, and from nobody else. It would notice after `repl-timeout`, 60 s: its
/// link is closed, and cannot be made again.
pub(super) async fn cut_off(
    lab: &Lab<Clusters>,
    primary: &Arc<Node>,
    replica: &Arc<Node>,
) -> Result<Partition, StepError> {
    let cut = lab.partition(&Split::between(primary, replica)).await?;
    replica.ask::<()>(&["CLIENT", "KILL", "TYPE", "master"]).await?;
    Ok(cut)
}

fn name(tag: &str, number: usize) -> String {
    format!("{{{tag}}}:ahead:{number}")
}

async fn write(lab: &Lab<Clusters>, primary: &Node) -> Result<(), StepError> {
    let (client, tag) = (at(lab, primary), key_of(lab, 0));
    for number in 0..KEYS {
        client.ask::<()>(&["SET", &name(&tag, number), "written"]).await?;
    }
    Ok(())
}

/// Waits until one replica has everything that its primary has, and says that the other has not. What they have they
/// tell each other every half node timeout; it takes a whole one until the primary's loss is noticed.
async fn only_one_has_it(
    lab: &Lab<Clusters>,
    primary: &Node,
    ahead: &Node,
    late: &Node,
) -> Result<(), StepError> {
    let end = primary.info().await?.offset();
    let look = || async {
        match (ahead.info().await, late.info().await) {
            (Ok(more), Ok(less)) if more.offset() >= end && less.offset() < end => Seen::Ready(()),
            (Ok(more), Ok(less)) => Seen::NotYet(format!("{} and {} of {end}", more.offset(), less.offset())),
            (Err(error), _) | (_, Err(error)) => Seen::NotYet(error.to_string()),
        }
    };
    Ok(lab.wait("one replica to be ahead of the other", STAGE, look).await?)
}

async fn found(lab: &Lab<Clusters>, heir: &Node) -> Result<usize, StepError> {
    let (client, tag) = (at(lab, heir), key_of(lab, 0));
    let names: Vec<String> = (0..KEYS).map(|number| name(&tag, number)).collect();
    let words: Vec<&str> = ["EXISTS"].into_iter().chain(names.iter().map(String::as_str)).collect();
    Ok(client.ask(&words).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
