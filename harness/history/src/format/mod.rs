//! The binary form of a history: append-only, and readable wherever it was cut off.
//!
//! All numbers are unsigned and little-endian. A checksum is the CRC-32 of zlib, PNG and Ethernet
//! (CRC-32/ISO-HDLC; Python's `zlib.crc32`).
//!
//! # The file
//! | bytes | |
//! | --- | --- |
//! | 0–7 | `LABHIST` and a line feed |
//! | 8–11 | the version of this format: 1 |
//! | 12–15 | the checksum of bytes 0–11 |
//! | 16– | blocks, one after the other, the first a header, the last an end |
//!
//! # A block
//! | bytes | |
//! | --- | --- |
//! | 0–3 | its kind: 1 header, 2 names, 3 notes, 4 lists, 5 operations, 6 end |
//! | 4–7 | its number: 0 for the first block, then one more for each |
//! | 8–11 | the length of its payload in bytes |
//! | 12–15 | the checksum of its payload |
//! | 16–19 | the checksum of bytes 0–15 |
//! | 20– | its payload |
//!
//! A block is written at once. A file that ends within a block was cut off there, and is good up to that block;
//! a file whose last whole block is no end was cut off, too. Bytes that do not match their checksum are damage,
//! wherever they are, and nothing follows an end.
//!
//! # Payloads
//! - **Header**: JSON, a [`Header`](crate::Header).
//! - **Names**: JSON, `{"objects": […], "nodes": […], "clients": […]}`, where what is missing is empty. The
//!   names of each sort are numbered from 0 through the whole file, in the order in which they come. No name
//!   comes twice.
//! - **Notes**: JSON, an array of [`Note`](crate::Note)s.
//! - **Lists**: what reads of whole sets and streams found, one list after the other: its length, then its values,
//!   each a writer and a distance. All of these are LEB128 numbers: seven bits a byte, the lowest first, and the
//!   highest bit of a byte says that another one follows. A distance is from the sequence number before to this
//!   one, from 0 for the first, and zigzag: 0, 1, 2, 3, … are 0, −1, 1, −2, … Lists are numbered from 0 through
//!   the whole file.
//! - **Operations**: records of 36 bytes. Those of one process are in the order in which they were done; those
//!   of several may come in any order. A record refers to names and lists of earlier blocks only.
//! - **End**: empty.
//!
//! # A record
//! | bytes | |
//! | --- | --- |
//! | 0–7 | intended: microseconds since the run began |
//! | 8–11 | from there until it was handed to the client, in microseconds |
//! | 12–15 | from there until its caller knew what had become of it, in microseconds |
//! | 16–19 | the process: a client's number × 2²⁴ + the worker |
//! | 20–23 | the object's number |
//! | 24–25 | the node's number, or 65535 if nobody knows where it went |
//! | 26 | what was done: the number of a [`Kind`](crate::action::Kind), from 0 in the order of its documentation |
//! | 27 | what became of it: 0 done; 1 done, and there was nothing (only `Read`); 64 + the number of a [`Refusal`](crate::outcome::Refusal); 128 + the number of a [`Doubt`](crate::outcome::Doubt) |
//! | 28–35 | the slot |
//!
//! The slot holds what was written (`Write`, `Add`, `Publish`, `Receive`, `Append`, `Acknowledge`) or, of what was
//! done, what came back: a value (`Read`, `Deliver`, `Claim`), a count (`Increment`, `Count`, `Pending`), a list's
//! number (`Members`, `Entries`), or an entry's id (`LastDelivered`: milliseconds × 2²² + sequence). A value is a
//! sequence number (bytes 28–31) and a writer (bytes 32–35). A slot that holds nothing is 0.
//!
//! # A reader in Python
//! ```python
//! import json, struct, zlib
//!
//! def blocks(file):
//!     magic, version, crc = struct.unpack("<8sII", file.read(16))
//!     assert magic == b"LABHIST\n" and version == 1
//!     while len(head := file.read(20)) == 20:
//!         kind, number, length, payload_crc, head_crc = struct.unpack("<5I", head)
//!         assert zlib.crc32(head[:16]) == head_crc, "damaged"
//!         payload = file.read(length)
//!         if len(payload) < length:
//!             return                                      # cut off
//!         assert zlib.crc32(payload) == payload_crc, "damaged"
//!         yield kind, payload
//!
//! for kind, payload in blocks(open("history", "rb")):
//!     if kind == 5:
//!         for record in struct.iter_unpack("<QIIIIHBBII", payload):
//!             intended, late, took, process, obj, node, action, outcome, sequence, writer = record
//! ```

