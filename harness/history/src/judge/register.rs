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
    /// Its place among the register's operations.
    pub(super) at: u32,
    /// Somebody read it.
    pub(super) seen: bool,
    /// Another write, which may have been applied as well, wrote the same value.
    pub(super) ambiguous: bool,
    /// By now it was in effect: it was acknowledged, or somebody had read it.
    pub(super) effective: Moment,
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

/// The writes of one register at a time. Used again for the next one, for its memory.
#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) writes: Vec<Write>,
    /// Of each operation, a number for the value that it wrote or found, the same for the same value: that of one
    /// of its writes. [`Register::NO_WRITE`] for no value, and for one that nobody wrote.
    pub(super) numbers: Vec<u32>,
    table: Table,
}

impl Register {
    pub(super) const NO_WRITE: u32 = u32::MAX;

    /// Finds out what can be known of a register's writes.
    pub(super) fn look_at(&mut self, touches: &[Touch]) {
        self.writes.clear();
        self.numbers.clear();
        self.table.reset(touches.len());
        for (at, touch) in (0..).zip(touches) {
            let number = match touch.what {
                What::Wrote => self.wrote(touches, at, touch.completed()),
                What::Tried | What::Refused => self.wrote(touches, at, Moment::NEVER),
                What::Found | What::FoundNothing => Self::NO_WRITE,
            };
            self.numbers.push(number);
        }
        for (at, touch) in touches.iter().enumerate().filter(|(_, touch)| touch.what == What::Found) {
            self.numbers[at] = self.table.get(touch.value).unwrap_or(Self::NO_WRITE);
            if let Source::Write(number) = self.source(touches, at) {
                let write = &mut self.writes[number as usize];
                write.seen = true;
                write.effective = write.effective.min(touch.completed());
            }
        }
    }

    /// Takes a write in; the number of its value.
    fn wrote(&mut self, touches: &[Touch], at: u32, effective: Moment) -> u32 {
        let touch = &touches[at as usize];
        let number = self.writes.len() as u32;
        self.writes.push(Write { at, seen: false, ambiguous: false, effective });
        let Some(first) = self.table.get(touch.value) else {
            self.table.insert(touch.value, number);
            return number;
        };
        if touch.what == What::Refused {
            return first;
        }
        // A write that was refused, and done again: the value is that of the second.
        if touches[self.writes[first as usize].at as usize].what == What::Refused {
            self.table.insert(touch.value, number);
            return number;
        }
        self.writes[first as usize].ambiguous = true;
        self.writes[number as usize].ambiguous = true;
        first
    }

    /// Where the read at this place has its value from.
    pub(super) fn source(&self, touches: &[Touch], at: usize) -> Source {
        let (read, number) = (&touches[at], self.numbers[at]);
        if read.what == What::FoundNothing {
            return Source::Nothing;
        }
        let Some(write) = self.writes.get(number as usize) else { return Source::Nowhere };
        let wrote = &touches[write.at as usize];
        match () {
            () if write.ambiguous => Source::Ambiguous,
            () if wrote.what == What::Refused || read.completed() < wrote.invoked => Source::Nowhere,
            () => Source::Write(number),
        }
    }
}
