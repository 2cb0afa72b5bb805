//! Linearizability: one order of all operations on a register, in which each lies between its invocation and its
//! completion, and each read returns what was written last.
//!
//! It is judged register by register, for a history is linearizable if and only if its part on each object is
//! (Herlihy and Wing, 1990), and only for *contended* registers, those that several processes write.
//!
//! In general the question is NP-complete. Where no two writes of a register write the same value, every read
//! says which write it follows, and the answer is a matter of sorting: by its [zones](self#zones) (Gibbons and Korach,
//! "Testing Shared Memories", 1997). That is how the lab writes its values, so most registers are decided at
//! once, however long their history is. Only where values come twice is there something to search:
//! a [search](self#search) (Wing and Gong, 1993, with Lowe's memory of where it has been, 2017), which gives up at
//! a cap. What it gives up is *undecided*, and the verdict unknown.
//!
//! # What is left out
//! Operations that failed, reads without an answer, and writes without an answer whose value nobody read: if a
//! history is linearizable with such a write, it is so without it. A write without an answer that was read stays, and
//! is completed never.
//!
//! # Zones
//! The operations on one value are its cluster: its write, and the reads that return it. From the earliest
//! completion among them to the latest invocation among them is the value's zone. If the first precedes the second
//! the register must hold the value all that time: a *forward* zone. Else it need hold it only for an instant between
//! the two. Two clusters conflict if each has an operation that precedes one of the other's. A register is
//! linearizable if and only if no read precedes its write, and no two clusters conflict: so no two forward zones
//! overlap, and no other zone lies within a forward one.
//!
//! # Search
//! Take any operation that no other one precedes among those that are left; if the register explains it, go on
//! with the rest, and if that fails, come back and take another. Two ways that took the same operations and left
//! the same value lead to the same end, so each is gone only once.

mod search;
mod zones;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    Figures, Judgement, Row, Witnesses,
    register::{Register, Touch, What, registers as by_register},
};
use crate::{history::History, time::Moment};

/// When the search is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// After so long, for all registers together. The one thing here on which a verdict depends beside the
    /// history: a slower machine leaves more unknown, and judges nothing otherwise.
    pub time: Duration,
    /// At so many configurations of one register: they are what the search's memory is full of.
    pub configurations: usize,
}

impl Default for Cap {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), configurations: 10_000_000 }
    }
}

/// How many registers are linearizable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Linearizability {
    /// Registers whose answers no order explains.
    pub not_linearizable: u64,
    /// Registers that several processes wrote.
    pub contended: u64,
    /// Those of them that were decided by their zones.
    pub by_zones: u64,
    /// Those of them that were decided by a search.
    pub by_search: u64,
    /// Those of them of which the search was given up.
    pub undecided: u64,
    /// Operations on contended registers that were to be explained.
    pub operations: u64,
}

impl Figures for Linearizability {
    const JUDGE: &'static str = "linearizability";

    fn rows(&self) -> Vec<Row> {
        vec![
            Row::anomaly(
                "not_linearizable",
                self.not_linearizable,
                "registers whose answers no order explains",
            ),
            Row::count("contended", self.contended, "registers that several processes wrote"),
            Row::count("by_zones", self.by_zones, "of these, decided by the zones of their values"),
            Row::count("by_search", self.by_search, "of these, decided by a search"),
            Row::count("undecided", self.undecided, "of these, given up at the cap"),
            Row::count("operations", self.operations, "operations that were to be explained"),
        ]
    }
}

/// Judges the contended registers of a history.
pub fn linearizability(history: &History, cap: Cap) -> Judgement<Linearizability> {
    let deadline = Instant::now().checked_add(cap.time);
    let mut figures = Linearizability::default();
    let mut witnesses = Witnesses::default();
    let mut register = Register::default();
    let mut contended = Contended::default();
    for (_, touches) in by_register(history).objects() {
        if !several_write(touches) {
            continue;
        }
        register.look_at(touches);
        contended.look_at(touches, &register);
        figures.contended += 1;
        figures.operations += contended.steps.len() as u64;
        let decision = if contended.is_unique {
            figures.by_zones += 1;
            zones::decide(&contended.steps, contended.values)
        } else {
            let decision = search::decide(&contended.steps, cap.configurations, deadline);
            figures.by_search += u64::from(decision != Decision::GivenUp);
            decision
        };
        match decision {
            Decision::Linearizable => {}
            Decision::NotLinearizable { place } => {
                figures.not_linearizable += 1;
                witnesses.add("not_linearizable", place);
            }
            Decision::GivenUp => figures.undecided += 1,
        }
    }
    let unexercised = match () {
        () if figures.contended == 0 => Some("no register was written by several processes".to_owned()),
        () if figures.undecided > 0 => {
            Some(format!("the search was given up for {} registers", figures.undecided))
        }
        () => None,
    };
    Judgement::of(history, figures, witnesses, unexercised)
}

/// Whether a history has registers that several processes wrote.
pub(super) fn is_contended(history: &History) -> bool {
    by_register(history).objects().any(|(_, touches)| several_write(touches))
}

fn several_write(touches: &[Touch]) -> bool {
    let writes = |touch: &&Touch| matches!(touch.what, What::Wrote | What::Tried);
    let mut writers = touches.iter().filter(writes).map(|touch| touch.process);
    writers.next().is_some_and(|first| writers.any(|writer| writer != first))
}

/// What came of one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Linearizable,
    NotLinearizable {
        /// An operation that no order explains, in the history.
        place: u32,
    },
    GivenUp,
}

/// What an operation does to a register. Values are numbered; 0 is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Write(u32),
    Read(u32),
}

/// One operation that is to be explained.
#[derive(Debug, Clone, Copy)]
struct Step {
    does: Does,
    invoked: Moment,
    /// Never, for a write without an answer.
    completed: Moment,
    place: u32,
}

/// What is to be explained of one register.
#[derive(Default)]
struct Contended {
    steps: Vec<Step>,
    /// As many as there are values, and one for no value.
    values: usize,
    /// No two writes wrote the same value.
    is_unique: bool,
    /// Of each value, whether it was read, and whether it was written.
    read: Vec<bool>,
    written: Vec<bool>,
}

impl Contended {
    fn look_at(&mut self, touches: &[Touch], register: &Register) {
        // A value that nobody wrote has a number of its own, and no write.
        let nowhere = register.writes.len() as u32 + 1;
        self.values = nowhere as usize + 1;
        self.is_unique = true;
        self.steps.clear();
        for flags in [&mut self.read, &mut self.written] {
            flags.clear();
            flags.resize(self.values, false);
        }
        let number = |number: &u32| if *number == Register::NO_WRITE { nowhere } else { number + 1 };
        let numbered = || touches.iter().zip(register.numbers.iter().map(number));
        for (_, value) in numbered().filter(|(touch, _)| touch.what == What::Found) {
            self.read[value as usize] = true;
        }
        for (touch, value) in numbered() {
            let (does, completed) = match touch.what {
                What::Wrote => (Does::Write(value), touch.completed()),
                What::Tried if self.read[value as usize] => (Does::Write(value), Moment::NEVER),
                What::Found => (Does::Read(value), touch.completed()),
                What::FoundNothing => (Does::Read(0), touch.completed()),
                What::Tried | What::Refused => continue,
            };
            if let Does::Write(_) = does {
                self.is_unique &= !std::mem::replace(&mut self.written[value as usize], true);
            }
            self.steps.push(Step { does, invoked: touch.invoked, completed, place: touch.place });
        }
    }
}

#[cfg(test)]
mod tests;
