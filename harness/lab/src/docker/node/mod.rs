//! A node: one server in one container, at one address for life.

mod container;
mod life;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Docker, DockerError, Network, PORT};
use crate::wait::{self, Seen};
use bollard::{
    exec::{CreateExecOptions, StartExecResults},
    query_parameters::LogsOptionsBuilder,
};
use futures_util::StreamExt;
use lab_report::NodeId;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};

/// PID 1 of every node; see the script.
const SUPERVISOR: &str = include_str!("../supervisor.sh");
/// Ends the name of a container that outlives its lab because somebody asked for it.
pub(super) const KEPT: &str = "-kept";
/// From starting a server to its first `PONG`: tens of milliseconds, on a busy machine seconds.
const START: Duration = Duration::from_secs(20);

/// What to run as a node.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name in the topology: `lab-001`.
    pub id: NodeId,
    /// Its availability zone: a label.
    pub zone: String,
    /// Its place in the topology; fixes its address.
    pub index: usize,
    /// Server settings, as in `redis.conf`.
    pub settings: Vec<(String, String)>,
}

/// A server in a container. Its address survives a stop; its data, in memory, does not.
pub struct Node {
    id: NodeId,
    zone: String,
    docker: Docker,
    network: Network,
    container: String,
    address: Ipv4Addr,
    reach: Mutex<SocketAddr>,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    /// Held by whoever brings the node back, so that a step that heals and a manager that recovers do not
    /// both restart it, the second undoing what the first was told.
    pub(in crate::docker) coming_back: tokio::sync::Mutex<()>,
}

/// Why a node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The server refused, or the connection to it failed.
    #[error("{node} answered `{command}` with: {source}")]
    Command {
        /// Which node.
        node: NodeId,
        /// What it was asked.
        command: String,
        /// What came back.
        source: RedisError,
    },
    /// The container engine refused.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// It did not reach a state in time.
    #[error("{node}: {source}{log}")]
    TimedOut {
        /// Which node.
        node: NodeId,
        /// Which state.
        source: wait::TimedOut,
        /// The end of its log.
        log: String,
    },
}

impl Node {
    /// Starts a node and waits until its server answers.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer: then the error holds its log.
    pub async fn launch(docker: &Docker, network: &Network, launch: Launch) -> Result<Arc<Self>, NodeError> {
        let container = format!("{}-{}", docker.labels().lab, launch.id);
        let mut command =
            vec!["sh".to_owned(), "-c".to_owned(), SUPERVISOR.to_owned(), launch.id.to_string()];
        // `replicaof` is not allowed in cluster mode: there a node knows its role from `nodes.conf`.
        let clustered =
            launch.settings.iter().any(|(name, value)| name == "cluster-enabled" && value == "yes");
        command.push(if clustered { "" } else { "--replicaof 127.0.0.1 1" }.to_owned());
        command.push(docker.engine().server().to_owned());
        for (setting, value) in &launch.settings {
            command.push(format!("--{setting}"));
            // A list of several words, as in `client-output-buffer-limit replica 1mb 1mb 0`.
            match value.is_empty() {
                true => command.push(String::new()),
                false => command.extend(value.split(' ').map(str::to_owned)),
            }
        }
        let address = network.address(launch.index);
        let mut labels = docker.labels().to_map();
        labels.insert("failover-lab.node".to_owned(), launch.id.to_string());
        labels.insert("failover-lab.zone".to_owned(), launch.zone.clone());
        container::create(docker, network, &container, address, command, labels).await?;
        let node = Self {
            id: launch.id,
            zone: launch.zone,
            docker: docker.clone(),
            network: network.clone(),
            container,
            address,
            reach: Mutex::new((address, PORT).into()),
            connection: tokio::sync::Mutex::default(),
            coming_back: tokio::sync::Mutex::default(),
        };
        node.start_container().await?;
        node.find_address().await?;
        node.answers().await?;
        Ok(Arc::new(node))
    }

