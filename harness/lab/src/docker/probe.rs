//! A bystander: a container that is no node, to try from where an application, or a stranger, would.

use std::net::Ipv4Addr;

use testcontainers_modules::{
    redis::Redis,
    testcontainers::{ContainerAsync, ImageExt, core::Mount, runners::AsyncRunner},
};

use super::{Docker, DockerError, Network, Node, PORT, node};

/// Long for a bridge on one machine, short for a person who waits.
const PATIENCE: &str = "1";

/// A container with the engine's command line, and a server of its own to try that on.
pub struct Bystander {
    docker: Docker,
    container: String,
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
        Ok(Self { docker: docker.clone(), container, handle })
    }

    /// Sends a `PING` to a node's address, from here.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn ping(&self, node: &Node) -> Result<Attempt, DockerError> {
        ping(&self.docker, &self.container, node.address(), node.port()).await
    }

    /// It gets an answer from its own server, so that silence from elsewhere means something.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn tool_works(&self) -> Result<bool, DockerError> {
        let own = ping(&self.docker, &self.container, Ipv4Addr::LOCALHOST, PORT).await?;
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

/// Sends a `PING` from a container of the engine's.
pub(super) async fn ping(
    docker: &Docker,
    container: &str,
    address: Ipv4Addr,
    port: u16,
) -> Result<Attempt, DockerError> {
    let (cli, address, port) = (docker.engine().cli(), address.to_string(), port.to_string());
    let ping = ["timeout", PATIENCE, cli, "-h", &address, "-p", &port, "PING"];
    let printed = node::exec(docker, container, &ping).await?;
    Ok(match printed.trim() {
        "PONG" => Attempt::Answered("PONG".to_owned()),
        "" => Attempt::Silence,
        other => Attempt::Refused(other.to_owned()),
    })
}
