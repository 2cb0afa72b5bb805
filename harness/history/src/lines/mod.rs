//! The same history as JSON lines: for `jq`, for other languages, and to be read by people.
//!
//! The first line is the [`Header`], recognised by its `schema`. Then come, in any order, names, notes and
//! operations, one a line, and at last the end. The names may be left out: what an operation names is then
//! numbered in the order in which it is first named.
//!
//! ```text
//! {"schema":1,"run":"example","seed":7}
//! {"names":{"objects":["register:0"],"clients":["redis"]}}
//! {"note":"settled","at_us":9000}
//! {"op":"write","object":"register:0","client":"redis","worker":0,"intended_us":0,"invoked_us":12,"completed_us":310,"value":[0,1],"outcome":"ok"}
//! {"op":"read","object":"register:0","client":"redis","worker":0,"intended_us":1000,"invoked_us":1004,"completed_us":1290,"outcome":"ok","result":[0,1]}
//! {"op":"read","object":"register:0","client":"redis","worker":0,"intended_us":2000,"invoked_us":2003,"completed_us":2100,"outcome":"failed","reason":"cluster_down"}
//! {"end":"whole"}
//! ```
//!
//! `op` is the name of a [`Kind`](crate::action::Kind); `outcome` is `ok`, `failed` or `indeterminate`, the latter two with a `reason`, a
//! [`Refusal`](crate::outcome::Refusal) or a [`Doubt`](crate::outcome::Doubt); `node` says where it went, where that is known. A value is `[writer, sequence]`.
//! `value` is what was written; `result` is what came back: a value, or nothing from a register that holds
//! nothing; a count; an array of values; an entry's id as text. Without its last line a history was cut off.

mod operation;

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use self::operation::OperationLine;
use crate::{
    history::{Ending, History},
    names::{Counts, Misnamed, Named},
    note::Header,
    operation::{NoEntryId, Operation, Untimely},
};

/// Why JSON lines cannot be read as a history.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The file itself cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// Its first line is no header.
    #[error("its first line is no header of a history")]
    NoHeader(#[source] serde_json::Error),
    /// It was written by something newer.
    #[error("it is a history of version {found}, and this reads version {}", Header::SCHEMA)]
    Newer {
        /// The version that it says.
        found: u32,
    },
    /// A line means nothing.
    #[error("line {line} means nothing")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Why.
        #[source]
        what: Meaningless,
    },
}

impl LinesError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "give the path of a history, binary or JSON lines",
            Self::NoHeader(_) => "a history begins with LABHIST, or is JSON lines that begin with its header",
            Self::Newer { .. } => "read it with the lab that wrote it",
            Self::Line { .. } => "`cargo lab check --export` writes lines as they should be",
        }
    }
}

/// Why a line means nothing.
#[derive(Debug, thiserror::Error)]
pub enum Meaningless {
    /// It is no JSON, or not of a form that lines have.
    #[error("it is neither an operation, nor names, a note or the end")]
    Form(#[from] serde_json::Error),
    /// Names that cannot be.
    #[error("its names cannot be")]
    Names(#[from] Misnamed),
    /// One client or node more than a history can tell apart.
    #[error("`{0}` is one client or node too many")]
    TooMany(String),
    /// A client cannot have so many workers.
    #[error("no client has a worker {0}")]
    Worker(u32),
    /// Moments that are no timing.
    #[error("its moments cannot be")]
    Timing(#[from] Untimely),
    /// What this action needs is not there, or what it cannot have is.
    #[error("a `{op}` with this outcome has {should}")]
    Shape {
        /// What was done.
        op: String,
        /// What it should have.
        should: &'static str,
    },
    /// No entry's id.
    #[error(transparent)]
    Id(#[from] NoEntryId),
    /// Something follows the end.
    #[error("it comes after the end")]
    AfterTheEnd,
}

/// The line of names.
#[derive(Serialize, Deserialize)]
struct NamesLine {
    names: Named,
}

/// The last line.
#[derive(Serialize, Deserialize)]
struct EndLine {
    end: Ending,
}

impl History {
    /// Writes the history as JSON lines.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn export(&self, out: &mut impl Write) -> io::Result<()> {
        line(out, &self.header)?;
        line(out, &NamesLine { names: self.names.since(Counts::default()) })?;
        for note in &self.notes {
            line(out, note)?;
        }
        for operation in &self.operations {
            line(out, &OperationLine::of(operation, self))?;
        }
        line(out, &EndLine { end: self.ending })
    }

    /// Reads a history from JSON lines. A last line without a line feed was cut off, and is left out.
    ///
    /// # Errors
    /// A line means nothing, or the first one is no header.
    pub fn import(mut input: impl BufRead) -> Result<Self, LinesError> {
        let mut text = String::new();
        input.read_line(&mut text)?;
        let header: Header = serde_json::from_str(&text).map_err(LinesError::NoHeader)?;
        if header.schema > Header::SCHEMA {
            return Err(LinesError::Newer { found: header.schema });
        }
        let mut history = Self::new(header);
        let mut at = text.len() as u64;
        history.ending = Ending::Cut { at, spare: 0 };
        let mut over = false;
        for number in 2.. {
            text.clear();
            let read = input.read_line(&mut text)?;
            if !text.ends_with('\n') && !over {
                history.ending = Ending::Cut { at, spare: read as u64 };
            }
            if !text.ends_with('\n') && (!over || read == 0) {
                break;
            }
            at += read as u64;
            let meaning = if over { Err(Meaningless::AfterTheEnd) } else { history.take(&text) };
            over = meaning.map_err(|what| LinesError::Line { line: number, what })?;
        }
        Ok(history)
    }

    /// The line of an operation, as JSON without its line feed.
    pub fn line_of(&self, operation: &Operation) -> String {
        serde_json::to_string(&OperationLine::of(operation, self)).expect("plain data")
    }

    /// Takes a line in; whether it was the end.
    fn take(&mut self, text: &str) -> Result<bool, Meaningless> {
        let json: serde_json::Value = serde_json::from_str(text)?;
        // Told apart by what they have, not by trying one form after the other: the error is then about the
        // form that was meant.
        let has = |key| json.get(key).is_some();
        if has("op") {
            let operation = OperationLine::deserialize(json)?.operation(self)?;
            self.operations.push(operation);
        } else if has("note") {
            self.notes.push(serde_json::from_value(json)?);
        } else if has("names") {
            self.names.extend(NamesLine::deserialize(json)?.names)?;
        } else {
            self.ending = EndLine::deserialize(json)?.end;
            return Ok(true);
        }
        Ok(false)
    }
}

fn line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
