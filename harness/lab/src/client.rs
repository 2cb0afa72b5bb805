//! A client of an endpoint, as an application would be: it resolves a name, keeps a connection, and
//! decides what to do when that breaks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lab_report::evidence::{EndpointName, Outcome};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    cluster::Owner,
    docker::{Access, Node, PORT, Relay},
    endpoint::{Caching, Records, Resolver},
    sentinel::{Discovery, Nearest},
};

/// A client gives an operation up after this.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// A client of one endpoint.
pub struct Client {
    target: Target,
    reconnects: bool,
    renews: Option<Duration>,
    patience: Duration,
    connection: Mutex<Option<Connection>>,
}

/// What a client connects to.
enum Target {
    /// An endpoint name, resolved anew for every connection.
    Endpoint { name: String, resolver: Resolver },
    /// Whichever node the sentinels name as primary, asked anew for every connection.
    Sentinels(Discovery),
    /// Whichever node is the nearest to read from, looked for anew for every connection.
    Nearest(Nearest),
    /// Whichever node the others hold to have a slot, asked anew for every connection.
    Owner(Owner),
    /// One node.
    Node { info: ConnectionInfo },
}

/// Where a client stands, and so how it reaches the nodes.
#[derive(Clone, Default)]
pub enum Vantage {
    /// Where this process runs.
    #[default]
    Host,
    /// In a place of its own on the lab's network.
    Relay(Arc<Relay>),
}

impl Vantage {
    /// Where a client at this place connects to get to a node.
    pub fn reach(&self, node: &Node) -> SocketAddr {
        match self {
            Self::Host => node.reach(),
            Self::Relay(relay) => relay.reach(node.id()),
        }
    }
}

#[derive(Clone)]
struct Connection {
    number: u64,
    made: Instant,
    redis: MultiplexedConnection,
}

/// Why an operation was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server answered with an error: it was not applied.
    #[error("{0}")]
    Refused(String),
    /// It never left: there was no connection.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It left, and nothing came back: it may have been applied.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl CallError {
    /// What a client makes of an error: the server's own, or a silence.
    pub(crate) fn of(error: &RedisError) -> Self {
        match error.code() {
            Some(code) => Self::Refused(server_text(error, code)),
            None => Self::NoAnswer(error.to_string()),
        }
    }

    /// The connection is of no more use: it broke, or it is to a node that is not, or no longer, the one to
    /// ask. A demoted primary keeps its connections, and who is named may be another by now.
    pub(crate) fn ends_the_connection(&self) -> bool {
        match self {
            Self::Refused(text) => text.starts_with("READONLY") || text.starts_with("MOVED"),
            Self::NotSent(_) | Self::NoAnswer(_) => true,
        }
    }

    /// What became of a write that ended like this.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(_) | Self::NotSent(_) => Outcome::Failed,
            Self::NoAnswer(_) => Outcome::Indeterminate,
        }
    }

    /// The server's error code, or what kind of silence it was.
    pub fn class(&self) -> String {
        match self {
            Self::Refused(text) => text.split_whitespace().next().unwrap_or("error").to_owned(),
            Self::NotSent(_) => "not sent".to_owned(),
            Self::NoAnswer(_) => "no answer".to_owned(),
        }
    }
}

impl Client {
    /// A client that resolves again when an answer's time to live is over, and makes a new connection
    /// when one breaks or turns out to be to a replica.
    pub fn new(records: &Records, endpoint: EndpointName) -> Self {
        let resolver = Resolver::new(records, Caching::ByTtl);
        Self::to(Target::Endpoint { name: records.name(endpoint), resolver })
    }

    /// A client of one node, wherever the names point.
    pub fn of_node(node: &Node) -> Self {
        Self::of_node_as(node, node.access())
    }

    /// The same as somebody else than the lab: as one user of several, or as nobody.
    pub fn of_node_as(node: &Node, access: &Access) -> Self {
        let info = access.to(node.reach()).expect("an address is one");
        Self::to(Target::Node { info })
    }

    /// A client of the primary that the sentinels name: it asks them again when its connection breaks,
    /// or turns out to be to a replica.
    pub fn of_sentinels(discovery: Discovery) -> Self {
        Self::to(Target::Sentinels(discovery))
    }

    /// A client of the node that is the nearest to read from: it looks again when its connection breaks.
    pub fn of_nearest(nearest: Nearest) -> Self {
        Self::to(Target::Nearest(nearest))
    }

    /// A client of the node that has a slot: it asks the nodes again when its connection breaks, or when it is
    /// sent elsewhere.
    pub fn of_owner(owner: Owner) -> Self {
        Self::to(Target::Owner(owner))
    }

