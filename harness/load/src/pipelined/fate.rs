//! What became of an operation, for the record.

use lab_history::{Action, Doubt, Moment, Operation, Outcome, Timing, Value};

use super::{
    connection::Flight,
    resp::Answer,
    traffic::{Asked, read as value},
};
use crate::client::refusal;

/// What became of an operation.
pub(super) enum Fate<'a> {
    Answered(Answer<'a>),
    Unknown(Doubt),
}

/// How an operation is put on record that was over at `now`.
pub(super) fn operation(flight: &Flight, now: Moment, fate: Fate<'_>) -> Operation {
    let Flight { intended, invoked, asked: Asked { object, value }, process } = *flight;
    let timing = Timing::new(intended, invoked, now)
        .expect("it was meant, then sent, then over, and not after an hour");
    let action = match value {
        Some(value) => Action::Write { object, value, outcome: written(fate) },
        None => Action::Read { object, outcome: read(fate) },
    };
    Operation { process, node: None, timing, action }
}

fn written(fate: Fate<'_>) -> Outcome {
    match fate {
        Fate::Answered(Answer::Done) => Outcome::Ok(()),
        Fate::Answered(Answer::Error(error)) => Outcome::Failed(refusal(code(error))),
        Fate::Answered(_) => Outcome::Indeterminate(Doubt::Garbled),
        Fate::Unknown(doubt) => Outcome::Indeterminate(doubt),
    }
}

fn read(fate: Fate<'_>) -> Outcome<Option<Value>> {
    match fate {
        Fate::Answered(Answer::Nothing) => Outcome::Ok(None),
        Fate::Answered(Answer::Text(text)) => match value(text) {
            Some(value) => Outcome::Ok(Some(value)),
            None => Outcome::Indeterminate(Doubt::Garbled),
        },
        Fate::Answered(Answer::Error(error)) => Outcome::Failed(refusal(code(error))),
        Fate::Answered(Answer::Done) => Outcome::Indeterminate(Doubt::Garbled),
        Fate::Unknown(doubt) => Outcome::Indeterminate(doubt),
    }
}

/// The first word of an error.
fn code(error: &[u8]) -> &str {
    let word = error.split(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(word).unwrap_or_default()
}
