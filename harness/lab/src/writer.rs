//! An open-loop writer: a fixed schedule that a stall does not slow down.
//!
//! Latency runs from the intended send time, so the writes behind a stall are seen to wait for it
//! (a writer that waits for each answer sends nothing while it waits, and hides the outage).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use lab_report::evidence::{At, Outcome, Write};
use redis::{FromRedisValue, RedisError};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    client::{CallError, Client},
    cluster::ClusterClient,
    docker::{Node, NodeError},
    record::Recorder,
};

/// Begins every key that is written to a deployment of somebody else's, so that it is nobody else's key, and is
/// found again.
pub const KEYS: &str = "failover-lab:";

/// The names of a writer's keys: what comes before the sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(String);

impl Default for Keys {
    fn default() -> Self {
        Self(format!("{KEYS}write:"))
    }
}

impl Keys {
    /// Keys with one tag: all of them are in one slot.
    pub fn tagged(tag: &str) -> Self {
        Self(format!("{KEYS}{{{tag}}}:write:"))
    }

    /// The key of a sequence number.
    pub fn key(&self, sequence: u64) -> String {
        format!("{}{sequence}", self.0)
    }

    /// The sequence numbers of `writes` that a cluster has, each wherever it is.
    ///
    /// # Errors
    /// A node does not answer, or its client was not served.
    pub async fn found_by(
        &self,
        client: &ClusterClient,
        writes: &[Write],
    ) -> Result<BTreeSet<u64>, RedisError> {
        let mut found = BTreeSet::new();
        for chunk in writes.chunks(500) {
            let asked = chunk.iter().map(|write| self.key(write.sequence));
            let values = asked.map(async |key| client.ask::<Option<u64>>(&["GET", &key]).await);
            found.extend(try_join_all(values).await?.into_iter().flatten());
        }
        Ok(found)
    }

    /// The sequence numbers of `writes` that a node has.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn found(&self, node: &Node, writes: &[Write]) -> Result<BTreeSet<u64>, NodeError> {
        let mut found = BTreeSet::new();
        for chunk in writes.chunks(500) {
            let keys: Vec<String> = chunk.iter().map(|write| self.key(write.sequence)).collect();
            let words: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
            let values: Vec<Option<u64>> = node.ask(&words).await?;
            found.extend(values.into_iter().flatten());
        }
        Ok(found)
    }
}

/// What a writer's commands go through.
pub enum Through {
    /// A client of one endpoint, which leaves what to do about an error to its caller.
    Client(Box<Client>),
    /// A cluster's application, whose client follows redirections by itself.
    Application(ClusterClient),
}

impl Through {
    /// One operation.
    ///
    /// # Errors
    /// It was refused, was not sent, or was not answered.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, CallError> {
        match self {
            Self::Client(client) => client.ask(command).await,
            Self::Application(client) => client.ask(command).await.map_err(|error| CallError::of(&error)),
        }
    }
}

impl From<Client> for Through {
    fn from(client: Client) -> Self {
        Self::Client(Box::new(client))
    }
}

impl From<ClusterClient> for Through {
    fn from(client: ClusterClient) -> Self {
        Self::Application(client)
    }
}

/// Writes its sequence numbers, one key each, until stopped.
pub struct Writer {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Write>>,
}

impl Writer {
    /// Between two writes.
    pub const EVERY: Duration = Duration::from_millis(5);

    /// Begins to write through `client`.
    pub fn start(client: Client, recorder: &Recorder) -> Self {
        Self::start_at(client, recorder, Keys::default(), true)
    }

    /// Begins to write elsewhere. Of several writers only one is `shown` on the timeline.
    pub fn start_at(through: impl Into<Through>, recorder: &Recorder, keys: Keys, shown: bool) -> Self {
        let (stop, stopped) = watch::channel(false);
        let hand = Arc::new(Hand { through: through.into(), recorder: recorder.clone(), keys, shown });
        let task = tokio::spawn(write(hand, stopped));
        Self { stop, task }
    }

    /// The key of a sequence number.
    pub fn key(sequence: u64) -> String {
        Keys::default().key(sequence)
    }

    /// Stops, waits for what is under way, and hands over the history (the timeline has it, too).
    pub async fn stop(self) -> Vec<Write> {
        self.stop.send_replace(true);
        self.task.await.unwrap_or_default()
    }

    /// Stops, and drops what is under way: where nobody answers, that may be more than anybody wants to wait for. The
    /// timeline has what came of the rest.
    pub fn abandon(self) {
        self.task.abort();
    }
}

/// The sequence numbers of `writes` that a node has.
///
/// # Errors
/// The node does not answer.
pub async fn found(node: &Node, writes: &[Write]) -> Result<BTreeSet<u64>, NodeError> {
    Keys::default().found(node, writes).await
}

/// What writes, and where to.
struct Hand {
    through: Through,
    recorder: Recorder,
    keys: Keys,
    shown: bool,
}

async fn write(hand: Arc<Hand>, mut stopped: watch::Receiver<bool>) -> Vec<Write> {
    let (start, zero) = (Instant::now(), hand.recorder.now());
    let mut ticks = interval_at(start, Writer::EVERY);
    // Late ticks are made up for: the schedule is fixed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for sequence in 0.. {
        tokio::select! {
            intended = ticks.tick() => {
                let intended = At(zero.0 + (intended - start));
                under_way.spawn(one(Arc::clone(&hand), sequence, intended));
            }
            _ = stopped.changed() => break,
        }
    }
    let mut writes = under_way.join_all().await;
    writes.sort_by_key(|write| write.sequence);
    writes
}

async fn one(hand: Arc<Hand>, sequence: u64, intended: At) -> Write {
    let command = ["SET", &hand.keys.key(sequence), &sequence.to_string()];
    let answer = hand.through.ask::<()>(&command).await;
    let done = hand.recorder.now();
    let write = match answer {
        Ok(()) => Write { sequence, intended, done, outcome: Outcome::Acknowledged, error: None },
        Err(error) => {
            Write { sequence, intended, done, outcome: error.outcome(), error: Some(error.class()) }
        }
    };
    if hand.shown {
        hand.recorder.wrote(write.clone());
    }
    write
}
