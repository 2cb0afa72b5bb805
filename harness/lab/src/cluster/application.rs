//! A client of a cluster, as an application has one: the `redis` crate's, which follows redirections.

use std::sync::{Arc, Mutex, MutexGuard};

use redis::{
    Cmd, FromRedisValue, RedisError,
    cluster::{self, ClusterClientBuilder, NodeAddress},
    cluster_async::ClusterConnection,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    docker::{Access, Node},
    topology::clusters::Application,
};

/// Connections to a cluster: to whichever of its nodes have what is asked for.
///
/// Each has one operation under way at a time. The `redis` crate's (1.8.1) sends `ASKING`, waits for its answer,
/// and only then sends the command: with others on the same connection, one of those may be let in in its place.
#[derive(Clone)]
pub struct ClusterClient {
    client: Arc<cluster::ClusterClient>,
    idle: Arc<Mutex<Vec<ClusterConnection>>>,
    /// One for every operation that may be under way.
    places: Arc<Semaphore>,
}

impl ClusterClient {
    /// Connects by way of any of `known`, from where this process runs, and gets in with `access`; any of `nodes` may
    /// join them.
    pub(super) async fn connect(
        known: &[Arc<Node>],
        nodes: &[Arc<Node>],
        application: &Application,
        access: &Access,
    ) -> Result<Self, RedisError> {
        let known = known.iter().map(|node| access.to(node.reach())).collect::<Result<Vec<_>, _>>()?;
        // Where published ports stand for the nodes' own, the client is told of them.
        let address = |host: String, port| NodeAddress::new(host, port);
        let map = nodes.iter().map(|node| {
            let reach = node.reach();
            (address(node.address().to_string(), node.port()), address(reach.ip().to_string(), reach.port()))
        });
        let builder = ClusterClientBuilder::new(known);
        // The nodes that it knows come with the way to speak to them; those that it finds do not.
        let builder = match &access.tls {
            Some(tls) => builder.certs(tls.into()),
            None => builder,
        };
        let client = builder
            .node_address_map(map.collect())
            .retries(application.retries)
            .overall_response_timeout(Some(application.patience))
            .response_timeout(application.patience)
            .connection_timeout(application.patience)
            .build()?;
        let idle = Arc::new(Mutex::new(vec![client.get_async_connection().await?]));
        Ok(Self { client: Arc::new(client), idle, places: Arc::new(Semaphore::new(application.at_once)) })
    }

    /// One operation, wherever it has to go.
    ///
    /// # Errors
    /// It was refused, or could not be answered in time.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, RedisError> {
        let mut cmd = Cmd::new();
        command.iter().for_each(|word| {
            cmd.arg(*word);
        });
        let (_place, mut connection) = self.take().await?;
        let answer = cmd.query_async(&mut connection).await;
        self.idle().push(connection);
        answer
    }

    /// A connection of one's own, and the place that goes with it. Whoever waits for a place has not begun to wait
    /// for an answer.
    async fn take(&self) -> Result<(SemaphorePermit<'_>, ClusterConnection), RedisError> {
        let place = self.places.acquire().await.expect("it is never closed");
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.client.get_async_connection().await?,
        };
        Ok((place, connection))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ClusterConnection>> {
        self.idle.lock().expect("no panic while held")
    }

    /// Several operations as one: all of them, or none. Their keys have to be in one slot.
    ///
    /// # Errors
    /// It was refused, by the server or by the client itself, or could not be answered in time.
    pub async fn transaction(&self, commands: &[Vec<String>]) -> Result<(), RedisError> {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for command in commands {
            let mut cmd = Cmd::new();
            cmd.arg(command);
            pipeline.add_command(cmd).ignore();
        }
        let (_place, mut connection) = self.take().await?;
        let answer = pipeline.query_async(&mut connection).await;
        self.idle().push(connection);
        answer
    }
}
