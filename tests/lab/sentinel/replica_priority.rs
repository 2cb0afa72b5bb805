use std::sync::Arc;

use failover_lab::{Lab, Sentinels, docker::FaultKind, sentinels};
use lab_report::judge::Judgement;

use super::seen::{chosen, replaced};
use crate::step::{Outcome, step};

step!(
    "sentinel",
    "replica-priority",
    sentinels(3).replicas(2).node_config("lab-002", "replica-priority", "10").node_config(
        "lab-003",
        "replica-priority",
        "100"
    ),
    replica_priority
);

/// Of two replicas with the same data, the one with the lower priority number is promoted.
///
/// 1. Both are up and have all data; `lab-002` has the lower number.
/// 2. The primary crashes: `lab-002` is promoted.
async fn replica_priority(lab: &mut Lab<Sentinels>) -> Outcome {
    let old = Arc::clone(lab.deployment().first_primary());
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let election = replaced(lab, &old).await?;
    lab.check("selection.lower-number", Judgement::equal("lab-002 is promoted", chosen(&election)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
