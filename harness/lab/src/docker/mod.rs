//! The default environment: every node a container of its own, with an address of its own.

mod addressing;
mod bare;
mod bus;
mod container;
mod fault;
mod labels;
mod network;
mod node;
mod partition;
mod post;
mod probe;
mod rack;
mod relay;
mod sidecar;
mod sweep;

use std::sync::Arc;

use bollard::Docker as Api;
use futures_util::future::try_join_all;
use lab_report::report::{Host, Image};

pub use addressing::{Addressing, Route, route};
pub use bare::Bare;
pub(crate) use bus::BUS;
pub use bus::ping_buses;
pub use fault::{Fault, FaultKind};
pub use labels::{LAB_LABEL, Labels, OWNER_LABEL, Owner, RUN_LABEL};
pub use network::Network;
pub(crate) use node::addresses;
pub use node::{
    Access, CERTIFICATE, FOLDER, File, Found, KEY, Launch, Node, NodeError, Server, Standing, TRUSTED,
};
pub use partition::{Participant, Partition, PartitionError, Percent, Place, Prepared, Rate, Side, Split};
pub use post::Post;
pub use probe::{Attempt, Bystander};
pub(crate) use rack::Rack;
pub use rack::SLOT_VAR;
pub use relay::Relay;
pub use sweep::{Kept, Leftovers, Scope, Swept, find, remove, sweep_dead};

use crate::{connect, engine::Engine, image, setting::SettingError};

/// The port that every server listens on, inside its container.
pub const PORT: u16 = testcontainers_modules::redis::REDIS_PORT;

/// A container engine, ready to run nodes of one server engine.
#[derive(Debug, Clone)]
pub struct Docker {
    api: Api,
    engine: Engine,
    image: Image,
    addressing: Addressing,
    labels: Arc<Labels>,
    /// What its labs stand on, if that outlives them.
    rack: Option<Arc<Rack>>,
}

/// Why the environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// No container engine answers.
    #[error(transparent)]
    Connect(#[from] connect::ConnectError),
    /// The engine image cannot be had.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// The container engine refused or failed.
    #[error("{doing} failed")]
    Api {
        /// What was asked of it.
        doing: String,
        /// What it answered.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No subnet is free for one more lab.
    #[error("none of {tried} subnets in 10.213.0.0/16 is free for the lab's network")]
    NoSubnet {
        /// How many were tried.
        tried: usize,
    },
    /// `LAB_ADDRESSING` has a value that means nothing.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl DockerError {
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Connect(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Api { .. } => "`cargo lab doctor` says what the container engine can do".to_owned(),
            Self::NoSubnet { .. } => "`cargo lab reap` removes the networks of dead runs".to_owned(),
            Self::Setting(error) => error.hint(),
        }
    }
}

