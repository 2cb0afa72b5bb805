//! Messages, as those who publish and those who subscribe saw them.

use std::fmt;

use super::{At, Outcome};
use crate::ids::NodeId;

/// One message, as its publisher knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Its place in the publisher's sequence: there is no other message with this number.
    pub sequence: u64,
    /// It was not published before this …
    pub asked: At,
    /// … and its outcome was known by this.
    pub answered: At,
    /// What became of it. Acknowledged is not received: it says that one node has it.
    pub outcome: Outcome,
    /// The subscribers that it was passed on to, as the node that has it answered: its own, and nobody else's.
    pub receivers: Option<u64>,
    /// The error's class, for one that was not acknowledged.
    pub error: Option<String>,
}

/// Everything that one publisher published, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The publisher's number: what each of its messages begins with.
    pub publisher: u32,
    /// One after the other: each was answered, or given up, before the next.
    pub messages: Vec<Publish>,
}

/// A message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// When it was read.
    pub at: At,
    /// Whose it is.
    pub publisher: u32,
    /// Its place in the publisher's sequence.
    pub sequence: u64,
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server said so: `sunsubscribe`, when a slot goes to another node.
    Told,
    /// The connection broke.
    Broken,
    /// The server did not answer any more.
    Silent,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Told => "the server ended it",
            Self::Broken => "its connection broke",
            Self::Silent => "the server fell silent",
        })
    }
}

/// One subscription to one channel: from its confirmation until it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Where.
    pub node: NodeId,
    /// When the server's word was read that it is one.
    pub confirmed: At,
    /// What arrived, in that order.
    pub received: Vec<Received>,
    /// When the subscriber knew that it was over, and how. None if it lasted.
    pub ended: Option<(At, End)>,
}

/// A subscriber: its subscriptions to one channel, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Listened {
    /// What it is called.
    pub subscriber: String,
    /// In order of time.
    pub subscriptions: Vec<Subscription>,
}

impl Listened {
    /// Everything that arrived, whichever subscription it came by.
    pub fn received(&self) -> impl Iterator<Item = &Received> {
        self.subscriptions.iter().flat_map(|subscription| &subscription.received)
    }

    /// The subscription that lasts, if there is one.
    pub fn lasting(&self) -> Option<&Subscription> {
        self.subscriptions.last().filter(|subscription| subscription.ended.is_none())
    }

    /// The first subscription that ended after this, and the one that came next, if any did.
    pub fn renewed_after(&self, from: At) -> Option<(&Subscription, Option<&Subscription>)> {
        let ended = |subscription: &Subscription| subscription.ended.is_some_and(|(at, _)| at >= from);
        let first = self.subscriptions.iter().position(ended)?;
        Some((&self.subscriptions[first], self.subscriptions.get(first + 1)))
    }
}

/// What was said on one channel, and what was heard of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traffic {
    /// Who published on it.
    pub published: Vec<Published>,
    /// Who was subscribed to it.
    pub listened: Vec<Listened>,
}

impl Traffic {
    /// The same with only these of the subscribers.
    ///
    /// # Panics
    /// One of them is not there.
    pub fn heard_by(&self, subscribers: &[&str]) -> Self {
        let named = |name: &&str| {
            let found = self.listened.iter().find(|listened| listened.subscriber == *name);
            found.unwrap_or_else(|| panic!("no subscriber `{name}`")).clone()
        };
        Self { published: self.published.clone(), listened: subscribers.iter().map(named).collect() }
    }
}
