//! How a client finds the primary and the replicas: it asks the sentinels, and believes the node itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, RedisError, Value, aio::MultiplexedConnection};
use tokio::{sync::OnceCell, time::timeout};

use super::{Flag, Instance};
use crate::{
    client::Vantage,
    docker::{Access, Node},
};

/// The sentinels, as a client knows them.
#[derive(Clone)]
pub struct Discovery {
    name: String,
    data: Vec<Arc<Node>>,
    sentinels: Vec<Arc<Node>>,
    vantage: Vantage,
    access: Option<Access>,
    remembered: Option<Arc<OnceCell<Arc<Node>>>>,
}

/// How a node says that it stands: its `ROLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes writes.
    Primary,
    /// It hears its primary.
    Following,
    /// It is a replica that does not hear its primary, or is still getting the dataset.
    Behind,
}

impl Standing {
    /// How the node at the other end stands.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn of(
        connection: &mut MultiplexedConnection,
        patience: Duration,
    ) -> Result<Self, String> {
        let answer = timeout(patience, redis::cmd("ROLE").query_async(connection)).await;
        let role: Vec<Value> = answer.map_err(|_| "it does not say its role")?.map_err(said)?;
        // `slave <host> <port> <state of its link> <offset>`
        Ok(match (role.first(), role.get(3)) {
            (Some(Value::BulkString(role)), _) if role == b"master" => Self::Primary,
            (_, Some(Value::BulkString(state))) if state == b"connected" => Self::Following,
            _ => Self::Behind,
        })
    }
}

impl Discovery {
    pub(super) fn new(name: &str, data: &[Arc<Node>], sentinels: &[Arc<Node>], vantage: Vantage) -> Self {
        let (data, sentinels) = (data.to_vec(), sentinels.to_vec());
        Self { name: name.to_owned(), data, sentinels, vantage, access: None, remembered: None }
    }

    /// The same for a client that comes to the data nodes as somebody else than the lab.
    pub fn signed_in(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// The same, but the primary that was named first is taken to be the primary for ever.
    pub fn remembering(mut self) -> Self {
        self.remembered = Some(Arc::default());
        self
    }

    /// A connection to the node that the first sentinel that answers names as primary, if the node says
    /// so itself (the guidelines for Sentinel clients: ask, connect, ask `ROLE`).
    ///
    /// # Errors
    /// No sentinel answers, or the node is none.
    pub(crate) async fn primary(&self, patience: Duration) -> Result<MultiplexedConnection, String> {
        let node = self.named(patience).await?;
        self.primary_at(&node, patience).await
    }

    /// A connection to a node, if it says itself that it is a primary.
    ///
    /// # Errors
    /// It cannot be reached, or is none.
    pub(crate) async fn primary_at(
        &self,
        node: &Node,
        patience: Duration,
    ) -> Result<MultiplexedConnection, String> {
        let mut connection = self.connect(node, patience).await?;
        match Standing::of(&mut connection, patience).await? {
            Standing::Primary => Ok(connection),
            Standing::Following | Standing::Behind => Err(format!("{} is no primary", node.id())),
        }
    }

    /// The node that the first sentinel that answers names as primary.
    ///
    /// # Errors
    /// No sentinel answers, or it knows none.
    pub(crate) async fn named(&self, patience: Duration) -> Result<Arc<Node>, String> {
        match &self.remembered {
            Some(first) => first.get_or_try_init(|| self.ask_for_the_primary(patience)).await.cloned(),
            None => self.ask_for_the_primary(patience).await,
        }
    }

    async fn ask_for_the_primary(&self, patience: Duration) -> Result<Arc<Node>, String> {
        let named = self.ask_sentinels(&["GET-MASTER-ADDR-BY-NAME", &self.name], patience).await?;
        let named: Option<(String, u16)> =
            redis::from_redis_value(named).map_err(|error| error.to_string())?;
        let (host, port) = named.ok_or("the sentinels know no primary")?;
        self.node_at(&host, port).cloned()
    }

    /// The replicas that the first sentinel that answers knows of, and whether it holds them to be up.
    ///
    /// # Errors
    /// No sentinel answers.
    pub(crate) async fn listed(&self, patience: Duration) -> Result<Vec<(Arc<Node>, bool)>, String> {
        let listed = self.ask_sentinels(&["REPLICAS", &self.name], patience).await?;
        let listed: Vec<HashMap<String, String>> =
            redis::from_redis_value(listed).map_err(|error| error.to_string())?;
        let of = |replica: Instance| {
            let up = replica.is_only(Flag::Replica);
            let port = replica.number("port").unwrap_or_default();
            self.node_at(replica.address(), port).map(|node| (Arc::clone(node), up))
        };
        listed.into_iter().map(Instance::of).map(of).collect()
    }

    async fn ask_sentinels(&self, words: &[&str], patience: Duration) -> Result<Value, String> {
        let mut last = "there are no sentinels".to_owned();
        for sentinel in &self.sentinels {
            let answer = timeout(patience, async {
                let mut connection = self.connect_as(sentinel.access(), sentinel, patience).await?;
                redis::cmd("SENTINEL").arg(words).query_async(&mut connection).await.map_err(said)
            });
            match answer.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = error,
                Err(_) => last = format!("{} does not answer", sentinel.id()),
            }
        }
        Err(last)
    }

    /// A connection to a data node, whatever it is.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) async fn connect(
        &self,
        node: &Node,
        patience: Duration,
    ) -> Result<MultiplexedConnection, String> {
        self.connect_as(self.access.as_ref().unwrap_or(node.access()), node, patience).await
    }

    async fn connect_as(
        &self,
        access: &Access,
        node: &Node,
        patience: Duration,
    ) -> Result<MultiplexedConnection, String> {
        let info = access.to(self.vantage.reach(node)).map_err(said)?;
        let client = redis::Client::open(info).map_err(said)?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(said)
    }

    /// Resolves what a sentinel names.
    fn node_at(&self, host: &str, port: u16) -> Result<&Arc<Node>, String> {
        let found = self.data.iter().find(|node| node.is_at(host, port));
        found.ok_or_else(|| format!("the sentinels name {host}:{port}, which is no node"))
    }
}

fn said(error: RedisError) -> String {
    error.to_string()
}
