//! The record of a run, operation by operation, and the judges of what it shows.
//!
//! A [`Writer`](format::Writer) records a history while it happens; [`History`] is what is read back; the
//! [`judge`]s are pure functions of it. Nothing here touches a socket, and nothing here knows the rest of the lab:
//! whoever reports on a run depends on this, and not the other way round.
//!
//! # What a history is
//! [Processes](Process) do [operations](operation::Operation) on [objects](Object), each one at a time. An operation
//! has three moments, on one clock: when its schedule *intended* it, when it was *invoked*, and when it was
//! *completed*. It took effect, if at all, at one instant between its invocation and its completion; of two
//! operations, one precedes the other only if it was completed before the other was invoked.
//!
//! What became of it is one of three things, and the difference is what the judges live on:
//! - **ok**: it was done.
//! - **failed**: it was certainly not done, and never will be: refused, or never sent.
//! - **indeterminate**: sent, and no answer. It may have been applied, or be applied later, until somebody
//!   sees that it was. It is neither lost nor failed.
//!
//! These are Jepsen's `ok`, `fail` and `info`, with invocation and completion in one record: a history needs 36
//! bytes an operation.
//!
//! Beside the operations there are [notes](note::Note), on the same clock: faults, roles, endpoints, and the moment
//! at which everything had [settled](note::Event::Settled), after which a read is a final one.
//!
//! # How it is kept
//! In a binary [format](mod@format) that is written as the run goes, and that is good to the last whole block
//! wherever it was cut off; and as JSON [lines], which say the same.

pub mod action;
mod describe;
pub mod format;
pub mod history;
pub mod judge;
pub mod lines;
pub mod names;
pub mod note;
pub mod open;
pub mod operation;
pub mod outcome;
pub mod time;

pub use action::Action;
pub use history::{Ending, History};
pub use names::{Client, Names, Node, Object, Process};
pub use note::{Event, Header, Note};
pub use operation::{Operation, Timing, Value};
pub use outcome::{Doubt, Outcome, Refusal};
pub use time::{Length, Moment};
