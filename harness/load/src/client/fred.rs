//! `fred`: finds primaries and slots by itself, reconnects by itself, and tries again by itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fred::{
    clients::Client as FredClient,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, ClusterInterface, EventInterface},
    types::{
        Builder, ClusterHash, CustomCommand, Value,
        config::{
            Config, ReconnectError, ReconnectPolicy, Server, ServerConfig, TcpConfig, UnresponsiveConfig,
        },
    },
};
use lab_history::{Doubt, Refusal, note::Did};
use redis::io::AsyncDNSResolver;
use socket2::TcpKeepalive;
use tokio::{
    task::JoinSet,
    time::{Instant, Interval, interval_at},
};

use super::{Client, Diary, Fate, Unanswered, refusal};
use crate::{
    command::{Reply, Request},
    profile::{Profile, Resolving, Trouble},
    target::{Place, Target},
};

/// What fred waits before it connects again where a profile does not say: its own default.
const PAUSE: Duration = Duration::from_secs(1);

/// A client that looks after itself.
pub(super) struct Fred {
    client: FredClient,
    /// It sends nothing twice.
    once: bool,
    _besides: JoinSet<()>,
}

impl Fred {
    pub(super) async fn connect(target: &Target, profile: &Profile, diary: Diary) -> Result<Self, Error> {
        let config = Config {
            server: server(target, profile).await?,
            username: target.login.user.clone(),
            password: target.login.password.clone(),
            ..Config::default()
        };
        let client = builder(config, profile).build()?;
        if let Place::Endpoint(endpoint) = &target.place {
            client.set_resolver(Arc::new(endpoint.resolver.clone())).await;
        }
        let besides = besides(&client, target, profile, &diary);
        client.init().await?;
        diary.note(Did::Connected);
        Ok(Self { client, once: profile.retries == Some(0), _besides: besides })
    }

    /// An error behind a command that was done does not undo it.
    async fn answers(&self, request: &Request) -> Result<Vec<Value>, Error> {
        let pipeline = self.client.pipeline();
        let slot = ClusterHash::Custom(fred::util::redis_keyslot(request.key.as_bytes()));
        for words in &request.commands {
            let (name, words) = words.split_first().expect("a command has a name");
            let command = CustomCommand::new(name.as_str(), slot.clone(), false);
            let _: () = pipeline.custom(command, words.to_vec()).await?;
        }
        let mut answers = pipeline.try_all::<Value>().await.into_iter();
        let first = answers.next().transpose()?;
        Ok(first.into_iter().chain(answers.map(|answer| answer.unwrap_or(Value::Null))).collect())
    }
}

impl Drop for Fred {
    fn drop(&mut self) {
        // It would go on connecting for ever.
        let client = self.client.clone();
        tokio::spawn(async move { client.quit().await });
    }
}

