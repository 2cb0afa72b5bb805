//! What the clients of these steps ask for, and until when.

use std::time::Duration;

use failover_lab::{
    Lab, Replicated, Sentinels, StepError, Topology,
    docker::{FaultKind, Node},
    replicated, sentinels,
    wait::Seen,
};
use lab_history::History;
use lab_load::{Profile, workload::Sort};
use lab_measure::{
    cell::Load,
    claims::lost,
    profiles,
    scenario::Harm,
    stage::{Stage, stands},
};
use lab_report::{
    evidence::{Role, RoleChange, Timeline},
    judge::Clocks,
};

use crate::step::{self, through_elections};

/// Before a fault the load runs for so long: a client has its connections, and a judge something to compare with.
pub(super) const BEFORE: Duration = Duration::from_secs(2);
/// And for so long after the promotion: longer than whoever recovers at all may take for it.
pub(super) const AFTERWARDS: Duration = Duration::from_secs(5);
/// Far above every bound, and time for an election that fails.
pub(super) const STAGE: Duration = Duration::from_secs(20);

/// On a busy machine a server is silent for a second now and then, and a failover for that would be taken for one of the
/// fault: whoever looks after servers that are under load has more patience than elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

/// A replication group for clients under load.
pub(super) fn group() -> Replicated {
    let mut group = replicated(2);
    group.manager.dead_after = PATIENCE;
    group
}

/// The clocks that the bounds of a sound one follow from.
pub(super) fn clocks() -> Clocks {
    Clocks { dead_after: PATIENCE, ..step::clocks() }
}

/// Sentinels, and what they watch, for clients under load.
pub(super) fn watched() -> Sentinels {
    Sentinels { down_after: PATIENCE, ..sentinels(3).replicas(2) }
}

/// Elements that are unique are added to sets, until there are enough: whatever is lost can be told.
pub(super) fn adds() -> Load {
    Load { sort: Sort::Sets, reads: 0.0, rate: 100, duration: Duration::from_secs(120), ..Load::default() }
}

/// The profile that is meant, whatever a set-up has in its place: bounds follow from it.
pub(super) fn sound(profile: &str) -> Result<Profile, StepError> {
    Ok(profiles::profile(profile)?)
}

/// What the case does to a primary.
pub(super) fn harm<T: Topology>(lab: &Lab<T>) -> Result<Harm, StepError> {
    match lab.case() {
        Some("crash") => Ok(Harm::Node(FaultKind::Crash)),
        Some("stop") => Ok(Harm::Node(FaultKind::Stop)),
        other => Err(format!("no such case: {other:?}").into()),
    }
}

/// Waits until a replica was seen to have become primary. Whether one ever was is for the checks to say.
pub(super) async fn replaced<T: Topology>(lab: &Lab<T>, old: &Node) {
    let look = async || match lab.recorder().look(|timeline| has_an_heir(timeline, old)) {
        true => Seen::Ready(()),
        false => Seen::NotYet("nobody has".to_owned()),
    };
    let _ = through_elections(lab, "a replica to become primary", (STAGE, STAGE), look).await;
}

/// Whether a node that is not `old` was a replica, and then primary.
fn has_an_heir(timeline: &Timeline, old: &Node) -> bool {
    let was_replica = |change: &RoleChange| {
        let mut before = timeline.roles.iter().filter(|earlier| earlier.at < change.at);
        before.any(|earlier| earlier.node == change.node && earlier.role == Role::Replica)
    };
    let mut primaries = timeline.roles.iter().filter(|change| change.role == Role::Primary);
    primaries.any(|change| &change.node != old.id() && was_replica(change))
}

/// Waits until everything is as it should be; else says how it stands.
pub(super) async fn settled<T: Stage>(lab: &Lab<T>) -> Result<(), String> {
    let look = async || stands(lab).await.map_or_else(Seen::NotYet, Seen::Ready);
    lab.wait("everything to settle", STAGE, look).await.map_err(|late| late.last_seen)
}

/// Puts on record how many acknowledged writes are gone: a figure, and no claim.
pub(super) fn tell_the_loss<T: Topology>(lab: &mut Lab<T>, history: &History) {
    let (lost, acknowledged) = lost(history);
    lab.measure(
        "acknowledged writes lost",
        lost as f64,
        "writes",
        &format!("of {acknowledged} acknowledged"),
    );
}
