//! How a client finds the node that has a slot: it asks the nodes, as one that draws its map of the slots anew.

use std::{sync::Arc, time::Duration};

use futures_util::future::select_ok;
use lab_report::Slot;
use redis::{AsyncConnectionConfig, RedisError, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::View;
use crate::{client::Vantage, docker::Node};

/// Whoever has a slot, as a client knows it.
#[derive(Clone)]
pub struct Owner {
    slot: Slot,
    nodes: Vec<Arc<Node>>,
    vantage: Vantage,
}

impl Owner {
    pub(super) fn new(slot: Slot, nodes: &[Arc<Node>], vantage: Vantage) -> Self {
        Self { slot, nodes: nodes.to_vec(), vantage }
    }

    /// A connection to the owner that the first node to answer names.
    ///
    /// # Errors
    /// No node answers, or none has the slot, or whoever has it cannot be reached.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<MultiplexedConnection, String> {
        let owner = self.find(patience).await?;
        self.reach(&owner, patience).await
    }

    /// The owner that the first node to answer names.
    ///
    /// # Errors
    /// No node answers, or none has the slot.
    pub(crate) async fn find(&self, patience: Duration) -> Result<Arc<Node>, String> {
        let asked = self.nodes.iter().map(|node| Box::pin(self.named_by(node, patience)));
        let named = timeout(patience, select_ok(asked)).await.map_err(|_| "no node answers")?;
        Ok(named?.0)
    }

    async fn named_by(&self, node: &Node, patience: Duration) -> Result<Arc<Node>, String> {
        let mut connection = self.reach(node, patience).await?;
        let answer = redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await;
        let view: View =
            answer.map_err(said).and_then(|text: String| text.parse().map_err(|error| format!("{error}")))?;
        let owner = view.owner(self.slot).ok_or("nobody has the slot")?;
        let found = self.nodes.iter().find(|node| node.is_at(&owner.host, owner.port));
        found.cloned().ok_or_else(|| format!("{}:{} is no node", owner.host, owner.port))
    }

    async fn reach(&self, node: &Node, patience: Duration) -> Result<MultiplexedConnection, String> {
        let client = redis::Client::open(node.access().to(self.vantage.reach(node)).map_err(said)?);
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(None);
        client.map_err(said)?.get_multiplexed_async_connection_with_config(&config).await.map_err(said)
    }
}

fn said(error: RedisError) -> String {
    error.to_string()
}
