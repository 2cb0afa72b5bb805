//! One register: who wrote what it was read to hold.

use super::{grouped::Grouped, table::Table};
use crate::{
    action::Action,
    history::History,
    operation::{Operation, Value},
    outcome::Outcome,
    time::{Length, Moment},
};

/// What was done to a register, as far as it matters: reads that brought nothing back are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum What {
    /// A write that was acknowledged.
    Wrote,
    /// A write of which nobody knows.
    Tried,
    /// A write that was certainly not applied.
    #[default]
    Refused,
    /// A read that found a value.
    Found,
    /// A read that found nothing.
    FoundNothing,
}

/// One operation on a register.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Touch {
    pub(super) invoked: Moment,
    /// In microseconds, as in the record: ten million of these are to fit into the memory and the time.
    took: u32,
    pub(super) process: u32,
    /// In the history.
    pub(super) place: u32,
    pub(super) value: Value,
    pub(super) what: What,
}

impl Touch {
    fn of(place: u32, operation: &Operation) -> Option<Self> {
        let (what, value) = match operation.action {
            Action::Write { value, outcome: Outcome::Ok(()), .. } => (What::Wrote, value),
            Action::Write { value, outcome: Outcome::Indeterminate(_), .. } => (What::Tried, value),
            Action::Write { value, outcome: Outcome::Failed(_), .. } => (What::Refused, value),
            Action::Read { outcome: Outcome::Ok(Some(value)), .. } => (What::Found, value),
            Action::Read { outcome: Outcome::Ok(None), .. } => (What::FoundNothing, Value::default()),
            _ => return None,
        };
        let (timing, process) = (operation.timing, operation.process.0);
        Some(Self { invoked: timing.invoked(), took: timing.took, process, place, value, what })
    }

    pub(super) fn completed(&self) -> Moment {
        self.invoked + Length::from_micros(self.took.into())
    }
}

/// The registers of a history.
pub(super) fn registers(history: &History) -> Grouped<Touch> {
    Grouped::of(history, Touch::of)
}

/// A write, and what the reads tell of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    pub(super) touch: Touch,
    /// By now it was in effect: it was acknowledged, or somebody had read it.
    pub(super) effective: Moment,
    /// Somebody read it.
    pub(super) seen: bool,
    /// Another write, which may have been applied as well, wrote the same value.
    pub(super) ambiguous: bool,
}

/// Where a read has its value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// There was no value yet.
    Nothing,
    /// From this one of the writes.
    Write(u32),
    /// From one of several writes: nobody knows from which.
    Ambiguous,
    /// From nowhere: nobody wrote it, or only somebody who was refused, or only later.
    Nowhere,
}

/// The writes of one register at a time, and the reads' sources. Used again for the next one, for its memory.
#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) writes: Vec<Write>,
    /// The sources of the reads, in their order.
    pub(super) sources: Vec<Source>,
    /// Of each operation, a number for the value that it wrote or found, the same for the same value: the place of
    /// a write of it. None for no value, and for one that nobody wrote.
    pub(super) numbers: Vec<Option<u32>>,
    table: Table,
}

impl Register {
    /// Finds out what can be known of a register's writes.
    pub(super) fn look_at(&mut self, touches: &[Touch]) {
        self.writes.clear();
        self.sources.clear();
        self.numbers.clear();
        self.table.reset(touches.len());
        for touch in touches {
            let number = match touch.what {
                What::Wrote => Some(self.wrote(touch, touch.completed())),
                What::Tried | What::Refused => Some(self.wrote(touch, Moment::NEVER)),
                What::Found | What::FoundNothing => None,
            };
            self.numbers.push(number);
        }
        for (place, touch) in touches.iter().enumerate() {
            match touch.what {
                What::Found => {
                    let number = self.table.get(touch.value);
                    self.numbers[place] = number;
                    let source = number.map_or(Source::Nowhere, |number| self.source(touch, number));
                    self.sources.push(source);
                }
                What::FoundNothing => self.sources.push(Source::Nothing),
                What::Wrote | What::Tried | What::Refused => {}
            }
        }
    }

    /// Takes a write in; the number of its value.
    fn wrote(&mut self, touch: &Touch, effective: Moment) -> u32 {
        let write = Write { touch: *touch, effective, seen: false, ambiguous: false };
        let number = self.writes.len() as u32;
        self.writes.push(write);
        match self.table.get(touch.value) {
            None => self.table.insert(touch.value, number),
            Some(first) if touch.what == What::Refused => return first,
            // A write that was refused, and done again: the value is that of the second.
            Some(first) if self.writes[first as usize].touch.what == What::Refused => {
                self.table.insert(touch.value, number);
            }
            Some(first) => {
                self.writes[first as usize].ambiguous = true;
                self.writes[number as usize].ambiguous = true;
                return first;
            }
        }
        number
    }

    fn source(&mut self, read: &Touch, number: u32) -> Source {
        let write = &mut self.writes[number as usize];
        if write.ambiguous {
            return Source::Ambiguous;
        }
        if write.touch.what == What::Refused || read.completed() < write.touch.invoked {
            return Source::Nowhere;
        }
        write.seen = true;
        write.effective = write.effective.min(read.completed());
        Source::Write(number)
    }
}
