//! How far a group has come, and who may do something to it.
//!
//! ```text
//! Creating ──► Failed ───────────────────────────────────► Gone
//!     └──────► Standing ──► Deleting ────────────────────► Gone
//!               ▲            ▲    └──► Alone ◄──► Leaving ──► Gone
//!               ▼            ▼
//!  Changing, FailingOver   Stuck
//! ```

use std::sync::Arc;

use failover_lab::group::{ReplicationGroup, Retain, failover_is_over};
use lab_report::NodeId;

use super::Group;
use crate::fault::Fault;

/// How far a group has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its nodes are being started.
    Creating,
    /// They did not come up.
    Failed,
    /// It is there.
    Standing,
    /// It fails over, because somebody asked for it when it had had so many events. It is over when the events since then
    /// say so: whoever has seen them can go on.
    FailingOver {
        /// How many events it had had.
        since: usize,
    },
    /// It gets more replicas, or fewer, or what is pending.
    Changing(Pending),
    /// It is going.
    Deleting(Retain),
    /// It should be gone, and is not: it may be deleted again.
    Stuck(Retain),
    /// It is gone, and its primary was left: a cache cluster of its own.
    Alone,
    /// That is going, too.
    Leaving,
    /// Nobody finds it any more.
    Gone,
}

/// What a group is changing to; none where that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pending {
    pub(crate) automatic_failover: Option<bool>,
    pub(crate) primary: Option<NodeId>,
}

impl Life {
    /// The status of such a group, as DescribeReplicationGroups lists them. A failover does not change it.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Failed => "create-failed",
            Self::Standing | Self::FailingOver { .. } => "available",
            Self::Changing(_) => "modifying",
            Self::Deleting(_) | Self::Stuck(_) | Self::Alone | Self::Leaving | Self::Gone => "deleting",
        }
    }

    /// What is pending.
    pub(crate) fn pending(&self) -> Pending {
        match self {
            Self::Changing(pending) => pending.clone(),
            _ => Pending::default(),
        }
    }

    /// Nobody does anything to it that somebody asked for.
    fn is_idle(&self, manager: &ReplicationGroup) -> bool {
        match self {
            Self::Standing => true,
            Self::FailingOver { since } => {
                failover_is_over(manager.events().get(*since..).unwrap_or_default())
            }
            _ => false,
        }
    }
}

/// The right to do something to a group that nobody else does something to. It ends with this value.
#[must_use = "the group is free again when this is dropped"]
pub(super) struct Claim {
    group: Arc<Group>,
    manager: ReplicationGroup,
    /// What the group's life is meanwhile.
    life: Life,
    /// And what it is then.
    then: Life,
}

impl Claim {
    /// The group.
    pub(super) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The group's manager.
    pub(super) fn manager(&self) -> &ReplicationGroup {
        &self.manager
    }

    /// The group's life while this is held.
    pub(super) fn life(&self) -> Life {
        self.life.clone()
    }

    /// What is pending is known now.
    pub(super) fn turn(&mut self, life: Life) {
        if self.group.go_on(&self.life, life.clone()) {
            self.life = life;
        }
    }

    /// Ends it: the group goes on like this.
    pub(super) fn end(mut self, then: Life) {
        self.then = then;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A failover that its events say is over is another claim's already.
        self.group.go_on(&self.life, self.then.clone());
    }
}

impl Group {
    /// What there is of it at this moment.
    pub(crate) fn life(&self) -> Life {
        self.life.lock().expect("no panic while held").clone()
    }

    /// Goes on from one part of its life to the next; says whether it was still there.
    pub(super) fn go_on(&self, from: &Life, to: Life) -> bool {
        let mut life = self.life.lock().expect("no panic while held");
        let still = *life == *from;
        if still {
            *life = to;
        }
        still
    }

    /// Claims a group that is available, for what `next` says of it.
    pub(super) fn claim(
        self: &Arc<Self>,
        next: impl FnOnce(&ReplicationGroup) -> Life,
    ) -> Result<Claim, Fault> {
        self.take(Life::is_idle, next, Life::Standing).ok_or_else(|| self.busy())
    }

    /// Claims it for its deletion, be it the second attempt.
    pub(super) fn claim_to_delete(self: &Arc<Self>, retain: Retain) -> Result<Claim, Fault> {
        let may =
            |life: &Life, manager: &ReplicationGroup| matches!(life, Life::Stuck(_)) || life.is_idle(manager);
        self.take(may, |_| Life::Deleting(retain), Life::Stuck(retain)).ok_or_else(|| self.busy())
    }

    /// Claims what was left of it, for its deletion.
    pub(super) fn claim_to_leave(self: &Arc<Self>) -> Option<Claim> {
        self.take(|life, _| *life == Life::Alone, |_| Life::Leaving, Life::Alone)
    }

    /// It is available, and nobody does anything to it.
    pub(super) fn require_idle(&self) -> Result<(), Fault> {
        let idle = self.standing().is_some_and(|standing| self.life().is_idle(&standing.manager));
        if idle { Ok(()) } else { Err(self.busy()) }
    }

    fn take(
        self: &Arc<Self>,
        may: impl FnOnce(&Life, &ReplicationGroup) -> bool,
        next: impl FnOnce(&ReplicationGroup) -> Life,
        then: Life,
    ) -> Option<Claim> {
        let mut life = self.life.lock().expect("no panic while held");
        let manager = self.standing()?.manager.clone();
        if !may(&life, &manager) {
            return None;
        }
        *life = next(&manager);
        Some(Claim { group: Arc::clone(self), manager, life: life.clone(), then })
    }

    fn busy(&self) -> Fault {
        let id = &self.wish.id;
        let now = match self.life() {
            Life::Alone | Life::Leaving | Life::Gone => return Fault::ReplicationGroupNotFound(id.clone()),
            Life::FailingOver { .. } => "failing over",
            life => life.status(),
        };
        Fault::InvalidReplicationGroupState(format!("Replication group {id} is {now}: try again later."))
    }
}
