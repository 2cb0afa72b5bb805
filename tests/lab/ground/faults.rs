//! Three kinds of death and a partition, as a plain socket on the host meets them.
//!
//! | fault | a new connection | one that was open |
//! | --- | --- | --- |
//! | crash | refused at once | ended at once |
//! | stop | silence | silence |
//! | hold | taken, then silence | silence; answers after the release |
//! | isolate | silence | silence |

use std::{
    io::{Error, ErrorKind},
    time::Duration,
};

use failover_lab::{
    docker::{Addressing, Fault, FaultKind, Node},
    wait::{self, Seen},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{alone, with_group};

/// No answer within this is silence: a healthy server on the same machine takes a millisecond.
const SILENCE: Duration = Duration::from_millis(500);
/// What comes at all comes within this, however busy the machine.
const SOON: Duration = Duration::from_secs(5);

/// What a client meets at an address, or on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Answer,
    Refusal,
    End,
    Silence,
}

/// A connection to a server, without a client library's ideas of what to do next.
struct Line(TcpStream);

impl Line {
    async fn open(node: &Node, limit: Duration) -> Result<Self, Met> {
        match timeout(wait::scaled(limit), TcpStream::connect(node.reach())).await {
            Ok(Ok(stream)) => Ok(Self(stream)),
            Ok(Err(error)) => Err(met(&error)),
            Err(_) => Err(Met::Silence),
        }
    }

    /// Asks for a `PING`.
    async fn ask(&mut self, limit: Duration) -> Met {
        match self.0.write_all(b"PING\r\n").await {
            Ok(()) => self.listen(limit).await,
            Err(error) => met(&error),
        }
    }

    /// Waits for the answer to what was asked.
    async fn listen(&mut self, limit: Duration) -> Met {
        let mut answer = [0; 7];
        match timeout(wait::scaled(limit), self.0.read_exact(&mut answer)).await {
            Ok(Ok(_)) => {
                assert_eq!(&answer, b"+PONG\r\n");
                Met::Answer
            }
            Ok(Err(error)) => met(&error),
            Err(_) => Met::Silence,
        }
    }
}

fn met(error: &Error) -> Met {
    match error.kind() {
        ErrorKind::ConnectionRefused => Met::Refusal,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Met::End,
        // The kernel's word for an address that nobody answers for.
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut => Met::Silence,
        kind => panic!("{kind:?}: {error}"),
    }
}

/// What a client meets that comes anew and asks.
async fn call(node: &Node, limit: Duration) -> Met {
    match Line::open(node, limit).await {
        Ok(mut line) => line.ask(limit).await,
        Err(met) => met,
    }
}

/// Healed is: a new connection is taken and answered.
async fn answers_again(node: &Node) {
    let healed =
        wait::until("the node to answer again", SOON, Duration::from_millis(20), async || {
            match call(node, SILENCE).await {
                Met::Answer => Seen::Ready(()),
                other => Seen::NotYet(format!("{other:?}")),
            }
        });
    healed.await.unwrap_or_else(|late| panic!("{late}"));
}

/// Dead is: a new connection is refused. The kernel closes a dead process's sockets one after the other, and
/// the one that listens may be the last: what it takes in between ends at once, and is never answered.
async fn refuses(node: &Node) {
    let refused = wait::until("new connections to be refused", SOON, Duration::from_millis(5), async || {
        match call(node, SILENCE).await {
            Met::Refusal => Seen::Ready(()),
            Met::Answer => panic!("a dead server answers"),
            other => Seen::NotYet(format!("{other:?}")),
        }
    });
    refused.await.unwrap_or_else(|late| panic!("{late}"));
}

/// 1. A connection is open, and answered.
/// 2. The server dies: the connection ends at once, and a new one is refused at once.
/// 3. The server is started again: a new connection is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_server_resets_and_refuses() {
    with_group(alone(), Addressing::Direct, async |lab| {
        let node = lab.group.primary();
        // 1. Open.
        let mut open = Line::open(&node, SOON).await.expect("a healthy node takes connections");
        assert_eq!(open.ask(SOON).await, Met::Answer);

        // 2. Dead.
        let fault = Fault::inject(FaultKind::Crash, &node, &lab.recorder).await.unwrap();
        assert_eq!(open.listen(SILENCE).await, Met::End, "the open connection");
        refuses(&node).await;

        // 3. Back.
        fault.heal().await.unwrap();
        assert_eq!(call(&node, SOON).await, Met::Answer);
    })
    .await;
}

/// 1. A connection is open, and the host dies: it says nothing, not even goodbye.
/// 2. At its address nobody answers from then on, and nobody refuses.
/// 3. It is started again: a new connection is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_host_is_silent() {
    with_group(alone(), Addressing::Direct, async |lab| {
        let node = lab.group.primary();
        let mut open = Line::open(&node, SOON).await.expect("a healthy node takes connections");
        assert_eq!(open.ask(SOON).await, Met::Answer);

        // 1. Dead.
        let fault = Fault::inject(FaultKind::Stop, &node, &lab.recorder).await.unwrap();
        assert_eq!(open.ask(SILENCE).await, Met::Silence, "the open connection");

        // 2. Silent.
        assert_eq!(call(&node, SILENCE).await, Met::Silence, "a new connection");

        // 3. Back.
        fault.heal().await.unwrap();
        answers_again(&node).await;
    })
    .await;
}

/// 1. A connection is open, and everything freezes: it says nothing.
/// 2. A new connection is taken (the kernel does that), and says nothing either.
/// 3. Released, the server answers on both: nothing was lost, only late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_server_takes_connections_and_answers_late() {
    with_group(alone(), Addressing::Direct, async |lab| {
        let node = lab.group.primary();
        let mut open = Line::open(&node, SOON).await.expect("a healthy node takes connections");
        assert_eq!(open.ask(SOON).await, Met::Answer);

        // 1. Frozen.
        let fault = Fault::inject(FaultKind::Hold, &node, &lab.recorder).await.unwrap();
        assert_eq!(open.ask(SILENCE).await, Met::Silence, "the open connection");

        // 2. Taken.
        let mut new = Line::open(&node, SILENCE).await.expect("the kernel takes connections");
        assert_eq!(new.ask(SILENCE).await, Met::Silence, "a new connection");

        // 3. Released.
        fault.heal().await.unwrap();
        assert_eq!(open.listen(SOON).await, Met::Answer, "the open connection");
        assert_eq!(new.listen(SOON).await, Met::Answer, "the new connection");
    })
    .await;
}

/// 1. A connection is open, and the network goes: it says nothing.
/// 2. A new connection is not taken.
/// 3. The server itself lives, as its own console shows.
/// 4. The network is back: a new connection is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_server_lives_and_is_silent() {
    with_group(alone(), Addressing::Direct, async |lab| {
        let node = lab.group.primary();
        let mut open = Line::open(&node, SOON).await.expect("a healthy node takes connections");
        assert_eq!(open.ask(SOON).await, Met::Answer);

        // 1. Cut off.
        let fault = Fault::inject(FaultKind::Isolate, &node, &lab.recorder).await.unwrap();
        assert_eq!(open.ask(SILENCE).await, Met::Silence, "the open connection");

        // 2. Not taken.
        assert_eq!(call(&node, SILENCE).await, Met::Silence, "a new connection");

        // 3. Alive.
        assert_eq!(node.console(&["PING"]).await.unwrap().trim(), "PONG");

        // 4. Back.
        fault.heal().await.unwrap();
        answers_again(&node).await;
    })
    .await;
}
