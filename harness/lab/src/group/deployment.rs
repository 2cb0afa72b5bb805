//! A replication group as what a lab boots.

use std::sync::Arc;

use lab_report::evidence::Role;

use super::ReplicationGroup;
use crate::{
    StepError,
    docker::{Node, NodeError},
    topology::{
        Attachment, Background, Boot, Deployment, Monitor, NodeCommand, Site, Target, Topology,
        replicated::Replicated,
    },
};

impl Topology for Replicated {
    type Deployment = ReplicationGroup;

    async fn boot(&self, site: &Site) -> Result<(ReplicationGroup, Boot), StepError> {
        let Site { docker, network, recorder } = site;
        Ok(ReplicationGroup::create("lab", self, docker, network, recorder).await?)
    }

    async fn attach(&self, _: &Attachment<'_>) -> Result<ReplicationGroup, StepError> {
        Err("a replication group has a manager and endpoints, which are the lab's own".into())
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

impl Deployment for ReplicationGroup {
    fn nodes(&self) -> Vec<Arc<Node>> {
        Self::nodes(self)
    }

    fn targets(&self, target: Target) -> Vec<Arc<Node>> {
        let replicas = self.replicas();
        match target {
            Target::Primary => vec![self.primary()],
            Target::All => Self::nodes(self),
            Target::FirstReplica => replicas.into_iter().take(1).collect(),
            Target::LastReplica => replicas.into_iter().last().into_iter().collect(),
            Target::Replicas => replicas,
            Target::Sentinels | Target::FirstSentinel | Target::LastSentinel => Vec::new(),
        }
    }

    fn at_boot(&self, index: usize) -> (String, Role) {
        let role = if index == 0 { Role::Primary } else { Role::Replica };
        (self.topology().zone_of(index).to_owned(), role)
    }

    fn standing(&self) -> String {
        let description = self.describe();
        format!("group {} is {}", description.id, description.status)
    }

    /// The manager tells it its role.
    async fn returned(&self, _: &Node) -> Result<(), NodeError> {
        Ok(())
    }

    async fn retire(&self) {
        Self::retire(self).await;
    }

    async fn hand_back(&self) -> Result<(), StepError> {
        Ok(())
    }
}