impl Docker {
    /// Connects, and makes sure of the engine's image; `progress` hears about anything slow.
    ///
    /// # Errors
    /// No container engine, or no image.
    pub async fn prepare(
        engine: Engine,
        labels: Labels,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, DockerError> {
        let api = connect::connect().await?;
        let addressing = route(&api).await?.addressing();
        let image = image::ensure(&api, &engine, progress).await?;
        Ok(Self { api, engine, image, addressing, labels: Arc::new(labels), rack: None })
    }

    /// Connects, for containers that run already: `image` is what they run.
    pub(crate) fn attached(
        api: Api,
        addressing: Addressing,
        image: Image,
        engine: Engine,
        labels: Labels,
    ) -> Self {
        Self { api, engine, image, addressing, labels: Arc::new(labels), rack: None }
    }

    /// The same environment, on hosts that were handed on; it has the rack's labels.
    ///
    /// # Errors
    /// The container engine does not answer.
    pub(crate) async fn on(mut self, rack: Rack) -> Result<Self, DockerError> {
        rack.look(&self.api).await?;
        self.rack = Some(Arc::new(rack));
        Ok(self)
    }

    /// The network of a lab: of its rack, or a new one.
    ///
    /// # Errors
    /// No subnet is free, or the container engine refused.
    pub(crate) async fn network(&self) -> Result<Network, DockerError> {
        match self.rack.as_ref().and_then(|rack| rack.network()) {
            Some(first) => Ok(Network::at_hand(&self.labels.lab, first)),
            None => Network::create(self, &self.labels.lab).await,
        }
    }

    /// Makes the hosts of a lab ready for the next one: kills their servers, and removes everything else of it. Says
    /// whether it did: otherwise all of it is still there.
    ///
    /// # Errors
    /// The container engine refused. What is left of the lab is to be torn down.
    pub(crate) async fn vacate(&self, network: &Network, nodes: &[Arc<Node>]) -> Result<bool, NodeError> {
        if self.rack.is_none() {
            return Ok(false);
        }
        let as_made = try_join_all(nodes.iter().map(|node| node.is_as_made(network))).await?;
        if as_made.contains(&false) {
            return Ok(false);
        }
        try_join_all(nodes.iter().map(|node| node.kill_server())).await?;
        let hosts: Vec<String> = nodes.iter().map(|node| node.container().to_owned()).collect();
        let left = self.leftovers().await?;
        // A step may have removed it.
        if !left.has_network(network.name()) {
            return Ok(false);
        }
        let others = left.but(&hosts, network.name());
        sweep::remove_these(&self.api, &others).await?;
        Ok(true)
    }

    /// Leaves word for the next lab: which network its hosts stand on, or that there are none. Should that fail, it makes
    /// its own.
    pub(crate) fn hand_on(&self, network: Option<&Network>) {
        if let Some(rack) = &self.rack {
            let _ = rack.hand_on(network.and_then(Network::first));
        }
    }

    /// Removes the hosts that were handed on, and that the lab has no use for.
    pub(crate) async fn clear_rack(&self, network: &Network) -> Result<(), DockerError> {
        let Some(rack) = &self.rack else { return Ok(()) };
        let _turn = network.turn().await;
        for host in rack.unclaimed() {
            container::remove(self, &host).await?;
        }
        Ok(())
    }

    /// The same environment with another way to reach the nodes.
    pub fn with_addressing(mut self, addressing: Addressing) -> Self {
        self.addressing = addressing;
        self
    }

    /// How the host reaches the nodes.
    pub fn addressing(&self) -> Addressing {
        self.addressing
    }

    /// The server engine that nodes run.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The image that nodes run.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The labels of everything that is made here.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The connection to the container engine.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The machine, as the container engine sees it.
    pub async fn host(&self) -> Host {
        host(&self.api).await
    }

    /// Everything that carries this lab's label, whoever made it.
    ///
    /// # Errors
    /// The container engine does not answer.
    pub async fn leftovers(&self) -> Result<Leftovers, DockerError> {
        sweep::find(&self.api, &Scope::Lab(self.labels.lab.clone())).await
    }

    /// Removes everything that carries this lab's label.
    ///
    /// # Errors
    /// Something could not be removed.
    pub async fn tear_down(&self) -> Result<Leftovers, DockerError> {
        sweep::remove(&self.api, &Scope::Lab(self.labels.lab.clone())).await
    }
}

/// This machine, where no container engine takes part.
pub fn this_machine() -> Host {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let kernel = sysinfo::System::kernel_version().unwrap_or_default();
    Host {
        os: format!("{}, kernel {kernel}", sysinfo::System::long_os_version().unwrap_or_default()),
        arch: std::env::consts::ARCH.to_owned(),
        cpus: std::thread::available_parallelism().map_or(0, |cpus| cpus.get() as u64),
        memory_bytes: system.total_memory(),
        container_engine: "no container engine".to_owned(),
    }
}

/// The machine, as the container engine sees it; blanks for what it does not say.
pub async fn host(api: &Api) -> Host {
    let info = api.info().await.unwrap_or_default();
    let version = api.version().await.unwrap_or_default();
    Host {
        os: [info.operating_system, info.kernel_version]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", kernel "),
        arch: info.architecture.unwrap_or_default(),
        cpus: info.ncpu.unwrap_or(0).unsigned_abs(),
        memory_bytes: info.mem_total.unwrap_or(0).unsigned_abs(),
        container_engine: format!("Docker {}", version.version.unwrap_or_default()),
    }
}
