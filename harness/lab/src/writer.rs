//! An open-loop writer: a fixed schedule that a stall does not slow down.
//!
//! Latency runs from the intended send time, so the writes behind a stall are seen to wait for it
//! (a writer that waits for each answer sends nothing while it waits, and hides the outage).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lab_report::evidence::{At, Outcome, Write};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    client::Client,
    docker::{Node, NodeError},
    record::Recorder,
};

/// Begins every key that is written to a deployment of somebody else's, so that it is nobody else's key, and is
/// found again.
pub const KEYS: &str = "failover-lab:";

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
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(write(Arc::new(client), recorder.clone(), stopped));
        Self { stop, task }
    }

    /// The key of a sequence number.
    pub fn key(sequence: u64) -> String {
        format!("{KEYS}write:{sequence}")
    }

    /// Stops, waits for what is under way, and hands over the history (the timeline has it, too).
    pub async fn stop(self) -> Vec<Write> {
        self.stop.send_replace(true);
        self.task.await.unwrap_or_default()
    }
}

/// The sequence numbers of `writes` that a node has.
///
/// # Errors
/// The node does not answer.
pub async fn found(node: &Node, writes: &[Write]) -> Result<BTreeSet<u64>, NodeError> {
    let mut found = BTreeSet::new();
    for chunk in writes.chunks(500) {
        let keys: Vec<String> = chunk.iter().map(|write| Writer::key(write.sequence)).collect();
        let words: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
        let values: Vec<Option<u64>> = node.ask(&words).await?;
        found.extend(values.into_iter().flatten());
    }
    Ok(found)
}

async fn write(client: Arc<Client>, recorder: Recorder, mut stopped: watch::Receiver<bool>) -> Vec<Write> {
    let (start, zero) = (Instant::now(), recorder.now());
    let mut ticks = interval_at(start, Writer::EVERY);
    // Late ticks are made up for: the schedule is fixed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for sequence in 0.. {
        tokio::select! {
            intended = ticks.tick() => {
                let intended = At(zero.0 + (intended - start));
                under_way.spawn(one(Arc::clone(&client), recorder.clone(), sequence, intended));
            }
            _ = stopped.changed() => break,
        }
    }
    let mut writes = under_way.join_all().await;
    writes.sort_by_key(|write| write.sequence);
    writes
}

async fn one(client: Arc<Client>, recorder: Recorder, sequence: u64, intended: At) -> Write {
    let answer: Result<(), _> = client.ask(&["SET", &Writer::key(sequence), &sequence.to_string()]).await;
    let done = recorder.now();
    let write = match answer {
        Ok(()) => Write { sequence, intended, done, outcome: Outcome::Acknowledged, error: None },
        Err(error) => {
            Write { sequence, intended, done, outcome: error.outcome(), error: Some(error.class()) }
        }
    };
    recorder.wrote(write.clone());
    write
}
