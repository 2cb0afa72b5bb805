//! A sender that keeps up with a server, and records every operation all the same.
//!
//! A client library encodes, decodes, wakes a task and locks a table for each operation, and is slower than a server
//! is. This one is for loads that want all of a server: it speaks to the sockets itself, one thread for all of them,
//! with one system call for many operations. It finds nobody by itself, follows nobody and connects once; what an
//! application's client does when something breaks is measured with a [`client`](crate::client).
//!
//! An operation is handed over when it is written to its connection's buffer, just before that is sent. Where the
//! kernel takes no more, it waits there: the schedule goes on.

mod connection;
mod fate;
mod resp;
mod sender;
mod traffic;

use std::{io, net::SocketAddr, thread, time::Duration};

use lab_history::{Client as ClientId, time::Spread};
use tokio::sync::oneshot;

use self::sender::Sender;
pub use self::traffic::Traffic;
use crate::{schedule::Schedule, tape::Tape, target::Login};

/// A sender before one server.
#[derive(Clone)]
pub struct Pipelined {
    /// Where the server is.
    pub address: SocketAddr,
    /// What it wants to see.
    pub login: Login,
    /// How many connections there are; one at least.
    pub connections: usize,
    /// What is sent.
    pub traffic: Traffic,
    /// After how long an operation is given up, from its intended beginning.
    pub deadline: Duration,
}

/// When operations are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// When they are due, whatever became of those before: an open loop. What is due at the same time goes out
    /// together.
    Open(Schedule),
    /// As soon as those before are answered: a closed loop, which no stall is measured with.
    Saturating {
        /// So many at once on each connection.
        depth: u32,
        /// For so long.
        duration: Duration,
    },
}

/// What was sent, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Operations that were answered in time, whatever the answer was.
    pub answered: u64,
    /// Operations that were given up.
    pub given_up: u64,
    /// From the first one sent to the last one answered, or given up.
    pub took: Duration,
    /// From an operation's intended beginning to its being sent; all zero in a closed loop, which intends nothing.
    pub send_error: Spread,
}

impl Sent {
    /// Operations answered in a second.
    pub fn rate(&self) -> f64 {
        if self.took.is_zero() { 0.0 } else { self.answered as f64 / self.took.as_secs_f64() }
    }
}

/// Why a load came to an end before its time. What was under way is recorded, as indeterminate.
#[derive(Debug, thiserror::Error)]
pub enum PipelinedError {
    /// No connection could be made.
    #[error("no connection to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server lets nobody in.
    #[error("the server answered to AUTH with {0}")]
    Refused(String),
    /// The server closed a connection.
    #[error("the server closed a connection")]
    Closed,
    /// A connection broke.
    #[error("a connection broke")]
    Broke(#[source] io::Error),
    /// What came back is no answer.
    #[error("what came back is no answer to a SET or a GET")]
    Garbled,
    /// The machine has no thread for it, or no way to wait for sockets.
    #[error("the sender cannot run")]
    Machine(#[source] io::Error),
}

impl Pipelined {
    /// Sends at this pace until the time is over, and returns when everything has been answered or given up. Records
    /// it all on `tape`, as done by `who`, whose values are those of the writer with this number.
    ///
    /// Dropped, it ends soon, whatever is under way.
    ///
    /// # Errors
    /// There was no connection, or one ended. Everything that was sent is recorded all the same.
    pub async fn send(
        &self,
        pace: Pace,
        who: ClientId,
        writer: u32,
        tape: &Tape,
    ) -> Result<Sent, PipelinedError> {
        let (tell, told) = oneshot::channel();
        let (asked, tape) = (self.clone(), tape.clone());
        let run = move || {
            let sender = Sender::new(&asked, who, writer, &tape);
            let sent = sender.and_then(|sender| sender.run(pace, || !tell.is_closed()));
            // Nobody is there to hear it where that was dropped.
            let _ = tell.send(sent);
        };
        thread::Builder::new().name("pipelined".to_owned()).spawn(run).map_err(PipelinedError::Machine)?;
        told.await.unwrap_or_else(|_| Err(PipelinedError::Machine(io::Error::other("its thread panicked"))))
    }
}

#[cfg(test)]
mod tests;
