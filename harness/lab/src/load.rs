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
    info::Calls,
    topology::clusters::Load,
};

/// What a server answers to a `SET`.
const STORED: &[u8] = b"+OK\r\n";

/// A server, and the keys that are sent to it.
pub type Share = (Arc<Node>, Vec<String>);

/// Why a load came to an end before it was carried.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
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

/// What came of a connection's part of a load.
struct Part {
    commands: u64,
    error: Option<String>,
}

/// Has servers carry their shares of a load, all at the same time: what was sent to each, and what it says became of
/// that.
///
/// # Errors
/// A connection broke, or a server does not answer.
pub async fn carry(load: &Load, shares: &[Share]) -> Result<Carried, LoadError> {
    let mut connections = Vec::new();
    for (share, (node, keys)) in shares.iter().enumerate().filter(|(_, (_, keys))| !keys.is_empty()) {
        let each = (load.connections / shares.len()).max(1);
        for part in keys.chunks(keys.len().div_ceil(each)) {
            connections.push((share, TcpStream::connect(node.reach()).await?, batches(load, part)));
        }
    }
    let before = served(shares).await?;
    let begin = Instant::now();
    let mut under_way = JoinSet::new();
    for (share, stream, batches) in connections {
        let times = load.times;
        under_way.spawn(async move { (share, send(stream, batches, times).await) });
    }
    let (mut sent, mut error) = (vec![0_u64; shares.len()], None);
    while let Some(joined) = under_way.join_next().await {
        let (share, part) = joined.expect("no panic while sending");
        let part = part?;
        sent[share] += part.commands;
        error = error.or(part.error);
    }
    let took = begin.elapsed();
    let since = |((now, before), sent): ((Served, Served), u64)| Served {
        node: now.node,
        sent,
        commands: now.commands.saturating_sub(before.commands),
        refused: now.refused.saturating_sub(before.refused),
        moved: now.moved.saturating_sub(before.moved),
        used: now.used.saturating_sub(before.used),
    };
    let by = served(shares).await?.into_iter().zip(before).zip(sent).map(since).collect();
    Ok(Carried { took, by, error })
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

/// Sends batches until they are through, or an answer is an error.
async fn send(mut stream: TcpStream, batches: Vec<Batch>, times: usize) -> Result<Part, LoadError> {
    stream.set_nodelay(true)?;
    let mut commands = 0;
    let mut answers = vec![0; batches.iter().map(|batch| batch.answers.len()).max().unwrap_or(0)];
    for batch in (0..times).flat_map(|_| &batches) {
        stream.write_all(&batch.commands).await?;
        commands += (batch.answers.len() / STORED.len()) as u64;
        let answers = &mut answers[..batch.answers.len()];
        stream.read_exact(answers).await?;
        if *answers != batch.answers {
            return Ok(Part { commands, error: Some(first_error(answers)) });
        }
    }
    Ok(Part { commands, error: None })
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
        let Calls { carried_out, refused } = told.calls("set");
        Ok(Served {
            node: node.id().clone(),
            sent: 0,
            commands: carried_out,
            refused,
            moved: told.errors("MOVED"),
            used: Duration::from_secs_f64(used),
        })
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
