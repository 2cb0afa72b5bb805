//! A lab's network: a bridge with a subnet of its own, so that node addresses can be fixed.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc, time::Duration};

use bollard::{
    models::{
        EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest,
    },
    query_parameters::ListContainersOptionsBuilder,
};

use tokio::sync::{Mutex, MutexGuard};

use super::{Docker, DockerError, LAB_LABEL, container};
use crate::{
    explain::chain,
    wait::{self, Seen},
};

/// Labs at once on one machine: /27 subnets of 10.213.0.0/16. The lower half of each is for fixed
/// addresses, the upper half for those that the bridge hands out.
const SUBNETS: u16 = 2048;
/// Tried before giving up; labs that die give theirs back.
const TRIES: usize = 64;
/// For as long as a busy container engine may take to come round.
const GONE: Duration = Duration::from_secs(30);
const GONE_PACE: Duration = Duration::from_millis(50);

/// A bridge network.
#[derive(Debug, Clone)]
pub struct Network {
    name: String,
    /// The first address of its subnet; none of somebody else's.
    base: Option<Ipv4Addr>,
    turn: Arc<Mutex<()>>,
}

impl Network {
    /// A new network, labelled as its lab is.
    ///
    /// # Errors
    /// No subnet is free, or the container engine refused.
    pub async fn create(docker: &Docker, name: &str) -> Result<Self, DockerError> {
        for _ in 0..TRIES {
            let base = Ipv4Addr::from_bits(
                Ipv4Addr::new(10, 213, 0, 0).to_bits() + u32::from(fastrand::u16(..SUBNETS)) * 32,
            );
            let handed_out = Ipv4Addr::from_bits(base.to_bits() + 16);
            let pool = IpamConfig {
                subnet: Some(format!("{base}/27")),
                ip_range: Some(format!("{handed_out}/28")),
                gateway: Some(Ipv4Addr::from_bits(base.to_bits() + 1).to_string()),
                ..IpamConfig::default()
            };
            let request = NetworkCreateRequest {
                name: name.to_owned(),
                labels: Some(docker.labels().to_map()),
                ipam: Some(Ipam { config: Some(vec![pool]), ..Ipam::default() }),
                ..NetworkCreateRequest::default()
            };
            match docker.api().create_network(request).await {
                Ok(_) => return Ok(Self::at_hand(name, base)),
                // "Pool overlaps with other one on this address space": somebody has this subnet.
                Err(error) if error.to_string().contains("overlap") => {}
                Err(error) => return Err(DockerError::api(format!("creating network `{name}`"))(error)),
            }
        }
        Err(DockerError::NoSubnet { tried: TRIES })
    }

    /// One that is there.
    pub(super) fn at_hand(name: &str, first: Ipv4Addr) -> Self {
        Self { name: name.to_owned(), base: Some(first), turn: Arc::default() }
    }

    /// Somebody else's, whose bridge hands out the addresses.
    pub(super) fn lent(name: &str, turn: &Arc<Mutex<()>>) -> Self {
        Self { name: name.to_owned(), base: None, turn: Arc::clone(turn) }
    }

    /// The first address of its subnet; none of somebody else's.
    pub(super) fn first(&self) -> Option<Ipv4Addr> {
        self.base
    }

    /// The turn to do something that makes or takes an endpoint of this network: start, attach, detach,
    /// remove. Side by side, they make Docker 20.10 lose count of the endpoints, and a network whose count
    /// is not zero cannot be removed ("has active endpoints") before the daemon is started again.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// A fixed address, as an endpoint's settings.
    pub(super) fn at(address: Ipv4Addr) -> EndpointSettings {
        let ipam =
            EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..EndpointIpamConfig::default() };
        EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes it.
    ///
    /// # Errors
    /// Something is still attached to it.
    pub async fn remove(&self, docker: &Docker) -> Result<(), DockerError> {
        match docker.api().remove_network(&self.name).await {
            // Gone already.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            other => other.map_err(DockerError::api(format!("removing network `{}`", self.name))),
        }
    }

    /// Removes it with every container of the lab that is on it, whoever made them. What fails is tried again.
    ///
    /// # Errors
    /// Something of it is still there.
    pub async fn clear(&self, docker: &Docker) -> Result<(), DockerError> {
        let what = format!("network `{}` to be gone, with what is on it", self.name);
        let cleared = wait::until(&what, GONE, GONE_PACE, async || match self.try_clear(docker).await {
            Ok(()) => Seen::Ready(()),
            Err(error) => Seen::NotYet(chain(&error)),
        });
        let doing = format!("clearing network `{}`", self.name);
        cleared.await.map_err(|source| DockerError::Api { doing, source: Box::new(source) })
    }

    async fn try_clear(&self, docker: &Docker) -> Result<(), DockerError> {
        let lab = format!("{LAB_LABEL}={}", docker.labels().lab);
        let filter = HashMap::from([("network", vec![self.name.clone()]), ("label", vec![lab])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let doing = format!("listing what is on `{}`", self.name);
        let found = docker.api().list_containers(Some(options)).await.map_err(DockerError::api(doing))?;
        for id in found.into_iter().filter_map(|container| container.id) {
            let _turn = self.turn().await;
            container::remove(docker, &id).await?;
        }
        self.remove(docker).await
    }

    /// The address of the node with this index; `.1` is the gateway.
    ///
    /// # Panics
    /// It is somebody else's.
    pub(crate) fn address(&self, index: usize) -> Ipv4Addr {
        let base = self.base.expect("the lab made its network");
        Ipv4Addr::from_bits(base.to_bits() + 2 + u32::try_from(index).expect("a lab has few nodes"))
    }

    /// Attaches a container at a fixed address.
    pub(crate) async fn attach(
        &self,
        docker: &Docker,
        container: &str,
        address: Ipv4Addr,
    ) -> Result<(), DockerError> {
        let _turn = self.turn().await;
        let endpoint = Self::at(address);
        let request =
            NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        let doing = format!("attaching `{container}` to `{}` at {address}", self.name);
        docker.api().connect_network(&self.name, request).await.map_err(DockerError::api(doing))
    }

    /// Takes a container off; open connections go silent.
    pub(crate) async fn detach(&self, docker: &Docker, container: &str) -> Result<(), DockerError> {
        let _turn = self.turn().await;
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: None };
        let doing = format!("taking `{container}` off `{}`", self.name);
        docker.api().disconnect_network(&self.name, request).await.map_err(DockerError::api(doing))
    }
}
