//! What stands before a cluster: how it names its keys, finds them, listens, and how much it sends.

use std::time::Duration;

use lab_report::{Slot, slots::hashed};
use serde::{Deserialize, Serialize};

/// How an application names its keys and finds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// How it finds the slot of a key.
    pub hash: Hash,
    /// The names of many keys; `#` stands for a number.
    pub many: String,
    /// What all keys of a customer begin with; `#` stands for the customer's number.
    pub customer: String,
    /// Two keys that belong to one customer.
    pub together: [String; 2],
    /// Two keys that have nothing to do with each other, and one node.
    pub apart: [String; 2],
    /// A key that a script reads without having been given it.
    pub undeclared: String,
    /// The first line of a script that says what it is written in, and what it may do.
    pub shebang: String,
    /// Its client follows a redirection this many times, and tries again as often.
    pub retries: u32,
    /// Its client gives an operation up after this, redirections and second attempts included.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
    /// Its client has this many operations under way at once; others wait for one of them to end.
    ///
    /// With no limit the `redis` crate's client (1.8.1) can stop for good while slots move: it begins to draw its
    /// map of the slots anew, and never ends (on a busy machine in four of five runs with 800 operations a second).
    pub at_once: usize,
    /// How its subscribers look after their subscriptions.
    pub listening: Listening,
    /// What it sends where it is to show how much servers carry.
    pub load: Load,
}

/// How a subscriber looks after its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// It asks for a sign of life this often.
    #[serde(with = "humantime_serde")]
    pub ping: Duration,
    /// It gives a node up that has not answered by then, be it a ping or an attempt to subscribe.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
    /// Before each attempt to subscribe again it waits this long.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
}

/// Commands that are sent as fast as they are answered: a `SET` of every key, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Keys, named as [`Application::many`] says.
    pub keys: usize,
    /// How many times each is set.
    pub times: usize,
    /// The length of a value, in bytes.
    pub value: usize,
    /// Commands in a round trip.
    pub batch: usize,
    /// Connections to all servers together.
    pub connections: usize,
}

/// How an application finds the slot of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hash {
    /// As the specification has it.
    Tagged,
    /// The same, but braces mean nothing to it.
    Untagged,
    /// By whatever else gives a number.
    Length,
}

impl Hash {
    /// The slot that the application takes a key to be in.
    pub fn slot(self, key: &str) -> Slot {
        match self {
            Self::Tagged => Slot::of(key),
            // Without a tag in it, what is hashed is all of it.
            Self::Untagged => Slot::of(&key.replace(['{', '}'], "|")),
            Self::Length => Slot::new(hashed(key).len() as u16 % Slot::COUNT).expect("below the count"),
        }
    }
}

impl Application {
    /// The key with this number.
    pub fn key(&self, number: usize) -> String {
        self.many.replace('#', &number.to_string())
    }

    /// What the keys of the customer with this number begin with.
    pub fn customer(&self, number: u32) -> String {
        self.customer.replace('#', &number.to_string())
    }
}

impl Default for Application {
    fn default() -> Self {
        let pair = |names: [&str; 2]| names.map(str::to_owned);
        Self {
            hash: Hash::Tagged,
            many: "policy:#".to_owned(),
            customer: "{customer:#}".to_owned(),
            together: pair(["{customer:123}:profile", "{customer:123}:policies"]),
            // In slots 3300 and 3168: of the first shard of three, both of them.
            apart: pair(["b", "f"]),
            // In slot 7365: of the second shard.
            undeclared: "c".to_owned(),
            shebang: "#!lua".to_owned(),
            retries: 16,
            patience: Duration::from_secs(2),
            at_once: 16,
            listening: Listening::default(),
            load: Load::default(),
        }
    }
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            ping: Duration::from_millis(250),
            patience: Duration::from_secs(1),
            pause: Duration::from_millis(20),
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self { keys: 30_000, times: 4, value: 100, batch: 64, connections: 12 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::cluster_routing;

    use super::{super::cluster, *};

    #[test]
    fn the_applications_keys_are_where_it_says() {
        let (cluster, application) = (cluster(3), Application::default());
        let [a, b] = application.together.map(|key| Slot::of(&key));
        assert_eq!(a, b);
        let [a, b] = application.apart.map(|key| Slot::of(&key));
        let first = &cluster.shares()[0];
        assert!(a != b && first.contains(a) && first.contains(b), "{a} {b}");
    }

    proptest! {
        #[test]
        fn the_client_finds_the_same_slot(key in ".{0,20}") {
            let ours = cluster_routing::Slot::new(Slot::of(&key).number());
            prop_assert_eq!(ours, Some(cluster_routing::Slot::for_key(&key)));
        }
    }
}
