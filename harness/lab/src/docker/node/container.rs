//! A node's container, as the container engine is asked for it.
//!
//! testcontainers starts the bystanders and not the nodes: it cannot ask for an address, and one that the
//! bridge hands out is given to somebody else when the node stops. (Moving a running container to a fixed
//! address is possible; doing that to several at once makes Docker 20.10 lose count of a network's
//! endpoints, and then the network can never be removed.)

use std::{collections::HashMap, net::Ipv4Addr};

use bollard::{
    models::{ContainerCreateBody, HostConfig, Mount, MountTypeEnum, NetworkingConfig, PortBinding},
    query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};

use super::server::{FOLDER, File};
use crate::{
    archive,
    docker::{Addressing, Docker, DockerError, Network},
};

/// What to ask for.
pub(super) struct Plan<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    pub(super) command: Vec<String>,
    pub(super) labels: HashMap<String, String>,
}

/// Makes the container, with a fixed address; does not start it.
pub(super) async fn create(docker: &Docker, network: &Network, plan: Plan<'_>) -> Result<(), DockerError> {
    let port = format!("{}/tcp", plan.port);
    let mapped = docker.addressing() == Addressing::Mapped;
    // Any free port of localhost.
    let binding =
        PortBinding { host_ip: Some(Ipv4Addr::LOCALHOST.to_string()), host_port: Some(String::new()) };
    let bindings = mapped.then(|| HashMap::from([(port.clone(), Some(vec![binding]))]));
    // Instead of the volume that official images would make; gone with the container.
    let data =
        Mount { target: Some("/data".to_owned()), typ: Some(MountTypeEnum::TMPFS), ..Mount::default() };
    let host = HostConfig {
        network_mode: Some(network.name().to_owned()),
        port_bindings: bindings,
        mounts: Some(vec![data]),
        ..HostConfig::default()
    };
    let endpoints = HashMap::from([(network.name().to_owned(), Network::at(plan.address))]);
    let body = ContainerCreateBody {
        image: Some(docker.image().reference.clone()),
        cmd: Some(plan.command),
        labels: Some(plan.labels),
        exposed_ports: mapped.then(|| vec![port]),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(plan.name).build();
    let doing = format!("creating `{}`", plan.name);
    docker.api().create_container(Some(options), body).await.map(drop).map_err(DockerError::api(doing))
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
