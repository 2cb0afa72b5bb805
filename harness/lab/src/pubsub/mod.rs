//! Publish and subscribe: who says something on a channel, and who hears it.
//!
//! A cluster has two kinds of channel. What is published on an ordinary one goes over the bus to every node, and so to
//! every subscriber. A sharded one belongs to a slot as a key does: it is published and subscribed to at the nodes of
//! that slot's shard, the replicas among them.

mod publisher;
mod subscriber;

use lab_report::Slot;
use redis::PushKind;

pub use publisher::Publisher;
pub(crate) use subscriber::Plan;
pub use subscriber::Subscriber;

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    name: String,
    kind: Kind,
}

/// How far a channel reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Sharded,
}

impl Channel {
    /// One that every node has.
    pub fn ordinary(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Ordinary }
    }

    /// One that only the nodes of one shard have: of the shard that has the slot of its name.
    pub fn sharded(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Sharded }
    }

    /// The slot of its name; of an ordinary one it means nothing.
    pub fn slot(&self) -> Slot {
        Slot::of(&self.name)
    }

    fn publish(&self) -> &'static str {
        match self.kind {
            Kind::Ordinary => "PUBLISH",
            Kind::Sharded => "SPUBLISH",
        }
    }

    fn subscribe(&self) -> &'static str {
        match self.kind {
            Kind::Ordinary => "SUBSCRIBE",
            Kind::Sharded => "SSUBSCRIBE",
        }
    }

    /// What the server confirms a subscription with.
    fn confirmation(&self) -> PushKind {
        match self.kind {
            Kind::Ordinary => PushKind::Subscribe,
            Kind::Sharded => PushKind::SSubscribe,
        }
    }
}

/// A message: whose it is, and its place in the sequence of theirs.
fn message(publisher: u32, sequence: u64) -> String {
    format!("{publisher}:{sequence}")
}

/// What [`message`] wrote; none where it was somebody else.
fn read(message: &str) -> Option<(u32, u64)> {
    let (publisher, sequence) = message.split_once(':')?;
    Some((publisher.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(publisher: u32, sequence: u64) {
            assert_eq!(read(&message(publisher, sequence)), Some((publisher, sequence)));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let _ = read(&text);
        }
    }
}
