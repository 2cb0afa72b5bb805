//! Cache clusters: the nodes of groups, and primaries that were retained.

use std::{net::SocketAddr, sync::Arc};

use failover_lab::group::{Condition, Member, Retain};
use jiff::Timestamp;

use super::{ControlPlane, Group, Life, Standing};
use crate::fault::Fault;

/// A node of a group, or what will be one.
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) zone: String,
    /// In the words of DescribeCacheClusters.
    pub(crate) status: &'static str,
    /// Where clients on this machine reach it; nowhere before it is there.
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) created: Timestamp,
}

impl ControlPlane {
    /// Primaries that were retained, in the order of their ids.
    pub(crate) fn alone(&self) -> Vec<Arc<Group>> {
        self.book().alone.values().cloned().collect()
    }

    /// The group that a cache cluster is of, and whether it is all that was left of it.
    pub(super) fn owner(&self, id: &str) -> Result<(Arc<Group>, bool), Fault> {
        let id = id.to_lowercase();
        if let Some(group) = self.book().alone.get(&id).cloned() {
            return Ok((group, true));
        }
        let groups = self.groups();
        let owner = groups.into_iter().find(|group| group.clusters().iter().any(|cluster| cluster.id == id));
        owner.map(|group| (group, false)).ok_or(Fault::CacheClusterNotFound(id))
    }
}

impl Group {
    /// Its nodes, or what is to become of the wish for it.
    pub(crate) fn clusters(&self) -> Vec<Cluster> {
        let life = self.life();
        match self.standing() {
            Some(standing) => {
                let members = standing.manager.describe().members;
                members.iter().filter_map(|member| self.cluster(&life, standing, member)).collect()
            }
            None if life == Life::Creating => self.to_be(),
            None => Vec::new(),
        }
    }

    fn cluster(&self, life: &Life, standing: &Standing, member: &Member) -> Option<Cluster> {
        let manager = &standing.manager;
        // It may have gone since it was listed.
        let (node, condition) = (manager.node(&member.id).ok()?, manager.condition(&member.id)?);
        Some(Cluster {
            id: member.id.to_string(),
            zone: member.zone.clone(),
            status: status(life, condition, member.primary),
            endpoint: Some(node.reach()),
            created: self.began + node.started().duration_since(self.zero),
        })
    }

    fn to_be(&self) -> Vec<Cluster> {
        let cluster = |(place, id)| Cluster {
            id,
            zone: self.topology.zone_of(place).to_owned(),
            status: Life::Creating.status(),
            endpoint: None,
            created: self.began,
        };
        self.wish.members().enumerate().map(cluster).collect()
    }
}

/// A node's status stays `available` through a failover, as AWS' do: it says nothing about one.
fn status(life: &Life, condition: Condition, primary: bool) -> &'static str {
    match (life, condition) {
        (Life::Deleting(Retain::Primary) | Life::Stuck(Retain::Primary), _) if primary => "available",
        (Life::Deleting(_) | Life::Stuck(_) | Life::Leaving | Life::Gone, _) => "deleting",
        (_, Condition::Leaving) => "deleting",
        (_, Condition::Joining) => "creating",
        _ => "available",
    }
}
