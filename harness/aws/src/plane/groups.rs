//! Replication groups: what was asked for, and what stands.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Instant,
};

use failover_lab::{
    Replicated,
    docker::Network,
    front::Front,
    group::{Failover, ReplicationGroup},
    record::Recorder,
};
use jiff::Timestamp;

use super::{ControlPlane, Life, SubnetGroup, Tags, Wish};
use crate::fault::Fault;

/// What is only written down about a group: it changes, and no node hears of it.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) description: String,
    pub(crate) tags: Tags,
}

/// A replication group, from the request on until it is gone, and what was left of one.
pub(crate) struct Group {
    pub(crate) wish: Wish,
    pub(crate) subnet_group: Arc<SubnetGroup>,
    /// Its place among all that there ever were: ids are used again.
    pub(super) number: u64,
    /// What the wish comes to in these subnets.
    pub(super) topology: Replicated,
    notes: Mutex<Notes>,
    /// When it was asked for: also the zero of its events' clock.
    pub(crate) began: Timestamp,
    pub(super) zero: Instant,
    pub(super) recorder: Recorder,
    pub(super) life: Mutex<Life>,
    pub(super) standing: OnceLock<Standing>,
}

/// The nodes of a group, its manager, and the endpoints that clients on this machine use.
pub(crate) struct Standing {
    pub(crate) manager: ReplicationGroup,
    pub(crate) primary: Front,
    pub(crate) reader: Front,
    pub(super) network: Network,
}

/// A request that was taken on: a group, and what its life is by that. A moment later it may have gone on.
pub(crate) struct Taken {
    pub(crate) group: Arc<Group>,
    pub(crate) life: Life,
}

impl Group {
    /// One that was asked for.
    ///
    /// # Errors
    /// The wish cannot be fulfilled in these subnets.
    pub(super) fn new(
        number: u64,
        wish: Wish,
        subnet_group: Arc<SubnetGroup>,
        notes: Notes,
    ) -> Result<Self, Fault> {
        Ok(Self {
            topology: wish.topology(&subnet_group)?,
            wish,
            subnet_group,
            number,
            notes: Mutex::new(notes),
            began: Timestamp::now(),
            zero: Instant::now(),
            recorder: Recorder::default(),
            life: Mutex::new(Life::Creating),
            standing: OnceLock::new(),
        })
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic while held")
    }

    /// Who replaces a lost primary.
    pub(crate) fn failover(&self) -> Failover {
        self.standing().map_or(self.wish.failover, |standing| standing.manager.failover())
    }

    /// What there is of it; nothing before its nodes are up.
    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.standing.get()
    }
}

impl ControlPlane {
    /// The group of this id.
    pub(crate) fn group(&self, id: &str) -> Result<Arc<Group>, Fault> {
        let found = self.book().groups.get(&id.to_lowercase()).cloned();
        found.ok_or_else(|| Fault::ReplicationGroupNotFound(id.to_owned()))
    }

    /// All of them, in the order of their ids.
    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        self.book().groups.values().cloned().collect()
    }

    /// All of them, and what was left of some.
    pub(super) fn with_nodes(&self) -> Vec<Arc<Group>> {
        self.book().with_nodes().cloned().collect()
    }
}
