//! The replication-group manager: what ElastiCache's control plane does for a replication group with
//! cluster mode disabled, over real nodes.
//!
//! It creates a group, watches its nodes, promotes a replica when the primary is dead, repoints the
//! endpoint names, brings dead nodes back as replicas, and says so in the events that ElastiCache
//! documents. It knows nothing of HTTP: an API can be put in front of it.

mod availability;
mod create;
mod deployment;
mod events;
mod failover;
mod ingress;
mod members;
mod recovery;
mod scale;
mod watch;

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lab_report::{NodeId, evidence::EndpointName, evidence::Source};
use tokio::task::JoinSet;

pub use availability::Failover;
pub use events::{GroupEvent, SourceType, failover_is_over};
pub use ingress::Rules;
pub use members::Condition;
pub use scale::Retain;

use members::{Seat, State};

use crate::{
    docker::{Docker, Network, Node, NodeError},
    endpoint::Records,
    record::Recorder,
    topology::replicated::{PrimaryTarget, ReaderTarget, Replicated},
    wait,
};

/// The id of the only node group of a replication group with cluster mode disabled.
pub const NODE_GROUP: &str = "0001";
/// A failover and the recovery after it are over within this, or never will be.
const HANDLING: Duration = Duration::from_secs(30);
/// ElastiCache's limit for one node group: a primary and five replicas.
const MAX_NODES: usize = 6;

/// A replication group. Clones are the same group.
#[derive(Clone)]
pub struct ReplicationGroup(Arc<Inner>);

struct Inner {
    id: String,
    topology: Replicated,
    docker: Docker,
    network: Network,
    records: Records,
    recorder: Recorder,
    state: Mutex<State>,
    /// Held while roles change, or who is a member; never while a node recovers.
    change: tokio::sync::Mutex<()>,
    watchers: Mutex<JoinSet<()>>,
    retired: AtomicBool,
}

/// The status of a group, as ElastiCache names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Its nodes are being started.
    #[default]
    Creating,
    /// Every node is in place.
    Available,
    /// A change is under way.
    Modifying,
    /// It is going.
    Deleting,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::Deleting => "deleting",
        })
    }
}

/// What the control plane says of a group: the console's page.
#[derive(Debug, Clone)]
pub struct Description {
    /// The group's id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// The engine version that it was asked to run.
    pub engine_version: String,
    /// Who replaces a lost primary.
    pub failover: Failover,
    /// The zones of its subnet group.
    pub zones: Vec<String>,
    /// Its nodes; the control plane's view of who is primary.
    pub members: Vec<Member>,
}

/// A node of a group, as the control plane sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its availability zone.
    pub zone: String,
    /// The primary of its node group.
    pub primary: bool,
}

/// Why the control plane refused or failed. The variants are named as ElastiCache's errors are.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// No such node group.
    #[error("node group `{0}` not found; cluster mode disabled has one, `{NODE_GROUP}`")]
    NodeGroupNotFound(String),
    /// No such node in the group.
    #[error("cache cluster `{0}` not found in the replication group")]
    CacheClusterNotFound(NodeId),
    /// A node is not in a condition that allows it.
    #[error("cache cluster `{0}` is not available: {1:?}")]
    InvalidCacheClusterState(NodeId, Condition),
    /// Not in a state that allows it.
    #[error("replication group is {0}, not available")]
    InvalidReplicationGroupState(Status),
    /// A value outside its range.
    #[error("{0}")]
    InvalidParameterValue(String),
    /// Values that do not go together.
    #[error("{0}")]
    InvalidParameterCombination(String),
    /// There is nobody to fail over to.
    #[error("no replica can be promoted")]
    NoReplica,
    /// A node did not do what it was told.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It took too long.
    #[error(transparent)]
    TimedOut(#[from] wait::TimedOut),
}

impl ReplicationGroup {
    /// The group's id.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The topology that it was made from.
    pub fn topology(&self) -> &Replicated {
        &self.0.topology
    }

    /// The records of its endpoint names.
    pub fn records(&self) -> &Records {
        &self.0.records
    }

