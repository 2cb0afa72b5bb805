//! Partitions between real servers: what is cut, what is not, and that healing restores every pair.

use std::time::Duration;

use failover_lab::{
    docker::{Addressing, Fault, FaultKind, Node, Partition, PartitionError, Relay, Side, Split},
    wait::{self, Seen},
};
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    posts::{PACE, Posts, SOON, answer_each_other, are_silent_to_each_other, nodes, three, window, windows},
    with_group,
};

/// No answer within this is silence: a healthy server on the same machine takes a millisecond.
const SILENCE: Duration = Duration::from_millis(500);

/// 1. Three nodes hear each other.
/// 2. The first is split off: it and the others do not hear each other, in neither direction, and do not
///    answer. The others still hear each other.
/// 3. That is on record as a fault of the smaller side.
/// 4. Healed, every pair hears each other. The containers that did it are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_cuts_both_directions_across_and_none_within() {
    with_group(three(), None, async |lab| {
        // 1. Whole.
        let [one, two, three] = nodes(lab);
        let posts = Posts::take(lab).await;
        posts.hear_all_but("before", &[]).await;
        let containers = lab.docker.leftovers().await.unwrap().containers;

        // 2. Split.
        let split = Split::between(&one, [&two, &three]);
        let partition = Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap();
        posts.hear_all_but("split", &["1→2", "1→3", "2→1", "3→1"]).await;
        are_silent_to_each_other(&one, &two).await;
        are_silent_to_each_other(&one, &three).await;
        answer_each_other(&two, &three).await;

        // 3. On record.
        assert_eq!(windows(lab), [window("partition", &one, false)]);
        let fault = lab.recorder.timeline().faults.remove(0);
        assert_eq!((fault.from, fault.in_effect), (partition.not_before(), partition.in_effect()));

        // 4. Healed.
        partition.heal().await.unwrap();
        posts.hear_all_but("after", &[]).await;
        answer_each_other(&one, &two).await;
        answer_each_other(&one, &three).await;
        assert_eq!(windows(lab), [window("partition", &one, true)]);
        assert_eq!(lab.docker.leftovers().await.unwrap().containers, containers);
    })
    .await;
}

/// 1. What the first node sends to the second is dropped; all else passes, the second's to the first
///    among it.
/// 2. So neither answers the other: an answer needs both directions.
/// 3. A second partition beside it is healed: the first is as it was.
/// 4. Healed, every pair hears each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_oneway_cut_leaves_the_other_direction() {
    with_group(three(), None, async |lab| {
        let [one, two, three] = nodes(lab);
        let posts = Posts::take(lab).await;

        // 1. One way.
        let cut = async |split| Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap();
        let partition = cut(Split::oneway(&one, &two)).await;
        posts.hear_all_but("oneway", &["1→2"]).await;

        // 2. No answer.
        are_silent_to_each_other(&one, &two).await;
        answer_each_other(&one, &three).await;

        // 3. Beside it.
        let beside = cut(Split::between(&two, [&one, &three])).await;
        posts.hear_all_but("beside", &["1→2", "2→1", "2→3", "3→2"]).await;
        beside.heal().await.unwrap();
        posts.hear_all_but("oneway again", &["1→2"]).await;

        // 4. Healed.
        partition.heal().await.unwrap();
        posts.hear_all_but("after", &[]).await;
        answer_each_other(&one, &two).await;
    })
    .await;
}

