//! Who reaches a group's port: what the rules of a security group come to on containers.
//!
//! The application's network is the bridge that the nodes are on; they hear nobody from another one. Rules
//! that let more in, or less, are made true around the nodes: they join the other network as well, or drop
//! what the application sends.

use std::{net::Ipv4Addr, sync::Arc};

use super::ReplicationGroup;
use crate::{
    docker::{Bystander, Network, Node, Partition, PartitionError, Split},
    topology::replicated::Ingress,
};

/// Rules in force.
#[must_use = "rules are in force until they are lifted"]
pub struct Rules {
    group: ReplicationGroup,
    admitted: Option<Network>,
    refused: Option<Partition>,
}

impl ReplicationGroup {
    /// Puts the topology's ingress rules in force for a host of the application's and for everybody on
    /// another network.
    ///
    /// # Errors
    /// The container engine refused, or the kernel cannot drop packets.
    pub async fn enforce(&self, app: &Bystander, elsewhere: &Network) -> Result<Rules, PartitionError> {
        let Self(inner) = self;
        let mut rules = Rules { group: self.clone(), admitted: None, refused: None };
        match inner.topology.ingress {
            Ingress::AppOnly => {}
            Ingress::Open => {
                for (node, door) in self.doors(elsewhere) {
                    elsewhere.attach(&inner.docker, node.container(), door).await?;
                }
                rules.admitted = Some(elsewhere.clone());
            }
            Ingress::Closed => {
                let split = Split::oneway(app, self.nodes().as_slice());
                rules.refused = Some(Partition::cut(&inner.docker, &split, &inner.recorder).await?);
            }
        }
        Ok(rules)
    }

    /// Where each node is on a network that it joins.
    fn doors(&self, network: &Network) -> Vec<(Arc<Node>, Ipv4Addr)> {
        let nodes = self.nodes().into_iter().enumerate();
        nodes.map(|(index, node)| (node, network.address(index))).collect()
    }
}

impl Rules {
    /// Every address that a node can be tried at.
    pub fn addresses(&self, node: &Node) -> Vec<Ipv4Addr> {
        let doors = self.admitted.iter().flat_map(|network| self.group.doors(network));
        let own = doors.filter(|(of, _)| of.id() == node.id()).map(|(_, door)| door);
        [node.address()].into_iter().chain(own).collect()
    }

    /// Lifts them: everything is as it was.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn lift(self) -> Result<(), PartitionError> {
        if let Some(network) = self.admitted {
            for node in self.group.nodes() {
                network.detach(&self.group.0.docker, node.container()).await?;
            }
        }
        match self.refused {
            Some(partition) => partition.heal().await,
            None => Ok(()),
        }
    }
}
