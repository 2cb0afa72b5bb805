use std::{sync::Arc, time::Duration};

use failover_lab::{Clusters, Lab, cluster, docker::FaultKind};
use lab_report::judge::{among, quiet};

use crate::{
    sentinel::alerts::{fires, stops},
    step::{Outcome, step},
};

step!("cluster", "cluster-alerts", deployment(), cluster_alerts);

/// A cluster that goes on without all of its slots, and whose first shard has nobody to take over: what is watched
/// for has to last.
fn deployment() -> Clusters {
    let mut cluster = cluster(3).replicas(1).config("cluster-require-full-coverage", "no");
    let heir = cluster.node_config.entry("lab-0001-002".to_owned()).or_default();
    heir.insert("cluster-replica-no-failover".to_owned(), "yes".to_owned());
    cluster
}

/// On Prometheus' clock: longer than any rule looks back, and than any condition has to hold.
const QUIET: Duration = Duration::from_secs(10 * 60);
const DOWN: &str = "RedisDown";
/// A primary that has lost its replica, or comes back before it.
const ALONE: &str = "RedisPrimaryWithoutReplicas";
const BEHIND: &str = "RedisReplicaBehind";
/// Also in the eyes of a node that has just been frozen: for a moment it may take the others for dead.
const UNCOVERED: &str = "RedisClusterSlotsUncovered";

/// Whoever watches the nodes is told when one dies, when a replica falls behind, and when slots have nobody; and
/// nothing while all is well.
///
/// 1. While the cluster is sound, nothing fires.
/// 2. A replica crashes, and comes back.
/// 3. Once it has its data it freezes, and goes on.
/// 4. A primary crashes that nobody takes over from, and comes back.
async fn cluster_alerts(lab: &mut Lab<Clusters>) -> Outcome {
    let watched = lab.prometheus()?;

    // 1. Sound.
    if !lab.check("cluster-alerts.quiet", quiet(&watched.watch(QUIET).await)) {
        return Ok(());
    }

    // 2. A node.
    let replica = lab.deployment().replicas().last().map(Arc::clone).ok_or("there are no replicas")?;
    let fault = lab.inject(FaultKind::Crash, &replica).await?;
    let during = fires(lab, &watched, DOWN).await;
    lab.heal(fault).await?;
    let after = stops(lab, &watched).await;
    lab.check("cluster-alerts.node", among(DOWN, &[ALONE], &during, &after));

    // 3. A lag. A replica that is not online yet has none.
    lab.deployment().stands().await?;
    let fault = lab.inject(FaultKind::Hold, &replica).await?;
    let during = fires(lab, &watched, BEHIND).await;
    lab.heal(fault).await?;
    let after = stops(lab, &watched).await;
    lab.check("cluster-alerts.lag", among(BEHIND, &[DOWN, UNCOVERED], &during, &after));

    // 4. Slots.
    let primary = Arc::clone(&lab.deployment().primaries()[0]);
    let fault = lab.inject(FaultKind::Crash, &primary).await?;
    let during = fires(lab, &watched, UNCOVERED).await;
    lab.heal(fault).await?;
    let after = stops(lab, &watched).await;
    lab.check("cluster-alerts.slots", among(UNCOVERED, &[DOWN, ALONE], &during, &after));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
