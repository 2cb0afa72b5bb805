//! The `redis` crate's multiplexed connection, and around it what every application writes that uses it: when to
//! connect again, where to, and what to send again.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use lab_history::{Refusal, note::Did};
use redis::{
    AsyncConnectionConfig, Client as Opened, ConnectionAddr, RedisError,
    aio::MultiplexedConnection,
    io::AsyncDNSResolver,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    Client, Diary, Fate, Unanswered,
    settle::{info, parts, tcp},
};
use crate::{
    command::{Reply, Request},
    profile::{Profile, Resolving, Trouble},
    schedule::pass,
    target::{Login, Place, Target},
};

/// A connection, made again when the profile says so.
pub(super) struct Direct {
    way: Way,
    config: AsyncConnectionConfig,
    profile: Profile,
    connection: Mutex<Option<Connection>>,
    made: AtomicU64,
    diary: Diary,
}

/// How a connection is made.
enum Way {
    /// To whatever the name, or the address, stands for.
    Straight(Box<Opened>),
    /// To whomever the sentinels name.
    Sentinels(Box<Mutex<SentinelClient>>),
}

#[derive(Clone)]
struct Connection {
    number: u64,
    since: Instant,
    redis: MultiplexedConnection,
}

impl Direct {
    /// With its first connection made.
    pub(super) async fn connect(
        target: &Target,
        profile: &Profile,
        diary: Diary,
    ) -> Result<Self, RedisError> {
        let mut config = AsyncConnectionConfig::new();
        if let Some(timeout) = profile.connect_timeout {
            config = config.set_connection_timeout(Some(timeout));
        }
        if let Some(timeout) = profile.response_timeout {
            config = config.set_response_timeout(Some(timeout));
        }
        let way = match &target.place {
            Place::Endpoint(endpoint) if profile.resolve == Some(Resolving::Once) => {
                let mut addresses = endpoint.resolver.resolve(&endpoint.name, endpoint.port).await?;
                let address = addresses.next().ok_or((redis::ErrorKind::Io, "the name has no address"))?;
                Way::Straight(Box::new(Opened::open(info(parts(address), &target.login, profile)?)?))
            }
            Place::Endpoint(endpoint) => {
                config = config.set_dns_resolver(endpoint.resolver.clone());
                let name = (endpoint.name.clone(), endpoint.port);
                Way::Straight(Box::new(Opened::open(info(name, &target.login, profile)?)?))
            }
            Place::Sentinels { sentinels, service, login } => {
                let client = sentinel_client((sentinels, service, login), &target.login, profile)?;
                Way::Sentinels(Box::new(Mutex::new(client)))
            }
            Place::Cluster { .. } => return Err((redis::ErrorKind::Client, "a cluster is routed to").into()),
        };
        let direct = Self {
            way,
            config,
            profile: profile.clone(),
            connection: Mutex::default(),
            made: AtomicU64::new(0),
            diary,
        };
        direct.connected().await?;
        Ok(direct)
    }

    /// The connection that is there, or a new one. Whoever comes meanwhile waits for that one.
    async fn connected(&self) -> Result<Connection, RedisError> {
        let mut slot = self.connection.lock().await;
        let kept = slot.clone().filter(|kept| !self.is_too_old(kept));
        if let Some(kept) = kept {
            return Ok(kept);
        }
        if slot.take().is_some() {
            self.diary.note(Did::Disconnected);
        }
        let redis = match &self.way {
            Way::Straight(client) => {
                client.get_multiplexed_async_connection_with_config(&self.config).await?
            }
            Way::Sentinels(client) => {
                self.diary.note(Did::Refreshed);
                client.lock().await.get_async_connection_with_config(&self.config).await?
            }
        };
        self.diary.note(Did::Connected);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let made = Connection { number, since: Instant::now(), redis };
        *slot = Some(made.clone());
        Ok(made)
    }

    fn is_too_old(&self, connection: &Connection) -> bool {
        self.profile.max_age.is_some_and(|age| connection.since.elapsed() >= age)
    }

