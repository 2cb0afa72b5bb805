use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Split},
    sentinels,
};
use lab_report::judge::Judgement;

use super::seen::{behind, chosen, replaced};
use crate::step::{Outcome, step};

step!(
    "sentinel",
    "priority-zero",
    sentinels(3).replicas(2).node_config("lab-002", "replica-priority", "0"),
    priority_zero
);

/// A replica with priority 0 is never promoted, though it has more of the data.
///
/// 1. Cut `lab-003` off from the primary, and write: only `lab-002`, whose priority is 0, has it.
/// 2. The primary crashes: `lab-003` is promoted all the same, and what only `lab-002` had is lost.
async fn priority_zero(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. One of them behind.
    let data = lab.deployment().data().to_vec();
    let [old, ahead, late] = data.as_slice() else { return Err("the step needs two replicas".into()) };
    let cut = lab.partition(&Split::between(old, late)).await?;
    behind(lab, old, ahead, late).await?;

    // 2. The loss.
    let _lost = lab.inject(FaultKind::Crash, old).await?;
    let election = replaced(lab, old).await?;
    lab.check("selection.zero-never", Judgement::equal("lab-003 is promoted", chosen(&election)));
    Ok(cut.heal().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
