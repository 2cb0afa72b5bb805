//! Replica count up and down, and deletion.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{GroupError, MAX_NODES, ReplicationGroup, Status};
use crate::topology::replicated::Deletion;

/// A new replica of a lab's small dataset is online within this.
const JOIN: Duration = Duration::from_secs(60);
const JOIN_PACE: Duration = Duration::from_millis(10);

/// Whether `delete` leaves the primary behind, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// `RetainPrimaryCluster`: it stays, as a cache cluster of its own.
    Primary,
    /// Everything goes.
    Nothing,
}

impl ReplicationGroup {
    /// Changes the number of replicas, as IncreaseReplicaCount and DecreaseReplicaCount do.
    ///
    /// # Errors
    /// More than five, fewer than one with automatic failover, or the group is busy.
    pub async fn set_replica_count(&self, wanted: usize) -> Result<(), GroupError> {
        let limit = MAX_NODES - 1;
        if wanted > limit {
            return Err(GroupError::InvalidParameterValue(format!("{wanted} replicas; at most {limit}")));
        }
        if wanted == 0 && self.0.topology.manager.automatic_failover {
            let text = "automatic failover needs at least one replica".to_owned();
            return Err(GroupError::InvalidParameterValue(text));
        }
        self.0.require_available()?;
        let _change = self.0.change.lock().await;
        self.0.set_status(Status::Modifying);
        let result = match wanted.checked_sub(self.replicas().len()) {
            Some(more) => self.add(more).await,
            None => self.shrink_to(wanted).await,
        };
        self.settle().await;
        result
    }

    async fn add(&self, more: usize) -> Result<(), GroupError> {
        let primary = self.primary();
        let nodes = try_join_all((0..more).map(|_| self.0.launch())).await?;
        for node in &nodes {
            self.0.follow(node, &primary).await?;
            self.0.state().members.push(node.clone());
            self.watch(node);
        }
        self.0.recorder.nodes(self.nodes().iter().map(|node| node.id().clone()).collect());
        self.0.all_online(&primary, self.replicas().len(), JOIN, JOIN_PACE).await
    }

    /// The replicas that were made last go first.
    async fn shrink_to(&self, wanted: usize) -> Result<(), GroupError> {
        for node in self.replicas().split_off(wanted) {
            self.0.state().members.retain(|member| member.id() != node.id());
            self.0.point_reader();
            node.remove().await?;
        }
        Ok(())
    }

    /// Deletes the group.
    ///
    /// # Errors
    /// A node could not be removed.
    pub async fn delete(&self, retain: Retain) -> Result<(), GroupError> {
        let _change = self.0.change.lock().await;
        self.0.set_status(Status::Deleting);
        self.stop_watching();
        let mut going = match retain {
            Retain::Primary => self.replicas(),
            Retain::Nothing => self.nodes(),
        };
        let forgets = match retain {
            Retain::Primary => self.0.topology.manager.delete == Deletion::ForgetsReplica,
            Retain::Nothing => self.0.topology.manager.delete == Deletion::ForgetsNode,
        };
        if forgets {
            going.pop();
        }
        try_join_all(going.iter().map(|node| node.remove())).await?;
        self.0.state().members.retain(|member| !going.iter().any(|gone| gone.id() == member.id()));
        Ok(())
    }
}
