//! The `redis` crate's `ConnectionManager`.

use async_trait::async_trait;
use redis::{
    RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{
    Client, Fate, Unanswered,
    direct::{pipeline, replies},
    settle::{info, parts},
};
use crate::{
    command::{Reply, Request},
    profile::Profile,
    target::{Endpoint, Login},
};

/// A connection that makes itself again.
///
/// It takes no resolver, so it connects by way of the name's front on localhost.
pub(super) struct Manager(ConnectionManager);

impl Manager {
    pub(super) async fn connect(
        endpoint: &Endpoint,
        login: &Login,
        profile: &Profile,
    ) -> Result<Self, RedisError> {
        let client = redis::Client::open(info(parts(endpoint.front), login, profile)?)?;
        Ok(Self(ConnectionManager::new_with_config(client, config(profile)).await?))
    }
}

/// What a profile says, as `ConnectionManager` takes it.
pub(super) fn config(profile: &Profile) -> ConnectionManagerConfig {
    let mut config = ConnectionManagerConfig::new();
    if let Some(timeout) = profile.connect_timeout {
        config = config.set_connection_timeout(Some(timeout));
    }
    if let Some(timeout) = profile.response_timeout {
        config = config.set_response_timeout(Some(timeout));
    }
    if let Some(pause) = profile.min_pause {
        config = config.set_min_delay(pause);
    }
    if let Some(pause) = profile.max_pause {
        config = config.set_max_delay(pause);
    }
    if let Some(retries) = profile.retries {
        config = config.set_number_of_retries(retries as usize);
    }
    config
}

#[async_trait]
impl Client for Manager {
    async fn call(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered> {
        // It may wait for a connection first, and does not say when it has one.
        fate.sent();
        let mut manager = self.0.clone();
        let answers = pipeline(request).query_async(&mut manager).await;
        // It sends nothing twice.
        answers.and_then(replies).map_err(|error| Unanswered::of_one_attempt(&error))
    }
}