    fn to(target: Target) -> Self {
        Self { target, reconnects: true, renews: None, patience: PATIENCE, connection: Mutex::default() }
    }

    /// The same, but what it resolved first it keeps for ever.
    pub fn caching_the_address(mut self, records: &Records) -> Self {
        if let Target::Endpoint { resolver, .. } = &mut self.target {
            *resolver = Resolver::new(records, Caching::Forever);
        }
        self
    }

    /// The same, but it stays on its first connection whatever comes back.
    pub fn staying_connected(mut self) -> Self {
        self.reconnects = false;
        self
    }

    /// The same, but it looks again where to connect to once its connection is this old. Where it finds
    /// nobody it goes on with what it has.
    pub fn renewing(mut self, every: Duration) -> Self {
        self.renews = Some(every);
        self
    }

    /// The same with more time for an operation.
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// One operation, given up after the client's patience.
    ///
    /// # Errors
    /// It was refused, was not sent, or was not answered.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, CallError> {
        let mut cmd = Cmd::new();
        for word in command {
            cmd.arg(*word);
        }
        self.run(&cmd).await
    }

    /// Many commands in one round trip.
    ///
    /// # Errors
    /// As for [`Client::ask`].
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &redis::Pipeline) -> Result<T, CallError> {
        let mut connection = self.connected().await?;
        match timeout(self.patience, pipeline.query_async(&mut connection.redis)).await {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(error)) => Err(self.failed(&connection, &error).await),
            Err(_) => Err(self.silent(&connection).await),
        }
    }

    async fn run<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, CallError> {
        let start = Instant::now();
        let deadline = start + self.patience;
        let mut connection = self.connected().await?;
        if Instant::now() >= deadline {
            return Err(CallError::NotSent("connected too late".to_owned()));
        }
        match timeout_at(deadline, cmd.query_async(&mut connection.redis)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(&connection, &error).await),
            // Made for this operation, or for one that waited with it: it has not had all of the patience
            // yet, and is everybody's.
            Err(_) if connection.made > start => Err(self.unanswered()),
            Err(_) => Err(self.silent(&connection).await),
        }
    }

    async fn silent(&self, connection: &Connection) -> CallError {
        self.drop_connection(connection.number).await;
        self.unanswered()
    }

    fn unanswered(&self) -> CallError {
        CallError::NoAnswer(format!("nothing within {:?}", self.patience))
    }

    async fn failed(&self, connection: &Connection, error: &RedisError) -> CallError {
        let error = CallError::of(error);
        if error.ends_the_connection() {
            self.drop_connection(connection.number).await;
        }
        error
    }

    async fn drop_connection(&self, number: u64) {
        if self.reconnects {
            let mut slot = self.connection.lock().await;
            if slot.as_ref().is_some_and(|connection| connection.number == number) {
                slot.take();
            }
        }
    }

    async fn connected(&self) -> Result<Connection, CallError> {
        let slot = timeout(self.patience, self.connection.lock()).await;
        let mut slot = slot.map_err(|_| CallError::NotSent("still connecting".to_owned()))?;
        let kept = slot.clone();
        if let Some(connection) = kept.as_ref().filter(|kept| !self.is_due(kept)) {
            return Ok(connection.clone());
        }
        let redis = match (self.connect().await, kept) {
            (Err(_), Some(kept)) => return Ok(kept),
            (connected, _) => connected?,
        };
        let connection = Connection { number: fastrand::u64(..), made: Instant::now(), redis };
        *slot = Some(connection.clone());
        Ok(connection)
    }

    fn is_due(&self, connection: &Connection) -> bool {
        self.renews.is_some_and(|every| connection.made.elapsed() >= every)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, CallError> {
        let not_sent = |error: RedisError| CallError::NotSent(error.to_string());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(None);
        let (info, config) = match &self.target {
            Target::Endpoint { name, resolver } => {
                let info = (name.clone(), PORT).into_connection_info().map_err(not_sent)?;
                (info, config.set_dns_resolver(resolver.clone()))
            }
            Target::Node { info } => (info.clone(), config),
            Target::Sentinels(discovery) => {
                return discovery.primary(self.patience).await.map_err(CallError::NotSent);
            }
            Target::Owner(owner) => {
                return owner.connect(self.patience).await.map_err(CallError::NotSent);
            }
            Target::Nearest(nearest) => {
                return nearest.connect(self.patience).await.map_err(CallError::NotSent);
            }
        };
        let client = redis::Client::open(info).map_err(not_sent)?;
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(not_sent)
    }
}

/// The error as the server wrote it: code, space, text.
fn server_text(error: &RedisError, code: &str) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::Io, _) | (_, None) => error.to_string(),
        (_, Some(detail)) => format!("{code} {detail}"),
    }
}
