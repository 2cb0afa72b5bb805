//! Clients as applications have them: a library with its settings.

mod direct;
mod fred;
pub mod listen;
mod manager;
mod routed;
mod settle;

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use async_trait::async_trait;
use lab_history::{Doubt, Event, Outcome, Refusal, note::Did};
use redis::RedisError;

pub(crate) use self::direct::pause;
pub use self::{
    listen::{Channels, Kind, Listening, listen},
    settle::{Settled, settle, settle_subscriber},
};
use crate::{
    command::{Reply, Request},
    profile::Profile,
    tape::Tape,
    target::{Place, Target},
};

/// A client library, and the way in which it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Library {
    /// The `redis` crate: its multiplexed connection behind a name or sentinels, `cluster_async` before a
    /// cluster.
    Redis,
    /// The `redis` crate's `ConnectionManager`: before a name only.
    RedisManager,
    /// `fred`.
    Fred,
}

impl Library {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Redis, Self::RedisManager, Self::Fred];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::RedisManager => "redis-manager",
            Self::Fred => "fred",
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no such client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no client `{0}`; known are redis, redis-manager, fred")]
pub struct UnknownLibrary(String);

impl FromStr for Library {
    type Err = UnknownLibrary;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|library| library.name() == text);
        found.ok_or_else(|| UnknownLibrary(text.to_owned()))
    }
}

/// A client before its target.
#[async_trait]
pub trait Client: Send + Sync {
    /// Has commands done, one after the other on one connection, with whatever the client tries on the way.
    ///
    /// Goes on after its caller has given it up, as a client does that nobody told. `fate` says which of the two
    /// came first, that or its being sent.
    async fn call(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered>;
}

/// Whether a request has left the client, and whether anybody waits for it: of the two, what happens first counts.
#[derive(Debug, Default)]
pub struct Fate(AtomicU8);

impl Fate {
    const WAITS: u8 = 0;
    const SENT: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// From here on it may be done. False if it was given up: then it must not be sent any more.
    pub fn sent(&self) -> bool {
        self.become_of(Self::WAITS, Self::SENT) != Self::GIVEN_UP
    }

    /// What was sent was certainly not done, and is not under way any more.
    pub fn undone(&self) {
        self.become_of(Self::SENT, Self::WAITS);
    }

    /// Nobody waits any longer: what is known of it.
    pub fn give_up(&self) -> Unanswered {
        match self.become_of(Self::WAITS, Self::GIVEN_UP) {
            Self::SENT => Unanswered::Indeterminate(Doubt::Deadline),
            _ => Unanswered::Failed(Refusal::NotSent),
        }
    }

    /// What it was before it became `next`, if it was `now`.
    fn become_of(&self, now: u8, next: u8) -> u8 {
        match self.0.compare_exchange(now, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(before) | Err(before) => before,
        }
    }
}

/// An operation that was not done, or of which nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It was certainly not done.
    Failed(Refusal),
    /// It may have been done, or be done yet.
    Indeterminate(Doubt),
}

impl<T> From<Unanswered> for Outcome<T> {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Failed(why) => Self::Failed(why),
            Unanswered::Indeterminate(why) => Self::Indeterminate(why),
        }
    }
}

impl Unanswered {
    /// What an error says of a request that was sent once, and not again.
    fn of_one_attempt(error: &RedisError) -> Self {
        match error.code() {
            Some(code) => Self::Failed(refusal(code)),
            None if error.is_timeout() => Self::Indeterminate(Doubt::Deadline),
            None if error.is_connection_dropped() => Self::Indeterminate(Doubt::Closed),
            None if error.is_io_error() => Self::Indeterminate(Doubt::Reset),
            None => Self::Indeterminate(Doubt::Garbled),
        }
    }

    /// What an error says of a request that the client may have sent before: whatever the last attempt came to, an
    /// earlier one may have been done.
    fn of_several_attempts(error: &RedisError) -> Self {
        match Self::of_one_attempt(error) {
            Self::Failed(_) => Self::Indeterminate(Doubt::Closed),
            doubt => doubt,
        }
    }
}

/// What the server's word for an error means.
pub(crate) fn refusal(code: &str) -> Refusal {
    match code {
        "READONLY" => Refusal::ReadOnly,
        "MOVED" => Refusal::Moved,
        "ASK" => Refusal::Ask,
        "TRYAGAIN" => Refusal::TryAgain,
        "CROSSSLOT" => Refusal::CrossSlot,
        "CLUSTERDOWN" => Refusal::ClusterDown,
        "NOREPLICAS" => Refusal::NoReplicas,
        "LOADING" => Refusal::Loading,
        "MASTERDOWN" => Refusal::MasterDown,
        "BUSY" => Refusal::Busy,
        "OOM" => Refusal::OutOfMemory,
        "MISCONF" => Refusal::Misconfigured,
        "NOAUTH" | "NOPERM" | "WRONGPASS" => Refusal::NotPermitted,
        _ => Refusal::Rejected,
    }
}

/// Notes what a client does beside what it is asked to do.
#[derive(Clone)]
pub(crate) struct Diary {
    name: Arc<str>,
    tape: Tape,
}

impl Diary {
    pub(crate) fn note(&self, did: Did) {
        self.tape.note(Event::Client { client: self.name.to_string(), did });
    }
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The library is not made for this.
    #[error("{library} knows no {target}")]
    Unsuitable {
        /// Which.
        library: Library,
        /// What it was to stand before.
        target: &'static str,
    },
    /// Its settings are refused, or its first connection is.
    #[error("{library} does not connect: {why}")]
    Refused {
        /// Which.
        library: Library,
        /// In its own words.
        why: String,
    },
}

/// A library set before a target with the settings of a profile, as far as it knows them. What it does by itself
/// is noted on `tape` under `name`.
///
/// # Errors
/// The library is not made for such a target, or does not connect.
pub async fn connect(
    library: Library,
    profile: &Profile,
    target: &Target,
    name: &str,
    tape: &Tape,
) -> Result<Arc<dyn Client>, ClientError> {
    let diary = Diary { name: name.into(), tape: tape.clone() };
    let refused = |why: String| ClientError::Refused { library, why };
    Ok(match (library, &target.place) {
        (Library::Redis, Place::Cluster { nodes }) => Arc::new(
            routed::Routed::connect(nodes, &target.login, profile)
                .await
                .map_err(|error| refused(error.to_string()))?,
        ),
        (Library::Redis, _) => Arc::new(
            direct::Direct::connect(target, profile, diary)
                .await
                .map_err(|error| refused(error.to_string()))?,
        ),
        (Library::RedisManager, Place::Endpoint(endpoint)) => Arc::new(
            manager::Manager::connect(endpoint, &target.login, profile)
                .await
                .map_err(|error| refused(error.to_string()))?,
        ),
        (Library::RedisManager, place) => {
            return Err(ClientError::Unsuitable { library, target: place.kind() });
        }
        (Library::Fred, _) => Arc::new(
            fred::Fred::connect(target, profile, diary).await.map_err(|error| refused(error.to_string()))?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_is_certainly_not_done() {
        let fate = Fate::default();
        assert_eq!(fate.give_up(), Unanswered::Failed(Refusal::NotSent));
        assert!(!fate.sent(), "and is not sent any more");

        let fate = Fate::default();
        assert!(fate.sent());
        assert_eq!(fate.give_up(), Unanswered::Indeterminate(Doubt::Deadline));

        let fate = Fate::default();
        assert!(fate.sent());
        fate.undone();
        assert_eq!(fate.give_up(), Unanswered::Failed(Refusal::NotSent));
    }
}
