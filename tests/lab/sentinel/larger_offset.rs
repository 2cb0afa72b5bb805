use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Split},
    sentinels,
};
use lab_report::judge::Judgement;

use super::seen::{behind, chosen, replaced};
use crate::step::{Outcome, step};

step!("sentinel", "larger-offset", sentinels(3).replicas(2), larger_offset);

/// Of two replicas with the same priority, the one with more of the data is promoted.
///
/// 1. Cut `lab-002` off from the primary, and write: only `lab-003` has it. The sentinels reach both.
/// 2. The primary crashes: `lab-003` is promoted.
async fn larger_offset(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. One of them behind.
    let data = lab.deployment().data().to_vec();
    let [old, late, ahead] = data.as_slice() else { return Err("the step needs two replicas".into()) };
    let cut = lab.partition(&Split::between(old, late)).await?;
    behind(lab, old, ahead, late).await?;

    // 2. The loss.
    let _lost = lab.inject(FaultKind::Crash, old).await?;
    let election = replaced(lab, old).await?;
    lab.check("selection.larger-offset", Judgement::equal("lab-003 is promoted", chosen(&election)));
    Ok(cut.heal().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
