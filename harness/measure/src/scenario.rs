//! What is done to servers while they are under load, and what is put on record of it.

use std::{fmt, sync::Arc};

use failover_lab::{
    Lab, StepError,
    docker::{Fault, FaultKind, Node, Partition, Side, Split},
};
use lab_history::{Event, Moment, note};
use lab_load::Tape;
use lab_report::evidence::{At, EndpointName, Role, Timeline};

use crate::stage::Stage;

/// What happens to servers while they are under load.
pub(crate) trait Scenario {
    /// What it is called in the record.
    fn name(&self) -> String;

    /// Lets it happen from now on, which is when the load begins. Everything is healed when it returns.
    async fn unfold<T: Stage>(&mut self, lab: &mut Lab<T>, notes: &Notes) -> Result<(), StepError>;
}

/// What can be wrong with one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Its server or its host has a fault.
    Node(FaultKind),
    /// It is cut off from the other nodes, and not from its clients.
    Partition,
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Node(FaultKind::Crash),
        Self::Node(FaultKind::Stop),
        Self::Node(FaultKind::Hold),
        Self::Node(FaultKind::Isolate),
        Self::Partition,
    ];

    /// Does it to a node, and writes that down as the fault with this number.
    pub(crate) async fn inflict<T: Stage>(
        self,
        number: u32,
        victim: &Arc<Node>,
        lab: &Lab<T>,
        notes: &Notes,
    ) -> Result<Inflicted, StepError> {
        match self {
            Self::Node(kind) => {
                let fault = lab.inject(kind, victim).await?;
                let (before, after) = (notes.moment(fault.not_before()), notes.moment(fault.in_effect()));
                notes.injected(number, &self.to_string(), victim, before, after);
                Ok(Inflicted { number, done: Done::ToNode(fault) })
            }
            Self::Partition => {
                let others: Vec<_> =
                    T::nodes(lab).into_iter().filter(|node| node.id() != victim.id()).collect();
                let split = Split::between(victim, Side::from(&others[..]));
                Inflicted::cut(number, (&split, &**victim), lab, notes).await
            }
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(kind) => kind.fmt(f),
            Self::Partition => f.pad("partition"),
        }
    }
}

/// What has been done to a node, until it is undone.
#[must_use = "a fault lasts until it is healed"]
pub struct Inflicted {
    number: u32,
    done: Done,
}

enum Done {
    ToNode(Fault),
    ToLinks(Partition),
}

impl Inflicted {
    /// Undoes it, and writes that down.
    pub(crate) async fn heal<T: Stage>(self, lab: &Lab<T>, notes: &Notes) -> Result<(), StepError> {
        match self.done {
            Done::ToNode(fault) => lab.heal(fault).await?,
            Done::ToLinks(cut) => cut.heal().await?,
        }
        notes.tape.note(Event::Healed { fault: self.number });
        Ok(())
    }

    /// Cuts links, and writes that down as a fault of `victim` with this number.
    pub(crate) async fn cut<T: Stage>(
        number: u32,
        (split, victim): (&Split, &Node),
        lab: &Lab<T>,
        notes: &Notes,
    ) -> Result<Self, StepError> {
        let cut = lab.partition(split).await?;
        let (before, after) = (notes.moment(cut.not_before()), notes.moment(cut.in_effect()));
        notes.injected(number, &Harm::Partition.to_string(), victim, before, after);
        Ok(Self { number, done: Done::ToLinks(cut) })
    }
}

/// Notes on a tape of what the lab's clock says.
pub(crate) struct Notes {
    pub(crate) tape: Tape,
    /// The same instant on the lab's clock and on the tape's.
    zero: (At, Moment),
}

impl Notes {
    /// The two clocks are set by each other here.
    pub(crate) fn on<T: Stage>(tape: &Tape, lab: &Lab<T>) -> Self {
        Self { tape: tape.clone(), zero: (lab.recorder().now(), tape.now()) }
    }

    /// A moment before the tape began is its beginning.
    pub(crate) fn moment(&self, at: At) -> Moment {
        let (at, (zero, moment)) = (lab_load::tape::length(at.0), self.zero);
        let zero = lab_load::tape::length(zero.0);
        Moment::from_micros((at.micros() + moment.micros()).saturating_sub(zero.micros()))
    }

    /// A fault began to be injected at one moment, and was in effect by another.
    pub(crate) fn injected(&self, fault: u32, kind: &str, victim: &Node, at: Moment, in_effect: Moment) {
        let nodes = vec![victim.id().to_string()];
        self.tape.note_at(at, Event::Injected { fault, kind: kind.to_owned(), nodes, in_effect });
    }

    /// What the lab saw of the nodes and the names meanwhile.
    pub(crate) fn timeline(&self, timeline: &Timeline) {
        for change in &timeline.roles {
            let role = match change.role {
                Role::Primary => note::Role::Primary,
                Role::Replica => note::Role::Replica,
                Role::Unreachable => note::Role::Unreachable,
                // It never changes.
                Role::Sentinel => continue,
            };
            self.tape.note_at(self.moment(change.at), Event::Role { node: change.node.to_string(), role });
        }
        for change in &timeline.endpoints {
            let endpoint = match change.endpoint {
                EndpointName::Primary => "primary",
                EndpointName::Reader => "reader",
            };
            let nodes = change.targets.iter().map(ToString::to_string).collect();
            let event = Event::Endpoint { endpoint: endpoint.to_owned(), nodes };
            self.tape.note_at(self.moment(change.at), event);
        }
    }
}
