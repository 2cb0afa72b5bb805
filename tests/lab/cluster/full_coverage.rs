use failover_lab::{Clusters, Lab, cluster};
use lab_report::judge::Judgement;

use super::{
    double_fault::LostShard,
    seen::{of_the_other_shards, state_everywhere},
};
use crate::step::{Outcome, alike, step};

step!(
    "cluster",
    "full-coverage",
    cluster(3).replicas(1).config("cluster-require-full-coverage", "yes"),
    full_coverage
);

/// Where a cluster has to be whole, a shard that is lost with its replica stops all others.
///
/// 1. The first shard's primary and replica die.
/// 2. The primaries of the other shards refuse writes,
/// 3. and reads.
/// 4. The lost primary comes back, and the cluster with it.
async fn full_coverage(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. A shard is lost.
    let lost = LostShard::lose(lab).await?;
    // Whether they do say so is what the answers show.
    let _ = state_everywhere(lab, &lost.left, "fail").await;

    // 2. Writes.
    let seen = alike(of_the_other_shards(lab, &["SET", "#", "x"]).await);
    if !lab.check("coverage.writes", Judgement::equal("CLUSTERDOWN", seen)) {
        return Ok(());
    }

    // 3. Reads.
    let seen = alike(of_the_other_shards(lab, &["GET", "#"]).await);
    lab.check("coverage.reads", Judgement::equal("CLUSTERDOWN", seen));

    // 4. Back.
    let left = lost.left.clone();
    let whole = "every node that is left says ok";
    let (back, _) = lost.comes_back(lab).await?;
    let observed = state_everywhere(lab, &left, "ok").await.map_or_else(|why| why, |()| whole.to_owned());
    let took = lab.recorder().now().since(back).as_secs_f64() * 1000.0;
    if lab.check("coverage.returns", Judgement::equal(whole, observed)) {
        lab.measure("whole again", took, "ms", "from the primary's return to ok on every other node");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
