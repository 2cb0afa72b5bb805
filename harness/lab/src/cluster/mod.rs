//! A cluster: shards that fail over among themselves, and clients that are sent from one to another.

mod application;
mod boot;
mod create;
mod membership;
mod owner;
mod plan;
mod reshard;
mod view;

use std::sync::Arc;

use lab_report::{Slot, evidence::Role};

pub use application::ClusterClient;
pub use owner::Owner;
pub use reshard::{Lane, Progress, Stage};
pub use view::{Health, Member, View, ViewError, Way};

use crate::{
    StepError,
    certificates::Certificates,
    client::Vantage,
    docker::{Access, Node, NodeError},
    info::Info,
    secret::{DEFAULT, Secret, Secrets},
    topology::{
        Attachment, Background, Boot, Deployment, Monitor, NodeCommand, Site, Target, Topology,
        clusters::Clusters,
    },
};

/// A running cluster.
pub struct ClusterGroup {
    topology: Clusters,
    /// Its passwords and certificates, if it has any.
    secrets: Option<Secrets>,
    /// The primaries first, then the first replica of each, and so on; last those that stand alone beside them.
    nodes: Vec<Arc<Node>>,
    /// The nodes' names in the cluster, in the same order.
    names: Vec<String>,
}

/// What came of standing for election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Votes {
    /// Requests that were sent: one to every node that could be reached.
    pub asked_for: u64,
    /// Votes that came back.
    pub received: u64,
}

impl ClusterGroup {
    /// The topology that it was made from.
    pub fn topology(&self) -> &Clusters {
        &self.topology
    }

    /// How one of its users gets in; the default one also where nobody needs a password.
    ///
    /// # Errors
    /// There is no such user.
    pub fn access(&self, user: &str) -> Result<Access, StepError> {
        match &self.secrets {
            None if user == DEFAULT => Ok(Access::default()),
            secrets => secrets.as_ref().ok_or("nobody needs a password here")?.access(user),
        }
    }

    /// Whom its servers and clients trust, where they speak TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.secrets.as_ref()?.certificates()
    }

    /// The nodes that boot as primaries, one of each shard.
    pub fn primaries(&self) -> &[Arc<Node>] {
        &self.nodes[..usize::from(self.topology.primaries)]
    }

    /// The nodes that boot as replicas.
    pub fn replicas(&self) -> &[Arc<Node>] {
        &self.nodes[usize::from(self.topology.primaries)..self.topology.members()]
    }

    /// The nodes that belong together once it is formed.
    pub fn members(&self) -> &[Arc<Node>] {
        &self.nodes[..self.topology.members()]
    }

    /// The nodes that stand alone beside them, a shard's one after the other.
    pub fn spares(&self) -> &[Arc<Node>] {
        &self.nodes[self.topology.members()..]
    }

    /// A node's name in the cluster: 40 hexadecimal digits.
    ///
    /// # Panics
    /// It is no node of this cluster.
    pub fn name_of(&self, node: &Node) -> &str {
        let index = self.nodes.iter().position(|other| other.id() == node.id());
        &self.names[index.unwrap_or_else(|| panic!("no node `{}`", node.id()))]
    }

    /// The node that the others know by this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Node>> {
        let index = self.names.iter().position(|other| other == name)?;
        self.nodes.get(index)
    }

    /// The node at this address, as other nodes and clients are told it.
    pub fn at(&self, host: &str, port: u16) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.is_at(host, port))
    }

    /// The node that boots with this slot, where the cluster is formed when it boots.
    pub fn first_owner(&self, slot: Slot) -> &Arc<Node> {
        let shard = self.topology.shares().iter().position(|share| share.contains(slot));
        &self.nodes[shard.expect("shares cover every slot")]
    }

    /// What a node holds of the cluster: `CLUSTER NODES`.
    ///
    /// # Errors
    /// It does not answer, or not with that.
    pub async fn view(&self, node: &Node) -> Result<View, StepError> {
        Ok(node.ask::<String>(&["CLUSTER", "NODES"]).await?.parse()?)
    }

    /// What a node takes the cluster's state to be: `cluster_state` of `CLUSTER INFO`.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn state(&self, node: &Node) -> Result<String, NodeError> {
        let info = Info::parse(&node.ask::<String>(&["CLUSTER", "INFO"]).await?);
        Ok(info.get("cluster_state").unwrap_or("unknown").to_owned())
    }

    /// A client of the cluster, as an application has one.
    ///
    /// # Errors
    /// No node can be reached.
    pub async fn client(&self) -> Result<ClusterClient, StepError> {
        self.client_by(self.members()).await
    }

    /// The same, but what it knows of the cluster to begin with is these nodes.
    ///
    /// # Errors
    /// None of them can be reached.
    pub async fn client_by(&self, nodes: &[Arc<Node>]) -> Result<ClusterClient, StepError> {
        self.connect(nodes, DEFAULT).await
    }

    /// [`ClusterGroup::client`] as one of the users.
    ///
    /// # Errors
    /// There is no such user, or no node can be reached.
    pub async fn client_as(&self, user: &str) -> Result<ClusterClient, StepError> {
        self.connect(self.members(), user).await
    }

    async fn connect(&self, known: &[Arc<Node>], user: &str) -> Result<ClusterClient, StepError> {
        let access = self.access(user)?;
        Ok(ClusterClient::connect(known, &self.nodes, &self.topology.application, &access).await?)
    }

    /// How a client at `vantage` finds the node that has a slot.
    pub fn owner_of(&self, slot: Slot, vantage: Vantage) -> Owner {
        Owner::new(slot, self.members(), vantage)
    }

    /// What came of a node's standing for election, since its server started.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn votes(&self, node: &Node) -> Result<Votes, NodeError> {
        let info = Info::parse(&node.ask::<String>(&["CLUSTER", "INFO"]).await?);
        // A kind of message that never went is not listed.
        let count = |field: &str| info.number(&format!("cluster_stats_messages_{field}")).unwrap_or(0);
        Ok(Votes { asked_for: count("auth-req_sent"), received: count("auth-ack_received") })
    }

    /// The largest epoch that any of `nodes` has heard of: every election begins one.
    pub async fn epoch<'a>(&self, nodes: impl IntoIterator<Item = &'a Arc<Node>>) -> Result<u64, NodeError> {
        let mut largest = 0;
        for node in nodes {
            let info = Info::parse(&node.ask::<String>(&["CLUSTER", "INFO"]).await?);
            largest = largest.max(info.number("cluster_current_epoch").unwrap_or(0));
        }
        Ok(largest)
    }
}

