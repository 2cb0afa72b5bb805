//! A container with an address of its own, as the container engine is asked for it: a node's, a relay's.
//!
//! testcontainers starts the bystanders and not these: it cannot ask for an address, and one that the
//! bridge hands out is given to somebody else when the container stops. (Moving a running container to a fixed
//! address is possible; doing that to several at once makes Docker 20.10 lose count of a network's
//! endpoints, and then the network can never be removed.)

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::Ipv4Addr,
};

use bollard::{
    models::{
        ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountTypeEnum, NetworkingConfig,
        PortBinding,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
        UploadToContainerOptionsBuilder,
    },
};

use super::{
    Addressing, Docker, DockerError, Network,
    node::{FOLDER, File},
    rack::{Claim, MAKE_LABEL},
};
use crate::{archive, wait::Seen};

/// What to ask for.
pub(super) struct Plan<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    /// None: whatever the bridge hands out.
    pub(super) address: Option<Ipv4Addr>,
    /// What it listens on.
    pub(super) ports: Vec<u16>,
    pub(super) command: Vec<String>,
    pub(super) labels: HashMap<String, String>,
    /// Names that it can resolve.
    pub(super) hosts: Vec<(String, Ipv4Addr)>,
    /// A folder that is kept in memory.
    pub(super) in_memory: Option<&'a str>,
    /// It can be handed on: what runs in it does not depend on this lab.
    pub(super) lasting: bool,
}

/// What there is of a container that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It is there, and to be started.
    New,
    /// It was handed on, and runs.
    HandedOn,
}

/// Makes the container, with a fixed address, unless it was handed on; does not start it.
pub(super) async fn create(docker: &Docker, network: &Network, plan: Plan<'_>) -> Result<Made, DockerError> {
    let make = plan.lasting.then(|| plan.make());
    if let Some(rack) = &docker.rack {
        let Claim { stands, in_the_way } = rack.claim(plan.name, make.as_deref(), plan.address);
        if stands {
            return Ok(Made::HandedOn);
        }
        let _turn = network.turn().await;
        for other in in_the_way {
            remove(docker, &other).await?;
        }
    }
    let ports: Vec<String> = plan.ports.iter().map(|port| format!("{port}/tcp")).collect();
    let mapped = docker.addressing() == Addressing::Mapped;
    // Any free port of localhost.
    let binding =
        PortBinding { host_ip: Some(Ipv4Addr::LOCALHOST.to_string()), host_port: Some(String::new()) };
    let bindings =
        mapped.then(|| ports.iter().map(|port| (port.clone(), Some(vec![binding.clone()]))).collect());
    // Gone with the container, unlike a volume.
    let mount = plan.in_memory.map(|folder| Mount {
        target: Some(folder.to_owned()),
        typ: Some(MountTypeEnum::TMPFS),
        ..Mount::default()
    });
    let hosts = plan.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    let host = HostConfig {
        extra_hosts: Some(hosts),
        network_mode: Some(network.name().to_owned()),
        port_bindings: bindings,
        mounts: mount.map(|mount| vec![mount]),
        ..HostConfig::default()
    };
    let make = make.map(|make| (MAKE_LABEL.to_owned(), make));
    let labels = plan.labels.into_iter().chain(make).collect();
    let endpoint = plan.address.map_or_else(EndpointSettings::default, Network::at);
    let endpoints = HashMap::from([(network.name().to_owned(), endpoint)]);
    let body = ContainerCreateBody {
        image: Some(plan.image.to_owned()),
        cmd: Some(plan.command),
        labels: Some(labels),
        exposed_ports: mapped.then_some(ports),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(plan.name).build();
    let doing = format!("creating `{}`", plan.name);
    let created = docker.api().create_container(Some(options), body).await;
    created.map(|_| Made::New).map_err(DockerError::api(doing))
}

impl Plan<'_> {
    /// Stands for all that makes one container different from another.
    fn make(&self) -> String {
        let labels: BTreeMap<_, _> = self.labels.iter().collect();
        let mut hasher = DefaultHasher::new();
        (self.image, self.address, &self.ports, &self.command, labels, &self.hosts, self.in_memory)
            .hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// The address that the bridge handed out.
pub(super) async fn address(docker: &Docker, name: &str, network: &Network) -> Result<Ipv4Addr, DockerError> {
    let doing = format!("finding the address of `{name}`");
    let found = docker.api().inspect_container(name, None).await.map_err(DockerError::api(&doing))?;
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = networks.get(network.name()).and_then(|endpoint| endpoint.ip_address.as_deref());
    let address = address.unwrap_or_default();
    address.parse().map_err(|error| DockerError::Api { doing, source: Box::new(error) })
}

/// Starts it for the first time.
pub(super) async fn start(docker: &Docker, network: &Network, name: &str) -> Result<(), DockerError> {
    let _turn = network.turn().await;
    let started = docker.api().start_container(name, None::<StartContainerOptions>);
    started.await.map_err(DockerError::api(format!("starting `{name}`")))
}

/// The port of localhost that stands for `port`. Published ports change with every start and every network.
pub(super) async fn published(docker: &Docker, name: &str, port: u16) -> Seen<u16> {
    let found = docker.api().inspect_container(name, None).await.ok();
    let ports = found.and_then(|found| found.network_settings).and_then(|settings| settings.ports);
    let bindings = ports.unwrap_or_default().remove(&format!("{port}/tcp")).flatten().unwrap_or_default();
    match bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok()) {
        Some(port) => Seen::Ready(port),
        None => Seen::NotYet("none".to_owned()),
    }
}

/// Removes the container, running or not.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), DockerError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.api().remove_container(name, Some(options)).await {
        // Gone already, or being removed by somebody else just now.
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        other => other.map_err(DockerError::api(format!("removing `{name}`"))),
    }
}

/// Puts files where the node finds them when it starts.
pub(super) async fn put(docker: &Docker, name: &str, files: &[File]) -> Result<(), DockerError> {
    if files.is_empty() {
        return Ok(());
    }
    let archive =
        archive::of(files.iter().map(|file| (format!("{FOLDER}/{}", file.name), file.text.as_str())));
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    let doing = format!("putting files into `{name}`");
    docker
        .api()
        .upload_to_container(name, Some(options), bollard::body_full(archive.into()))
        .await
        .map_err(DockerError::api(doing))
}
