//! The events of a replication group, with the texts that ElastiCache documents.
//!
//! Source: ElastiCache API reference, TestFailover, "The API ensures availability" (the five events and
//! their order), as quoted in the project's notes. Older documents say "master node" where newer ones
//! say "primary node".

use lab_report::{NodeId, evidence::At};

use super::{Inner, NODE_GROUP};
use crate::topology::replicated::Announce;

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
    /// What it is about.
    pub source: SourceType,
    /// The documented text.
    pub message: String,
}

impl Inner {
    fn emit(&self, source: SourceType, message: String) {
        let at = self.recorder.event(lab_report::evidence::Source::Manager, message.clone());
        self.state().events.push(GroupEvent { at, source, message });
    }

    pub(super) fn announce_test_failover(&self) {
        let text = format!("Test Failover API called for node group {NODE_GROUP}");
        self.emit(SourceType::ReplicationGroup, text);
    }

    pub(super) fn announce_failover(&self, from: &NodeId, to: &NodeId) {
        if self.topology.manager.events == Announce::RecoveryFirst {
            self.announce_recovering(from);
        }
        let text = format!("Failover from primary node {from} to replica node {to} completed");
        self.emit(SourceType::CacheCluster, text.clone());
        self.emit(SourceType::ReplicationGroup, text);
    }

    pub(super) fn announce_recovery(&self, node: &NodeId) {
        if self.topology.manager.events == Announce::Documented {
            self.announce_recovering(node);
        }
    }

    fn announce_recovering(&self, node: &NodeId) {
        self.emit(SourceType::CacheCluster, format!("Recovering cache nodes {node}"));
    }

    pub(super) fn announce_recovered(&self, node: &NodeId) {
        self.emit(SourceType::CacheCluster, format!("Finished recovery for cache nodes {node}"));
    }
}
