use failover_lab::{Clusters, Lab, cluster};
use lab_report::judge::Judgement;

use super::{
    double_fault::LostShard,
    seen::{at, key_of, of_the_other_shards, state_everywhere},
};
use crate::step::{Outcome, alike, step};

step!(
    "cluster",
    "reads-when-down",
    cluster(3)
        .replicas(1)
        .config("cluster-require-full-coverage", "yes")
        .config("cluster-allow-reads-when-down", "yes"),
    reads_when_down
);

/// What a cluster that is down has may still be read, where that is allowed, and not written.
///
/// 1. A key is written to every shard; the first one's primary and replica die, and the cluster is down.
/// 2. The primaries of the other shards refuse writes.
/// 3. They answer reads, with what was written.
async fn reads_when_down(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Down.
    for (shard, primary) in lab.deployment().primaries().iter().enumerate() {
        at(lab, primary).ask::<()>(&["SET", &key_of(lab, shard), "written"]).await?;
    }
    let lost = LostShard::lose(lab).await?;
    // Whether they do say so is what the answers show.
    let _ = state_everywhere(lab, &lost.left, "fail").await;

    // 2. Writes.
    let seen = alike(of_the_other_shards(lab, &["SET", "#", "x"]).await);
    if !lab.check("down.writes", Judgement::equal("CLUSTERDOWN", seen)) {
        return Ok(());
    }

    // 3. Reads.
    let seen = alike(of_the_other_shards(lab, &["GET", "#"]).await);
    lab.check("down.reads", Judgement::equal("written", seen));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