    /// What the control plane says of the group.
    pub fn describe(&self) -> Description {
        let state = self.0.state();
        let topology = &self.0.topology;
        let version = self.0.docker.engine().version().to_string();
        Description {
            id: self.0.id.clone(),
            status: state.status,
            engine_version: if topology.engine_version.is_empty() {
                version
            } else {
                topology.engine_version.clone()
            },
            failover: state.failover,
            zones: topology.zones.clone(),
            members: state
                .seats
                .iter()
                .map(|seat| Member {
                    id: seat.node.id().clone(),
                    zone: seat.node.zone().to_owned(),
                    primary: state.is_primary(seat.node.id()),
                })
                .collect(),
        }
    }

    /// Its nodes, in order of creation.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.0.state().nodes(|_| true)
    }

    /// The node that the control plane holds to be primary.
    pub fn primary(&self) -> Arc<Node> {
        self.0.primary().expect("a group has a primary until it is deleted")
    }

    /// The other nodes, but for those that are being removed.
    pub fn replicas(&self) -> Vec<Arc<Node>> {
        let state = self.0.state();
        state.nodes(|seat| !state.is_primary(seat.node.id()) && seat.condition != Condition::Leaving)
    }

    /// The node with this id.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, id: &NodeId) -> Result<Arc<Node>, GroupError> {
        let found = self.0.state().nodes(|seat| seat.node.id() == id).pop();
        found.ok_or_else(|| GroupError::CacheClusterNotFound(id.clone()))
    }

    /// How the control plane finds a node; none if it is not of the group.
    pub fn condition(&self, id: &NodeId) -> Option<Condition> {
        self.0.condition(id)
    }

    /// The events so far, oldest first.
    pub fn events(&self) -> Vec<GroupEvent> {
        self.0.state().events.clone()
    }

    /// Stops watching the nodes, once whatever is being handled is done: what happens to them now is
    /// nobody's business.
    pub async fn retire(&self) {
        self.0.retired.store(true, Ordering::Relaxed);
        let mut watchers = std::mem::take(&mut *self.0.watchers.lock().expect("no panic while held"));
        let ended = async { while watchers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(HANDLING, ended).await;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    fn primary(&self) -> Option<Arc<Node>> {
        self.state().primary()
    }

    fn condition(&self, id: &NodeId) -> Option<Condition> {
        self.state().condition(id)
    }

    fn set_status(&self, status: Status) {
        let mut state = self.state();
        // A control plane that never settles says `modifying` for ever.
        let settles = self.topology.manager.settles;
        state.status = if status == Status::Available && !settles { Status::Modifying } else { status };
    }

    fn require_available(&self) -> Result<(), GroupError> {
        match self.state().status {
            Status::Available => Ok(()),
            status => Err(GroupError::InvalidReplicationGroupState(status)),
        }
    }

    fn log(&self, text: impl Into<String>) {
        self.recorder.event(Source::Manager, text);
    }

    fn point_primary(&self) {
        let state = self.state();
        let targets = match self.topology.endpoints.primary {
            PrimaryTarget::Primary => state.primary().into_iter().collect(),
            PrimaryTarget::Replica => {
                state.nodes(|seat| !state.is_primary(seat.node.id())).into_iter().take(1).collect()
            }
            PrimaryTarget::Nobody => Vec::new(),
        };
        self.records.point(EndpointName::Primary, targets);
    }

    /// Writes down in which condition a node is found, and says whether it counts as primary. Whoever sees the condition
    /// sees the reader name follow it.
    fn find(&self, node: &Node, condition: Condition) -> bool {
        let mut state = self.state();
        state.set(node.id(), condition);
        self.point_reader_by(&state);
        state.is_primary(node.id())
    }

    fn point_reader(&self) {
        self.point_reader_by(&self.state());
    }

    /// The reader name follows the replicas that are sound. The state stays locked meanwhile, or else of two changes the
    /// first could have the last word.
    fn point_reader_by(&self, state: &State) {
        let sound = |seat: &Seat| seat.condition == Condition::Sound;
        let replica = |seat: &Seat| sound(seat) && !state.is_primary(seat.node.id());
        let targets = match self.topology.endpoints.reader {
            ReaderTarget::Replicas => state.nodes(replica),
            ReaderTarget::AllNodes => state.nodes(sound),
            ReaderTarget::FirstReplica => state.nodes(replica).into_iter().take(1).collect(),
        };
        self.records.point(EndpointName::Reader, targets);
    }
}

/// Lets a delay of the topology pass; none in a sound control plane.
async fn dawdle(delay: Duration) {
    if !delay.is_zero() {
        wait::pass(delay).await;
    }
}