mod block;
mod list;
mod reader;
mod record;
mod writer;

use std::io;

pub use block::{BLOCK, MAGIC, PREAMBLE, VERSION};
pub use reader::{Operations, Part, Reader};
pub use record::RECORD;
pub use writer::Writer;

use crate::names::Misnamed;

/// Why a file cannot be read as a history.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("it is no history")]
    NoHistory,
    /// It was written by something newer.
    #[error("it is a history of version {found}, and this reads version {VERSION}")]
    Newer {
        /// The version that it says.
        found: u32,
    },
    /// It ends before it says what it is of: nothing was recorded.
    #[error("it is a history that ends before its header")]
    NoHeader,
    /// Bytes are not as they were written.
    #[error("it is damaged at byte {offset}")]
    Damaged {
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong there.
        #[source]
        what: Damage,
    },
    /// A record is as it was written, and means nothing.
    #[error("the record at byte {offset} means nothing")]
    Illegal {
        /// Where the record begins.
        offset: u64,
        /// Why.
        #[source]
        what: Illegal,
    },
}

impl ReadError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "give the path of a history, binary or JSON lines",
            Self::NoHistory => "a history begins with LABHIST, or is JSON lines that begin with its header",
            Self::Newer { .. } => "read it with the lab that wrote it, or export it there as JSON lines",
            Self::NoHeader => "whatever wrote it was killed at once: run it again",
            Self::Damaged { .. } => "copy it again, if this is a copy; what it says cannot be trusted",
            Self::Illegal { .. } => "whatever wrote it has an error: every checksum is right",
        }
    }
}

/// How a part of a file is damaged.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The first sixteen bytes.
    #[error("the file's first bytes do not match their checksum")]
    Preamble,
    /// A block's first bytes.
    #[error("the head of a block does not match its checksum")]
    Head,
    /// A block's payload.
    #[error("the payload of a block does not match its checksum")]
    Payload,
    /// Blocks are missing, or not in their order.
    #[error("this is block {found}, and block {expected} is due")]
    Order {
        /// Whose turn it is.
        expected: u32,
        /// Which it is.
        found: u32,
    },
    /// A block of a kind that this version does not have.
    #[error("no block of kind {0} can be here")]
    Kind(u32),
    /// The payload is no JSON, or not of the form that its block has.
    #[error("its JSON means nothing")]
    Json(#[from] serde_json::Error),
    /// Names that cannot be.
    #[error("its names cannot be")]
    Names(#[from] Misnamed),
    /// The payload ends in the middle of something.
    #[error("its payload ends in the middle of a record or a list")]
    Remainder,
    /// There is more after the end.
    #[error("it goes on after its end")]
    AfterTheEnd,
}

/// Why a record means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// No action has this number.
    #[error("no action has the number {0}")]
    Kind(u8),
    /// No outcome of this action has this number.
    #[error("this action has no outcome with the number {0}")]
    Outcome(u8),
    /// An object without a name.
    #[error("object {0} has no name")]
    Object(u32),
    /// A node without a name.
    #[error("node {0} has no name")]
    Node(u16),
    /// A client without a name.
    #[error("client {0} has no name")]
    Client(u8),
    /// A list that is not there.
    #[error("there is no list {0}")]
    List(u64),
    /// Something where there can be nothing.
    #[error("{0} is where nothing can be")]
    Idle(u64),
}
