//! A pool of connections to the primary that the sentinels name.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{self, Manager, Metrics, Object, PoolError, RecycleError, RecycleResult},
};
use futures_util::future::join_all;
use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    client::CallError,
    docker::Node,
    sentinel::{Discovery, Standing},
    topology::sentinels::Application,
};

/// What the pool's connections are called, at the server.
pub const NAME: &str = "pool";
/// An operation, and each part of a loan, is given up after this. A hundred connections are made at once.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// At most so many connections to the primary, lent to whoever has something to ask.
pub struct Pool(managed::Pool<ToPrimary>);

/// A connection that is nobody else's until it is given back.
pub struct Loan(Object<ToPrimary>);

/// Makes connections to the primary, and says whether one may be lent again.
struct ToPrimary {
    discovery: Discovery,
    believes: Duration,
    named: Mutex<Option<Named>>,
}

/// Whom the sentinels named, and when.
struct Named {
    node: Arc<Node>,
    at: Instant,
}

/// A connection, and to whom.
struct Connected {
    node: Arc<Node>,
    redis: MultiplexedConnection,
}

impl Pool {
    /// Of at most `size` connections, set up as the application is. They are made as they are needed.
    pub fn new(discovery: Discovery, application: &Application, size: usize) -> Self {
        let manager = ToPrimary { discovery, believes: application.believes, named: Mutex::default() };
        let pool = managed::Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build();
        Self(pool.expect("a runtime for the timeouts"))
    }

    /// The most connections that it has.
    pub fn capacity(&self) -> usize {
        self.0.status().max_size
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// All are lent, or none can be made.
    pub async fn lend(&self) -> Result<Loan, CallError> {
        let not_sent = |error: PoolError<String>| CallError::NotSent(error.to_string());
        self.0.get().await.map(Loan).map_err(not_sent)
    }

    /// Lends every connection at the same time, and then has each of them do the same.
    pub async fn all<T: FromRedisValue>(&self, command: &[&str]) -> Vec<Result<T, CallError>> {
        let loans = join_all((0..self.capacity()).map(|_| self.lend())).await;
        let ask = async |loan: Result<Loan, CallError>| loan?.ask(command).await;
        join_all(loans.into_iter().map(ask)).await
    }
}

impl Loan {
    /// One operation. The connection is given back, or thrown away where it is of no more use.
    ///
    /// # Errors
    /// It was refused, or was not answered.
    pub async fn ask<T: FromRedisValue>(mut self, command: &[&str]) -> Result<T, CallError> {
        let answer = match timeout(PATIENCE, Cmd::new().arg(command).query_async(&mut self.0.redis)).await {
            Ok(answer) => answer.map_err(|error| CallError::of(&error)),
            Err(late) => Err(CallError::NoAnswer(late.to_string())),
        };
        if answer.as_ref().is_err_and(CallError::ends_the_connection) {
            drop(Object::take(self.0));
        }
        answer
    }
}

impl ToPrimary {
    /// Whom the sentinels name, as far as they were asked lately.
    async fn named(&self) -> Result<Arc<Node>, String> {
        let mut named = self.named.lock().await;
        if let Some(known) = named.as_ref().filter(|known| known.at.elapsed() < self.believes) {
            return Ok(Arc::clone(&known.node));
        }
        let node = match (self.discovery.named(PATIENCE).await, named.take()) {
            // None of them answers: that is no news of the primary.
            (Err(_), Some(known)) => known.node,
            (node, _) => node?,
        };
        *named = Some(Named { node: Arc::clone(&node), at: Instant::now() });
        Ok(node)
    }

    /// A connection to the node that is named, if it is what it is named.
    async fn connect(&self, node: Arc<Node>) -> Result<Connected, String> {
        let mut redis = self.discovery.primary_at(&node, PATIENCE).await?;
        let named = redis::cmd("CLIENT").arg(&["SETNAME", NAME]).query_async(&mut redis).await;
        named.map(|()| Connected { node, redis }).map_err(|error| error.to_string())
    }

    /// A node that is not what it was named: the sentinels are asked again.
    async fn doubt(&self, why: String) -> String {
        self.named.lock().await.take();
        why
    }
}

impl Manager for ToPrimary {
    type Type = Connected;
    type Error = String;

    async fn create(&self) -> Result<Connected, String> {
        let node = self.named().await?;
        match self.connect(node).await {
            Ok(connected) => Ok(connected),
            Err(why) => Err(self.doubt(why).await),
        }
    }

    /// It is lent again if it still is to whom the sentinels name, and that node is a primary. Neither
    /// is enough: a primary that was replaced does not know it yet, and one that is named may be gone.
    async fn recycle(&self, connected: &mut Connected, _: &Metrics) -> RecycleResult<String> {
        if self.named().await?.id() != connected.node.id() {
            return Err(RecycleError::message("the sentinels name another primary"));
        }
        let why = match Standing::of(&mut connected.redis, PATIENCE).await {
            Ok(Standing::Primary) => return Ok(()),
            Ok(_) => "it was demoted".to_owned(),
            Err(why) => why,
        };
        Err(RecycleError::Backend(self.doubt(why).await))
    }
}
