//! What the manager does about nodes that die, hang, and come back.

use std::time::Duration;

use failover_lab::{
    docker::{Fault, FaultKind, Node},
    group::{Condition, ReplicationGroup, Retain},
    replicated,
    wait::{self, Seen},
};
use lab_report::{
    NodeId,
    evidence::{EndpointName, Role},
};

use super::{ids, reader_names, with_group};

/// What the manager does about a loss is done within this: a detection, a start, and a copy of nothing.
const HANDLED: Duration = Duration::from_secs(10);
/// A dead primary is found within `dead_after` + a probe's period and length, and replaced within one round
/// of offsets: 1.6 s with the default clocks. Far less than a recovery may take.
const REPLACED: Duration = Duration::from_secs(4);
const PACE: Duration = Duration::from_millis(20);

/// Waits until the control plane finds a node in this condition.
pub(super) async fn is(group: &ReplicationGroup, node: &Node, wanted: Condition) {
    let what = format!("{} to be {wanted:?}", node.id());
    let found = wait::until(&what, HANDLED, PACE, async || match group.condition(node.id()) {
        Some(condition) if condition == wanted => Seen::Ready(()),
        other => Seen::NotYet(format!("{other:?}, events {:?}", group.events())),
    });
    found.await.unwrap_or_else(|late| panic!("{late}"));
}

/// Waits until somebody else is primary, and says who.
async fn successor(group: &ReplicationGroup, old: &Node) -> NodeId {
    let found = wait::until("somebody to take its place", REPLACED, PACE, async || match group.primary() {
        primary if primary.id() == old.id() => Seen::NotYet(format!("{:?}", group.describe().members)),
        primary => Seen::Ready(primary.id().clone()),
    });
    found.await.unwrap_or_else(|late| panic!("{late}"))
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

/// 1. A replica dies, and while it is being brought back the primary dies, too.
/// 2. The other replica takes over, without waiting for a recovery that cannot end before.
/// 3. Both are brought back, as replicas of the new primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_dies_during_a_recovery_is_replaced() {
    with_group(replicated(2), None, async |lab| {
        let group = &lab.group;
        let (old, replicas) = (group.primary(), group.replicas());
        let (first, second) = (&replicas[0], &replicas[1]);
        old.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();
        assert_eq!(old.ask::<u64>(&["WAIT", "2", "900"]).await.unwrap(), 2);
        // Nobody gets a copy of this primary's data before it dies, however long that takes to arrange.
        let wait = ["CONFIG", "SET", "repl-diskless-sync", "yes", "repl-diskless-sync-delay", "3600"];
        old.ask::<()>(&wait).await.unwrap();

        // 1. Two deaths.
        let _of_first = Fault::inject(FaultKind::Crash, first, &lab.recorder).await.unwrap();
        is(group, first, Condition::Recovering).await;
        let _of_primary = Fault::inject(FaultKind::Crash, &old, &lab.recorder).await.unwrap();

        // 2. Replaced.
        assert_eq!(&successor(group, &old).await, second.id());

        // 3. Back.
        for node in [first, &old] {
            is(group, node, Condition::Sound).await;
            let info = node.info().await.unwrap();
            let follows = info.get("master_host").map(str::to_owned);
            assert_eq!(follows, Some(second.address().to_string()));
            assert_eq!(node.ask::<String>(&["GET", "fruit"]).await.unwrap(), "apple", "{}", node.id());
        }
        assert_eq!(reader_names(group), ids(["lab-001", "lab-002"]));
    })
    .await;
}

/// 1. The only replica is held, and then the primary: there is nobody to promote.
/// 2. The replica is released: the manager tries again, and promotes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_that_failed_is_tried_again() {
    with_group(replicated(1).without_recovery(), None, async |lab| {
        let group = &lab.group;
        let (old, replica) = (group.primary(), group.replicas().remove(0));

        // 1. Nobody.
        let of_replica = Fault::inject(FaultKind::Hold, &replica, &lab.recorder).await.unwrap();
        let _of_primary = Fault::inject(FaultKind::Hold, &old, &lab.recorder).await.unwrap();
        is(group, &replica, Condition::Dead).await;
        is(group, &old, Condition::Dead).await;
        assert_eq!(group.primary().id(), old.id());

        // 2. Somebody.
        of_replica.heal().await.unwrap();
        assert_eq!(&successor(group, &old).await, replica.id());
        assert_eq!(replica.info().await.unwrap().role(), Role::Primary);
        let named = wait::until("the primary name to follow", HANDLED, PACE, async || {
            match group.records().targets(EndpointName::Primary) {
                named if named == [replica.id().clone()] => Seen::Ready(()),
                other => Seen::NotYet(format!("{other:?}")),
            }
        });
        named.await.unwrap_or_else(|late| panic!("{late}"));
    })
    .await;
}