    async fn attempt(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered> {
        let mut connection = self.connected().await.map_err(|error| match error.is_connection_refusal() {
            true => Unanswered::Failed(Refusal::Refused),
            false => Unanswered::Failed(Refusal::NotSent),
        })?;
        if !fate.sent() {
            return Err(Unanswered::Failed(Refusal::NotSent));
        }
        let answers = pipeline(request).query_async(&mut connection.redis).await;
        match answers.and_then(replies) {
            Ok(replies) => Ok(replies),
            Err(error) => {
                self.look_at(&error, connection.number).await;
                Err(Unanswered::of_one_attempt(&error))
            }
        }
    }

    /// Gives the connection up if the profile says so.
    async fn look_at(&self, error: &RedisError, number: u64) {
        let trouble = match error.code() {
            Some("READONLY") => Trouble::ReadOnly,
            Some(_) => return,
            None if error.is_timeout() => Trouble::Silent,
            None => Trouble::Broken,
        };
        if self.profile.gives_up_when(trouble) {
            let mut slot = self.connection.lock().await;
            if slot.as_ref().is_some_and(|connection| connection.number == number) {
                slot.take();
                self.diary.note(Did::Disconnected);
            }
        }
    }
}

#[async_trait]
impl Client for Direct {
    /// What was certainly not done is sent again, as often as the profile says; what may have been done is not.
    async fn call(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered> {
        let mut tried = 0;
        loop {
            let answer = self.attempt(request, fate).await;
            match answer {
                Err(Unanswered::Failed(_)) if tried < self.profile.retries.unwrap_or(0) => {
                    fate.undone();
                    pass(pause(&self.profile, tried)).await;
                    self.diary.note(Did::Retried);
                    tried += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// A client that asks sentinels, given as they are in a [`Place`], and that shows `login` to whom they name.
pub(super) fn sentinel_client(
    (sentinels, service, theirs): (&[SocketAddr], &str, &Login),
    login: &Login,
    profile: &Profile,
) -> Result<SentinelClient, RedisError> {
    let address = |sentinel: &SocketAddr| ConnectionAddr::Tcp(sentinel.ip().to_string(), sentinel.port());
    let addresses = sentinels.iter().map(address);
    let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?;
    builder = builder.set_client_to_redis_tcp_settings(tcp(profile));
    if let Some(user) = &login.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &login.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(password) = &theirs.password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    builder.build()
}

/// Doubled each time, with half of it left to chance, so that clients do not come back all at once.
pub(crate) fn pause(profile: &Profile, tried: u32) -> Duration {
    let min = profile.min_pause.unwrap_or(Duration::from_millis(10));
    let max = profile.max_pause.unwrap_or(min.max(Duration::from_secs(1)));
    let pause = min.saturating_mul(2_u32.saturating_pow(tried)).min(max);
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

/// One or more commands, as the `redis` crate sends them: [`replies`] looks at each answer by itself.
pub(super) fn pipeline(request: &Request) -> redis::Pipeline {
    let mut pipeline = redis::Pipeline::with_capacity(request.commands.len());
    for words in &request.commands {
        let mut command = redis::Cmd::new();
        command.arg(words);
        pipeline.add_command(command);
    }
    pipeline.ignore_errors();
    pipeline
}

/// The answers to a request, or the error that its first command got.
///
/// What comes after a command that was done does not undo it: an error there is no answer, and no more. A primary that
/// is demoted tells whoever waits for its replicas `-UNBLOCKED`, and has the write all the same.
pub(super) fn replies(answers: Vec<Result<redis::Value, RedisError>>) -> Result<Vec<Reply>, RedisError> {
    let mut answers = answers.into_iter();
    let first = answers.next().transpose()?;
    let others = answers.map(|answer| answer.map_or(Reply::Nothing, Reply::from));
    Ok(first.map(Reply::from).into_iter().chain(others).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(wire: &[&str]) -> Vec<Result<redis::Value, RedisError>> {
        let answer = |text: &&str| redis::parse_redis_value(text.as_bytes())?.extract_error();
        wire.iter().map(answer).collect()
    }

    #[test]
    fn an_error_behind_a_command_that_was_done_does_not_undo_it() {
        let demoted = answers(&["+OK\r\n", "-UNBLOCKED force unblock from blocking operation\r\n"]);
        assert_eq!(replies(demoted).unwrap(), [Reply::Text(b"OK".to_vec()), Reply::Nothing]);
        let refused = answers(&["-READONLY You can't write against a read only replica.\r\n", ":0\r\n"]);
        assert_eq!(replies(refused).unwrap_err().code(), Some("READONLY"));
    }
}
