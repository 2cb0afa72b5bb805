//! Subscribers as applications have them: a library with its settings that listens to channels, and subscribes again
//! when its subscription is gone.

mod ear;
mod fred;
mod line;
mod pushed;

use lab_history::{Client as ClientId, Object};
use tokio::task::JoinSet;

use self::ear::Ear;
use super::{ClientError, Diary, Library};
use crate::{
    profile::Profile,
    tape::Tape,
    target::{Place, Target},
};

/// Channels to listen to.
#[derive(Debug, Clone)]
pub struct Channels {
    /// How they are subscribed to.
    pub kind: Kind,
    /// Each with its name, and as the tape has it.
    pub all: Vec<(String, Object)>,
}

/// A kind of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `SUBSCRIBE`, `PUBLISH`: of a cluster, at any node.
    Ordinary,
    /// `SSUBSCRIBE`, `SPUBLISH`: at the shard that has the channel's slot.
    Sharded,
}

/// A subscriber before its target: a library that listens until it is told to cease, whatever happens to its
/// connections.
///
/// It writes on its tape what it hears, and every subscription that it made, as *one* operation each: from the moment
/// at which it wanted one until it had one, however often it tried.
pub struct Listening {
    ear: Ear,
    /// What the library needs in order to go on; dropped, it ends.
    _library: Box<dyn Send + Sync>,
    _besides: JoinSet<()>,
}

impl Listening {
    /// Ceases to listen: what is published from here on is not for this subscriber.
    pub fn cease(self) {
        self.ear.cease();
    }
}

/// What a library listens by, and what the application does beside it.
type Ears = (Box<dyn Send + Sync>, JoinSet<()>);

/// Has a library listen to channels with the settings of a profile, as far as it knows them. What it does is noted on
/// `tape` under `name`. It has subscribed when this returns.
///
/// # Errors
/// The library is not made for such a target, or does not connect.
pub async fn listen(
    library: Library,
    profile: &Profile,
    target: &Target,
    channels: &Channels,
    (name, who): (&str, ClientId),
    tape: &Tape,
) -> Result<Listening, ClientError> {
    if let (Kind::Sharded, Place::Endpoint(_) | Place::Sentinels { .. }) = (channels.kind, &target.place) {
        return Err(ClientError::Unsuitable { library, target: "shards outside of a cluster" });
    }
    let diary = Diary { name: name.into(), tape: tape.clone() };
    let ear = Ear::of(who, channels, diary.clone());
    let refused = |why: String| ClientError::Refused { library, why };
    let redis = |error: redis::RedisError| refused(error.to_string());
    let (kept, besides): Ears = match (library, &target.place) {
        (Library::Redis, Place::Cluster { nodes }) => {
            pushed::by_cluster(nodes, &target.login, profile, channels, &ear).await.map_err(redis)?
        }
        (Library::Redis, _) => line::listen(target, profile, channels, &ear).await.map_err(redis)?,
        (Library::RedisManager, Place::Endpoint(endpoint)) => {
            pushed::by_manager(endpoint, &target.login, profile, channels, &ear).await.map_err(redis)?
        }
        (Library::RedisManager, place) => {
            return Err(ClientError::Unsuitable { library, target: place.kind() });
        }
        (Library::Fred, _) => fred::listen(target, profile, channels, &ear, &diary)
            .await
            .map_err(|error| refused(error.to_string()))?,
    };
    Ok(Listening { ear, _library: kept, _besides: besides })
}
