//! What the clients of these steps ask for, and until when.

use std::time::Duration;

use failover_lab::{
    Lab, StepError, Topology,
    docker::{FaultKind, Node},
    wait::Seen,
};
use lab_load::{Profile, workload::Sort};
use lab_measure::{cell::Load, profiles, scenario::Harm};
use lab_report::evidence::Role;

/// Before a fault the load runs for so long: a client has its connections, and a judge something to compare with.
pub(super) const BEFORE: Duration = Duration::from_secs(2);
/// And for so long after the promotion: longer than whoever recovers at all may take for it.
pub(super) const AFTERWARDS: Duration = Duration::from_secs(5);
/// Far above every bound, and time for an election that fails.
pub(super) const STAGE: Duration = Duration::from_secs(20);

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

/// Waits until another node was seen to be primary. Whether one ever was is for the checks to say.
pub(super) async fn replaced<T: Topology>(lab: &Lab<T>, old: &Node) {
    let heir = || {
        lab.recorder().look(|timeline| {
            let heirs = timeline.roles.iter().filter(|change| &change.node != old.id());
            heirs.filter(|change| change.role == Role::Primary).count()
        })
    };
    let _ = lab
        .wait("another node to become primary", STAGE, async || match heir() {
            0 => Seen::NotYet("nobody has".to_owned()),
            _ => Seen::Ready(()),
        })
        .await;
}
