//! What can be done to an object, and what can come of it.

use serde::{Deserialize, Serialize};

use crate::{
    names::Object,
    operation::{EntryId, List, Value},
    outcome::{Outcome, words},
};

/// What was done to an object.
///
/// Only what is done has a result, so the result is part of the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `SET`: a register takes a value.
    Write {
        /// The register.
        object: Object,
        /// What it is to hold.
        value: Value,
        /// What became of it.
        outcome: Outcome,
    },
    /// `GET`: what a register holds, if it holds anything.
    Read {
        /// The register.
        object: Object,
        /// What it held.
        outcome: Outcome<Option<Value>>,
    },
    /// `SADD`: a set takes an element.
    Add {
        /// The set.
        object: Object,
        /// The element.
        value: Value,
        /// What became of it.
        outcome: Outcome,
    },
    /// `SMEMBERS`: all elements of a set.
    Members {
        /// The set.
        object: Object,
        /// What it held.
        outcome: Outcome<List>,
    },
    /// `INCR`: a counter grows by one, and says how far it is.
    Increment {
        /// The counter.
        object: Object,
        /// The count that this increment made.
        outcome: Outcome<u64>,
    },
    /// `GET` of a counter; one that does not exist is at 0.
    Count {
        /// The counter.
        object: Object,
        /// How far it is.
        outcome: Outcome<u64>,
    },
    /// `PUBLISH`, `SPUBLISH`: a message to a channel.
    Publish {
        /// The channel.
        object: Object,
        /// The message; its writer is its publisher.
        value: Value,
        /// What became of it.
        outcome: Outcome,
    },
    /// `SUBSCRIBE`, `SSUBSCRIBE`: the process listens to a channel, or listens again.
    Subscribe {
        /// The channel.
        object: Object,
        /// What became of it.
        outcome: Outcome,
    },
    /// A message came in.
    Receive {
        /// The channel.
        object: Object,
        /// The message.
        value: Value,
    },
    /// The process stops listening: what is published from here on is not for it.
    Unsubscribe {
        /// The channel.
        object: Object,
    },
    /// `XADD`: an entry is appended to a stream.
    Append {
        /// The stream. It has one consumer group.
        object: Object,
        /// The entry.
        value: Value,
        /// What became of it.
        outcome: Outcome,
    },
    /// `XREADGROUP … >`: an entry that the group has not delivered yet.
    Deliver {
        /// The stream.
        object: Object,
        /// The entry; one delivery for each.
        outcome: Outcome<Value>,
    },
    /// `XAUTOCLAIM`, `XREADGROUP … 0`: an entry that was delivered before, and is not acknowledged.
    Claim {
        /// The stream.
        object: Object,
        /// The entry; one claim for each.
        outcome: Outcome<Value>,
    },
    /// `XACK`: the group is done with an entry.
    Acknowledge {
        /// The stream.
        object: Object,
        /// The entry.
        value: Value,
        /// What became of it.
        outcome: Outcome,
    },
    /// `XPENDING`: how many entries are delivered and not acknowledged.
    Pending {
        /// The stream.
        object: Object,
        /// How many.
        outcome: Outcome<u64>,
    },
    /// `XINFO GROUPS`, `last-delivered-id`: how far the group is.
    LastDelivered {
        /// The stream.
        object: Object,
        /// The id of the last entry that was delivered for the first time.
        outcome: Outcome<EntryId>,
    },
    /// `XRANGE - +`: all entries of a stream.
    Entries {
        /// The stream.
        object: Object,
        /// What it held.
        outcome: Outcome<List>,
    },
}

words! {
    /// What is done, without to what and what became of it.
    Kind {
        /// [`Action::Write`].
        Write,
        /// [`Action::Read`].
        Read,
        /// [`Action::Add`].
        Add,
        /// [`Action::Members`].
        Members,
        /// [`Action::Increment`].
        Increment,
        /// [`Action::Count`].
        Count,
        /// [`Action::Publish`].
        Publish,
        /// [`Action::Subscribe`].
        Subscribe,
        /// [`Action::Receive`].
        Receive,
        /// [`Action::Unsubscribe`].
        Unsubscribe,
        /// [`Action::Append`].
        Append,
        /// [`Action::Deliver`].
        Deliver,
        /// [`Action::Claim`].
        Claim,
        /// [`Action::Acknowledge`].
        Acknowledge,
        /// [`Action::Pending`].
        Pending,
        /// [`Action::LastDelivered`].
        LastDelivered,
        /// [`Action::Entries`].
        Entries,
    }
}

impl Kind {
    /// Whether somebody waits for it: a message that comes in was not asked for.
    pub fn is_asked_for(self) -> bool {
        !matches!(self, Self::Receive | Self::Unsubscribe)
    }

    /// Whether it says which value it is about.
    pub(crate) fn writes_a_value(self) -> bool {
        use Kind::{Acknowledge, Add, Append, Publish, Receive, Write};
        matches!(self, Write | Add | Publish | Receive | Append | Acknowledge)
    }
}

impl Action {
    /// What is done, without to what and what became of it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Write { .. } => Kind::Write,
            Self::Read { .. } => Kind::Read,
            Self::Add { .. } => Kind::Add,
            Self::Members { .. } => Kind::Members,
            Self::Increment { .. } => Kind::Increment,
            Self::Count { .. } => Kind::Count,
            Self::Publish { .. } => Kind::Publish,
            Self::Subscribe { .. } => Kind::Subscribe,
            Self::Receive { .. } => Kind::Receive,
            Self::Unsubscribe { .. } => Kind::Unsubscribe,
            Self::Append { .. } => Kind::Append,
            Self::Deliver { .. } => Kind::Deliver,
            Self::Claim { .. } => Kind::Claim,
            Self::Acknowledge { .. } => Kind::Acknowledge,
            Self::Pending { .. } => Kind::Pending,
            Self::LastDelivered { .. } => Kind::LastDelivered,
            Self::Entries { .. } => Kind::Entries,
        }
    }

    /// What it is done to.
    pub fn object(&self) -> Object {
        match self {
            Self::Write { object, .. }
            | Self::Read { object, .. }
            | Self::Add { object, .. }
            | Self::Members { object, .. }
            | Self::Increment { object, .. }
            | Self::Count { object, .. }
            | Self::Publish { object, .. }
            | Self::Subscribe { object, .. }
            | Self::Receive { object, .. }
            | Self::Unsubscribe { object }
            | Self::Append { object, .. }
            | Self::Deliver { object, .. }
            | Self::Claim { object, .. }
            | Self::Acknowledge { object, .. }
            | Self::Pending { object, .. }
            | Self::LastDelivered { object, .. }
            | Self::Entries { object, .. } => *object,
        }
    }

    /// What became of it, whatever it brought back.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Write { outcome, .. }
            | Self::Add { outcome, .. }
            | Self::Publish { outcome, .. }
            | Self::Subscribe { outcome, .. }
            | Self::Append { outcome, .. }
            | Self::Acknowledge { outcome, .. } => *outcome,
            Self::Read { outcome, .. } => outcome.plain(),
            Self::Members { outcome, .. } | Self::Entries { outcome, .. } => outcome.plain(),
            Self::Increment { outcome, .. } | Self::Count { outcome, .. } | Self::Pending { outcome, .. } => {
                outcome.plain()
            }
            Self::Deliver { outcome, .. } | Self::Claim { outcome, .. } => outcome.plain(),
            Self::LastDelivered { outcome, .. } => outcome.plain(),
            Self::Receive { .. } | Self::Unsubscribe { .. } => Outcome::Ok(()),
        }
    }
}
