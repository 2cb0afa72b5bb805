//! A Sentinel deployment: data nodes, and the sentinels that watch them and fail over among themselves.

mod boot;
mod discovery;
mod view;
mod watch;

use std::sync::Arc;

use lab_report::{NodeId, evidence::Role};
use tokio::task::JoinSet;

pub use discovery::Discovery;
pub use view::{Flag, Instance};

use crate::{
    StepError,
    client::Vantage,
    docker::{Node, NodeError},
    topology::{
        Background, Boot, Deployment, Monitor, NodeCommand, Site, Target, Topology,
        sentinels::{NAME, Sentinels, Timers},
    },
};

/// A running deployment.
pub struct SentinelGroup {
    topology: Sentinels,
    data: Vec<Arc<Node>>,
    sentinels: Vec<Arc<Node>>,
    _watchers: JoinSet<()>,
}

impl SentinelGroup {
    /// The topology that it was made from.
    pub fn topology(&self) -> &Sentinels {
        &self.topology
    }

    /// The nodes that hold data; the first of them boots as primary.
    pub fn data(&self) -> &[Arc<Node>] {
        &self.data
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[Arc<Node>] {
        &self.sentinels
    }

    /// The node that boots as primary.
    pub fn first_primary(&self) -> &Arc<Node> {
        &self.data[0]
    }

    /// The data node with this id.
    ///
    /// # Panics
    /// There is none.
    pub fn node(&self, id: &NodeId) -> &Arc<Node> {
        let all = self.data.iter().chain(&self.sentinels);
        all.into_iter().find(|node| node.id() == id).unwrap_or_else(|| panic!("no node `{id}`"))
    }

    /// A sentinel's view of the primary: `SENTINEL MASTER`.
    ///
    /// # Errors
    /// The sentinel does not answer, or does not know it.
    pub async fn master(&self, sentinel: &Node) -> Result<Instance, NodeError> {
        sentinel.ask(&["SENTINEL", "MASTER", NAME]).await.map(Instance::of)
    }

    /// A sentinel's view of the replicas: `SENTINEL REPLICAS`.
    ///
    /// # Errors
    /// The sentinel does not answer, or does not know the primary.
    pub async fn replicas(&self, sentinel: &Node) -> Result<Vec<Instance>, NodeError> {
        let found: Vec<_> = sentinel.ask(&["SENTINEL", "REPLICAS", NAME]).await?;
        Ok(found.into_iter().map(Instance::of).collect())
    }

    /// A sentinel's view of the other sentinels: `SENTINEL SENTINELS`.
    ///
    /// # Errors
    /// The sentinel does not answer, or does not know the primary.
    pub async fn others(&self, sentinel: &Node) -> Result<Vec<Instance>, NodeError> {
        let found: Vec<_> = sentinel.ask(&["SENTINEL", "SENTINELS", NAME]).await?;
        Ok(found.into_iter().map(Instance::of).collect())
    }

    /// How a client at `vantage` finds the primary.
    pub fn discovery(&self, vantage: Vantage) -> Discovery {
        Discovery::new(&self.data, &self.sentinels, vantage)
    }

    /// Shortens a sentinel's clocks. They are its process's own: a new process has the old ones.
    ///
    /// # Errors
    /// The sentinel does not answer, or has no such clock.
    pub async fn shorten(&self, sentinel: &Node) -> Result<(), NodeError> {
        let timers = &self.topology.timers;
        if *timers == Timers::STOCK {
            return Ok(());
        }
        let settings = [
            ("info-period", timers.info),
            ("ping-period", timers.ping),
            ("ask-period", timers.ask),
            ("publish-period", timers.publish),
            ("election-timeout", timers.election),
        ];
        let mut command = vec!["SENTINEL".to_owned(), "DEBUG".to_owned()];
        for (name, length) in settings {
            command.extend([name.to_owned(), length.as_millis().to_string()]);
        }
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        sentinel.ask::<()>(&words).await
    }
}

impl Topology for Sentinels {
    type Deployment = SentinelGroup;

    async fn boot(&self, site: &Site) -> Result<(SentinelGroup, Boot), StepError> {
        boot::boot(self, site).await
    }

    fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    fn after_boot(&self) -> &[NodeCommand] {
        &self.after_boot
    }

    fn background(&self) -> &[Background] {
        &self.background
    }
}

impl Deployment for SentinelGroup {
    fn nodes(&self) -> Vec<Arc<Node>> {
        self.data.iter().chain(&self.sentinels).cloned().collect()
    }

    fn targets(&self, target: Target) -> Vec<Arc<Node>> {
        let (primary, replicas) = self.data.split_first().expect("there is a primary");
        match target {
            Target::Primary => vec![Arc::clone(primary)],
            Target::FirstReplica => replicas.first().into_iter().cloned().collect(),
            Target::LastReplica => replicas.last().into_iter().cloned().collect(),
            Target::Replicas => replicas.to_vec(),
            Target::Sentinels => self.sentinels.clone(),
            Target::FirstSentinel => self.sentinels.first().into_iter().cloned().collect(),
            Target::LastSentinel => self.sentinels.last().into_iter().cloned().collect(),
        }
    }

    fn at_boot(&self, index: usize) -> (String, Role) {
        let role = match index {
            0 => Role::Primary,
            index if index < self.data.len() => Role::Replica,
            _ => Role::Sentinel,
        };
        (self.topology.zone_of(index).to_owned(), role)
    }

    fn standing(&self) -> String {
        format!(
            "{} data nodes, {} sentinels, quorum {}",
            self.data.len(),
            self.sentinels.len(),
            self.topology.quorum
        )
    }

    async fn returned(&self, node: &Node) -> Result<(), NodeError> {
        match self.sentinels.iter().any(|sentinel| sentinel.id() == node.id()) {
            true => self.shorten(node).await,
            false => Ok(()),
        }
    }

    async fn retire(&self) {}
}