impl Topology for Clusters {
    type Deployment = ClusterGroup;

    async fn boot(&self, site: &Site) -> Result<(ClusterGroup, Boot), StepError> {
        boot::boot(self, site).await
    }

    async fn attach(&self, _: &Attachment<'_>) -> Result<ClusterGroup, StepError> {
        Err("a cluster of somebody else's cannot be attached to: its steps need one of their own".into())
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

impl Deployment for ClusterGroup {
    fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.clone()
    }

    fn targets(&self, target: Target) -> Vec<Arc<Node>> {
        let (primaries, replicas) = (self.primaries(), self.replicas());
        let one = |node: Option<&Arc<Node>>| node.into_iter().cloned().collect();
        match target {
            Target::Primary => one(primaries.first()),
            Target::FirstReplica => one(replicas.first()),
            Target::LastReplica => one(replicas.last()),
            Target::Replicas => replicas.to_vec(),
            Target::All => self.nodes.clone(),
            Target::Sentinels | Target::FirstSentinel | Target::LastSentinel => Vec::new(),
        }
    }

    fn at_boot(&self, index: usize) -> (String, Role) {
        let role = if self.topology.place_of(index) == 0 { Role::Primary } else { Role::Replica };
        (self.topology.zone_of(index).to_owned(), role)
    }

    fn standing(&self) -> String {
        let Clusters { primaries, replicas, spares, .. } = self.topology;
        let beside = if spares > 0 { format!("; {spares} nodes beside them") } else { String::new() };
        format!("{primaries} shards, each a primary and {replicas} replicas{beside}")
    }

    fn fill(&self, word: &str) -> String {
        self.secrets.as_ref().map_or_else(|| word.to_owned(), |secrets| secrets.fill(word))
    }

    fn passwords(&self) -> Vec<(&str, &Secret)> {
        self.secrets.iter().flat_map(Secrets::passwords).collect()
    }

    /// A node finds its cluster again by itself.
    async fn returned(&self, _: &Node) -> Result<(), NodeError> {
        Ok(())
    }

    async fn retire(&self) {}

    async fn hand_back(&self) -> Result<(), StepError> {
        Ok(())
    }
}
