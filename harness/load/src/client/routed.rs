//! The `redis` crate's `cluster_async`: finds the nodes by itself, follows redirections, and tries again.

use std::net::SocketAddr;

use async_trait::async_trait;
use redis::{
    RedisError,
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
};

use super::{
    Client, Fate, Unanswered,
    direct::{pipeline, replies},
    settle::{info, parts, tcp},
};
use crate::{
    command::{Reply, Request},
    profile::Profile,
    target::Login,
};

/// Connections to a cluster.
pub(super) struct Routed {
    connection: ClusterConnection,
    tries_again: bool,
}

impl Routed {
    pub(super) async fn connect(
        nodes: &[SocketAddr],
        login: &Login,
        profile: &Profile,
    ) -> Result<Self, RedisError> {
        let connection = builder(nodes, login, profile)?.build()?.get_async_connection().await?;
        Ok(Self { connection, tries_again: profile.retries != Some(0) })
    }
}

/// What a profile says, as `cluster_async` takes it.
pub(super) fn builder(
    nodes: &[SocketAddr],
    login: &Login,
    profile: &Profile,
) -> Result<ClusterClientBuilder, RedisError> {
    let nodes = nodes.iter().map(|node| info(parts(*node), login, profile)).collect::<Result<Vec<_>, _>>()?;
    let mut builder = ClusterClientBuilder::new(nodes).tcp_settings(tcp(profile));
    if let Some(timeout) = profile.connect_timeout {
        builder = builder.connection_timeout(timeout);
    }
    if let Some(timeout) = profile.response_timeout {
        // Else the time-out of one attempt would be that of all of them together, too.
        builder = builder.response_timeout(timeout).overall_response_timeout(None);
    }
    if let Some(retries) = profile.retries {
        builder = builder.retries(retries);
    }
    let millis = |pause: std::time::Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    if let Some(pause) = profile.min_pause {
        builder = builder.min_retry_wait(millis(pause));
    }
    if let Some(pause) = profile.max_pause {
        builder = builder.max_retry_wait(millis(pause));
    }
    Ok(builder)
}

impl Routed {
    async fn answers(&self, request: &Request) -> Result<Vec<Reply>, RedisError> {
        let mut connection = self.connection.clone();
        if let [words] = &request.commands[..] {
            // As most applications have it: the client finds the key by itself.
            let mut command = redis::Cmd::new();
            command.arg(words);
            return Ok(vec![command.query_async::<redis::Value>(&mut connection).await?.into()]);
        }
        let count = request.commands.len();
        let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(&request.key, SlotAddr::Master));
        let answers = connection.route_pipeline(pipeline(request), 0, count, route).await?;
        // An error that makes the client do nothing is handed over among the answers.
        replies(answers.into_iter().map(redis::Value::extract_error).collect())
    }
}

#[async_trait]
impl Client for Routed {
    async fn call(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered> {
        // It does not say whether it has a connection yet.
        fate.sent();
        match self.answers(request).await {
            Ok(replies) => Ok(replies),
            Err(error) if self.tries_again => Err(Unanswered::of_several_attempts(&error)),
            Err(error) => Err(Unanswered::of_one_attempt(&error)),
        }
    }
}
