//! A bystander: a container that is no node, to try from where an application, or a stranger, would.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use redis::AsyncConnectionConfig;
use testcontainers_modules::{
    redis::Redis,
    testcontainers::{ContainerAsync, ImageExt, core::Mount, runners::AsyncRunner},
};
use tokio::time::timeout;

use super::{
    Access, Docker, DockerError, Network, Node, PORT, Participant, Place, container,
    node::{self, Cli},
};
use crate::wait;

/// Long for a bridge on one machine, short for a person who waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// A handshake is work, which a busy machine does later. Nobody who is knocked at is silent by intention.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A container with the engine's command line, and a server of its own to try that on.
pub struct Bystander {
    docker: Docker,
    name: String,
    container: String,
    address: Ipv4Addr,
    handle: ContainerAsync<Redis>,
}

/// What trying to reach a port came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The server answered.
    Answered(String),
    /// Nothing came back in time.
    Silence,
    /// Something else came back: a refusal, an error of the tool.
    Refused(String),
}

impl Bystander {
    /// A bystander on `network`.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn join(docker: &Docker, network: &Network, name: &str) -> Result<Self, DockerError> {
        let _turn = network.turn().await;
        let container = format!("{}-{name}", docker.labels().lab);
        let (image, tag) =
            docker.image().reference.rsplit_once(':').unwrap_or((&docker.image().reference, "latest"));
        let handle = Redis::default()
            .with_name(image)
            .with_tag(tag)
            .with_container_name(&container)
            .with_cmd([docker.engine().server(), "--save", "", "--protected-mode", "no"])
            .with_network(network.name())
            .with_labels(docker.labels().to_map())
            .with_mount(Mount::tmpfs_mount("/data"))
            .with_ready_conditions(Vec::new())
            .with_host_config_modifier(|host| host.publish_all_ports = Some(false))
            .start()
            .await
            .map_err(|source| DockerError::Api {
                doing: format!("starting bystander `{name}`"),
                source: Box::new(source),
            })?;
        let address = container::address(docker, &container, network).await?;
        Ok(Self { docker: docker.clone(), name: name.to_owned(), container, address, handle })
    }

    /// Sends a `PING` to a node's address, from here.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn ping(&self, node: &Node) -> Result<Attempt, DockerError> {
        self.ping_at(node, node.address()).await
    }

    /// The same for one of its other addresses.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn ping_at(&self, node: &Node, address: Ipv4Addr) -> Result<Attempt, DockerError> {
        let target = (address, node.port()).into();
        ping(&self.docker, &self.container, target, &Access::default()).await
    }

    /// It gets an answer from its own server, so that silence from elsewhere means something.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn tool_works(&self) -> Result<bool, DockerError> {
        let own = (Ipv4Addr::LOCALHOST, PORT).into();
        let own = ping(&self.docker, &self.container, own, &Access::default()).await?;
        Ok(matches!(own, Attempt::Answered(_)))
    }

    /// Removes the container.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn leave(self) -> Result<(), DockerError> {
        let doing = format!("removing bystander `{}`", self.container);
        self.handle.rm().await.map_err(|source| DockerError::Api { doing, source: Box::new(source) })
    }
}

impl Participant for Bystander {
    fn place(&self) -> Place {
        let (name, container) = (self.name.clone(), self.container.clone());
        Place { name, container, address: self.address, node: None, lent: false }
    }
}

/// Sends a `PING` from a container of the engine's.
pub(super) async fn ping(
    docker: &Docker,
    container: &str,
    target: SocketAddr,
    access: &Access,
) -> Result<Attempt, DockerError> {
    let (patience, host, port) =
        (PATIENCE.as_secs().to_string(), target.ip().to_string(), target.port().to_string());
    let Cli { arguments, environment } = access.cli();
    let mut ping = vec!["timeout", &patience, docker.engine().cli(), "-h", &host, "-p", &port];
    ping.extend(arguments.iter().map(String::as_str));
    ping.push("PING");
    let printed = node::exec_with(docker, container, &ping, environment).await?;
    Ok(match printed.trim() {
        "PONG" => Attempt::Answered("PONG".to_owned()),
        "" => Attempt::Silence,
        other => Attempt::Refused(other.to_owned()),
    })
}

/// Sends a `PING` from where this process runs, on a connection of its own.
pub(super) async fn knock(target: SocketAddr, access: &Access) -> Attempt {
    let answer = timeout(wait::scaled(HANDSHAKE), async {
        let client = redis::Client::open(access.to(target)?)?;
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    });
    match answer.await {
        Ok(Ok(answer)) => Attempt::Answered(answer),
        // An error of the server's own is an answer: it has let this client speak.
        Ok(Err(error)) if error.code().is_some() => Attempt::Answered(error.to_string()),
        Ok(Err(error)) => Attempt::Refused(error.to_string()),
        Err(_) => Attempt::Silence,
    }
}
