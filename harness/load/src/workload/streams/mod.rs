//! Streams with a consumer group each: entries are appended, delivered, acknowledged, and taken over from whoever has
//! left them.

mod answer;
mod consumer;
mod finals;
#[cfg(test)]
mod tests;

pub(super) use self::{
    consumer::{Consumer, found},
    finals::{catch_up, read_back},
};
use crate::command::Request;

/// The group of every stream.
const GROUP: &str = "failover-lab";
/// The one field of every entry.
const FIELD: &str = "value";

/// An entry, appended.
pub(super) fn append(stream: &str, value: &str) -> Request {
    Request::new(stream, &["XADD", stream, "*", FIELD, value])
}
