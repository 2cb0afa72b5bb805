//! How a client finds the primary and the replicas: it asks the sentinels, and believes the node itself.

use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, RedisError, Value, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::Instance;
use crate::{client::Vantage, docker::Node, topology::sentinels::NAME};

/// The sentinels, as a client knows them.
#[derive(Clone)]
pub struct Discovery {
    data: Vec<Arc<Node>>,
    sentinels: Vec<Arc<Node>>,
    vantage: Vantage,
}

impl Discovery {
    pub(super) fn new(data: &[Arc<Node>], sentinels: &[Arc<Node>], vantage: Vantage) -> Self {
        Self { data: data.to_vec(), sentinels: sentinels.to_vec(), vantage }
    }

    /// A connection to the node that the first sentinel that answers names as primary, if the node says
    /// so itself (the guidelines for Sentinel clients: ask, connect, ask `ROLE`).
    ///
    /// # Errors
    /// No sentinel answers, or the node is none.
    pub(crate) async fn primary(&self, patience: Duration) -> Result<MultiplexedConnection, String> {
        let named = self.ask_sentinels(&["GET-MASTER-ADDR-BY-NAME", NAME], patience).await?;
        let address: Option<Vec<String>> =
            redis::from_redis_value(named).map_err(|error| error.to_string())?;
        let address =
            address.and_then(|words| words.into_iter().next()).ok_or("the sentinels know no primary")?;
        let node = self.node_at(&address)?;
        let mut connection = self.connect(node, patience).await?;
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await.map_err(said)?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
            _ => Err(format!("{} is no primary", node.id())),
        }
    }

    /// The replicas that the first sentinel that answers holds to be up.
    ///
    /// # Errors
    /// No sentinel answers.
    pub async fn replicas(&self, patience: Duration) -> Result<Vec<Arc<Node>>, String> {
        let listed = self.ask_sentinels(&["REPLICAS", NAME], patience).await?;
        let listed: Vec<std::collections::HashMap<String, String>> =
            redis::from_redis_value(listed).map_err(|error| error.to_string())?;
        let up = listed.into_iter().map(Instance::of).filter(|replica| replica.is_only(super::Flag::Replica));
        up.map(|replica| self.node_at(replica.address()).cloned()).collect()
    }

    async fn ask_sentinels(&self, words: &[&str], patience: Duration) -> Result<Value, String> {
        let mut last = "there are no sentinels".to_owned();
        for sentinel in &self.sentinels {
            let answer = timeout(patience, async {
                let mut connection = self.connect(sentinel, patience).await?;
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

    async fn connect(&self, node: &Node, patience: Duration) -> Result<MultiplexedConnection, String> {
        let info = node.access().to(self.vantage.reach(node)).map_err(said)?;
        let client = redis::Client::open(info).map_err(said)?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(said)
    }

    fn node_at(&self, address: &str) -> Result<&Arc<Node>, String> {
        let found = self.data.iter().find(|node| node.address().to_string() == address);
        found.ok_or_else(|| format!("the sentinels name {address}, which is no node"))
    }
}

fn said(error: RedisError) -> String {
    error.to_string()
}
