//! Replica count up and down, and deletion.

use std::{sync::Arc, time::Duration};

use lab_report::evidence::EndpointName;

use super::{Condition, GroupError, MAX_NODES, ReplicationGroup, Status};
use crate::{docker::Node, topology::replicated::Deletion};

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
        self.check_replica_count(wanted)?;
        {
            // The status keeps other requests away for as long as it takes; a failover may come between.
            let _change = self.0.change.lock().await;
            self.0.require_available()?;
            self.0.set_status(Status::Modifying);
        }
        let result = match wanted.checked_sub(self.replicas().len()) {
            Some(more) => self.add(more).await,
            None => self.shrink_to(wanted).await,
        };
        if self.0.state().status == Status::Modifying {
            self.0.set_status(Status::Available);
        }
        result
    }

    /// What [`Self::set_replica_count`] refuses of a group that is not busy.
    ///
    /// # Errors
    /// As there.
    pub fn check_replica_count(&self, wanted: usize) -> Result<(), GroupError> {
        let limit = MAX_NODES - 1;
        if wanted > limit {
            return Err(GroupError::InvalidParameterValue(format!("{wanted} replicas; at most {limit}")));
        }
        if wanted == 0 && self.failover().is_automatic() {
            let text = "automatic failover needs at least one replica".to_owned();
            return Err(GroupError::InvalidParameterValue(text));
        }
        Ok(())
    }

    async fn add(&self, more: usize) -> Result<(), GroupError> {
        let launched = self.0.launch(more).await?;
        let nodes: Vec<Arc<Node>> = launched.iter().map(|(_, node)| Arc::clone(node)).collect();
        {
            let _change = self.0.change.lock().await;
            let seats = launched.into_iter().map(|(place, node)| place.seat(node, Condition::Joining));
            self.0.state().seats.extend(seats);
        }
        if self.0.state().status == Status::Deleting {
            self.remove(&nodes).await?;
            return Err(GroupError::InvalidReplicationGroupState(Status::Deleting));
        }
        // Each is told whom to follow by its watcher: the primary may change meanwhile.
        nodes.iter().for_each(|node| self.watch(node));
        self.0.recorder.nodes(self.nodes().iter().map(|node| node.id().clone()).collect());
        self.are_sound(&nodes, JOIN, JOIN_PACE).await
    }

    /// The replicas that were made last go first.
    async fn shrink_to(&self, wanted: usize) -> Result<(), GroupError> {
        let going = {
            let _change = self.0.change.lock().await;
            let surplus: Vec<Arc<Node>> = self.replicas().into_iter().skip(wanted).collect();
            let mut state = self.0.state();
            surplus.iter().for_each(|node| state.set(node.id(), Condition::Leaving));
            self.0.point_reader_by(&state);
            // With those that an earlier change could not remove.
            state.nodes(|seat| seat.condition == Condition::Leaving)
        };
        self.remove(&going).await
    }

    /// A place is free once the node that had it is gone, and not before: its address is in use until then.
    async fn remove(&self, going: &[Arc<Node>]) -> Result<(), GroupError> {
        for node in going {
            node.remove().await?;
            self.0.state().unseat(node.id());
        }
        Ok(())
    }

    /// Deletes the group.
    ///
    /// # Errors
    /// A node could not be removed.
    pub async fn delete(&self, retain: Retain) -> Result<(), GroupError> {
        self.0.set_status(Status::Deleting);
        // Nobody may bring back what is being removed.
        self.retire().await;
        let _change = self.0.change.lock().await;
        for endpoint in [EndpointName::Primary, EndpointName::Reader] {
            self.0.records.point(endpoint, Vec::new());
        }
        let mut going = match retain {
            Retain::Primary => {
                let state = self.0.state();
                state.nodes(|seat| !state.is_primary(seat.node.id()))
            }
            Retain::Nothing => self.nodes(),
        };
        let forgets = match retain {
            Retain::Primary => self.0.topology.manager.delete == Deletion::ForgetsReplica,
            Retain::Nothing => self.0.topology.manager.delete == Deletion::ForgetsNode,
        };
        if forgets {
            going.pop();
        }
        self.remove(&going).await
    }
}