#[async_trait]
impl Client for Fred {
    async fn call(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered> {
        // It may wait for a connection first, and does not say when it has one.
        fate.sent();
        match self.answers(request).await {
            Ok(answers) => Ok(answers.into_iter().map(Reply::from).collect()),
            Err(error) => Err(unanswered(&error, self.once)),
        }
    }
}

fn unanswered(error: &Error, once: bool) -> Unanswered {
    let code = error.details().split_whitespace().next().unwrap_or_default();
    let is_a_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
    match error.kind() {
        _ if is_a_code && once => Unanswered::Failed(refusal(code)),
        ErrorKind::Backpressure => Unanswered::Failed(Refusal::NotSent),
        ErrorKind::Timeout => Unanswered::Indeterminate(Doubt::Deadline),
        ErrorKind::Parse | ErrorKind::Protocol => Unanswered::Indeterminate(Doubt::Garbled),
        // Whatever the last attempt came to, an earlier one may have been done.
        _ => Unanswered::Indeterminate(Doubt::Closed),
    }
}

pub(super) async fn server(target: &Target, profile: &Profile) -> Result<ServerConfig, Error> {
    let server = |address: &std::net::SocketAddr| Server::new(address.ip().to_string(), address.port());
    Ok(match &target.place {
        Place::Endpoint(endpoint) if profile.resolve == Some(Resolving::Once) => {
            let resolved = AsyncDNSResolver::resolve(&endpoint.resolver, &endpoint.name, endpoint.port).await;
            let address = resolved.ok().and_then(|mut addresses| addresses.next());
            let address = address.ok_or_else(|| Error::new(ErrorKind::IO, "the name has no address"))?;
            ServerConfig::Centralized { server: server(&address) }
        }
        Place::Endpoint(endpoint) => ServerConfig::new_centralized(endpoint.name.as_str(), endpoint.port),
        Place::Sentinels { sentinels, service, login } => ServerConfig::Sentinel {
            hosts: sentinels.iter().map(server).collect(),
            service_name: service.clone(),
            username: login.user.clone(),
            password: login.password.clone(),
        },
        Place::Cluster { nodes } => ServerConfig::Clustered {
            hosts: nodes.iter().map(server).collect(),
            policy: fred::types::config::ClusterDiscoveryPolicy::default(),
        },
    })
}

pub(super) fn builder(config: Config, profile: &Profile) -> Builder {
    let mut builder = Builder::from_config(config);
    builder.with_connection_config(|config| {
        if let Some(timeout) = profile.connect_timeout {
            config.connection_timeout = timeout;
            config.internal_command_timeout = timeout;
        }
        if let Some(retries) = profile.retries {
            config.max_command_attempts = retries.saturating_add(1);
        }
        if let Some(timeout) = profile.response_timeout.filter(|_| profile.gives_up_when(Trouble::Silent)) {
            config.unresponsive = UnresponsiveConfig { max_timeout: Some(timeout), interval: timeout / 4 };
        }
        if profile.reconnect_on.is_some() && !profile.gives_up_when(Trouble::ReadOnly) {
            config.reconnect_errors.retain(|error| !matches!(error, ReconnectError::ReadOnly));
        }
        config.tcp = TcpConfig {
            nodelay: profile.nodelay,
            keepalive: profile
                .keepalive
                .map(|every| TcpKeepalive::new().with_time(every).with_interval(every)),
            user_timeout: profile.tcp_user_timeout,
            ..TcpConfig::default()
        };
    });
    builder.with_performance_config(|config| {
        if let Some(timeout) = profile.response_timeout {
            config.default_command_timeout = timeout;
        }
    });
    // Without a policy it never connects again.
    if profile.reconnect_on.is_none() || profile.gives_up_when(Trouble::Broken) {
        let millis = |pause: Duration| u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
        let min = profile.min_pause.unwrap_or(PAUSE);
        let max = profile.max_pause.unwrap_or(min.max(PAUSE));
        builder.set_policy(ReconnectPolicy::new_exponential(0, millis(min), millis(max), 2));
    }
    builder
}

/// What the profile wants and fred leaves to its caller; and what fred says of itself.
pub(super) fn besides(client: &FredClient, target: &Target, profile: &Profile, diary: &Diary) -> JoinSet<()> {
    let mut besides = JoinSet::new();
    let (mut reconnected, notes) = (client.reconnect_rx(), diary.clone());
    besides.spawn(async move {
        while reconnected.recv().await.is_ok() {
            notes.note(Did::Connected);
        }
    });
    let (mut troubled, notes) = (client.error_rx(), diary.clone());
    besides.spawn(async move {
        while troubled.recv().await.is_ok() {
            notes.note(Did::Disconnected);
        }
    });
    let (mut changed, notes) = (client.cluster_change_rx(), diary.clone());
    besides.spawn(async move {
        while changed.recv().await.is_ok() {
            notes.note(Did::Refreshed);
        }
    });
    if let (Some(every), Place::Cluster { .. }) = (profile.refresh_every, &target.place) {
        let client = client.clone();
        besides.spawn(async move {
            let mut ticks = ticks(every);
            loop {
                ticks.tick().await;
                // It says on its own errors what came of it.
                let _ = client.sync_cluster().await;
            }
        });
    }
    if let Some(age) = profile.max_age {
        let client = client.clone();
        besides.spawn(async move {
            let mut ticks = ticks(age);
            loop {
                ticks.tick().await;
                let _ = client.force_reconnection().await;
            }
        });
    }
    besides
}

fn ticks(every: Duration) -> Interval {
    interval_at(Instant::now() + every, every)
}
