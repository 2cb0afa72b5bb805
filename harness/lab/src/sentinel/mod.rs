//! A Sentinel deployment: data nodes, and the sentinels that watch them and fail over among themselves.

mod admission;
mod boot;
mod discovery;
mod lent;
mod nearest;
mod view;
mod watch;

use std::sync::Arc;

use lab_report::{NodeId, evidence::Role};
use tokio::task::JoinSet;

use admission::Admission;
pub use discovery::Discovery;
pub(crate) use discovery::Standing;
use lent::Lent;
pub use nearest::Nearest;
use view::Usable;
pub use view::{Flag, Instance};

use crate::{
    StepError,
    certificates::Certificates,
    client::Vantage,
    conf::Conf,
    docker::{Access, Node, NodeError},
    secret::Secret,
    topology::{
        Attachment, Background, Boot, Deployment, Monitor, NodeCommand, Site, Target, Topology,
        sentinels::{Sentinels, Timers},
    },
};

/// A running deployment.
pub struct SentinelGroup {
    topology: Sentinels,
    /// Its passwords and certificates, if the lab made them.
    admission: Option<Admission>,
    data: Vec<Arc<Node>>,
    sentinels: Vec<Arc<Node>>,
    /// How it was found, if it is somebody else's.
    lent: Option<Lent>,
    _watchers: JoinSet<()>,
}

impl SentinelGroup {
    /// The topology that it was made from.
    pub fn topology(&self) -> &Sentinels {
        &self.topology
    }

    /// The name by which the sentinels know the primary.
    pub fn name(&self) -> &str {
        &self.topology.name
    }

    /// How a user of the data nodes gets in there.
    ///
    /// # Errors
    /// There is no such user.
    pub fn access(&self, user: &str) -> Result<Access, StepError> {
        self.admission.as_ref().ok_or("whose deployment it is knows its users")?.data.access(user)
    }

    /// What a data node is told, but for every word of who may come in.
    pub fn bare_conf(&self) -> Conf {
        boot::bare_conf(&self.topology)
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

    /// Whom its servers and clients trust, where they speak TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.admission.as_ref()?.data.certificates()
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
        sentinel.ask(&["SENTINEL", "MASTER", self.name()]).await.map(Instance::of)
    }

    /// A sentinel's view of the replicas: `SENTINEL REPLICAS`.
    ///
    /// # Errors
    /// The sentinel does not answer, or does not know the primary.
    pub async fn replicas(&self, sentinel: &Node) -> Result<Vec<Instance>, NodeError> {
        let found: Vec<_> = sentinel.ask(&["SENTINEL", "REPLICAS", self.name()]).await?;
        Ok(found.into_iter().map(Instance::of).collect())
    }

    /// A sentinel's view of the other sentinels: `SENTINEL SENTINELS`.
    ///
    /// # Errors
    /// The sentinel does not answer, or does not know the primary.
    pub async fn others(&self, sentinel: &Node) -> Result<Vec<Instance>, NodeError> {
        let found: Vec<_> = sentinel.ask(&["SENTINEL", "SENTINELS", self.name()]).await?;
        Ok(found.into_iter().map(Instance::of).collect())
    }

    /// How a client at `vantage` finds the primary.
    pub fn discovery(&self, vantage: Vantage) -> Discovery {
        let discovery = Discovery::new(self.name(), &self.data, &self.sentinels, vantage);
        match self.topology.application.remembers {
            true => discovery.remembering(),
            false => discovery,
        }
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

    async fn attach(&self, found: &Attachment<'_>) -> Result<SentinelGroup, StepError> {
        Ok(lent::attach(found).await)
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
            Target::All => self.data.clone(),
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

    fn fill(&self, word: &str) -> String {
        self.admission.as_ref().map_or_else(|| word.to_owned(), |admission| admission.data.fill(word))
    }

    fn passwords(&self) -> Vec<(&str, &Secret)> {
        self.admission.iter().flat_map(Admission::passwords).collect()
    }

    async fn returned(&self, node: &Node) -> Result<(), NodeError> {
        match self.sentinels.iter().any(|sentinel| sentinel.id() == node.id()) {
            true => self.shorten(node).await,
            false => Ok(()),
        }
    }

    async fn retire(&self) {}

    async fn hand_back(&self) -> Result<(), StepError> {
        match &self.lent {
            Some(lent) => lent::hand_back(self, lent).await,
            None => Ok(()),
        }
    }
}