    /// Its name in the topology.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Its availability zone.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The name of its container.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// Its address on the lab's network: what other nodes call it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where this process reaches it.
    pub fn reach(&self) -> SocketAddr {
        *self.reach.lock().expect("no panic while held")
    }

    /// Asks the server, on a connection that is made anew when it broke.
    ///
    /// # Errors
    /// The server refused, did not answer within a second, or cannot be reached.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, NodeError> {
        self.ask_within(command, Duration::from_secs(1)).await
    }

    /// [`Node::ask`] with a time limit of one's own.
    ///
    /// # Errors
    /// As for [`Node::ask`].
    pub async fn ask_within<T: FromRedisValue>(
        &self,
        command: &[&str],
        limit: Duration,
    ) -> Result<T, NodeError> {
        let mut words = command.iter();
        let mut cmd = Cmd::new();
        words.by_ref().for_each(|word| {
            cmd.arg(*word);
        });
        let answer = tokio::time::timeout(limit, async {
            let mut connection = self.connection().await?;
            cmd.query_async(&mut connection).await
        })
        .await
        .unwrap_or_else(|_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))));
        if let Err(error) = &answer
            && error.code().is_none()
        {
            self.connection.lock().await.take();
        }
        answer.map_err(|source| NodeError::Command {
            node: self.id.clone(),
            command: command.join(" "),
            source,
        })
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let connection = self.connect(Duration::from_secs(1)).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// The server cannot be reached within `limit`.
    pub async fn connect(&self, limit: Duration) -> Result<MultiplexedConnection, RedisError> {
        let reach = self.reach();
        let client = redis::Client::open((reach.ip().to_string(), reach.port()))?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Its `INFO`, all sections.
    ///
    /// # Errors
    /// As for [`Node::ask`].
    pub async fn info(&self) -> Result<crate::info::Info, NodeError> {
        Ok(crate::info::Info::parse(&self.ask::<String>(&["INFO"]).await?))
    }

    /// Runs `redis-cli` inside the container, as on the node's own console: needs no network.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn console(&self, command: &[&str]) -> Result<String, NodeError> {
        let mut words = vec![self.docker.engine().cli()];
        words.extend(command);
        Ok(exec(&self.docker, &self.container, &words).await?)
    }

    /// The last lines of the server's log.
    pub async fn log_tail(&self, lines: usize) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut stream = self.docker.api().logs(&self.container, Some(options));
        let mut log = String::new();
        while let Some(Ok(chunk)) = stream.next().await {
            log.push_str(&chunk.to_string());
        }
        log
    }

    async fn answers(&self) -> Result<(), NodeError> {
        let answer =
            wait::until("its server to answer", START, Duration::from_millis(5), async || {
                match self.ask_within::<String>(&["PING"], Duration::from_millis(500)).await {
                    Ok(_) => Seen::Ready(()),
                    Err(error) => Seen::NotYet(error.to_string()),
                }
            });
        self.in_time(answer.await).await
    }

    async fn in_time<T>(&self, result: Result<T, wait::TimedOut>) -> Result<T, NodeError> {
        match result {
            Ok(value) => Ok(value),
            Err(source) => {
                let log = format!("\n{}", self.log_tail(10).await);
                Err(NodeError::TimedOut { node: self.id.clone(), source, log })
            }
        }
    }
}

/// Runs a command in a container and returns what it printed.
pub(super) async fn exec(docker: &Docker, container: &str, command: &[&str]) -> Result<String, DockerError> {
    let doing = || format!("running `{}` in `{container}`", command.join(" "));
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = docker.api().create_exec(container, options).await.map_err(DockerError::api(doing()))?;
    let started = docker.api().start_exec(&exec.id, None).await.map_err(DockerError::api(doing()))?;
    let mut printed = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            printed.push_str(&chunk.map_err(DockerError::api(doing()))?.to_string());
        }
    }
    Ok(printed)
}
