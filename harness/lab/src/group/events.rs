//! The events of a replication group, with the texts that ElastiCache documents.
//!
//! Source: ElastiCache API reference, TestFailover, "The API ensures availability" (the five events and
//! their order), as quoted in the project's notes. Older documents say "master node" where newer ones
//! say "primary node".

use lab_report::{NodeId, evidence::At};

use super::{Inner, NODE_GROUP, ReplicationGroup};
use crate::topology::replicated::Announce;

/// How the texts begin that a failover on request is followed by.
const CALLED: &str = "Test Failover API called for node group";
const FAILED_OVER: &str = "Failover from primary node";
const RECOVERED: &str = "Finished recovery for cache nodes";

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceType {
    /// `replication-group`
    ReplicationGroup,
    /// `cache-cluster`
    CacheCluster,
}

impl std::fmt::Display for SourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::ReplicationGroup => "replication-group",
            Self::CacheCluster => "cache-cluster",
        })
    }
}

/// One event, as DescribeEvents lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupEvent {
    /// When.
    pub at: At,
    /// The node that it is about; none where it is the group.
    pub node: Option<NodeId>,
    /// The documented text.
    pub message: String,
}

impl GroupEvent {
    /// What it is about.
    pub fn source(&self) -> SourceType {
        match self.node {
            Some(_) => SourceType::CacheCluster,
            None => SourceType::ReplicationGroup,
        }
    }
}

/// Whether the first failover on request in these events is over: the node that was demoted is a replica again.
pub fn failover_is_over(events: &[GroupEvent]) -> bool {
    let called = events.iter().skip_while(|event| !event.message.starts_with(CALLED));
    let mut since =
        called.skip_while(|event| event.node.is_none() || !event.message.starts_with(FAILED_OVER));
    let Some(failover) = since.next() else { return false };
    since.any(|event| event.node == failover.node && event.message.starts_with(RECOVERED))
}

impl ReplicationGroup {
    /// Puts into the group's history what whoever is in front of the manager has to say.
    pub fn announce(&self, message: impl Into<String>) {
        self.0.emit(None, message.into());
    }
}

impl Inner {
    fn emit(&self, node: Option<&NodeId>, message: String) {
        let at = self.recorder.event(lab_report::evidence::Source::Manager, message.clone());
        self.state().events.push(GroupEvent { at, node: node.cloned(), message });
    }

    pub(super) fn announce_test_failover(&self) {
        self.emit(None, format!("{CALLED} {NODE_GROUP}"));
    }

    pub(super) fn announce_failover(&self, from: &NodeId, to: &NodeId) {
        if self.topology.manager.events == Announce::RecoveryFirst {
            self.announce_recovering(from);
        }
        let text = format!("{FAILED_OVER} {from} to replica node {to} completed");
        self.emit(Some(from), text.clone());
        self.emit(None, text);
    }

    pub(super) fn announce_recovery(&self, node: &NodeId) {
        if self.topology.manager.events == Announce::Documented {
            self.announce_recovering(node);
        }
    }

    fn announce_recovering(&self, node: &NodeId) {
        self.emit(Some(node), format!("Recovering cache nodes {node}"));
    }

    pub(super) fn announce_recovered(&self, node: &NodeId) {
        self.emit(Some(node), format!("{RECOVERED} {node}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(told: &[(Option<&str>, &str)]) -> Vec<GroupEvent> {
        let event = |(node, message): &(Option<&str>, &str)| GroupEvent {
            at: At::default(),
            node: node.map(NodeId::from),
            message: (*message).to_owned(),
        };
        told.iter().map(event).collect()
    }

    #[test]
    fn a_failover_on_request_is_over_when_the_demoted_node_is_back() {
        let told = events(&[
            // Of an earlier one.
            (Some("a"), "Finished recovery for cache nodes a"),
            (None, "Test Failover API called for node group 0001"),
            (Some("a"), "Failover from primary node a to replica node b completed"),
            (None, "Failover from primary node a to replica node b completed"),
            (Some("a"), "Recovering cache nodes a"),
            // A replica that had been lost before.
            (Some("c"), "Finished recovery for cache nodes c"),
            (Some("a"), "Finished recovery for cache nodes a"),
        ]);
        let over: Vec<bool> = (0..=told.len()).map(|count| failover_is_over(&told[..count])).collect();
        assert_eq!(over, [false, false, false, false, false, false, false, true]);
    }
}
