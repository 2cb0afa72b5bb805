//! Whom a client reads from: a replica, in its order of preference, and somebody else where that one is not
//! there.

use std::{sync::Arc, time::Duration};

use redis::aio::MultiplexedConnection;

use super::{Discovery, discovery::Standing};
use crate::{
    docker::Node,
    topology::sentinels::{Application, ReadFrom},
};

/// Looks for the node to read from.
#[derive(Clone)]
pub struct Nearest {
    discovery: Discovery,
    application: Application,
}

impl Nearest {
    /// Looks as the application wants it to.
    pub fn new(discovery: Discovery, application: &Application) -> Self {
        Self { discovery, application: application.clone() }
    }

    /// A connection to the first replica, in order of preference, that follows its primary and says so
    /// itself; else to the primary; else to a replica that answers with what it last had. Never to a node
    /// that is listed as a replica and takes itself for a primary: a demoted one that nobody has told yet.
    ///
    /// # Errors
    /// Nobody that may be read from answers.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<MultiplexedConnection, String> {
        let (mut behind, mut last) = (None, "the sentinels know no replica".to_owned());
        for node in self.replicas(patience).await? {
            match self.replica(&node, patience).await {
                Ok((connection, Standing::Following)) => return Ok(connection),
                Ok((connection, _)) => behind = behind.or(Some(connection)),
                Err(error) => last = error,
            }
        }
        let primary = match self.application.reads {
            ReadFrom::Primary | ReadFrom::ReplicasThenPrimary => self.discovery.primary(patience).await,
            ReadFrom::Preferred | ReadFrom::Replicas => Err(last),
        };
        primary.or_else(|error| behind.ok_or(error))
    }

    /// Those that may be read from, the preferred one first; those that are held to be down at the end.
    async fn replicas(&self, patience: Duration) -> Result<Vec<Arc<Node>>, String> {
        if self.application.reads == ReadFrom::Primary {
            return Ok(Vec::new());
        }
        let mut listed = self.discovery.listed(patience).await?;
        listed.sort_by_key(|(node, _)| self.rank(node));
        match self.application.reads {
            ReadFrom::Preferred => listed.truncate(1),
            _ => listed.sort_by_key(|(_, up)| !up),
        }
        Ok(listed.into_iter().map(|(node, _)| node).collect())
    }

    fn rank(&self, node: &Node) -> usize {
        let preferred = &self.application.prefers;
        preferred.iter().position(|id| id == node.id().as_str()).unwrap_or(preferred.len())
    }

    async fn replica(
        &self,
        node: &Node,
        patience: Duration,
    ) -> Result<(MultiplexedConnection, Standing), String> {
        let mut connection = self.discovery.connect(node, patience).await?;
        if !self.application.asks_role {
            return Ok((connection, Standing::Following));
        }
        match Standing::of(&mut connection, patience).await? {
            Standing::Primary => Err(format!("{} takes itself for a primary", node.id())),
            standing => Ok((connection, standing)),
        }
    }
}
