//! The members of a group: who they are, and in which condition the control plane finds them.
//!
//! ```text
//! Joining ──────────────────► Sound ──► Dead ──► Recovering ──► Sound
//!   in sync with the primary    │ no answer for `dead_after`
//!                               └──► Recovering: demoted alive     any ──► Leaving
//! ```
//!
//! A watcher looks at its node's condition after every probe, and does what has to be done next. What
//! fails leaves the condition as it is, and so is tried again.

use std::sync::Arc;

use lab_report::NodeId;

use super::{Failover, GroupEvent, MAX_NODES, Status};
use crate::docker::Node;

/// How the control plane finds a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It answers, and has its role.
    Sound,
    /// It gave no answer for `dead_after`. As long as it counts as primary, nobody took its place.
    Dead,
    /// A new replica that is not in sync yet.
    Joining,
    /// It was dead or demoted, and is becoming a replica that is in sync.
    Recovering,
    /// It is being removed.
    Leaving,
}

impl Condition {
    /// On its way to being a replica that is in sync.
    pub(super) fn is_syncing(self) -> bool {
        matches!(self, Self::Joining | Self::Recovering)
    }
}

/// A node in its place.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) node: Arc<Node>,
    pub(super) condition: Condition,
    slot: usize,
}

/// Where a new node goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Fixes its address and its zone; free again once the node is removed.
    pub(super) slot: usize,
    /// Counts the nodes that the group ever had: no id is used twice.
    pub(super) number: usize,
}

impl Place {
    pub(super) fn seat(self, node: Arc<Node>, condition: Condition) -> Seat {
        Seat { node, condition, slot: self.slot }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) status: Status,
    pub(super) seats: Vec<Seat>,
    pub(super) primary: Option<NodeId>,
    pub(super) events: Vec<GroupEvent>,
    pub(super) failover: Failover,
    launched: usize,
}

impl State {
    pub(super) fn new(failover: Failover) -> Self {
        Self { failover, ..Self::default() }
    }

    /// Places for up to `count` more nodes: as many as are free.
    pub(super) fn places(&mut self, count: usize) -> Vec<Place> {
        let free = (0..MAX_NODES).filter(|slot| self.seats.iter().all(|seat| seat.slot != *slot));
        let slots: Vec<usize> = free.take(count).collect();
        let first = self.launched;
        self.launched += slots.len();
        slots.into_iter().zip(first..).map(|(slot, number)| Place { slot, number }).collect()
    }

    pub(super) fn condition(&self, id: &NodeId) -> Option<Condition> {
        self.seats.iter().find(|seat| seat.node.id() == id).map(|seat| seat.condition)
    }

    pub(super) fn set(&mut self, id: &NodeId, condition: Condition) {
        let found = self.seats.iter_mut().find(|seat| seat.node.id() == id);
        found.into_iter().for_each(|seat| seat.condition = condition);
    }

    pub(super) fn is_primary(&self, id: &NodeId) -> bool {
        self.primary.as_ref() == Some(id)
    }

    pub(super) fn primary(&self) -> Option<Arc<Node>> {
        self.nodes(|seat| self.is_primary(seat.node.id())).pop()
    }

    pub(super) fn nodes(&self, wanted: impl Fn(&Seat) -> bool) -> Vec<Arc<Node>> {
        self.seats.iter().filter(|seat| wanted(seat)).map(|seat| Arc::clone(&seat.node)).collect()
    }

    /// The nodes in such a condition, but for one.
    pub(super) fn others(&self, id: &NodeId, wanted: impl Fn(Condition) -> bool) -> Vec<Arc<Node>> {
        self.nodes(|seat| seat.node.id() != id && wanted(seat.condition))
    }

    pub(super) fn unseat(&mut self, id: &NodeId) {
        self.seats.retain(|seat| seat.node.id() != id);
    }
}
