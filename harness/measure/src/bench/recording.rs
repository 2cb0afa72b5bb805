//! How fast operations can be sent and each be recorded, and how true to its schedule that is.
//!
//! Beside it are the engines' own benchmark, which records nothing but a table of latencies, and the plain `redis`
//! crate, which records nothing. The machine's processors are shared by all of them and the server.

use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use failover_lab::{Replicated, StepError, docker::Node, replicated, session::Session, wait::pass};
use lab_history::{Header, History, Moment, Operation};
use lab_load::{
    Pace, Pipelined, Schedule, Sent, Tape,
    pipelined::{PipelinedError, Traffic},
    workload::Distribution,
};
use redis::RedisError;
use tokio::task::JoinSet;

use super::{
    Table,
    theirs::{self, Asked},
};
use crate::{measure::millis, servers::on_servers, stage::login};

const CONNECTIONS: usize = 50;
const DEPTH: u32 = 16;
const KEYS: u32 = 10_000;
const VALUE: usize = 100;
/// Of every load that is as fast as it goes.
const LENGTH: Duration = Duration::from_secs(2);
/// The engines' own benchmark is told how many operations to do: some two seconds of them.
const REQUESTS: u64 = 1_000_000;

/// A server is held for so long, and is under load before and after.
const HOLD: Duration = Duration::from_secs(1);
/// Meanwhile, so many operations a second are meant to begin.
const HELD_AT: u32 = 10_000;
/// One by one, the engines' own benchmark needs more than the hold and what is before it for so many.
const HELD_REQUESTS: u64 = 400_000;
/// Longer than an operation that waits for the end of the hold.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    saturated: Vec<Saturated>,
    /// At half of the median rate.
    paced: Vec<Sent>,
    held: Vec<Held>,
}

/// As fast as it goes, in operations a second.
#[derive(Debug, Clone, Copy)]
struct Saturated {
    theirs: Option<f64>,
    multiplexed: f64,
    recorded: f64,
    bytes_each: f64,
}

/// A server that was held under load.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// For how long, in seconds.
    seconds: f64,
    /// Operations that are on record as having waited for its end.
    waited: u64,
    /// The same by the engines' own benchmark.
    theirs: Option<u64>,
}

/// What it is measured on: a server that nobody follows, and nobody fails over.
pub fn topology() -> Replicated {
    replicated(0).without_automatic_failover()
}

/// Measures on a server of its own.
///
/// # Errors
/// It did not boot, or did not do what it was told. Nothing is left running.
pub async fn recording(session: &Session, rounds: usize) -> Result<Recording, StepError> {
    let folder = session.dir().join("bench");
    let on = on_servers(session, topology(), "recording", "bench", async |lab| {
        measure(&lab.group().primary(), &folder, rounds).await
    });
    Ok(on.await?.0)
}

/// Measures before a server, so many times by turns. Histories are kept in `folder` while they are needed.
///
/// # Errors
/// The server did not do what it was told, or a history could not be written.
pub async fn measure(server: &Arc<Node>, folder: &Path, rounds: usize) -> Result<Recording, StepError> {
    fs::create_dir_all(folder)?;
    let mut recording = Recording::default();
    for _ in 0..rounds {
        // By turns, so that a busy minute of the machine is in all of them.
        let asked = Asked {
            requests: REQUESTS,
            keys: KEYS.into(),
            value_size: VALUE,
            connections: CONNECTIONS,
            depth: DEPTH,
            cluster: false,
        };
        let theirs = theirs::rate(server, asked).await?;
        let multiplexed = multiplexed(server).await?;
        let (recorded, bytes_each) = saturated(server, folder).await?;
        recording.saturated.push(Saturated { theirs, multiplexed, recorded, bytes_each });
    }
    let half = recording.median_rate() / 2.0;
    for _ in 0..rounds {
        let pace = Pace::Open(Schedule { rate: half as u32, duration: LENGTH });
        let (sent, history) = recorded(server, folder, pace).await?;
        fs::remove_file(history)?;
        recording.paced.push(sent?);
    }
    for _ in 0..rounds {
        recording.held.push(held(server, folder).await?);
    }
    Ok(recording)
}

