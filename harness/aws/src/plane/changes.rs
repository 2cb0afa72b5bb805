//! What is done to a group that stands: it fails over, gets more replicas or fewer, or other settings.
//!
//! A request claims its group before it is looked at, so that nobody changes what it is judged by. What is refused then
//! lets the group go again.

use std::{cmp::Ordering, sync::Arc};

use failover_lab::group::{Failover, GroupError, NODE_GROUP, ReplicationGroup};
use jiff::Timestamp;
use lab_report::NodeId;

use super::{
    ControlPlane, Group, Taken,
    life::{Claim, Life, Pending},
};
use crate::fault::Fault;

/// What ModifyReplicationGroup was asked for.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) description: Option<String>,
    /// ElastiCache's two switches: automatic failover, Multi-AZ.
    pub(crate) automatic_failover: Option<bool>,
    pub(crate) multi_az: Option<bool>,
    /// Who is to be primary.
    pub(crate) primary: Option<NodeId>,
    /// And not in a maintenance window, of which there are none here.
    pub(crate) at_once: bool,
}

impl ControlPlane {
    /// Takes a failover on; it happens meanwhile.
    pub(crate) fn test_failover(&self, id: &str, node_group: &str) -> Result<Taken, Fault> {
        let group = self.group(id)?;
        let claim = group.claim(|manager| Life::FailingOver { since: manager.events().len() })?;
        let manager = claim.manager().clone();
        if !manager.failover().is_automatic() {
            let text = format!("Automatic failover is not enabled for replication group {id}.");
            return Err(Fault::TestFailoverNotAvailable(text));
        }
        manager.check_test_failover(node_group)?;
        self.book().failovers.count(Timestamp::now())?;
        self.see_through(claim, "The failover", async move { manager.test_failover(NODE_GROUP).await })
    }

    /// Takes a change of the number of replicas on, to more or to less; it happens meanwhile.
    pub(crate) fn scale(&self, id: &str, wanted: usize, way: Ordering) -> Result<Taken, Fault> {
        let group = self.group(id)?;
        let claim = group.claim(|_| Life::Changing(Pending::default()))?;
        let manager = claim.manager().clone();
        let now = manager.replicas().len();
        match wanted.cmp(&now) {
            Ordering::Equal => {
                let text = "Requested new replica count already matches current number of replicas.";
                return Err(Fault::NoOperation(text.to_owned()));
            }
            found if found != way => {
                let text =
                    format!("NewReplicaCount is {wanted}, and there are {now}: that is the other action's");
                return Err(Fault::InvalidParameterValue(text));
            }
            _ => manager.check_replica_count(wanted)?,
        }
        let scaled = async move { manager.set_replica_count(wanted).await };
        self.see_through(claim, "The change of the number of replicas", scaled)
    }

    /// Takes changes on: what is only written down is done, the rest happens meanwhile.
    pub(crate) fn modify(&self, id: &str, wanted: Change) -> Result<Taken, Fault> {
        let group = self.group(id)?;
        if !wanted.is_for_nodes() {
            group.require_idle()?;
            wanted.note(&group);
            return Ok(Taken { group, life: Life::Standing });
        }
        let mut claim = group.claim(|_| Life::Changing(Pending::default()))?;
        let manager = claim.manager().clone();
        let failover = wanted.check(&manager)?;
        let automatic = failover.is_automatic();
        claim.turn(Life::Changing(Pending {
            automatic_failover: (automatic != manager.failover().is_automatic()).then_some(automatic),
            primary: wanted.primary.clone(),
        }));
        wanted.note(&group);
        let changed = async move {
            if failover != manager.failover() {
                manager.set_failover(failover).await?;
            }
            match wanted.primary {
                Some(primary) => manager.promote(&primary).await,
                None => Ok(()),
            }
        };
        self.see_through(claim, "The modification", changed)
    }

    /// Sees through what a client was told will be done. What comes of it only the group's events can tell.
    fn see_through(
        &self,
        claim: Claim,
        what: &'static str,
        change: impl Future<Output = Result<(), GroupError>> + Send + 'static,
    ) -> Result<Taken, Fault> {
        let taken = Taken { group: Arc::clone(claim.group()), life: claim.life() };
        self.meanwhile(async move {
            if let Err(error) = change.await {
                claim.manager().announce(format!("{what} failed: {error}"));
            }
            drop(claim);
        })?;
        Ok(taken)
    }
}

impl Change {
    /// Something has to be done to the nodes.
    fn is_for_nodes(&self) -> bool {
        self.automatic_failover.is_some() || self.multi_az.is_some() || self.primary.is_some()
    }

    /// Writes down what is only written down.
    fn note(&self, group: &Group) {
        if let Some(description) = &self.description {
            group.notes().description.clone_from(description);
        }
    }

    /// Who is to replace a lost primary then.
    ///
    /// # Errors
    /// The group cannot have it, or not this primary.
    fn check(&self, manager: &ReplicationGroup) -> Result<Failover, Fault> {
        let combination = |text: &str| Err(Fault::InvalidParameterCombination(text.to_owned()));
        if !self.at_once {
            return combination("There is no maintenance window here: ApplyImmediately has to be true.");
        }
        let now = manager.failover();
        let failover = Failover::of(
            self.automatic_failover.unwrap_or(now.is_automatic()),
            self.multi_az.unwrap_or(now.is_across_zones()),
        )?;
        manager.check_failover(failover)?;
        if let Some(primary) = &self.primary {
            // User guide, promoting a read replica: a group that fails over by itself chooses by itself.
            if failover.is_automatic() {
                return combination("Another primary can be chosen once automatic failover is disabled.");
            }
            manager.check_promotion(primary)?;
        }
        Ok(failover)
    }
}
