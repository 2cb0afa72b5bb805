//! What is asked of a deployment: operations that say afterwards what became of the data.

mod choice;
mod durability;
mod homes;
mod keyed;
mod part;
mod running;
mod streams;

use std::{fmt, str::FromStr};

use lab_history::{Action, Doubt, Object, Outcome, Value};

pub(crate) use self::keyed::KEYS;
pub use self::{
    choice::{Distribution, UnknownDistribution},
    durability::{Durability, UnknownDurability},
    homes::Homes,
    keyed::{Keyed, Plan},
    part::{Consuming, Part, UnknownPart},
    running::{Application, NotStarted, READER, Running},
};
use crate::{
    client::Unanswered,
    command::{Reply, Request},
    tape::Tape,
};

/// What is asked for, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// `SET` and `GET` of registers; every value names its write.
    Registers,
    /// `SADD` of elements that are unique, and `SMEMBERS`.
    Sets,
    /// `INCR` and `GET`.
    Counters,
    /// `PUBLISH` of messages that are unique, and `SUBSCRIBE`.
    PubSub,
    /// The same of sharded channels: `SPUBLISH` and `SSUBSCRIBE`. Before a cluster only.
    ShardedPubSub,
    /// `XADD` of entries that are unique, and a consumer group of each stream.
    Streams,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Registers, Self::Sets, Self::Counters, Self::PubSub, Self::ShardedPubSub, Self::Streams];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registers => "registers",
            Self::Sets => "sets",
            Self::Counters => "counters",
            Self::PubSub => "pubsub",
            Self::ShardedPubSub => "sharded-pubsub",
            Self::Streams => "streams",
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no such workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no workload `{0}`; known are registers, sets, counters, pubsub, sharded-pubsub, streams")]
pub struct UnknownSort(String);

impl FromStr for Sort {
    type Err = UnknownSort;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|sort| sort.name() == text);
        found.ok_or_else(|| UnknownSort(text.to_owned()))
    }
}

/// An operation that is about to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What is sent.
    pub request: Request,
    /// What it is, for the record.
    pub what: What,
    /// What has to be true of the answers, beyond that they came.
    pub durability: Durability,
}

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// [`Action::Write`].
    Write(Object, Value),
    /// [`Action::Read`].
    Read(Object),
    /// [`Action::Add`].
    Add(Object, Value),
    /// [`Action::Members`].
    Members(Object),
    /// [`Action::Increment`].
    Increment(Object),
    /// [`Action::Count`].
    Count(Object),
    /// [`Action::Publish`].
    Publish(Object, Value),
    /// [`Action::Append`].
    Append(Object, Value),
}

impl Intent {
    /// What became of it, for the record on `tape`.
    pub fn became(&self, answers: Result<Vec<Reply>, Unanswered>, tape: &Tape) -> Action {
        let answer = answers.and_then(|answers| self.durability.judge(answers));
        match self.what {
            What::Write(object, value) => Action::Write { object, value, outcome: done(answer) },
            What::Add(object, value) => Action::Add { object, value, outcome: done(answer) },
            What::Publish(object, value) => Action::Publish { object, value, outcome: done(answer) },
            What::Append(object, value) => Action::Append { object, value, outcome: done(answer) },
            What::Read(object) => Action::Read { object, outcome: read(answer, value) },
            What::Increment(object) => Action::Increment { object, outcome: read(answer, count) },
            What::Count(object) => Action::Count { object, outcome: read(answer, count) },
            What::Members(object) => {
                let members = |reply: &Reply| {
                    let values: Option<Vec<_>> = reply.list().iter().map(|part| value(part)?).collect();
                    tape.list(&values?).ok()
                };
                Action::Members { object, outcome: read(answer, members) }
            }
        }
    }
}

fn done(answer: Result<Reply, Unanswered>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Ok(()),
        Err(unanswered) => unanswered.into(),
    }
}

fn read<T>(answer: Result<Reply, Unanswered>, meaning: impl Fn(&Reply) -> Option<T>) -> Outcome<T> {
    match answer.map(|reply| meaning(&reply)) {
        Ok(Some(meaning)) => Outcome::Ok(meaning),
        Ok(None) => Outcome::Indeterminate(Doubt::Garbled),
        Err(unanswered) => unanswered.into(),
    }
}

/// What a register holds, if it holds anything; none where it holds what nobody wrote in this form.
fn value(reply: &Reply) -> Option<Option<Value>> {
    if *reply == Reply::Nothing {
        return Some(None);
    }
    value_in(reply.text()?).map(Some)
}

/// The value that a text says; none where nobody wrote it in this form.
pub(crate) fn value_in(text: &str) -> Option<Value> {
    let (writer, sequence) = text.split_once(':').map_or(text, |(value, _)| value).split_once('.')?;
    Some(Value { writer: writer.parse().ok()?, sequence: sequence.parse().ok()? })
}

/// A counter that does not exist is at 0.
fn count(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Nothing => Some(0),
        _ => reply.number()?.try_into().ok(),
    }
}

/// A value as it is written, filled up to `size` bytes.
pub(crate) fn written(value: Value, size: usize) -> String {
    let mut text = value.to_string();
    if text.len() + 1 < size {
        text.push(':');
        text.extend(std::iter::repeat_n('x', size - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_reads_as_it_was_written(writer: u32, sequence: u32, size in 0_usize..300) {
            let written_value = Value { writer, sequence };
            let text = written(written_value, size);
            prop_assert!(text.len() >= size.saturating_sub(1));
            prop_assert_eq!(value(&Reply::Text(text.into_bytes())), Some(Some(written_value)));
        }
    }

    #[test]
    fn every_workload_is_named_where_one_is_unknown() {
        let said = "lists".parse::<Sort>().unwrap_err().to_string();
        let named: Vec<&str> = said.rsplit_once("known are ").unwrap().1.split(", ").collect();
        assert_eq!(named, Sort::ALL.map(Sort::name));
        assert!(Sort::ALL.into_iter().all(|sort| sort.name().parse() == Ok(sort)));
    }

    #[test]
    fn what_nobody_wrote_is_no_value() {
        assert_eq!(value(&Reply::Nothing), Some(None));
        assert_eq!(value(&Reply::Text(b"17".to_vec())), None);
        assert_eq!(count(&Reply::Text(b"17".to_vec())), Some(17));
        assert_eq!(count(&Reply::Number(-1)), None);
    }
}
