//! A load that shows how much servers carry: batches of commands, each sent as soon as the one before is answered.
//!
//! A closed loop, unlike the lab's writers: it is to keep servers busy, and no stall is measured with it. It
//! speaks to the socket itself, with bytes that were written down before, because a client that encodes and
//! decodes is slower than a server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use lab_report::judge::{Carried, Served};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    docker::{Node, NodeError},
    topology::clusters::Load,
};

/// What a server answers to a `SET`.
const STORED: &[u8] = b"+OK\r\n";

/// A server, and the keys that are sent to it.
pub type Share = (Arc<Node>, Vec<String>);

/// Why a load came to an end before it was carried.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A server answered with something else than that it has stored a value.
    #[error("{0}")]
    Refused(String),
    /// A connection broke.
    #[error("a connection broke")]
    Broke(#[from] std::io::Error),
    /// A server does not say how busy it was.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Commands, and the answers to them.
struct Batch {
    commands: Vec<u8>,
    answers: Vec<u8>,
}

/// Has servers carry their shares of a load, all at the same time.
///
/// # Errors
/// A server refused, broke, or does not answer.
pub async fn carry(load: &Load, shares: &[Share]) -> Result<Carried, LoadError> {
    let mut connections = Vec::new();
    for (node, keys) in shares.iter().filter(|(_, keys)| !keys.is_empty()) {
        let each = (load.connections / shares.len()).max(1);
        for part in keys.chunks(keys.len().div_ceil(each)) {
            connections.push((TcpStream::connect(node.reach()).await?, batches(load, part)));
        }
    }
    let before = served(shares).await?;
    let begin = Instant::now();
    let mut under_way = JoinSet::new();
    for (stream, batches) in connections {
        under_way.spawn(send(stream, batches, load.times));
    }
    while let Some(sent) = under_way.join_next().await {
        sent.expect("no panic while sending")?;
    }
    let took = begin.elapsed();
    let since = |(now, before): (Served, Served)| Served {
        node: now.node,
        commands: now.commands - before.commands,
        used: now.used.saturating_sub(before.used),
    };
    Ok(Carried { took, by: served(shares).await?.into_iter().zip(before).map(since).collect() })
}

/// A connection's part of a load, ready to be sent.
fn batches(load: &Load, keys: &[String]) -> Vec<Batch> {
    let value = "x".repeat(load.value);
    let batch = |keys: &[String]| Batch {
        commands: keys.iter().flat_map(|key| set(key, &value).into_bytes()).collect(),
        answers: STORED.repeat(keys.len()),
    };
    keys.chunks(load.batch.max(1)).map(batch).collect()
}

/// `SET key value`, as the protocol has it.
fn set(key: &str, value: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len())
}

async fn send(mut stream: TcpStream, batches: Vec<Batch>, times: usize) -> Result<(), LoadError> {
    stream.set_nodelay(true)?;
    let mut answers = vec![0; batches.iter().map(|batch| batch.answers.len()).max().unwrap_or(0)];
    for batch in (0..times).flat_map(|_| &batches) {
        stream.write_all(&batch.commands).await?;
        let answers = &mut answers[..batch.answers.len()];
        stream.read_exact(answers).await?;
        if *answers != batch.answers {
            return Err(LoadError::Refused(first_error(answers)));
        }
    }
    Ok(())
}

/// The kind of the first answer that is not what it should be: `MOVED`.
fn first_error(answers: &[u8]) -> String {
    let error = answers.chunks(STORED.len()).position(|answer| answer != STORED).unwrap_or(0) * STORED.len();
    let text = String::from_utf8_lossy(&answers[error..]);
    text.trim_start_matches('-').split_whitespace().next().unwrap_or("nothing").to_owned()
}

/// What each server has served so far, by its own account.
async fn served(shares: &[Share]) -> Result<Vec<Served>, NodeError> {
    let served = shares.iter().map(async |(node, _)| {
        let told = node.counters().await?;
        let seconds = |field: &str| told.number(field).unwrap_or(0.0);
        let used = seconds("used_cpu_user_main_thread") + seconds("used_cpu_sys_main_thread");
        let commands = told.calls("set").carried_out;
        Ok(Served { node: node.id().clone(), commands, used: Duration::from_secs_f64(used) })
    });
    try_join_all(served).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_as_the_protocol_has_it() {
        assert_eq!(set("k", "xyz"), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nxyz\r\n");
    }

    #[test]
    fn a_load_is_cut_into_batches_and_keeps_every_key() {
        let keys: Vec<String> = (0..7).map(|number| format!("k{number}")).collect();
        let cut = batches(&Load { batch: 3, value: 1, ..Load::default() }, &keys);
        assert_eq!(cut.iter().map(|batch| batch.answers.len() / STORED.len()).collect::<Vec<_>>(), [3, 3, 1]);
        let sent: Vec<u8> = cut.into_iter().flat_map(|batch| batch.commands).collect();
        assert_eq!(sent, keys.iter().flat_map(|key| set(key, "x").into_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn an_answer_that_is_an_error_is_named() {
        assert_eq!(first_error(b"+OK\r\n-MOVED 866 10.0.0.1:6379\r\n"), "MOVED");
        assert_eq!(first_error(b"-MOVE"), "MOVE");
    }
}
