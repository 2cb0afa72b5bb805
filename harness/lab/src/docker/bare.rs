//! A bare server: one that was started with a file and nothing else. Nobody watches it, and nobody has
//! given it a password.

use std::{net::Ipv4Addr, time::Duration};

use super::{Access, Attempt, Docker, DockerError, FOLDER, File, Network, Node, PORT, container, probe};
use crate::{
    conf::Conf,
    wait::{self, Seen},
};

/// One process is started: milliseconds, on a busy machine seconds.
const START: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(50);

/// A server with an address on a lab's network, and no part in the lab.
pub struct Bare {
    docker: Docker,
    network: Network,
    container: String,
    address: Ipv4Addr,
}

impl Bare {
    /// Starts one, and waits until it answers on its own host. `index` fixes the address, as it does for a
    /// node, and has to be nobody else's.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer.
    pub async fn start(
        docker: &Docker,
        network: &Network,
        index: usize,
        conf: &Conf,
    ) -> Result<Self, DockerError> {
        let bare = Self {
            docker: docker.clone(),
            network: network.clone(),
            container: format!("{}-bare", docker.labels().lab),
            address: network.address(index),
        };
        match bare.run(conf).await {
            Ok(()) => Ok(bare),
            Err(error) => {
                // The lab's teardown is there for what this leaves.
                let _ = bare.leave().await;
                Err(error)
            }
        }
    }

    async fn run(&self, conf: &Conf) -> Result<(), DockerError> {
        let Self { docker, network, container, address } = self;
        // By way of a shell: some entry points add to what a server is told.
        let file = format!("{FOLDER}/redis.conf");
        let command = ["sh", "-c", "exec \"$@\"", "bare", docker.engine().server(), &file];
        let plan = container::Plan {
            name: container,
            image: &docker.image().reference,
            address: Some(*address),
            ports: vec![PORT],
            command: command.map(str::to_owned).into(),
            labels: docker.labels().to_map(),
            hosts: Vec::new(),
            in_memory: None,
            lasting: false,
        };
        container::create(docker, network, plan).await?;
        let file = File { name: "redis.conf".to_owned(), text: conf.to_string() };
        container::put(docker, container, &[file]).await?;
        container::start(docker, network, container).await?;
        self.answers().await
    }

    async fn answers(&self) -> Result<(), DockerError> {
        let answers = wait::until("a bare server to answer itself", START, PACE, async || {
            match self.ping_itself().await {
                Ok(Attempt::Answered(_)) => Seen::Ready(()),
                Ok(other) => Seen::NotYet(format!("{other:?}")),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        let doing = || format!("starting `{}`", self.container);
        answers.await.map_err(|late| DockerError::Api { doing: doing(), source: Box::new(late) })
    }

    /// Sends it a `PING` from its own host.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn ping_itself(&self) -> Result<Attempt, DockerError> {
        self.ping(&self.container, Ipv4Addr::LOCALHOST).await
    }

    /// Sends it a `PING` from a node's host.
    ///
    /// # Errors
    /// The node's container does not run.
    pub async fn ping_from(&self, node: &Node) -> Result<Attempt, DockerError> {
        self.ping(node.container(), self.address).await
    }

    /// As nobody: it knows nobody.
    async fn ping(&self, from: &str, address: Ipv4Addr) -> Result<Attempt, DockerError> {
        probe::ping(&self.docker, from, (address, PORT).into(), &Access::default()).await
    }

    /// Removes the container.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn leave(self) -> Result<(), DockerError> {
        let _turn = self.network.turn().await;
        container::remove(&self.docker, &self.container).await
    }
}
