//! The whole record of one run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    names::Names,
    note::{Event, Header, Note},
    operation::{List, Operation, Value},
    time::Moment,
};

/// Everything that was done in a run, and everything that happened meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What it is of.
    pub header: Header,
    /// What the numbers in the operations stand for.
    pub names: Names,
    /// In the order in which they were recorded: those of one process in the order in which they were done.
    pub operations: Vec<Operation>,
    /// In the order in which they were recorded.
    pub notes: Vec<Note>,
    /// Whether this is all of it.
    pub ending: Ending,
    pub(crate) lists: Vec<Box<[Value]>>,
}

/// How the record of a history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With its end: this is all that was recorded.
    Whole,
    /// In the middle: whoever wrote it was killed, or writes it still. Up to here it is as it was recorded;
    /// what followed is not known.
    Cut {
        /// Where in the file the last whole part ends, in bytes.
        at: u64,
        /// How many bytes of a part that is not whole follow.
        spare: u64,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Cut { at, spare } => write!(f, "cut off after {at} bytes ({spare} more are of no use)"),
        }
    }
}

impl History {
    /// One in which nothing has happened yet.
    pub fn new(header: Header) -> Self {
        Self {
            header,
            names: Names::default(),
            operations: Vec::new(),
            notes: Vec::new(),
            ending: Ending::Whole,
            lists: Vec::new(),
        }
    }

    /// What a read of a whole set or stream found.
    pub fn list(&self, list: List) -> &[Value] {
        &self.lists[list.0 as usize]
    }

    /// What all reads of whole sets and streams found, by number.
    pub fn lists(&self) -> impl Iterator<Item = &[Value]> {
        self.lists.iter().map(AsRef::as_ref)
    }

    /// Keeps what a read of a whole set or stream found.
    pub fn keep(&mut self, values: impl Into<Box<[Value]>>) -> List {
        self.lists.push(values.into());
        List(u32::try_from(self.lists.len() - 1).expect("memory ends before the numbers do"))
    }

    /// When the last fault was healed and everything had settled: the reads after it are final. None if
    /// nobody waited for that.
    pub fn settled(&self) -> Option<Moment> {
        let settled = self.notes.iter().filter(|note| note.event == Event::Settled);
        settled.map(|note| note.at).max()
    }

    /// When the last operation was over.
    pub fn end(&self) -> Moment {
        let ended = self.operations.iter().map(|operation| operation.timing.completed());
        ended.max().unwrap_or_default()
    }
}
