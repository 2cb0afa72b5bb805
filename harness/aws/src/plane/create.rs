//! How a group comes: from what was asked for to nodes that stand, or to nothing.

use std::{error::Error, io, sync::Arc};

use failover_lab::{
    Replicated,
    docker::Network,
    explain::chain,
    front::Front,
    group::{Failover, ReplicationGroup},
    replicated,
};
use jiff::Timestamp;
use lab_report::evidence::EndpointName;

use super::{Book, ControlPlane, Event, Group, Life, Notes, Place, Standing, SubnetGroup, Taken};
use crate::fault::Fault;

/// What CreateReplicationGroup was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) id: String,
    pub(crate) node_type: String,
    pub(crate) nodes: u8,
    pub(crate) failover: Failover,
    /// Its name; that of the default one where it is none.
    pub(crate) subnet_group: Option<String>,
    pub(crate) security_groups: Vec<String>,
    /// The zone of each node, by its place; by turns over the subnet group's where it is empty.
    pub(crate) placement: Vec<String>,
}

/// Why a group did not come up.
type Cause = Box<dyn Error + Send + Sync>;

impl Wish {
    /// What it comes to in these subnets.
    ///
    /// # Errors
    /// It is outside ElastiCache's limits, or the subnets are not where its nodes are to be.
    pub(super) fn topology(&self, subnets: &SubnetGroup) -> Result<Replicated, Fault> {
        let Some(replicas) = self.nodes.checked_sub(1) else {
            return Err(Fault::InvalidParameterValue("NumCacheClusters is 0; at least 1".to_owned()));
        };
        let mut topology = replicated(replicas);
        topology.zones = subnets.zones();
        if let Some(zone) = self.placement.iter().find(|zone| !topology.zones.contains(zone)) {
            let text = format!("{zone} is in none of the subnets of {}.", subnets.name);
            return Err(Fault::InvalidParameterValue(text));
        }
        if !self.placement.is_empty() && self.placement.len() != usize::from(self.nodes) {
            let text = "PreferredCacheClusterAZs has as many zones as there are nodes.".to_owned();
            return Err(Fault::InvalidParameterCombination(text));
        }
        topology.placement.clone_from(&self.placement);
        topology.manager.automatic_failover = self.failover.is_automatic();
        topology.manager.multi_az = self.failover.is_across_zones();
        ReplicationGroup::check(&topology)?;
        Ok(topology)
    }

    /// What its nodes will be called, in the order of their places.
    pub(super) fn members(&self) -> impl Iterator<Item = String> {
        (0..usize::from(self.nodes)).map(|place| ReplicationGroup::node_id(&self.id, place).to_string())
    }
}

impl Book {
    /// Nothing has this group's id, or a node's of its.
    fn has_room_for(&self, wish: &Wish) -> Result<(), Fault> {
        if self.groups.contains_key(&wish.id) {
            return Err(Fault::ReplicationGroupAlreadyExists(wish.id.clone()));
        }
        match wish.members().find(|member| self.alone.contains_key(member)) {
            Some(member) => Err(Fault::InvalidParameterValue(format!(
                "Cache cluster {member} is in the way of a member of {}: delete it first.",
                wish.id
            ))),
            None => Ok(()),
        }
    }
}

impl ControlPlane {
    /// Takes the request on; the nodes come up meanwhile.
    pub(crate) fn create(&self, wish: Wish, notes: Notes) -> Result<Taken, Fault> {
        // To the end: its subnet group stays, and nobody else takes its id.
        let mut book = self.book();
        let subnet_group = book.subnet_group(wish.subnet_group.as_deref())?;
        book.has_room_for(&wish)?;
        book.made += 1;
        let group = Arc::new(Group::new(book.made, wish, subnet_group, notes)?);
        let (plane, new) = (self.clone(), Arc::clone(&group));
        self.meanwhile(async move { plane.boot(&new).await })?;
        book.groups.insert(group.wish.id.clone(), Arc::clone(&group));
        Ok(Taken { group, life: Life::Creating })
    }

    async fn boot(&self, group: &Group) {
        match self.start(group).await {
            Ok(standing) => {
                let _ = group.standing.set(standing);
                group.go_on(&Life::Creating, Life::Standing);
            }
            Err(error) => self.failed(group, &chain(error.as_ref())),
        }
    }

    /// Starts its nodes on a network of their own; all of it or nothing.
    async fn start(&self, group: &Group) -> Result<Standing, Cause> {
        let docker = self.docker();
        let name = format!("{}-{}-{}", docker.labels().lab, group.number, group.wish.id);
        let network = Network::create(docker, &name).await?;
        match self.start_on(&network, group).await {
            Ok(standing) => Ok(standing),
            Err(error) => match network.clear(docker).await {
                Ok(()) => Err(error),
                Err(left) => Err(format!("{}; {}", chain(error.as_ref()), chain(&left)).into()),
            },
        }
    }

    async fn start_on(&self, network: &Network, group: &Group) -> Result<Standing, Cause> {
        let (id, topology) = (&group.wish.id, &group.topology);
        let (manager, _) =
            ReplicationGroup::create(id, topology, self.docker(), network, &group.recorder).await?;
        match fronts(&manager).await {
            Ok((primary, reader)) => Ok(Standing { manager, primary, reader, network: network.clone() }),
            Err(error) => {
                // It would bring back what is being removed.
                manager.retire().await;
                Err(error.into())
            }
        }
    }

    /// Why its nodes did not come up is told by its events: nobody else asks.
    fn failed(&self, group: &Group, why: &str) {
        let id = &group.wish.id;
        let place = Place { date: Timestamp::now(), group: group.number, number: 0 };
        let event = Event::of_group(id, place, format!("Replication group {id} was not created: {why}"));
        self.book().remember(vec![event]);
        group.go_on(&Life::Creating, Life::Failed);
    }
}

/// The endpoints, on localhost.
async fn fronts(manager: &ReplicationGroup) -> io::Result<(Front, Front)> {
    let primary = Front::listen(manager.records(), EndpointName::Primary, 0).await?;
    Ok((primary, Front::listen(manager.records(), EndpointName::Reader, 0).await?))
}
