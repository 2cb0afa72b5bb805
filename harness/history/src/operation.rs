//! What was done: by whom, when, to what, and what became of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    names::{Node, Process},
    time::{Length, Moment},
};

/// One operation, from the moment it was meant to begin until its caller knew what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who did it.
    pub process: Process,
    /// The server that it went to, where that is known.
    pub node: Option<Node>,
    /// When.
    pub timing: Timing,
    /// What, and what became of it.
    pub action: Action,
}

/// The three moments of an operation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub(crate) intended: Moment,
    /// In microseconds: two lengths cannot be out of order, three moments can.
    pub(crate) late: u32,
    pub(crate) took: u32,
}

/// Moments that are no timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untimely {
    /// It is over before it began, or began before it was meant to.
    #[error("intended, invoked and completed are not in this order")]
    OutOfOrder,
    /// More than [`Timing::LONGEST`] lies between two of the moments.
    #[error("no operation waits for, or takes, more than 71 minutes")]
    TooLong,
}

impl Timing {
    /// The most that can lie between two moments of an operation: a little more than 71 minutes.
    pub const LONGEST: Length = Length::from_micros(u32::MAX as u64);

    /// An operation that was meant to begin at `intended`, was handed to the client at `invoked`, and whose
    /// caller knew at `completed` what had become of it, or gave it up.
    ///
    /// What was given up before it was handed to the client was invoked at that moment.
    ///
    /// # Errors
    /// The moments are not in this order, or too far apart.
    pub fn new(intended: Moment, invoked: Moment, completed: Moment) -> Result<Self, Untimely> {
        if invoked < intended || completed < invoked {
            return Err(Untimely::OutOfOrder);
        }
        let length = |length: Length| u32::try_from(length.micros()).map_err(|_| Untimely::TooLong);
        let (late, took) = (length(invoked.since(intended))?, length(completed.since(invoked))?);
        Ok(Self { intended, late, took })
    }

    /// What happened at one moment, without anybody's asking for it: a message that came in.
    pub fn at(moment: Moment) -> Self {
        Self { intended: moment, late: 0, took: 0 }
    }

    /// When its schedule wanted it to begin. Latency runs from here: a stall that delays the next operation is
    /// part of that one's latency.
    pub fn intended(self) -> Moment {
        self.intended
    }

    /// When it was handed to the client.
    pub fn invoked(self) -> Moment {
        self.intended + Length::from_micros(self.late.into())
    }

    /// When its caller knew what had become of it, or gave it up.
    pub fn completed(self) -> Moment {
        self.invoked() + Length::from_micros(self.took.into())
    }

    /// As the caller sees it: from the intended beginning to the end.
    pub fn latency(self) -> Length {
        self.completed().since(self.intended)
    }
}

/// What a write writes: it names itself. Of one object, no two writes write the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Value {
    /// Whose it is: a writer, a producer, a publisher.
    pub writer: u32,
    /// Which of the writer's.
    pub sequence: u32,
}

impl From<(u32, u32)> for Value {
    fn from((writer, sequence): (u32, u32)) -> Self {
        Self { writer, sequence }
    }
}

impl From<Value> for (u32, u32) {
    fn from(value: Value) -> Self {
        (value.writer, value.sequence)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.writer, self.sequence)
    }
}

/// The id of a stream's entry, `<milliseconds>-<sequence>`, in the order that the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId(pub(crate) u64);

impl EntryId {
    const SEQUENCE_BITS: u32 = 22;

    /// None after the year 2109, or beyond four million entries in one millisecond.
    pub fn new(millis: u64, sequence: u64) -> Option<Self> {
        let fits = millis >> (64 - Self::SEQUENCE_BITS) == 0 && sequence >> Self::SEQUENCE_BITS == 0;
        fits.then_some(Self(millis << Self::SEQUENCE_BITS | sequence))
    }

    /// Milliseconds, by the server's clock.
    pub fn millis(self) -> u64 {
        self.0 >> Self::SEQUENCE_BITS
    }

    /// Which of the millisecond's.
    pub fn sequence(self) -> u64 {
        self.0 & ((1 << Self::SEQUENCE_BITS) - 1)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis(), self.sequence())
    }
}

/// A text that is no entry's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no entry's id")]
pub struct NoEntryId(String);

impl FromStr for EntryId {
    type Err = NoEntryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .split_once('-')
            .and_then(|(millis, sequence)| Self::new(millis.parse().ok()?, sequence.parse().ok()?));
        parts.ok_or_else(|| NoEntryId(text.to_owned()))
    }
}

/// The values that one read of a whole set or stream found: a number of [`History::list`](crate::History::list).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct List(pub(crate) u32);
