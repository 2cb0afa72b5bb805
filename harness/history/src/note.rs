//! What else happened, on the clock of the operations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::{Length, Moment};

/// What a history is of. Written first, so that what is left of a killed run says so, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of what the JSON of a history means: [`Header::SCHEMA`].
    pub schema: u32,
    /// The run's name.
    pub run: String,
    /// The seed of its random choices.
    pub seed: u64,
    /// When it began, as in RFC 3339, by the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// How long after its intended beginning an operation is still of use to whoever asked for it.
    #[serde(default, rename = "deadline_us", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Length>,
    /// What ran, in the words of whoever ran it: `command`, `engine`, `client`, `profile`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ran: BTreeMap<String, String>,
}

impl Header {
    /// The version of the JSON that this crate writes, and the newest that it understands.
    pub const SCHEMA: u32 = 1;

    /// Of a run with this name and seed.
    pub fn new(run: impl Into<String>, seed: u64) -> Self {
        Self {
            schema: Self::SCHEMA,
            run: run.into(),
            seed,
            began: None,
            deadline: None,
            ran: BTreeMap::new(),
        }
    }
}

/// Something that happened to the servers, or to a client, while operations were done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it was seen.
    #[serde(rename = "at_us")]
    pub at: Moment,
    /// What it was.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen beside the operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Event {
    /// A fault began to be injected at the note's moment.
    Injected {
        /// Tells faults apart.
        fault: u32,
        /// `crash`, `stop`, `hold`, …
        kind: String,
        /// Whom it hits.
        nodes: Vec<String>,
        /// By when it was in effect: what the injection itself took is the resolution of what is measured
        /// from it.
        #[serde(rename = "in_effect_us")]
        in_effect: Moment,
    },
    /// A fault was healed.
    Healed {
        /// Which.
        fault: u32,
    },
    /// A node was seen in another role than before.
    Role {
        /// Which.
        node: String,
        /// From here on.
        role: Role,
    },
    /// An endpoint's record was changed.
    Endpoint {
        /// Its name.
        endpoint: String,
        /// The nodes that it names from here on.
        nodes: Vec<String>,
    },
    /// A client did something that its operations do not show.
    Client {
        /// Its name.
        client: String,
        /// What it did.
        did: Did,
    },
    /// Every fault is healed, every replica follows, and no write is under way: a read that begins after this
    /// is a final one. What it does not show is not there.
    Settled,
}

/// A role as a node itself reports it, or `Unreachable` when it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Follows a primary.
    Replica,
    /// Gave no answer.
    Unreachable,
}

/// What clients do beside what they are asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// It made a connection.
    Connected,
    /// It lost one, or gave it up.
    Disconnected,
    /// It sent a command again.
    Retried,
    /// It sent a command to another node, because the first one said so.
    Redirected,
    /// It asked who the nodes are, and which slots they have.
    Refreshed,
}
