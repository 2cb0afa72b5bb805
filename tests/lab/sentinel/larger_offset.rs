use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Split},
    environment::Capability,
    sentinels,
};
use lab_report::judge::Judgement;

use super::seen::{behind, chosen, replaced, setting};
use crate::step::{Outcome, step};

step!(
    "sentinel",
    "larger-offset",
    sentinels(3).replicas(2),
    larger_offset,
    needs [Changes, Faults, Partitions]
);

/// Of two replicas with the same priority, the one with more of the data is promoted.
///
/// 1. Cut one of them off from the primary, and write: only the other has it. The sentinels reach both.
/// 2. The primary crashes: the one that has it is promoted.
async fn larger_offset(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. One of them behind.
    let data = lab.deployment().data().to_vec();
    let [old, ahead, late] = data.as_slice() else {
        lab.needs(Capability::FreshDeployment)?;
        return Err("the step needs two replicas".into());
    };
    // Only between equals does the offset decide.
    if setting(late, "replica-priority").await? != setting(ahead, "replica-priority").await? {
        lab.needs(Capability::FreshDeployment)?;
    }
    let cut = lab.partition(&Split::between(old, late)).await?;
    behind(lab, old, ahead, late).await?;

    // 2. The loss.
    let _lost = lab.inject(FaultKind::Crash, old).await?;
    let election = replaced(lab, old).await?;
    lab.check(
        "selection.larger-offset",
        Judgement::equal(format!("{} is promoted", ahead.id()), chosen(&election)),
    );
    Ok(cut.heal().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
