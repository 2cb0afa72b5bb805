//! A group works the same whether its nodes are reached at the bridge's addresses or through published
//! ports.

use std::{net::TcpListener, time::Duration};

use failover_lab::{
    client::Client,
    docker::{Addressing, Fault, FaultKind},
    group::NODE_GROUP,
    replicated,
    wait::{self, Seen},
};
use lab_report::evidence::EndpointName;
use rstest::rstest;

use super::{alone, with_group};

const SOON: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

/// 1. Boot: a client of the primary name writes.
/// 2. Fail over: the name follows, and the client with it.
/// 3. A client of the reader name reads what was written before and after.
#[rstest]
#[case::direct(Addressing::Direct)]
#[case::mapped(Addressing::Mapped)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_fails_over_and_serves_its_names(#[case] addressing: Addressing) {
    with_group(replicated(1), addressing, async |lab| {
        let records = lab.group.records();
        let loopback = addressing == Addressing::Mapped;
        assert!(lab.group.nodes().iter().all(|node| node.reach().ip().is_loopback() == loopback));

        // 1. Boot.
        let writer = Client::new(records, EndpointName::Primary).patient(SOON);
        let old = lab.group.primary();
        writer.ask::<()>(&["SET", "before", "1"]).await.unwrap();

        // 2. Fail over.
        lab.group.test_failover(NODE_GROUP).await.unwrap();
        let new = lab.group.primary();
        assert_ne!(new.id(), old.id());
        assert_eq!(records.targets(EndpointName::Primary), [new.id().clone()]);
        let followed = wait::until("the client to follow the name", SOON, PACE, async || {
            match writer.ask::<()>(&["SET", "after", "2"]).await {
                Ok(()) => Seen::Ready(()),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        followed.await.unwrap_or_else(|late| panic!("{late}"));

        // 3. Read.
        let reader = Client::new(records, EndpointName::Reader).patient(SOON);
        let read = wait::until("both writes at the reader name", SOON, PACE, async || {
            match reader.ask::<(Option<u8>, Option<u8>)>(&["MGET", "before", "after"]).await {
                Ok((Some(1), Some(2))) => Seen::Ready(()),
                other => Seen::NotYet(format!("{other:?}")),
            }
        });
        read.await.unwrap_or_else(|late| panic!("{late}"));
    })
    .await;
}

/// 1. A node stops, and somebody else takes its published port.
/// 2. It is started again: at another port, and found there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapped_node_is_found_again_at_its_new_port() {
    with_group(alone(), Addressing::Mapped, async |lab| {
        // 1. Stopped.
        let node = lab.group.primary();
        let before = node.reach();
        let fault = Fault::inject(FaultKind::Stop, &node, &lab.recorder).await.unwrap();
        let taken =
            wait::until("its port to be free", SOON, PACE, async || match TcpListener::bind(before) {
                Ok(listener) => Seen::Ready(listener),
                Err(error) => Seen::NotYet(error.to_string()),
            });
        let _taken = taken.await.unwrap_or_else(|late| panic!("{late}"));

        // 2. Back.
        fault.heal().await.unwrap();
        assert_ne!(node.reach(), before);
        assert_eq!(node.ask::<String>(&["PING"]).await.unwrap(), "PONG");
    })
    .await;
}
