//! The parts that the steps stand on, each on real servers and without a step around it.

/// A group reached directly, or through published ports.
mod addressing;
/// Somebody else's deployment, graded as it is and broken on purpose, and handed back.
mod attached;
/// A topology that runs, for the length of a closure.
pub(crate) mod bare;
/// Whatever ends a lab's owner, nothing of the lab stays.
mod cleaning_up;
/// The compose file for people, brought up and failed over.
mod compose;
/// Names are resolved by their time to live; readers take turns.
mod endpoints;
/// Three kinds of death and a partition, as a client meets them.
mod faults;
/// An endpoint on localhost: where its open connections stay, and where new ones go.
mod fronts;
/// What the manager does about nodes that die, hang, and come back.
mod losses;
/// The manager's limits, refusals, and how it scales and ends a group.
mod manager;
/// A split cuts what it says and nothing else; a client can be on either side.
mod partitions;
/// Lossy, slow and late links.
mod poor_links;
/// Raw probes: what passes between whom, and in which direction.
mod posts;
/// Prometheus takes the alerting rules.
mod promtool;
/// Hosts are handed on from lab to lab, and go with whoever runs the labs.
mod racks;
/// What a node keeps when its server comes back: its address, and nothing else.
mod restarts;
/// Who may sweep, and when.
mod sweeping;

use bare::with_group;

use failover_lab::{Replicated, group::ReplicationGroup, replicated};
use lab_report::{NodeId, evidence::EndpointName};

/// One server, with nobody who would bring it back.
fn alone() -> Replicated {
    replicated(0).without_automatic_failover().without_recovery()
}

fn ids<const N: usize>(names: [&str; N]) -> Vec<NodeId> {
    names.into_iter().map(NodeId::from).collect()
}

/// Whom the reader name names.
fn reader_names(group: &ReplicationGroup) -> Vec<NodeId> {
    group.records().targets(EndpointName::Reader)
}
