//! The manager's limits, refusals, and how it scales and ends a group.

use std::time::Duration;

use failover_lab::{
    client::Client,
    docker::{Fault, FaultKind, Launch, Node, Server},
    group::{Condition, GroupError, NODE_GROUP, Retain, Status},
    replicated,
};
use lab_report::{
    NodeId,
    evidence::{EndpointName, Role},
};

use super::{ids, losses::is, reader_names, with_group};

const SOON: Duration = Duration::from_secs(5);

/// 1. A group of one replica has data.
/// 2. Three replicas are wanted: the new ones have the data, and the reader name names them.
/// 3. One is wanted: the newest go, from the name and from the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_added_with_the_data_and_removed_from_the_name() {
    with_group(replicated(1), None, async |lab| {
        let group = &lab.group;
        // 1. Data.
        let client = Client::new(group.records(), EndpointName::Primary).patient(SOON);
        client.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();

        // 2. Up.
        group.set_replica_count(3).await.unwrap();
        assert_eq!(reader_names(group), ids(["lab-002", "lab-003", "lab-004"]));
        for replica in group.replicas() {
            assert_eq!(replica.ask::<String>(&["GET", "fruit"]).await.unwrap(), "apple", "{}", replica.id());
        }

        // 3. Down.
        group.set_replica_count(1).await.unwrap();
        assert_eq!(reader_names(group), ids(["lab-002"]));
        assert_eq!(lab.docker.leftovers().await.unwrap().containers.len(), 2);
        assert_eq!(group.describe().status, Status::Available);
        client.ask::<()>(&["SET", "fruit", "pear"]).await.unwrap();
    })
    .await;
}

/// What ElastiCache refuses is refused, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_outside_the_limits_are_refused() {
    with_group(replicated(1), None, async |lab| {
        let group = &lab.group;
        let before = group.describe();

        for replicas in [0, 6] {
            let refused = group.set_replica_count(replicas).await.unwrap_err();
            assert!(matches!(refused, GroupError::InvalidParameterValue(_)), "{replicas}: {refused}");
        }
        let unknown = group.test_failover("0002").await.unwrap_err();
        assert!(matches!(&unknown, GroupError::NodeGroupNotFound(id) if id == "0002"), "{unknown}");
        let unknown = group.promote(&NodeId::from("lab-009")).await.unwrap_err();
        assert!(matches!(unknown, GroupError::CacheClusterNotFound(_)), "{unknown}");

        let after = group.describe();
        assert_eq!((after.status, after.members), (Status::Available, before.members));
        assert_eq!(group.events(), []);
    })
    .await;
}

/// `TestFailover` needs automatic failover; without it, a group may go down to its primary alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_automatic_failover_there_is_no_test_failover() {
    with_group(replicated(1).without_automatic_failover(), None, async |lab| {
        let group = &lab.group;
        let primary = group.primary();
        let refused = group.test_failover(NODE_GROUP).await.unwrap_err();
        assert!(matches!(refused, GroupError::InvalidParameterValue(_)), "{refused}");
        assert_eq!(group.primary().id(), primary.id());

        group.set_replica_count(0).await.unwrap();
        assert_eq!(reader_names(group), []);
    })
    .await;
}

/// 1. The group is deleted, its primary retained.
/// 2. The primary is all that is left, with its data.
/// 3. Deleted without retaining anything, not even that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_primary_outlives_its_group() {
    with_group(replicated(1), None, async |lab| {
        let primary = lab.group.primary();
        primary.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();

        // 1. Deleted.
        lab.group.delete(Retain::Primary).await.unwrap();

        // 2. Left.
        let left = lab.docker.leftovers().await.unwrap();
        let containers: Vec<&str> = left.containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(containers, [primary.container()]);
        assert_eq!(primary.ask::<String>(&["GET", "fruit"]).await.unwrap(), "apple");

        // 3. Nothing.
        lab.group.delete(Retain::Nothing).await.unwrap();
        assert_eq!(lab.docker.leftovers().await.unwrap().containers.len(), 0);
    })
    .await;
}

/// 1. The primary cannot be promoted: it would follow itself.
/// 2. A node that has not all of the data cannot, either.
/// 3. Both refusals change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_sound_replica_is_promoted_by_hand() {
    with_group(replicated(1).without_recovery(), None, async |lab| {
        let group = &lab.group;
        let (primary, replica) = (group.primary(), group.replicas().remove(0));
        // 1. The primary.
        let refused = group.promote(primary.id()).await.unwrap_err();
        assert!(matches!(refused, GroupError::InvalidParameterValue(_)), "{refused}");

        // 2. A dead node.
        let fault = Fault::inject(FaultKind::Hold, &replica, &lab.recorder).await.unwrap();
        is(group, &replica, Condition::Dead).await;
        let refused = group.promote(replica.id()).await.unwrap_err();
        assert!(matches!(refused, GroupError::InvalidCacheClusterState(..)), "{refused}");
        fault.heal().await.unwrap();

        // 3. As it was.
        assert_eq!(primary.info().await.unwrap().role(), Role::Primary);
        primary.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();
        assert_eq!(group.records().targets(EndpointName::Primary), [primary.id().clone()]);
        assert_eq!(group.events(), []);
    })
    .await;
}

/// However often replicas come and go, new ones get the addresses of those that went, and ids of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_used_again_and_ids_are_not() {
    with_group(replicated(1), None, async |lab| {
        let group = &lab.group;
        let mut seen = Vec::new();
        for _ in 0..3 {
            group.set_replica_count(3).await.unwrap();
            let new: Vec<_> = group.replicas().into_iter().skip(1).collect();
            seen.push(new.iter().map(|node| (node.id().clone(), node.address())).collect::<Vec<_>>());
            group.set_replica_count(1).await.unwrap();
        }
        let addresses = |round: &[(NodeId, _)]| round.iter().map(|(_, address)| *address).collect::<Vec<_>>();
        assert!(seen.iter().all(|round| addresses(round) == addresses(&seen[0])), "{seen:?}");
        let all: Vec<NodeId> = seen.into_iter().flatten().map(|(id, _)| id).collect();
        assert_eq!(all, ids(["lab-003", "lab-004", "lab-005", "lab-006", "lab-007", "lab-008"]));
    })
    .await;
}

/// 1. Two replicas are wanted where somebody has the name of the second: it cannot be made.
/// 2. The group is as it was, and nothing of the attempt is left: the first is gone again.
/// 3. The next attempt works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adding_replicas_leaves_nothing_behind_when_it_fails() {
    with_group(replicated(1), None, async |lab| {
        let group = &lab.group;
        let before = group.describe().members;
        let server = Server::of_settings(&group.topology().settings_of(0));
        let launch = Launch { id: NodeId::from("lab-004"), zone: "lab-1a".to_owned(), index: 5, server };
        let squatter = Node::launch(&lab.docker, &lab.network, launch).await.unwrap();

        // 1. and 2. It fails, without a trace.
        group.set_replica_count(3).await.unwrap_err();
        assert_eq!((group.describe().status, group.describe().members), (Status::Available, before));
        assert_eq!(lab.docker.leftovers().await.unwrap().containers.len(), 3, "two of the group's and one");

        // 3. It works.
        squatter.remove().await.unwrap();
        group.set_replica_count(3).await.unwrap();
        assert_eq!(group.replicas().len(), 3);
    })
    .await;
}
