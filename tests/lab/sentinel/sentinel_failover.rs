use std::{sync::Arc, time::Duration};

use failover_lab::{Lab, Sentinels, docker::FaultKind, sentinels, wait::pass, writer};
use lab_report::judge::{Judgement, loss, seconds};
use rstest::rstest;

use super::{
    clocks,
    seen::{epoch, happened, others_follow, replaced, stage, successor},
};
use crate::step::{Outcome, step};

step!("sentinel", "sentinel-failover", sentinels(3).replicas(2), sentinel_failover);

/// The primary is lost and the sentinels promote a replica.
///
/// 1. Write through the sentinels; lose the primary by crash, stop or hold.
/// 2. A replica becomes primary.
/// 3. Every sentinel names it, and the configuration epoch has grown by one.
/// 4. The leader's own messages tell the failover, in order.
/// 5. The other replica follows the new primary.
/// 6. Promotion and advertisement took as long as the sentinels' clocks say.
async fn sentinel_failover(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. A load, and the loss.
    let old = Arc::clone(lab.deployment().first_primary());
    let before = epoch(lab).await?;
    let writer = lab.start_writing();
    let moment = Duration::from_millis(lab.rng().u64(300..600));
    pass(moment).await;
    let kind = match lab.case() {
        Some("crash") => FaultKind::Crash,
        Some("stop") => FaultKind::Stop,
        Some("hold") => FaultKind::Hold,
        other => return Err(format!("no such case: {other:?}").into()),
    };
    // It stays lost: what becomes of it is another step.
    let _lost = lab.inject(kind, &old).await?;

    // 2. A successor.
    let promoted = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await;
    if !lab.check("election.promoted", happened("a replica is primary", promoted)) {
        return Ok(());
    }

    // 3. On which all agree.
    let sentinels = lab.deployment().sentinels().len();
    let agreed =
        stage(lab, &old, "every sentinel to name it", |election| election.advertised.len() == sentinels)
            .await;
    if !lab.check("election.agreed", happened("every sentinel names it", agreed)) {
        return Ok(());
    }
    let election = replaced(lab, &old).await?;
    let grown = epoch(lab).await?.saturating_sub(before);
    let expected = format!("grew by {}", election.aborted + 1);
    lab.check("election.epoch", Judgement::equal(expected, format!("grew by {grown}")));

    // 4. In the leader's words.
    lab.check("election.events", election.in_order());

    // 5. The other replica.
    let new = successor(lab, &election)?;
    let followed = others_follow(lab, &old, &new).await;
    lab.check("election.others-follow", happened("the other replica follows it", followed));
    let writes = writer.stop().await;
    let lost = loss(&writes, &writer::found(&new, &writes).await?);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);

    // 6. The clocks.
    let clocks = clocks(&(STEP.topology)());
    lab.check("election.timing-promoted", election.promotion(&clocks));
    lab.check("election.timing-advertised", election.advertisement(sentinels, &clocks));
    Ok(())
}

#[rstest]
#[case::crash("crash")]
#[case::stop("stop")]
#[case::hold("hold")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
