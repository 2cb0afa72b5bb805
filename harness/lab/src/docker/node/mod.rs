//! A node: one server at one address, in a container of the lab's, of somebody else's, or out of reach.

mod console;
mod equip;
mod host;
mod life;
mod log;
mod server;
mod sockets;

pub(super) use console::{exec, exec_with};
pub use host::Standing;
pub(crate) use host::addresses;
pub(super) use host::{Host, NOTE_LABEL};
pub(super) use server::Cli;
pub use server::{Access, CERTIFICATE, FOLDER, File, KEY, Server, TRUSTED};

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use self::{
    equip::Starter,
    host::{Lent, Tenure},
};
use super::{Docker, DockerError, Network, Participant, Place, container};
use crate::wait;
use lab_report::NodeId;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};

/// PID 1 of every node; see the script.
const SUPERVISOR: &str = include_str!("../supervisor.sh");
/// Ends the name of a container that outlives its lab because somebody asked for it.
pub(super) const KEPT: &str = "-kept";
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

/// A server that runs already.
#[derive(Debug, Clone)]
pub struct Found {
    /// How people call it.
    pub id: NodeId,
    /// Where it is, in a word.
    pub zone: String,
    /// What other nodes call it.
    pub address: Ipv4Addr,
    /// What it listens on.
    pub port: u16,
    /// Where this process reaches it.
    pub reach: SocketAddr,
    /// What it wants to see of a client.
    pub access: Access,
    /// Its container, where that is within reach.
    pub standing: Option<Standing>,
}

/// A server. Its address survives a stop; whether its data does is the server's affair.
pub struct Node {
    id: NodeId,
    zone: String,
    host: Option<Host>,
    address: Ipv4Addr,
    port: u16,
    access: Access,
    reach: Mutex<SocketAddr>,
    started: OnceLock<Instant>,
    /// Until it is served.
    starter: tokio::sync::Mutex<Option<Starter>>,
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
    /// It is in no container that this machine's container engine runs.
    #[error("{node} is in no container here")]
    Elsewhere {
        /// Which node.
        node: NodeId,
    },
    /// Its server could not be stopped and started again in its container.
    #[error("the server of {node} was not held: {says}")]
    Unheld {
        /// Which node.
        node: NodeId,
        /// What was printed.
        says: String,
    },
    /// A command on its console did not end.
    #[error("`{command}` on {node} had not ended after {budget:?}, and was ended. It printed:\n{printed}")]
    Stalled {
        /// Which node.
        node: NodeId,
        /// The command.
        command: String,
        /// How long it had.
        budget: Duration,
        /// What it had printed.
        printed: String,
    },
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
    /// Starts a node and waits until its server answers, unless that is held.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer: then the error holds its log.
    pub async fn launch(docker: &Docker, network: &Network, launch: Launch) -> Result<Arc<Self>, NodeError> {
        let Launch { id, zone, index, server } = launch;
        let container = format!("{}-{id}", docker.labels().lab);
        let address = network.address(index);
        let mut labels = docker.labels().to_map();
        labels.insert("failover-lab.node".to_owned(), id.to_string());
        labels.insert("failover-lab.zone".to_owned(), zone.clone());
        let plan = container::Plan {
            name: &container,
            image: &docker.image().reference,
            address: Some(address),
            ports: vec![server.port],
            command: ["sh", "-c", SUPERVISOR].map(str::to_owned).into(),
            labels,
            hosts: server.hosts.clone(),
            // Instead of the volume that official images would make.
            in_memory: Some("/data"),
            lasting: true,
        };
        let made = container::create(docker, network, plan).await?;
        let host = Host { docker: docker.clone(), container, tenure: Tenure::Own(network.clone()) };
        let node = Self::new(id, zone, Some(host), (address, server.port), server.access.clone());
        match node.start(&server, made, network).await {
            Ok(()) => Ok(Arc::new(node)),
            Err(error) => {
                // It is nobody's, and would keep its name and address. The error has its log; what cannot
                // be removed goes with the lab.
                let _ = node.remove().await;
                Err(error)
            }
        }
    }

    /// A server that runs already. `docker` runs its container, where that is known; whatever is done to the
    /// networks of several is done one after the other, in `turn`.
    pub fn found(found: Found, docker: Option<&Docker>, turn: &Arc<tokio::sync::Mutex<()>>) -> Arc<Self> {
        let Found { id, zone, address, port, reach, access, standing } = found;
        let host = docker.zip(standing).map(|(docker, standing)| Host {
            docker: docker.clone(),
            container: standing.name.clone(),
            tenure: Tenure::Lent(Lent::new(standing, turn)),
        });
        let mut node = Self::new(id, zone, host, (address, port), access);
        node.reach = Mutex::new(reach);
        Arc::new(node)
    }

    fn new(
        id: NodeId,
        zone: String,
        host: Option<Host>,
        (address, port): (Ipv4Addr, u16),
        access: Access,
    ) -> Self {
        Self {
            id,
            zone,
            host,
            address,
            port,
            access,
            reach: Mutex::new((address, port).into()),
            started: OnceLock::new(),
            starter: tokio::sync::Mutex::default(),
            connection: tokio::sync::Mutex::default(),
            coming_back: tokio::sync::Mutex::default(),
        }
    }

    /// When its container ran, and had all that its first server needs.
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

    /// The name of its container; nothing where it is in none that is known.
    pub fn container(&self) -> &str {
        self.host.as_ref().map_or("", |host| &host.container)
    }

    fn host(&self) -> Result<&Host, NodeError> {
        self.host.as_ref().ok_or_else(|| NodeError::Elsewhere { node: self.id.clone() })
    }

    /// Its address on the lab's network: what other nodes call it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The port that its server listens on, inside its container.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether another node, or a client, means this one by `host`, its address or its name, and `port`.
    pub fn is_at(&self, host: &str, port: u16) -> bool {
        self.port == port && (host == self.id.as_str() || host == self.address.to_string())
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

    /// Its `INFO EVERYTHING`: also how often each command was called. One answer, of one instant.
    ///
    /// # Errors
    /// As for [`Node::ask`].
    pub async fn counters(&self) -> Result<crate::info::Info, NodeError> {
        Ok(crate::info::Info::parse(&self.ask::<String>(&["INFO", "EVERYTHING"]).await?))
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
            container: self.container().to_owned(),
            address: self.address,
            node: Some(self.id.clone()),
            lent: self.host.as_ref().is_some_and(|host| matches!(host.tenure, Tenure::Lent(_))),
        }
    }
}
