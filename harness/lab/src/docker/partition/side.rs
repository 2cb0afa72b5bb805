//! Who is on which side: participants of a lab's network, as plain values.

use std::{fmt, net::Ipv4Addr, sync::Arc};

use lab_report::NodeId;

/// Whoever has a place of its own on the lab's network: a node, or a client's relay.
pub trait Participant {
    /// Where it is.
    fn place(&self) -> Place;
}

/// A place on the lab's network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// How people call it.
    pub name: String,
    /// The container whose network it is.
    pub container: String,
    /// Its address there.
    pub address: Ipv4Addr,
    /// The node that lives there; none if a client does.
    pub node: Option<NodeId>,
    /// It is somebody else's, and outlives the lab: what is done to its links is undone there.
    pub lent: bool,
}

/// Participants that have the same wrong with them: one side of a split, one end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side(Vec<Place>);

impl Side {
    /// The same with more participants.
    pub fn and(mut self, more: impl Into<Self>) -> Self {
        self.0.extend(more.into().0);
        self
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.0
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.0.iter().filter_map(|place| place.node.as_ref())
    }
}

impl<P: Participant> Participant for Arc<P> {
    fn place(&self) -> Place {
        P::place(self)
    }
}

impl<P: Participant> From<&P> for Side {
    fn from(one: &P) -> Self {
        Self(vec![one.place()])
    }
}

impl<P: Participant> From<&[P]> for Side {
    fn from(many: &[P]) -> Self {
        Self(many.iter().map(Participant::place).collect())
    }
}

impl<P: Participant, const N: usize> From<[&P; N]> for Side {
    fn from(many: [&P; N]) -> Self {
        Self(many.into_iter().map(Participant::place).collect())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|place| place.name.as_str()).collect();
        f.write_str(&names.join(", "))
    }
}
