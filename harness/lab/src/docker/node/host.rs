//! The container that a server runs in, whose it is, and what the lab owes to its owner.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use bollard::{
    Docker as Api,
    errors::Error,
    models::{
        ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
        VolumeCreateRequest,
    },
    query_parameters::{KillContainerOptionsBuilder, StartContainerOptions},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    docker::{Docker, DockerError, Network},
    explain::chain,
    wait::{self, Seen},
};

/// Marks a note, and is what it says. A note is a volume: the one thing without a process that can have
/// labels, and so is found like everything else of a lab.
pub(in crate::docker) const NOTE_LABEL: &str = "failover-lab.restores";
/// A container starts, and is put on its networks, in a second or two; on a busy machine in ten.
const BACK: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(50);
/// What was asked for when its asker died takes effect within this.
const LATE: Duration = Duration::from_millis(500);

/// A container, and whose it is.
pub(in crate::docker) struct Host {
    pub(in crate::docker) docker: Docker,
    pub(in crate::docker) container: String,
    pub(super) tenure: Tenure,
}

/// Whose a container is.
pub(super) enum Tenure {
    /// The lab's own: a supervisor in it outlives the server, and the network is the lab's.
    Own(Network),
    /// Somebody else's, who gets it back as it was.
    Lent(Lent),
}

/// Somebody else's container.
pub(super) struct Lent {
    standing: Standing,
    noted: OnceCell<()>,
    /// See [`Network::turn`].
    turn: Arc<Mutex<()>>,
}

/// How a container that runs was found: all that it takes to bring it back to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// The networks that it is on, and as what.
    networks: BTreeMap<String, EndpointSettings>,
}

impl Host {
    pub(super) async fn signal(&self, signal: &str) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let doing = format!("sending {signal} to `{}`", self.container);
        self.docker
            .api()
            .kill_container(&self.container, Some(options))
            .await
            .map_err(DockerError::api(doing))
    }

    pub(super) async fn inspect(&self) -> Result<ContainerInspectResponse, DockerError> {
        let doing = format!("looking at `{}`", self.container);
        self.docker.api().inspect_container(&self.container, None).await.map_err(DockerError::api(doing))
    }
}

impl Lent {
    pub(super) fn new(standing: Standing, turn: &Arc<Mutex<()>>) -> Self {
        Self { standing, noted: OnceCell::new(), turn: Arc::clone(turn) }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The one that it is on; none of several.
    pub(super) fn network(&self) -> Option<Network> {
        let mut names = self.standing.networks.keys();
        match (names.next(), names.next()) {
            (Some(only), None) => Some(Network::lent(only, &self.turn)),
            _ => None,
        }
    }

    /// Writes down how it was found, so that whoever comes after a dead process can bring it back to that.
    /// Before anything is done to it.
    pub(super) async fn note(&self, docker: &Docker) -> Result<(), DockerError> {
        let write = || async {
            let mut labels = docker.labels().to_map();
            let note = serde_json::to_string(&self.standing).expect("plain data");
            labels.insert(NOTE_LABEL.to_owned(), note);
            let name = format!("{}-restores-{}", docker.labels().lab, self.standing.name);
            let doing = format!("writing down how `{}` was found", self.standing.name);
            let request = VolumeCreateRequest {
                name: Some(name),
                labels: Some(labels),
                ..VolumeCreateRequest::default()
            };
            docker.api().create_volume(request).await.map(drop).map_err(DockerError::api(doing))
        };
        self.noted.get_or_try_init(write).await.copied()
    }

    /// Takes it off its networks; open connections go silent.
    pub(super) async fn unplug(&self, api: &Api) -> Result<(), DockerError> {
        let _turn = self.turn.lock().await;
        for network in self.standing.networks.keys() {
            let request =
                NetworkDisconnectRequest { container: self.standing.container.clone(), force: None };
            let doing = format!("taking `{}` off `{network}`", self.standing.name);
            api.disconnect_network(network, request).await.map_err(DockerError::api(doing))?;
        }
        Ok(())
    }

    /// Undoes whatever was done to it.
    pub(super) async fn restore(&self, api: &Api) -> Result<(), DockerError> {
        let _turn = self.turn.lock().await;
        self.standing.back(api).await
    }
}

impl Standing {
    /// Of a container that runs; none of one that has no id.
    pub(crate) fn of(found: &ContainerInspectResponse) -> Option<Self> {
        let networks = found.network_settings.clone().and_then(|settings| settings.networks);
        // Only what was asked for when it was put there: the rest is what came of it.
        let asked = |endpoint: EndpointSettings| EndpointSettings {
            ipam_config: endpoint.ipam_config,
            links: endpoint.links,
            aliases: endpoint.aliases,
            driver_opts: endpoint.driver_opts,
            ..EndpointSettings::default()
        };
        Some(Self {
            container: found.id.clone()?,
            name: found.name.clone()?.trim_start_matches('/').to_owned(),
            networks: networks
                .unwrap_or_default()
                .into_iter()
                .map(|(network, endpoint)| (network, asked(endpoint)))
                .collect(),
        })
    }

