//! The manager's limits, refusals, and what it does about a dead replica.

use std::time::Duration;

use failover_lab::{
    client::Client,
    docker::{Fault, FaultKind},
    group::{GroupError, NODE_GROUP, ReplicationGroup, Retain, Status},
    replicated,
    wait::{self, Seen},
};
use lab_report::{NodeId, evidence::EndpointName};

use super::with_group;

const SOON: Duration = Duration::from_secs(5);

fn reader_names(group: &ReplicationGroup) -> Vec<NodeId> {
    group.records().targets(EndpointName::Reader)
}

fn ids<const N: usize>(names: [&str; N]) -> Vec<NodeId> {
    names.into_iter().map(NodeId::from).collect()
}

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

/// 1. A replica dies: the reader name leaves it out.
/// 2. It is brought back, follows the primary, and is named again.
/// 3. The primary was never in question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_replica_is_brought_back() {
    with_group(replicated(2), None, async |lab| {
        let group = &lab.group;
        let (primary, replica) = (group.primary(), group.replicas().remove(0));
        primary.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();

        // 1. and 2. Left out, and back: one history of the name.
        let fault = Fault::inject(FaultKind::Crash, &replica, &lab.recorder).await.unwrap();
        let named = || {
            let timeline = lab.recorder.timeline();
            let readers = timeline.endpoints.into_iter().filter(|c| c.endpoint == EndpointName::Reader);
            readers.map(|change| change.targets).collect::<Vec<_>>()
        };
        let budget = Duration::from_secs(10);
        let back = wait::until("the replica to be back", budget, Duration::from_millis(20), async || {
            match group.events().last() {
                Some(event) if event.message.starts_with("Finished recovery") => Seen::Ready(()),
                other => Seen::NotYet(format!("{other:?}, named {:?}", named())),
            }
        });
        back.await.unwrap_or_else(|late| panic!("{late}"));
        let both = ids(["lab-002", "lab-003"]);
        assert_eq!(named(), [both.clone(), ids(["lab-003"]), both]);
        assert_eq!(replica.ask::<String>(&["GET", "fruit"]).await.unwrap(), "apple");
        // There is nothing left to heal.
        fault.heal().await.unwrap();

        // 3. As it was.
        assert_eq!(group.primary().id(), primary.id());
        assert_eq!(group.records().targets(EndpointName::Primary), [primary.id().clone()]);
    })
    .await;
}
