//! The `redis` crate's `PubSub`: a connection that does nothing else, and around it what every application writes that
//! uses it.
//!
//! `Client::get_async_pubsub` takes neither a time-out nor a resolver, and the connection answers no question but
//! `PING`: all that a profile says is up to the application.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use redis::{
    Client as Opened, RedisError,
    aio::{PubSub, PubSubSink, PubSubStream},
    io::AsyncDNSResolver,
    sentinel::SentinelClient,
};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Channels, Ear, Ears};
use crate::{
    client::{
        direct::{pause, sentinel_client},
        settle::{info, parts},
    },
    profile::{Profile, Resolving, Trouble},
    schedule::pass,
    target::{Endpoint, Login, Place, Target},
};

/// How often a first connection is made anew: as the `redis` crate's manager does (`DEFAULT_NUMBER_OF_CONNECTION_RETRIES`).
const RETRIES: u32 = 6;

struct Line {
    way: Way,
    profile: Profile,
    channels: Vec<String>,
    ear: Ear,
}

/// How a connection is made.
enum Way {
    /// To an address that was known at the start.
    Address(SocketAddr, Login),
    /// To whatever the name stands for now.
    Name(Endpoint, Login),
    /// To whomever the sentinels name.
    Sentinels(Box<Mutex<SentinelClient>>),
}

/// Why a connection is no more.
enum Ended {
    Trouble(Trouble),
    TooOld,
}

/// Listens, with the first connection made.
pub(super) async fn listen(
    target: &Target,
    profile: &Profile,
    channels: &Channels,
    ear: &Ear,
) -> Result<Ears, RedisError> {
    let login = target.login.clone();
    let way = match &target.place {
        Place::Endpoint(endpoint) if profile.resolve == Some(Resolving::Once) => {
            Way::Address(resolved(endpoint).await?, login)
        }
        Place::Endpoint(endpoint) => Way::Name(endpoint.clone(), login),
        Place::Sentinels { sentinels, service, login: theirs } => {
            let client = sentinel_client((sentinels, service, theirs), &login, profile)?;
            Way::Sentinels(Box::new(Mutex::new(client)))
        }
        Place::Cluster { .. } => return Err((redis::ErrorKind::Client, "a cluster is routed to").into()),
    };
    let channels = channels.all.iter().map(|(name, _)| name.clone()).collect();
    let line = Line { way, profile: profile.clone(), channels, ear: ear.clone() };
    let first = line.first().await?;
    let mut besides = JoinSet::new();
    besides.spawn(line.go_on(first));
    Ok((Box::new(()), besides))
}

async fn resolved(endpoint: &Endpoint) -> Result<SocketAddr, RedisError> {
    let mut addresses = endpoint.resolver.resolve(&endpoint.name, endpoint.port).await?;
    Ok(addresses.next().ok_or((redis::ErrorKind::Io, "the name has no address"))?)
}

impl Line {
    /// Hears one connection out after the other, for as long as the profile has it.
    async fn go_on(self, first: PubSub) {
        let mut tried = 0;
        let mut connection = Some(first);
        loop {
            match connection {
                Some(connection) => {
                    let ended = self.hear(connection).await;
                    self.ear.cut_off();
                    tried = 0;
                    match ended {
                        Ended::Trouble(trouble) if !self.profile.gives_up_when(trouble) => return,
                        Ended::Trouble(_) => pass(pause(&self.profile, 0)).await,
                        Ended::TooOld => {}
                    }
                }
                None => {
                    self.ear.tried();
                    pass(pause(&self.profile, tried)).await;
                    tried += 1;
                }
            }
            connection = self.subscribe().await.ok();
        }
    }

    /// The first connection. Whoever cannot be reached is an error; one that was made, and closed again as it subscribed,
    /// is made anew, as any later one is.
    async fn first(&self) -> Result<PubSub, RedisError> {
        let mut tried = 0;
        loop {
            match self.subscribe().await {
                Err(error) if ended(&error) && tried < RETRIES => {
                    self.ear.tried();
                    pass(pause(&self.profile, tried)).await;
                    tried += 1;
                }
                answer => return answer,
            }
        }
    }

    /// A new connection, subscribed to every channel.
    async fn subscribe(&self) -> Result<PubSub, RedisError> {
        let client = self.client().await?;
        let mut connection = within(self.profile.connect_timeout, client.get_async_pubsub()).await?;
        within(self.profile.response_timeout, connection.subscribe(&self.channels)).await?;
        self.ear.subscribed_to_all();
        Ok(connection)
    }

    async fn client(&self) -> Result<Opened, RedisError> {
        match &self.way {
            Way::Address(address, login) => Opened::open(info(parts(*address), login, &self.profile)?),
            Way::Name(endpoint, login) => {
                Opened::open(info(parts(resolved(endpoint).await?), login, &self.profile)?)
            }
            Way::Sentinels(client) => {
                self.ear.looked_around();
                client.lock().await.async_get_client().await
            }
        }
    }

    async fn hear(&self, connection: PubSub) -> Ended {
        let (sink, mut messages): (PubSubSink, PubSubStream) = connection.split();
        let (silence, age) = (self.silence(sink), self.age());
        tokio::pin!(silence, age);
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Some(message) => self.ear.heard(message.get_channel_name(), message.get_payload_bytes()),
                    None => return Ended::Trouble(Trouble::Broken),
                },
                () = &mut silence => return Ended::Trouble(Trouble::Silent),
                () = &mut age => return Ended::TooOld,
            }
        }
    }

    /// Returns when a `PING` was not answered. A connection that breaks says so by itself.
    async fn silence(&self, mut sink: PubSubSink) {
        let patience = self.profile.response_timeout.filter(|_| self.profile.gives_up_when(Trouble::Silent));
        let Some(patience) = patience else { return std::future::pending().await };
        let mut ticks = interval(patience);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match timeout(patience, sink.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => return,
            }
        }
    }

    async fn age(&self) {
        match self.profile.max_age {
            Some(age) => pass(age).await,
            None => std::future::pending().await,
        }
    }
}

/// Whether there was a connection, which ended.
fn ended(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Without a limit it waits for as long as the other side, or the kernel, does.
async fn within<T>(
    limit: Option<Duration>,
    what: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    match limit {
        Some(limit) => timeout(limit, what)
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())),
        None => what.await,
    }
}