/// 1. A replica is held: it leaves the reader name. Nobody recovers it.
/// 2. It is released: the manager sees that it is sound, and names it again.
/// 3. The same with the primary, where nobody is promoted: it is as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_node_that_comes_back_by_itself_is_named_again() {
    with_group(replicated(2).without_recovery().without_automatic_failover(), None, async |lab| {
        let group = &lab.group;
        let (primary, replica) = (group.primary(), group.replicas().remove(0));
        // 1. Held.
        let fault = Fault::inject(FaultKind::Hold, &replica, &lab.recorder).await.unwrap();
        is(group, &replica, Condition::Dead).await;
        assert_eq!(reader_names(group), ids(["lab-003"]));

        // 2. Released.
        fault.heal().await.unwrap();
        is(group, &replica, Condition::Sound).await;
        assert_eq!(reader_names(group), ids(["lab-002", "lab-003"]));

        // 3. The primary.
        let fault = Fault::inject(FaultKind::Hold, &primary, &lab.recorder).await.unwrap();
        is(group, &primary, Condition::Dead).await;
        fault.heal().await.unwrap();
        is(group, &primary, Condition::Sound).await;
        assert_eq!(group.primary().id(), primary.id());
    })
    .await;
}

/// 1. The primary is killed and started again, faster than anybody would miss it: it is empty.
/// 2. It is replaced all the same, follows its successor, and has the data again.
/// 3. A replica that does so follows the primary again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reboot_that_nobody_would_miss_is_seen() {
    let mut patient = replicated(2);
    patient.manager.dead_after = Duration::from_secs(3600);
    with_group(patient, None, async |lab| {
        let group = &lab.group;
        let old = group.primary();
        old.ask::<()>(&["SET", "fruit", "apple"]).await.unwrap();
        assert_eq!(old.ask::<u64>(&["WAIT", "2", "900"]).await.unwrap(), 2);
        let caught_up = async |node: &Node| {
            let recovered = format!("Finished recovery for cache nodes {}", node.id());
            let found = wait::until("the data to be back", HANDLED, PACE, async || {
                let events = group.events();
                // Data alone proves nothing: the manager may not have begun.
                let recovered = events.iter().any(|event| event.message == recovered);
                match node.ask::<Option<String>>(&["GET", "fruit"]).await {
                    Ok(Some(_)) if recovered => Seen::Ready(()),
                    other => Seen::NotYet(format!("{other:?}, events {events:?}")),
                }
            });
            found.await.unwrap_or_else(|late| panic!("{late}"));
            is(group, node, Condition::Sound).await;
            let follows = node.info().await.unwrap().get("master_host").map(str::to_owned);
            assert_eq!(follows, Some(group.primary().address().to_string()));
        };

        // 1. and 2. The primary.
        old.restart().await.unwrap();
        successor(group, &old).await;
        caught_up(&old).await;

        // 3. A replica.
        let other = group.replicas().into_iter().find(|node| node.id() != old.id()).unwrap();
        other.restart().await.unwrap();
        caught_up(&other).await;
        assert_ne!(group.primary().id(), old.id());
    })
    .await;
}

/// 1. A replica is being brought back when the group is deleted.
/// 2. Nothing of the group is left or comes late, and its names have no addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_brings_back_what_is_being_deleted() {
    with_group(replicated(1), None, async |lab| {
        let group = &lab.group;
        // 1. Deleted.
        let replica = group.replicas().remove(0);
        let _fault = Fault::inject(FaultKind::Crash, &replica, &lab.recorder).await.unwrap();
        is(group, &replica, Condition::Recovering).await;
        group.delete(Retain::Nothing).await.unwrap();

        // 2. Nothing.
        assert_eq!(lab.docker.leftovers().await.unwrap().containers.len(), 0);
        for endpoint in [EndpointName::Primary, EndpointName::Reader] {
            assert_eq!(group.records().targets(endpoint), []);
        }
        assert!(group.nodes().is_empty(), "no members");
    })
    .await;
}
