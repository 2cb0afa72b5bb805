use std::time::{Duration, Instant};

use failover_lab::{Lab, StepError, client::Client, replicated, wait::Seen};
use lab_report::judge::{Judgement, Lags, lag_within};
use redis::Pipeline;
use tokio::time::MissedTickBehavior;

use crate::step::{Outcome, step};

step!("q5", "data-replication", replicated(2), data_replication);

/// Long enough for whatever a busy machine does to one read; a healthy link needs a few milliseconds.
const ARRIVAL: Duration = Duration::from_secs(2);
const BURST: u32 = 10_000;

/// What is written at the primary is read at the replicas.
///
/// 1. A string and a hash, written through the primary endpoint, are read back through the reader.
/// 2. Marks written on a fixed schedule show how far behind a replica is, in milliseconds.
/// 3. A burst of ten thousand writes arrives whole.
async fn data_replication(lab: &mut Lab) -> Outcome {
    let primary = lab.primary_client().patient(ARRIVAL);
    let reader = lab.reader_client().patient(ARRIVAL);

    // 1. A string and a hash.
    let greeting = format!("greeting {}", lab.rng().u32(..));
    primary.ask::<()>(&["SET", "message", &greeting]).await?;
    primary.ask::<()>(&["HSET", "user:1", "name", "Ada", "email", "ada@example.com"]).await?;
    let written = [greeting, "Ada".to_owned(), "ada@example.com".to_owned()].join(", ");
    let arrived =
        lab.wait("the values to arrive at a replica", ARRIVAL, async || match read_back(&reader).await {
            Ok(read) if read == written => Seen::Ready(()),
            Ok(read) => Seen::NotYet(read),
            Err(error) => Seen::NotYet(error.to_string()),
        });
    let observed = arrived.await.map_or_else(|late| late.last_seen, |()| "the same values".to_owned());
    if !lab.check("data.read-back", Judgement::equal("the same values", observed)) {
        return Ok(());
    }

    // 2. Lag, by marks of our own.
    let lags = replication_lag(lab, &reader).await?;
    lab.check("data.lag", lag_within(Duration::from_millis(100), &lags));

    // 3. A burst.
    let values: Vec<String> = (0..BURST).map(|_| format!("{:0>200}", lab.rng().u64(..))).collect();
    let mut burst = Pipeline::new();
    for (index, value) in values.iter().enumerate() {
        burst.cmd("SET").arg(format!("burst:{index}")).arg(value).ignore();
    }
    primary.patient(Duration::from_secs(20)).pipeline(&burst).await?;
    let reader = reader.patient(Duration::from_secs(20));
    let same = lab.wait("the burst to arrive at a replica", Duration::from_secs(5), async || {
        let mut keys: Vec<String> = vec!["MGET".to_owned()];
        keys.extend((0..BURST).map(|index| format!("burst:{index}")));
        let words: Vec<&str> = keys.iter().map(String::as_str).collect();
        match reader.ask::<Vec<Option<String>>>(&words).await {
            Ok(read) => {
                match read.iter().zip(&values).filter(|(read, value)| read.as_ref() == Some(value)).count() {
                    all if all == values.len() => Seen::Ready(()),
                    some => Seen::NotYet(format!("{some} of {BURST}")),
                }
            }
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    let all = format!("{BURST} of {BURST}");
    let observed = same.await.map_or_else(|late| late.last_seen, |()| all.clone());
    lab.check("data.burst", Judgement::equal(all, observed));
    Ok(())
}

async fn read_back(reader: &Client) -> Result<String, StepError> {
    let message: Option<String> = reader.ask(&["GET", "message"]).await?;
    let user: Vec<Option<String>> = reader.ask(&["HMGET", "user:1", "name", "email"]).await?;
    let fields = std::iter::once(message).chain(user);
    Ok(fields.map(|field| field.unwrap_or_else(|| "nothing".to_owned())).collect::<Vec<_>>().join(", "))
}

/// Two seconds of marks, so that the 99th percentile is the fourth of them.
const MARKS: usize = 400;
const MARK_EVERY: Duration = Duration::from_millis(5);
/// Often enough for a hundred milliseconds, seldom enough not to be what keeps the machine busy.
const READ_EVERY: Duration = Duration::from_millis(1);

/// Writes marks through the primary endpoint on a fixed schedule, and looks for the latest through
/// `reader`, and at the primary for comparison: a mark's lag runs from its acknowledgement to the first
/// read that shows it or a later one.
pub(crate) async fn replication_lag(lab: &Lab, reader: &Client) -> Result<Lags, StepError> {
    lab.doing("measuring the replication lag");
    let (writer, primary) = (lab.primary_client().patient(ARRIVAL), lab.primary_client().patient(ARRIVAL));
    let write = async {
        let mut acknowledged = Vec::new();
        let mut ticks = tokio::time::interval(MARK_EVERY);
        for mark in 1..=MARKS {
            ticks.tick().await;
            writer.ask::<()>(&["SET", "mark", &mark.to_string()]).await?;
            acknowledged.push(Instant::now());
        }
        Ok::<_, StepError>(acknowledged)
    };
    let (acknowledged, at_replica, at_primary) =
        tokio::try_join!(write, sightings(reader), sightings(&primary))?;
    let lags = |seen: &[Instant]| -> Vec<Duration> {
        let both = acknowledged.iter().zip(seen);
        both.map(|(written, seen)| seen.saturating_duration_since(*written)).collect()
    };
    let missing = acknowledged.len() - at_replica.len();
    Ok(Lags { at_replica: lags(&at_replica), at_primary: lags(&at_primary), missing })
}

/// When each mark, or a later one, was first seen; shorter if not all of them ever were.
async fn sightings(reader: &Client) -> Result<Vec<Instant>, StepError> {
    let (mut seen, begin) = (Vec::new(), Instant::now());
    let mut ticks = tokio::time::interval(READ_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while seen.len() < MARKS && begin.elapsed() < ARRIVAL * 3 {
        ticks.tick().await;
        let latest: Option<usize> = reader.ask(&["GET", "mark"]).await?;
        seen.resize(latest.unwrap_or(0).max(seen.len()), Instant::now());
    }
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
