//! What a node keeps when its server comes back: its address, and nothing else.

use failover_lab::{
    client::Client,
    docker::{Bystander, Fault, FaultKind, Launch, Node, Server},
    info::Info,
};
use lab_report::NodeId;
use rstest::rstest;

use super::{alone, bare::Bare, with_group};

/// 1. A node has data, and dies.
/// 2. While it is down, others join the network.
/// 3. It comes back at its address; the newcomers have others.
/// 4. It is empty, and takes no writes: an empty primary would have them lost.
/// 5. Told that it is a primary, it takes them.
#[rstest]
#[case::crash(FaultKind::Crash)]
#[case::stop(FaultKind::Stop)]
#[case::hold(FaultKind::Hold)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_empty_at_its_address(#[case] kind: FaultKind) {
    with_group(alone(), None, async |lab| {
        // 1. Data, and death.
        let node = lab.group.primary();
        let before = node.address();
        assert_eq!(lives_at_its_address(&node).await, Ok(()));
        node.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();
        let _fault = Fault::inject(kind, &node, &lab.recorder).await.unwrap();

        // 2. Newcomers.
        let (newcomer, bystander) = newcomers(lab).await;

        // 3. Back, where it was.
        node.restart().await.unwrap();
        assert_eq!(node.address(), before);
        assert_eq!(lives_at_its_address(&node).await, Ok(()));
        assert_eq!(lives_at_its_address(&newcomer).await, Ok(()));
        assert_ne!(newcomer.address(), before);

        // 4. Empty.
        assert_eq!(node.ask::<u64>(&["DBSIZE"]).await.unwrap(), 0);
        let client = Client::of_node(&node);
        let refused = client.ask::<()>(&["SET", "fruit", "pear"]).await.unwrap_err();
        assert_eq!(refused.class(), "READONLY");

        // 5. A primary.
        node.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        client.ask::<()>(&["SET", "fruit", "pear"]).await.unwrap();
        newcomer.remove().await.unwrap();
        bystander.leave().await.unwrap();
    })
    .await;
}

/// A node of the lab's, and a container whose address the bridge chooses.
async fn newcomers(lab: &Bare) -> (std::sync::Arc<Node>, Bystander) {
    let index = 3;
    let server = Server::of_settings(&lab.group.topology().settings_of(index));
    let launch = Launch { id: NodeId::from("newcomer"), zone: "lab-1a".to_owned(), index, server };
    let (newcomer, bystander) = tokio::join!(
        Node::launch(&lab.docker, &lab.network, launch),
        Bystander::join(&lab.docker, &lab.network, "bystander"),
    );
    (newcomer.unwrap(), bystander.unwrap())
}

/// The server that answers where the host reaches the node is the one on the node's own console.
async fn lives_at_its_address(node: &Node) -> Result<(), String> {
    let run_id = |text: &str| Info::parse(text).get("run_id").map(str::to_owned);
    let inside = run_id(&node.console(&["INFO", "server"]).await.unwrap());
    let outside = run_id(&node.ask::<String>(&["INFO", "server"]).await.unwrap());
    match inside {
        Some(_) if inside == outside => Ok(()),
        _ => Err(format!("{} answers as {outside:?}, its console as {inside:?}", node.reach())),
    }
}
