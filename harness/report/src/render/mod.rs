//! The views of a report. Each is a pure function of it: no clock, no file, no socket.

pub mod html;
pub mod json;
pub mod markdown;
pub mod terminal;
pub mod timeline;

pub(crate) mod tally;
pub(crate) mod units;
