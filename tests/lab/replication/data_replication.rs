use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use failover_lab::{Lab, StepError, client::Client, docker::Node, replicated, wait::Seen};
use futures_util::future::try_join_all;
use lab_report::judge::{Judgement, Lags, lag_within};
use redis::Pipeline;
use tokio::time::MissedTickBehavior;

use crate::step::{Outcome, step};

step!("q5", "data-replication", replicated(2), data_replication);

/// Long enough for whatever a busy machine does to one read; a healthy link needs a few milliseconds.
const ARRIVAL: Duration = Duration::from_secs(2);
const BURST: u32 = 10_000;
/// All of a burst in one request, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What is written at the primary is read at the replicas, at each of them.
///
/// 1. A string and a hash, written through the primary endpoint, are read back through the reader, and at
///    every replica.
/// 2. Marks show how far behind the slowest replica is, in milliseconds.
/// 3. A burst of ten thousand writes is read back whole through the reader, and at every replica.
async fn data_replication(lab: &mut Lab) -> Outcome {
    let primary = lab.primary_client().patient(ARRIVAL);
    let replicas = lab.group().replicas();

    // 1. A string and a hash.
    let greeting = format!("greeting {}", lab.rng().u32(..));
    primary.ask::<()>(&["SET", "message", &greeting]).await?;
    primary.ask::<()>(&["HSET", "user:1", "name", "Ada", "email", "ada@example.com"]).await?;
    let written = [greeting, "Ada".to_owned(), "ada@example.com".to_owned()].join(", ");
    let mut observed = "the same values".to_owned();
    for reader in &readers(lab, &replicas, ARRIVAL) {
        let look = async || match read_back(reader).await {
            Ok(read) if read == written => Seen::Ready(()),
            Ok(read) => Seen::NotYet(read),
            Err(error) => Seen::NotYet(error.to_string()),
        };
        if let Err(late) = lab.wait("the values to arrive at a replica", ARRIVAL, look).await {
            observed = late.last_seen;
        }
    }
    if !lab.check("data.read-back", Judgement::equal("the same values", observed)) {
        return Ok(());
    }

    // 2. Lag, by marks of our own.
    let direct: Vec<Client> =
        replicas.iter().map(|replica| lab.client_of(replica).patient(ARRIVAL)).collect();
    let lags = replication_lag(lab, &direct).await?;
    lab.check("data.lag", lag_within(Duration::from_millis(100), &lags));

    // 3. A burst.
    let values: Vec<String> = (0..BURST).map(|_| format!("{:0>200}", lab.rng().u64(..))).collect();
    let mut burst = Pipeline::new();
    for (index, value) in values.iter().enumerate() {
        burst.cmd("SET").arg(format!("burst:{index}")).arg(value).ignore();
    }
    primary.patient(AT_ONCE).pipeline::<()>(&burst).await?;
    let all = format!("{BURST} of {BURST}");
    let mut observed = all.clone();
    for reader in &readers(lab, &replicas, AT_ONCE) {
        let look = async || match arrived(reader, &values).await {
            Ok(count) if count == values.len() => Seen::Ready(()),
            Ok(count) => Seen::NotYet(format!("{count} of {BURST}")),
            Err(error) => Seen::NotYet(error.to_string()),
        };
        if let Err(late) = lab.wait("the burst to arrive at a replica", Duration::from_secs(5), look).await {
            observed = late.last_seen;
        }
    }
    lab.check("data.burst", Judgement::equal(all, observed));
    Ok(())
}

/// A client of the reader name, and one of each replica: whoever comes by the name gets one of them only.
fn readers(lab: &Lab, replicas: &[Arc<Node>], patience: Duration) -> Vec<Client> {
    let direct = replicas.iter().map(|replica| lab.client_of(replica));
    std::iter::once(lab.reader_client()).chain(direct).map(|client| client.patient(patience)).collect()
}

/// How many of the burst's values a node has.
async fn arrived(reader: &Client, values: &[String]) -> Result<usize, StepError> {
    let mut keys: Vec<String> = vec!["MGET".to_owned()];
    keys.extend((0..values.len()).map(|index| format!("burst:{index}")));
    let words: Vec<&str> = keys.iter().map(String::as_str).collect();
    let read: Vec<Option<String>> = reader.ask(&words).await?;
    Ok(read.iter().zip(values).filter(|(read, value)| read.as_ref() == Some(value)).count())
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

/// Writes marks through the primary endpoint, and looks for them at each of `replicas`.
pub(crate) async fn replication_lag(lab: &Lab, replicas: &[Client]) -> Result<Vec<Lags>, StepError> {
    lab.doing("measuring the replication lag");
    let (writer, primary) = (lab.primary_client().patient(ARRIVAL), lab.primary_client().patient(ARRIVAL));
    lags("mark", &writer, &primary, replicas).await
}

/// Writes a mark every 5 ms, as long as it is acknowledged, and looks for the latest at each of `replicas`, and
/// at the primary for comparison: a mark's lag runs from its acknowledgement to the first read that shows it
/// or a later one.
pub(crate) async fn lags(
    key: &str,
    writer: &Client,
    primary: &Client,
    replicas: &[Client],
) -> Result<Vec<Lags>, StepError> {
    let write = async {
        let mut acknowledged = Vec::new();
        let mut ticks = tokio::time::interval(MARK_EVERY);
        for mark in 1..=MARKS {
            ticks.tick().await;
            writer.ask::<()>(&["SET", key, &mark.to_string()]).await?;
            acknowledged.push(Instant::now());
        }
        Ok::<_, StepError>(acknowledged)
    };
    let at_replicas = try_join_all(replicas.iter().map(|replica| sightings(key, replica)));
    let (acknowledged, at_replicas, at_primary) =
        tokio::try_join!(write, at_replicas, sightings(key, primary))?;
    let lags = |seen: &[Instant]| -> Vec<Duration> {
        let both = acknowledged.iter().zip(seen);
        both.map(|(written, seen)| seen.saturating_duration_since(*written)).collect()
    };
    let of_replica = |seen: &Vec<Instant>| Lags {
        at_replica: lags(seen),
        at_primary: lags(&at_primary),
        missing: acknowledged.len() - seen.len(),
    };
    Ok(at_replicas.iter().map(of_replica).collect())
}

/// When each mark, or a later one, was first seen; shorter if not all of them ever were.
async fn sightings(key: &str, reader: &Client) -> Result<Vec<Instant>, StepError> {
    let (mut seen, begin) = (Vec::new(), Instant::now());
    let mut ticks = tokio::time::interval(READ_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while seen.len() < MARKS && begin.elapsed() < ARRIVAL * 3 {
        ticks.tick().await;
        let latest: Option<usize> = reader.ask(&["GET", key]).await?;
        seen.resize(latest.unwrap_or(0).max(seen.len()), Instant::now());
    }
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
