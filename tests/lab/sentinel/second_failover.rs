use std::sync::Arc;

use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Node},
    sentinels,
};
use lab_report::{
    Verdict,
    judge::{Election, one_epoch_each, seconds},
};

use super::{
    clocks,
    seen::{election, epoch, follows, happened, stage, successor},
};
use crate::step::{Outcome, step};

step!("sentinel", "second-failover", deployment(), second_failover, needs[Faults]);

/// The first primary is preferred to the other replica: once it is back, the second choice is no chance.
fn deployment() -> Sentinels {
    sentinels(3).replicas(2).node_config("lab-001", "replica-priority", "50")
}

/// Two failovers in a row: the second is as quick as the first.
///
/// Only a failover that failed has to wait, for twice `failover-timeout`. One that succeeded leaves
/// nothing behind: with the new primary the sentinels forget when they last tried
/// (`sentinelResetMaster`: "we can failover again ASAP").
///
/// 1. The primary is lost and replaced.
/// 2. It returns, and follows its successor.
/// 3. The successor is lost as well, and replaced.
/// 4. The configuration epoch grew by one for each election.
/// 5. The second took as long as down-after and the clocks say, without any waiting time.
async fn second_failover(lab: &mut Lab<Sentinels>) -> Outcome {
    let before = epoch(lab).await;

    // 1. The first.
    let old = Arc::clone(lab.deployment().first_primary());
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let first = replaced(lab, &old).await;
    if !lab.check("second.first", happened("every sentinel names a successor", first)) {
        return Ok(());
    }
    let first = election(lab, &old).ok_or("nothing began")?;
    let new = successor(lab, &first)?;

    // 2. Back, as a replica.
    lab.heal(fault).await?;
    let followed = follows(lab, &old, &new).await;
    if !lab.check("second.restored", happened("the first primary follows its successor", followed)) {
        return Ok(());
    }

    // 3. The second.
    let _lost = lab.inject(FaultKind::Crash, &new).await?;
    let again = replaced(lab, &new).await;
    if !lab.check("second.promoted", happened("every sentinel names another successor", again)) {
        return Ok(());
    }
    let second = election(lab, &new).ok_or("nothing began")?;

    // 4. The epoch.
    let grown = epoch(lab).await.saturating_sub(before);
    let elections = lab.recorder().look(|timeline| Election::epochs(timeline, first.began));
    lab.check("second.epoch", one_epoch_each(elections, grown));

    // 5. The clocks.
    let between = second.began.since(first.began);
    let promised = lab.promised((STEP.topology)());
    let timeout = lab.deployment().topology().failover_timeout;
    let apart = format!(
        "{} after the first: sooner than 2 × failover-timeout ({})",
        seconds(between),
        seconds(timeout * 2)
    );
    lab.check("second.timing", second.promotion(&clocks(&promised)).evidence(apart));
    Ok(())
}

/// Waits until every sentinel names a successor and the leader is done with the other replica. Until then
/// it would sit its own failover out, whatever becomes of the successor.
async fn replaced(lab: &Lab<Sentinels>, old: &Node) -> Result<(), String> {
    let sentinels = lab.deployment().sentinels().len();
    stage(lab, old, "every sentinel to name a successor, and the leader to be done", |election| {
        election.advertised.len() == sentinels && election.in_order().verdict == Verdict::Pass
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
