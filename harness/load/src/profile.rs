//! Profiles: what a client is told about time-outs, retries, reconnecting and looking around.
//!
//! A profile is written in no library's words. What each library makes of a setting, or that it cannot express
//! it, is in [`settle`](crate::client::settle).

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

/// Settings of a client, as `fixtures/profiles/*.toml` has them. What is not set is left to the library.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Profile {
    /// Its name: the file's.
    #[serde(skip)]
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// A connection that is not made by then is given up.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// An attempt that is not answered by then is given up.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub response_timeout: Option<Duration>,
    /// A request that was not done is sent again, so often at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The pause before the first retry or reconnection, before jitter.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub min_pause: Option<Duration>,
    /// The longest pause.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub max_pause: Option<Duration>,
    /// What makes the client give its connection up and make another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_on: Option<BTreeSet<Trouble>>,
    /// A connection older than this is made anew, however sound it is.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// How often a name is resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Resolving>,
    /// A connection that is idle for so long is probed by the kernel, and then as often.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Duration>,
    /// What is sent and not acknowledged by the other kernel for so long ends the connection (`TCP_USER_TIMEOUT`).
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub tcp_user_timeout: Option<Duration>,
    /// `TCP_NODELAY`: small writes go out at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodelay: Option<bool>,
    /// Who the nodes are is asked this often, whatever happens.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub refresh_every: Option<Duration>,
    /// Who the nodes are is asked when this happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_on: Option<BTreeSet<Trigger>>,
}

/// What can be wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It was reset, closed, or refused.
    Broken,
    /// An answer did not come in time.
    Silent,
    /// The server says that it is a replica.
    ReadOnly,
}

/// How often a name is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolving {
    /// Once, at the start: from then on the client knows an address.
    Once,
    /// For every connection.
    EveryConnection,
}

/// What makes a cluster's client ask who the nodes are: Lettuce's adaptive triggers, by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// `MOVED`.
    Moved,
    /// `ASK`.
    Ask,
    /// Several attempts to reconnect in a row have failed.
    PersistentReconnects,
    /// A slot has no node in the client's map.
    UncoveredSlot,
    /// A node is named that the client does not know.
    UnknownNode,
}

/// A profile that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("profile `{name}`: {why}")]
pub struct ProfileError {
    name: String,
    why: String,
}

impl Profile {
    /// From the text of `fixtures/profiles/<name>.toml`.
    ///
    /// # Errors
    /// Names the first setting that no profile has, or that has another form.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let failed = |why: String| ProfileError { name: name.to_owned(), why };
        let profile: Self = toml::from_str(text).map_err(|error| failed(error.to_string()))?;
        match (profile.min_pause, profile.max_pause) {
            (Some(min), Some(max)) if min > max => {
                Err(failed("min-pause is longer than max-pause".to_owned()))
            }
            _ => Ok(Self { name: name.to_owned(), ..profile }),
        }
    }

    /// Whether the client gives its connection up for this. A library's own client does for a broken one.
    pub(crate) fn gives_up_when(&self, trouble: Trouble) -> bool {
        self.reconnect_on.as_ref().is_some_and(|troubles| troubles.contains(&trouble))
    }
}