/// What a client gets that goes through the relay to a node, and asks for a `PING`.
async fn ask(relay: &Relay, node: &Node, limit: Duration) -> Option<String> {
    let call = async {
        let mut line = TcpStream::connect(relay.reach(node.id())).await.ok()?;
        line.write_all(b"PING\r\n").await.ok()?;
        let mut answer = [0; 7];
        line.read_exact(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    timeout(wait::scaled(limit), call).await.ok().flatten()
}

async fn is_answered(relay: &Relay, node: &Node) {
    let answered = wait::until("an answer through the relay", SOON, PACE, async || {
        match ask(relay, node, SILENCE).await.as_deref() {
            Some("+PONG") => Seen::Ready(()),
            other => Seen::NotYet(format!("{}: {other:?}", node.id())),
        }
    });
    answered.await.unwrap_or_else(|late| panic!("{late}"));
}

/// 1. A client's relay reaches every node, by the node's name and by the address that the network has
///    for it.
/// 2. In the minority with the primary, it reaches the primary, and no replica.
/// 3. This process, which is on no side, reaches all of them.
/// 4. Healed, the relay reaches every node.
#[rstest]
#[case::direct(Addressing::Direct)]
#[case::mapped(Addressing::Mapped)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_the_minority_reaches_its_side_only(#[case] addressing: Addressing) {
    with_group(three(), addressing, async |lab| {
        // 1. Every node.
        let [primary, one, two] = nodes(lab);
        let all = [&primary, &one, &two];
        let relay = Relay::join(&lab.docker, &lab.network, "client", Some(10), &lab.group.nodes()).await;
        let relay = relay.unwrap_or_else(|error| panic!("{error}"));
        for node in all {
            is_answered(&relay, node).await;
            let known = (node.address(), node.port()).into();
            assert_eq!(relay.reach_address(known), Some(relay.reach(node.id())));
        }

        // 2. The primary's side.
        let split = Split::between(Side::from(&primary).and(&relay), [&one, &two]);
        let partition = Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap();
        is_answered(&relay, &primary).await;
        assert_eq!(ask(&relay, &one, SILENCE).await, None);
        assert_eq!(ask(&relay, &two, SILENCE).await, None);

        // 3. On no side.
        for node in all {
            assert_eq!(node.ask::<String>(&["PING"]).await.unwrap(), "PONG");
        }

        // 4. Healed.
        partition.heal().await.unwrap();
        for node in all {
            is_answered(&relay, node).await;
        }
        relay.leave().await.unwrap();
    })
    .await;
}

/// 1. The primary is split off, and stopped, and started again: it is back from the stop, and still on
///    its side.
/// 2. Healing copes with its new network: every pair answers each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_is_still_on_its_side() {
    with_group(three(), None, async |lab| {
        let [one, two, three] = nodes(lab);
        // 1. Still on its side.
        let split = Split::between(&one, [&two, &three]);
        let partition = Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap();
        let stop = Fault::inject(FaultKind::Stop, &one, &lab.recorder).await.unwrap();
        stop.heal().await.unwrap();
        assert_eq!(windows(lab), [window("partition", &one, false), window("stop", &one, true)]);
        are_silent_to_each_other(&one, &two).await;

        // 2. Healed.
        partition.heal().await.unwrap();
        assert!(windows(lab).iter().all(|(.., ended)| *ended));
        for (from, to) in [(&one, &two), (&one, &three), (&two, &three)] {
            answer_each_other(from, to).await;
        }
    })
    .await;
}

/// 1. A partition is prepared, and one of the containers that are to do it is lost: it cannot be cut, and
///    the rules that the others loaded are gone again.
/// 2. A node is stopped: a partition that it takes part in cannot be prepared.
/// 3. Nothing was left behind, or put on record, by either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_cannot_be_had_whole_is_not_had_at_all() {
    with_group(three(), None, async |lab| {
        let [one, two, three] = nodes(lab);
        let posts = Posts::take(lab).await;
        let containers = async || lab.docker.leftovers().await.unwrap().containers;
        let before = containers().await;

        // 1. One is lost.
        let split = Split::between(&one, [&two, &three]);
        let prepared = Partition::prepare(&lab.docker, &split).await.unwrap();
        let mut hands = containers().await.into_iter().filter(|container| !before.contains(container));
        let lost = hands.next().expect("a partition is containers");
        lab.docker.api().kill_container(&lost.name, None).await.unwrap();
        let refused = prepared.cut(&lab.recorder).await.err();
        assert!(matches!(refused, Some(PartitionError::Docker(_))), "{refused:?}");
        posts.hear_all_but("after", &[]).await;
        assert_eq!((containers().await, windows(lab)), (before.clone(), Vec::new()));

        // 2. Stopped.
        let stop = Fault::inject(FaultKind::Stop, &two, &lab.recorder).await.unwrap();
        let refused = Partition::prepare(&lab.docker, &split).await.err();
        assert!(matches!(refused, Some(PartitionError::Docker(_))), "{refused:?}");

        // 3. Nothing.
        assert_eq!(containers().await, before);
        stop.heal().await.unwrap();
        assert_eq!(windows(lab), [window("stop", &two, true)]);
    })
    .await;
}

/// 1. A partition is in effect, and no node's container has a privilege for it.
/// 2. It is never healed: the lab's teardown leaves nothing all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_get_no_privilege_and_nothing_is_left() {
    let docker = with_group(three(), None, async |lab| {
        // 1. No privilege.
        let [one, two, three] = nodes(lab);
        let split = Split::islands([Side::from(&one), Side::from(&two), Side::from(&three)]);
        let partition = Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap();
        are_silent_to_each_other(&two, &three).await;
        for node in [&one, &two, &three] {
            let found = lab.docker.api().inspect_container(node.container(), None).await.unwrap();
            let host = found.host_config.expect("a container has a host");
            assert_eq!((host.privileged, host.cap_add.unwrap_or_default()), (Some(false), Vec::new()));
        }

        // 2. Never healed.
        drop(partition);
        lab.docker.clone()
    })
    .await;
    assert_eq!(docker.leftovers().await.unwrap().names(), Vec::<String>::new());
}
