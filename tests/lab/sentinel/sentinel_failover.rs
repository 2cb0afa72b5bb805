use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    client::{Client, Vantage},
    docker::{Relay, Side},
    sentinels,
    wait::pass,
    writer::{self, Writer},
};
use lab_report::judge::{loss, seconds};
use rstest::rstest;

use super::{
    clocks,
    seen::{epoch, happened, others_follow, replaced, stage, successor},
};
use crate::step::{Outcome, lose, step};

step!("sentinel", "sentinel-failover", sentinels(3).replicas(2), sentinel_failover, needs[Changes]);

/// The primary is lost and the sentinels promote a replica.
///
/// 1. Write through the sentinels; lose the primary by crash, stop, hold or partition.
/// 2. A replica becomes primary.
/// 3. Every sentinel names it, and the configuration epoch has grown by one for each election.
/// 4. The leader's own messages tell the failover, in order.
/// 5. The other replica follows the new primary.
/// 6. Promotion and advertisement took as long as the sentinels' clocks say.
async fn sentinel_failover(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. A load, and the loss.
    let old = Arc::clone(lab.deployment().first_primary());
    let before = epoch(lab).await;
    let (writer, client) = write(lab).await?;
    let moment = Duration::from_millis(lab.rng().u64(300..600));
    pass(moment).await;
    let others = Side::from(&lab.deployment().data()[1..]).and(lab.deployment().sentinels());
    lose(lab, &old, client.iter().fold(others, Side::and)).await?;

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
    let grown = epoch(lab).await.saturating_sub(before);
    lab.check("election.epoch", election.one_epoch_each(grown));

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
    let clocks = clocks(&lab.promised((STEP.topology)()));
    lab.check("election.timing-promoted", election.promotion(&clocks));
    lab.check("election.timing-advertised", election.advertisement(sentinels, &clocks));
    Ok(())
}

/// Begins to write. A partition is one for a client only where it has a place of its own.
async fn write(lab: &Lab<Sentinels>) -> Result<(Writer, Option<Arc<Relay>>), StepError> {
    if lab.case() != Some("partition") {
        return Ok((lab.start_writing(), None));
    }
    let relay = Arc::new(lab.relay("client").await?);
    let discovery = lab.deployment().discovery(Vantage::Relay(Arc::clone(&relay)));
    Ok((lab.start_writing_as(Client::of_sentinels(discovery)), Some(relay)))
}

#[rstest]
#[case::crash("crash")]
#[case::stop("stop")]
#[case::hold("hold")]
#[case::partition("partition")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
