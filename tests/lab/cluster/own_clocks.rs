use std::{sync::Arc, time::Duration};

use failover_lab::{Clusters, Lab, client::Vantage, cluster, docker::FaultKind, wait::Seen, writer::Writer};
use lab_report::judge::{Judgement, SlotFailover};

use super::{
    seen::{a_few_acknowledged, all_but},
    slot_failover::{acknowledged_by, clocks_with, failover, keys},
};
use crate::step::{Outcome, step};

step!("cluster", "own-clocks", deployment(), own_clocks);

/// The node timeout that people write into their files, where the other steps have a shorter one.
fn deployment() -> Clusters {
    Clusters { node_timeout: Duration::from_secs(5), ..cluster(3).replicas(1) }
        .config("cluster-require-full-coverage", "no")
}

/// What a failover is promised to take at most, to the first write that is acknowledged again.
const PROMISED: Duration = Duration::from_secs(15);
/// Longer than a failover takes with the server's own default, and than one election that nobody wins costs.
const STAGE: Duration = Duration::from_secs(45);

/// With a node timeout of five seconds, a shard that loses its primary is served again within fifteen.
///
/// 1. Write to a shard, and crash its primary.
/// 2. Its replica takes over, and the client is acknowledged again: in time, and no sooner than the clocks allow.
async fn own_clocks(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The loss.
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let survivors = all_but(lab, &[&old]);
    let before = lab.deployment().epoch(&survivors).await?;
    let (slot, keys) = keys(lab).swap_remove(0);
    let client = lab.client_of_slot(slot, Vantage::Host);
    let writer = Writer::start_at(client, lab.recorder(), keys.clone(), true);
    a_few_acknowledged(lab).await?;
    let _lost = lab.inject(FaultKind::Crash, &old).await?;

    // 2. Served again.
    let promoted = lab.wait("its replica to become primary", STAGE, async || match failover(lab, &old) {
        Some(SlotFailover { new: Some(_), .. }) => Seen::Ready(()),
        _ => Seen::NotYet("nobody was promoted".to_owned()),
    });
    if let Err(late) = promoted.await {
        let expected = "acknowledged again by the new primary";
        lab.check("clocks.kept", Judgement::equal(expected, late.last_seen));
        return Ok(());
    }
    let _ = acknowledged_by(lab, &heir, &keys).await;
    let writes = writer.stop().await;
    let elections = lab.deployment().epoch(&survivors).await?.saturating_sub(before);
    let failover = failover(lab, &old).ok_or("there was no fault")?;
    let clocks = clocks_with(lab, deployment().node_timeout);
    lab.check("clocks.kept", failover.kept(&clocks, elections.saturating_sub(1), PROMISED, &writes));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