/// Operations a second by the `redis` crate, with as many under way as the others have.
async fn multiplexed(server: &Node) -> Result<f64, StepError> {
    let connection = server.connect(CONNECT).await?;
    let keys: Arc<[String]> = (0..KEYS).map(|number| format!("multiplexed:{number}")).collect();
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..CONNECTIONS * DEPTH as usize {
        let (mut connection, keys) = (connection.clone(), Arc::clone(&keys));
        tasks.spawn(async move {
            let (value, mut done) = ("x".repeat(VALUE), 0_u64);
            // Each task goes through all keys, and begins somewhere else.
            for key in keys.iter().cycle().skip(task * 10) {
                if begin.elapsed() >= LENGTH {
                    break;
                }
                redis::cmd("SET").arg(key).arg(&value).query_async::<()>(&mut connection).await?;
                done += 1;
            }
            Ok::<_, RedisError>(done)
        });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    Ok(done as f64 / begin.elapsed().as_secs_f64())
}

/// Operations a second with every one of them on record, and the bytes that the record of one takes.
async fn saturated(server: &Node, folder: &Path) -> Result<(f64, f64), StepError> {
    let (sent, history) =
        recorded(server, folder, Pace::Saturating { depth: DEPTH, duration: LENGTH }).await?;
    let (sent, bytes) = (sent?, fs::metadata(&history)?.len());
    fs::remove_file(history)?;
    Ok((sent.rate(), bytes as f64 / sent.answered.max(1) as f64))
}

/// Holds the server while it is under load: the lab's, and that of the engines' own benchmark.
async fn held(server: &Node, folder: &Path) -> Result<Held, StepError> {
    let hold = async || {
        pass(HOLD).await;
        server.hold_for(HOLD).await
    };
    let pace = Pace::Open(Schedule { rate: HELD_AT, duration: 4 * HOLD });
    let (outcome, length) = tokio::join!(recorded(server, folder, pace), hold());
    let ((sent, path), length) = (outcome?, length?);
    sent?;
    let history = History::open(BufReader::new(File::open(&path)?))?;
    fs::remove_file(path)?;

    let asked = Asked {
        requests: HELD_REQUESTS,
        keys: KEYS.into(),
        value_size: VALUE,
        connections: CONNECTIONS,
        depth: 1,
        cluster: false,
    };
    let (theirs, theirs_length) = tokio::join!(theirs::latencies(server, asked), hold());
    let half = theirs_length?.as_secs_f64() * 1000.0 / 2.0;
    Ok(Held {
        seconds: length.as_secs_f64(),
        waited: waited(&history.operations),
        theirs: theirs?.map(|latencies| latencies.longer_than(half)),
    })
}

type Recorded = (Result<Sent, PipelinedError>, std::path::PathBuf);

/// Sends at this pace, and returns what came of it and where its history is.
async fn recorded(server: &Node, folder: &Path, pace: Pace) -> Result<Recorded, StepError> {
    let path = folder.join("recording.bin");
    let tape = Tape::begin(&path, &Header::new("recording", 1))?;
    let sender = Pipelined {
        address: server.reach(),
        login: login(server.access()),
        connections: CONNECTIONS,
        traffic: Traffic {
            keys: KEYS,
            distribution: Distribution::Uniform,
            reads: 0.0,
            value_size: VALUE,
            seed: 1,
        },
        deadline: DEADLINE,
    };
    let sent = sender.send(pace, tape.client("pipelined"), 0, &tape).await;
    tape.finish()?;
    Ok((sent, path))
}

/// Operations that waited for the end of the longest silence: those that were meant to begin before it was over, and
/// were over after it.
fn waited(operations: &[Operation]) -> u64 {
    let mut ends: Vec<Moment> = operations.iter().map(|operation| operation.timing.completed()).collect();
    ends.sort_unstable();
    let silence = ends.windows(2).max_by_key(|pair| pair[1].since(pair[0]));
    let Some(&[_, over]) = silence else { return 0 };
    let waits =
        |operation: &&Operation| operation.timing.intended() < over && operation.timing.completed() >= over;
    operations.iter().filter(waits).count() as u64
}

impl Recording {
    fn median_rate(&self) -> f64 {
        let mut rates: Vec<f64> = self.saturated.iter().map(|round| round.recorded).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(0.0)
    }

    /// As a table, with what the figures should be.
    pub fn table(&self) -> Table {
        let mut table = Table::new(format!("SETs of {VALUE} bytes on {CONNECTIONS} connections"));
        let of = |figure: fn(&Saturated) -> Option<f64>| {
            self.saturated.iter().filter_map(figure).collect::<Vec<_>>()
        };
        let thousand = |what: &str| format!("{what}, {DEPTH} to a round trip, 1000 a second");
        table.row(thousand("the engine's own benchmark"), of(|round| Some(round.theirs? / 1000.0)));
        table.row(
            "the redis crate, multiplexed, as many under way, 1000 a second",
            of(|round| Some(round.multiplexed / 1000.0)),
        );
        table.row(thousand("recorded"), of(|round| Some(round.recorded / 1000.0)));
        table.row_with_goal(
            "recorded, to the engine's own benchmark",
            of(|round| Some(round.recorded / round.theirs?)),
            "≥ 0.8",
        );
        table.row_with_goal(
            "recorded, to the redis crate",
            of(|round| Some(round.recorded / round.multiplexed)),
            "≥ 1.5",
        );
        table.row_with_goal("the record of one, bytes", of(|round| Some(round.bytes_each)), "≤ 40");
        let half = self.median_rate() / 2000.0;
        table.row_with_goal(
            format!("at {half:.0} thousand a second sent late by, p99, ms"),
            self.paced.iter().map(|sent| millis(sent.send_error.p99_us)),
            "≤ 1",
        );
        let held = |figure: fn(&Held) -> Option<f64>| self.held.iter().filter_map(figure).collect::<Vec<_>>();
        let at = format!("held for 1 s at {HELD_AT} a second");
        table.row(format!("{at}: operations that waited"), held(|held| Some(held.waited as f64)));
        table.row_with_goal(
            format!("{at}: of those that were to begin meanwhile"),
            held(|held| Some(held.waited as f64 / (f64::from(HELD_AT) * held.seconds))),
            "0.99 to 1.01",
        );
        table.row(
            "held for 1 s: that waited, by the engine's own benchmark",
            held(|held| Some(held.theirs? as f64)),
        );
        table
    }
}

#[cfg(test)]
mod tests {
    use lab_history::{Action, Names, Outcome, Timing};

    use super::*;

    /// Intended and completed, in milliseconds.
    fn waiting(operations: &[(u64, u64)]) -> u64 {
        let mut names = Names::default();
        let (object, process) = (names.object("x"), names.client("c").unwrap().worker(0).unwrap());
        let millis = |millis: u64| Moment::from_micros(millis * 1000);
        let operation = |(intended, completed): &(u64, u64)| Operation {
            process,
            node: None,
            timing: Timing::new(millis(*intended), millis(*intended), millis(*completed)).unwrap(),
            action: Action::Read { object, outcome: Outcome::Ok(None) },
        };
        super::waited(&operations.iter().map(operation).collect::<Vec<_>>())
    }

    #[test]
    fn who_waited_is_who_came_before_the_end_of_the_silence_and_was_served_after_it() {
        let regular: Vec<(u64, u64)> = (0..20).map(|number| (number * 10, number * 10 + 1)).collect();
        assert_eq!(waiting(&regular), 1, "nobody but the next");
        // Held from 50 to 150: those from 50 to 140 are answered at the end.
        let held: Vec<(u64, u64)> = regular
            .iter()
            .map(|(from, to)| (*from, if (50..150).contains(from) { 150 } else { *to }))
            .collect();
        assert_eq!(waiting(&held), 10);
        assert_eq!(waiting(&[]), 0);
    }
}