    /// As a note has it.
    pub(in crate::docker) fn read(note: &str) -> Result<Self, DockerError> {
        serde_json::from_str(note).map_err(|source| DockerError::Api {
            doing: "reading how a container was found".to_owned(),
            source: Box::new(source),
        })
    }

    /// Whether it has the same address whenever it is started.
    pub(super) fn keeps_its_address(&self) -> bool {
        let fixed = |endpoint: &EndpointSettings| {
            let asked = endpoint.ipam_config.as_ref().and_then(|ipam| ipam.ipv4_address.as_deref());
            asked.is_some_and(|address| !address.is_empty())
        };
        self.networks.values().all(fixed)
    }

    /// Brings the container back to how it was found, for somebody who cannot know what was being done to it.
    pub(in crate::docker) async fn restore(&self, api: &Api) -> Result<(), DockerError> {
        self.back(api).await?;
        wait::pass(LATE).await;
        self.back(api).await
    }

    async fn back(&self, api: &Api) -> Result<(), DockerError> {
        let what = format!("`{}` to be as it was found", self.name);
        let back = wait::until(&what, BACK, PACE, async || match self.mend(api).await {
            Ok(None) => Seen::Ready(()),
            Ok(Some(wrong)) => Seen::NotYet(wrong.to_owned()),
            Err(error) => Seen::NotYet(chain(&error)),
        });
        back.await.map_err(|late| DockerError::Api {
            doing: format!("restoring `{}`", self.name),
            source: Box::new(late),
        })
    }

    /// Undoes one thing, and says which; none if there is nothing to undo.
    async fn mend(&self, api: &Api) -> Result<Option<&'static str>, Error> {
        let found = match api.inspect_container(&self.container, None).await {
            // Its owner has removed it meanwhile.
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            found => found?,
        };
        let state = found.state.unwrap_or_default();
        if state.paused == Some(true) {
            api.unpause_container(&self.container).await?;
            return Ok(Some("paused"));
        }
        let on = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        if let Some((network, endpoint)) = self.networks.iter().find(|(name, _)| !on.contains_key(*name)) {
            let request = NetworkConnectRequest {
                container: self.container.clone(),
                endpoint_config: Some(endpoint.clone()),
            };
            api.connect_network(network, request).await?;
            return Ok(Some("off its network"));
        }
        if state.running == Some(true) {
            return Ok(None);
        }
        api.start_container(&self.container, None::<StartContainerOptions>).await?;
        Ok(Some("not running"))
    }
}

/// The addresses that a container has on its networks.
pub(crate) fn addresses(found: &ContainerInspectResponse) -> Vec<Ipv4Addr> {
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let addresses = networks.into_iter().flatten().filter_map(|(_, endpoint)| endpoint.ip_address.as_deref());
    let mut addresses: Vec<Ipv4Addr> = addresses.filter_map(|address| address.parse().ok()).collect();
    addresses.sort();
    addresses
}

#[cfg(test)]
mod tests {
    use bollard::models::{EndpointIpamConfig, NetworkSettings};

    use super::*;

    fn found(address: Option<&str>) -> ContainerInspectResponse {
        let endpoint = EndpointSettings {
            ipam_config: address.map(|address| EndpointIpamConfig {
                ipv4_address: Some(address.to_owned()),
                ..EndpointIpamConfig::default()
            }),
            aliases: Some(vec!["redis-1".to_owned()]),
            ip_address: Some("10.0.0.2".to_owned()),
            endpoint_id: Some("it has another one the next time".to_owned()),
            ..EndpointSettings::default()
        };
        ContainerInspectResponse {
            id: Some("c0ffee".to_owned()),
            name: Some("/shop_redis-1_1".to_owned()),
            network_settings: Some(NetworkSettings {
                networks: Some([("shop_default".to_owned(), endpoint)].into()),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn a_note_says_all_that_was_asked_for_and_nothing_that_came_of_it() {
        let standing = Standing::of(&found(Some("10.0.0.2"))).unwrap();
        let note = serde_json::to_string(&standing).unwrap();
        assert!(note.contains("redis-1") && !note.contains("another one"), "{note}");
        assert_eq!(Standing::read(&note).unwrap(), standing);
        assert_eq!(standing.name, "shop_redis-1_1");
    }

    #[test]
    fn an_address_that_was_not_asked_for_may_be_somebody_elses_next_time() {
        assert!(Standing::of(&found(Some("10.0.0.2"))).unwrap().keeps_its_address());
        assert!(!Standing::of(&found(None)).unwrap().keeps_its_address());
        assert_eq!(addresses(&found(None)), [Ipv4Addr::new(10, 0, 0, 2)]);
    }
}
