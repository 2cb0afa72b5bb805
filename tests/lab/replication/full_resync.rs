use std::time::{Duration, Instant};

use failover_lab::{
    Lab, StepError,
    docker::{FaultKind, Node},
    replicated,
    wait::Seen,
};
use lab_report::judge::Judgement;
use redis::Pipeline;

use crate::step::{Outcome, step};

step!("q5", "full-resync", replicated(2).config("enable-debug-command", "yes"), full_resync);

const KEYS: u64 = 100_000;
const BATCH: u64 = 1_000;
const VALUE: usize = 100;
/// Measured: a full sync moves 373 000 to 550 000 keys/s on two idle cores. A hundredth of that, and the
/// detection and the start before it.
const BUDGET: Duration = Duration::from_secs(30);

/// A replica that lost everything gets the whole dataset.
///
/// 1. Load a hundred thousand keys.
/// 2. Crash a replica: it comes back empty.
/// 3. When its link is up again it holds what the primary holds.
async fn full_resync(lab: &mut Lab) -> Outcome {
    // 1. A dataset.
    let primary = lab.group().primary();
    let replica = lab.group().replicas().into_iter().next().ok_or("the step needs a replica")?;
    load(lab, &primary).await?;
    let full_before: u64 = primary.info().await?.number("sync_full").unwrap_or(0);

    // 2. A loss.
    let begin = Instant::now();
    let fault = lab.inject(FaultKind::Crash, &replica).await?;
    let recovered =
        lab.wait("the replica to be in sync again", BUDGET, async || match lab.group().events().last() {
            Some(event) if event.message.starts_with("Finished recovery") => Seen::Ready(()),
            last => Seen::NotYet(format!("{last:?}")),
        });
    recovered.await?;
    let length = begin.elapsed();
    fault.heal().await?;

    // 3. The same on both.
    let expected = "the same keys and values";
    let judgement = match primary.info().await?.number::<u64>("sync_full").unwrap_or(0) > full_before {
        true => Judgement::equal(expected, compare(&primary, &replica).await?),
        false => Judgement::unknown(expected, "the replica did not need a full resynchronisation"),
    };
    lab.check("full.identical", judgement);
    let note = "from the crash to the link being up: detection, start, and copying everything";
    lab.measure("full resynchronisation of 100 000 keys", length.as_secs_f64() * 1000.0, "ms", note);
    Ok(())
}

async fn load(lab: &mut Lab, primary: &Node) -> Result<(), StepError> {
    lab.doing("loading a hundred thousand keys");
    let mut connection = primary.connect(Duration::from_secs(5)).await?;
    for batch in 0..KEYS / BATCH {
        let mut pipeline = Pipeline::with_capacity(1000);
        for number in batch * BATCH..(batch + 1) * BATCH {
            let value = format!("{:0>VALUE$}", lab.rng().u64(..));
            pipeline.cmd("SET").arg(format!("row:{number}")).arg(value).ignore();
        }
        pipeline.query_async::<()>(&mut connection).await?;
    }
    Ok(())
}

/// By `DEBUG DIGEST`: a hash over every key, value and expiry.
async fn compare(primary: &Node, replica: &Node) -> Result<String, StepError> {
    let limit = Duration::from_secs(10);
    let (there, here): (u64, u64) = (primary.ask(&["DBSIZE"]).await?, replica.ask(&["DBSIZE"]).await?);
    let digest = async |node: &Node| node.ask_within::<String>(&["DEBUG", "DIGEST"], limit).await;
    let same = digest(primary).await? == digest(replica).await?;
    Ok(match same {
        true => "the same keys and values".to_owned(),
        false => format!("{here} of {there} keys, and another digest"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
