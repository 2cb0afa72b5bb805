//! A node: one server in one container, at one address for life.

mod life;
mod server;

pub use server::{Access, FOLDER, File, Server};

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use super::{Attempt, Docker, DockerError, Network, Participant, Place, container, probe};
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
    /// What runs there.
    pub server: Server,
}

/// A server in a container. Its address survives a stop; its data, in memory, does not.
pub struct Node {
    id: NodeId,
    zone: String,
    docker: Docker,
    network: Network,
    container: String,
    address: Ipv4Addr,
    port: u16,
    access: Access,
    reach: Mutex<SocketAddr>,
    started: OnceLock<Instant>,
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
        let Launch { id, zone, index, server } = launch;
        let container = format!("{}-{id}", docker.labels().lab);
        let program = docker.engine().server();
        let mut command: Vec<String> =
            ["sh", "-c", SUPERVISOR, id.as_str(), &server.when_returned, program].map(str::to_owned).into();
        command.extend(server.arguments);
        let address = network.address(index);
        let mut labels = docker.labels().to_map();
        labels.insert("failover-lab.node".to_owned(), id.to_string());
        labels.insert("failover-lab.zone".to_owned(), zone.clone());
        let plan = container::Plan {
            name: &container,
            image: &docker.image().reference,
            address,
            ports: vec![server.port],
            command,
            labels,
            // Instead of the volume that official images would make.
            in_memory: Some("/data"),
        };
        container::create(docker, network, plan).await?;
        let node = Self {
            id,
            zone,
            docker: docker.clone(),
            network: network.clone(),
            container,
            address,
            port: server.port,
            access: server.access,
            reach: Mutex::new((address, server.port).into()),
            started: OnceLock::new(),
            connection: tokio::sync::Mutex::default(),
            coming_back: tokio::sync::Mutex::default(),
        };
        match node.start(&server.files).await {
            Ok(()) => Ok(Arc::new(node)),
            Err(error) => {
                // It is nobody's, and would keep its name and address. The error has its log; what cannot
                // be removed goes with the lab.
                let _ = node.remove().await;
                Err(error)
            }
        }
    }

    async fn start(&self, files: &[File]) -> Result<(), NodeError> {
        container::put(&self.docker, &self.container, files).await?;
        self.start_container().await?;
        let _ = self.started.set(Instant::now());
        self.find_address().await?;
        self.answers().await
    }

    /// When its container first ran.
    pub fn started(&self) -> Instant {
        // A node that was launched has been started.
        *self.started.get_or_init(Instant::now)
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

    /// The port that its server listens on, inside its container.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What its server wants to see of a client.
    pub fn access(&self) -> &Access {
        &self.access
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
        let mut cmd = Cmd::new();
        command.iter().for_each(|word| {
            cmd.arg(*word);
        });
        let answer = tokio::time::timeout(limit, self.ask_twice(&cmd)).await;
        let answer = answer
            .unwrap_or_else(|_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))));
        if let Err(error) = &answer
            && error.code().is_none()
        {
            self.connection.lock().await.take();
        }
        answer.map_err(|source| NodeError::Command {
            node: self.id.clone(),
            command: shortened(command),
            source,
        })
    }

    /// A second time, on a new connection, if the first one turns out to be closed: a server closes its
    /// connections when it is given another role. Nothing that the lab tells a node does harm twice.
    async fn ask_twice<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection().await?;
        match cmd.query_async(&mut connection).await {
            Err(error) if error.is_connection_dropped() => {
                self.connection.lock().await.take();
                cmd.query_async(&mut self.connection().await?).await
            }
            answer => answer,
        }
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
        let client = redis::Client::open(self.access.to(self.reach())?)?;
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
        let port = self.port.to_string();
        let mut words = vec![self.docker.engine().cli(), "-p", &port];
        words.extend(command);
        // Not as an argument: those are for everybody to read.
        let password =
            self.access.password.as_ref().map(|secret| format!("REDISCLI_AUTH={}", secret.reveal()));
        Ok(exec_with(&self.docker, &self.container, &words, password.into_iter().collect()).await?)
    }

    /// Sends a `PING` to another node's address, from this one's place on the network.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn ping(&self, other: &Self) -> Result<Attempt, DockerError> {
        probe::ping(&self.docker, &self.container, other.address, other.port).await
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

/// A command as far as a person wants to read it in an error.
fn shortened(command: &[&str]) -> String {
    const SHOWN: usize = 8;
    match command.len() {
        long if long > SHOWN => format!("{} … ({long} words)", command[..SHOWN].join(" ")),
        _ => command.join(" "),
    }
}

impl Participant for Node {
    fn place(&self) -> Place {
        Place {
            name: self.id.to_string(),
            container: self.container.clone(),
            address: self.address,
            node: Some(self.id.clone()),
        }
    }
}

/// Runs a command in a container and returns what it printed.
pub(super) async fn exec(docker: &Docker, container: &str, command: &[&str]) -> Result<String, DockerError> {
    exec_with(docker, container, command, Vec::new()).await
}

/// [`exec`] with variables in the command's environment.
async fn exec_with(
    docker: &Docker,
    container: &str,
    command: &[&str],
    environment: Vec<String>,
) -> Result<String, DockerError> {
    let doing = || format!("running `{}` in `{container}`", command.join(" "));
    let options = CreateExecOptions {
        cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        env: Some(environment),
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
