//! A front: an endpoint on localhost, for clients outside this process.

use std::time::Duration;

use failover_lab::{
    docker::Node,
    front::Front,
    group::NODE_GROUP,
    info::Info,
    replicated,
    wait::{self, Seen},
};
use lab_report::evidence::EndpointName;
use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tokio::net::TcpStream;

use super::with_group;

const SOON: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

/// 1. A connection is open, by way of the front, and takes a write.
/// 2. The primary is demoted, and lives; the name names its successor.
/// 3. The open connection is where it was: at the demoted node, which refuses the write.
/// 4. A new one is at the new primary, and takes it.
/// 5. The front is closed, and both connections with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_connection_stays_and_a_new_one_goes_where_the_name_points() {
    with_group(replicated(1), None, async |lab| {
        // 1. Open.
        let group = &lab.group;
        let front = Front::listen(group.records(), EndpointName::Primary, 0).await.unwrap();
        let old = group.primary();
        let mut open = connect(&front).await;
        assert_eq!(server(&mut open).await, server_of(&old).await);
        set(&mut open).await.unwrap();

        // 2. Demoted.
        group.test_failover(NODE_GROUP).await.unwrap();
        let new = group.primary();
        assert_ne!(new.id(), old.id());
        assert_eq!(group.records().targets(EndpointName::Primary), [new.id().clone()]);

        // 3. It stays.
        let refused = set(&mut open).await.unwrap_err();
        assert_eq!(refused.code(), Some("READONLY"), "{refused}");
        assert_eq!(server(&mut open).await, server_of(&old).await);

        // 4. A new one.
        let mut fresh = connect(&front).await;
        assert_eq!(server(&mut fresh).await, server_of(&new).await);
        set(&mut fresh).await.unwrap();

        // 5. Closed.
        let address = front.address();
        drop(front);
        let closed = wait::until("the front and its connections to be closed", SOON, PACE, async || {
            let listens = TcpStream::connect(address).await.is_ok();
            let answered = [set(&mut open.clone()).await, set(&mut fresh.clone()).await];
            // A server's refusal is an answer.
            match answered.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code().is_none())) {
                true if !listens => Seen::Ready(()),
                _ => Seen::NotYet(format!("it listens: {listens}, {answered:?}")),
            }
        });
        closed.await.unwrap_or_else(|late| panic!("{late}"));
    })
    .await;
}

/// One connection, which is not made again when it breaks.
async fn connect(front: &Front) -> MultiplexedConnection {
    let client = Client::open(format!("redis://{}", front.address())).unwrap();
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(SOON)).set_response_timeout(Some(SOON));
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

async fn set(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    redis::cmd("SET").arg("fruit").arg("apple").query_async(connection).await
}

/// Which server a connection is to.
async fn server(connection: &mut MultiplexedConnection) -> Option<String> {
    let info: String = redis::cmd("INFO").arg("server").query_async(connection).await.unwrap();
    Info::parse(&info).get("run_id").map(str::to_owned)
}

async fn server_of(node: &Node) -> Option<String> {
    node.info().await.unwrap().get("run_id").map(str::to_owned)
}
