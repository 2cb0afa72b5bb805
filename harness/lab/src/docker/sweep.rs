//! Removing what labs made, and restoring what they borrowed: by label, so that it works for whoever comes
//! after a dead process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
    time::Duration,
};

use bollard::{
    Docker as Api,
    query_parameters::{
        ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
    },
};
use futures_util::future::join_all;

use crate::{
    explain::chain,
    wait::{self, Seen},
};

use super::{
    DockerError, LAB_LABEL, OWNER_LABEL, Owner, RUN_LABEL, Standing,
    node::{KEPT, NOTE_LABEL},
    sidecar::{self, CHANGES_LABEL},
};

/// Whose things.
#[derive(Debug, Clone)]
pub enum Scope {
    /// One lab's.
    Lab(String),
    /// Those of every lab of a run.
    Run(String),
    /// Every lab's, of any run.
    Everything,
}

/// A container, network or volume of a lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    id: String,
    /// Its name.
    pub name: String,
    /// The run that it belongs to.
    pub run: String,
    /// The lab that made it.
    pub lab: String,
    /// The process that looks after it, where its label can be read.
    pub owner: Option<String>,
    /// Of a note: how somebody else's container was found, which the lab was about to act on.
    note: Option<String>,
    /// Of a sidecar: somebody else's container, whose network it has changed.
    changed: Option<String>,
}

/// What there is of a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Containers, running or not.
    pub containers: BTreeSet<Thing>,
    /// Networks.
    pub networks: BTreeSet<Thing>,
    /// Volumes.
    pub volumes: BTreeSet<Thing>,
}

impl Leftovers {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many things.
    pub fn len(&self) -> usize {
        self.containers.len() + self.networks.len() + self.volumes.len()
    }

    /// The names of all of them.
    pub fn names(&self) -> Vec<String> {
        let kinds = [("container", &self.containers), ("network", &self.networks), ("volume", &self.volumes)];
        let name = |kind: &str, thing: &Thing| match (&thing.note, &thing.changed) {
            (Some(_), _) => format!("note {}: its container is as it was found", thing.name),
            (_, Some(changed)) => format!("{kind} {}: the links of `{changed}` are healed", thing.name),
            _ => format!("{kind} {}", thing.name),
        };
        kinds.into_iter().flat_map(|(kind, all)| all.iter().map(move |thing| name(kind, thing))).collect()
    }

    /// The processes that look after the things of some runs.
    pub fn owners_of(&self, wanted: impl Fn(&str) -> bool) -> Vec<Owner> {
        let things = self.things().filter(|thing| wanted(&thing.run));
        let labels: BTreeSet<&String> = things.filter_map(|thing| thing.owner.as_ref()).collect();
        labels.into_iter().filter_map(|label| Owner::parse(label)).collect()
    }

    fn things(&self) -> impl Iterator<Item = &Thing> {
        self.containers.iter().chain(&self.networks).chain(&self.volumes)
    }

    fn extend(&mut self, more: Self) {
        self.containers.extend(more.containers);
        self.networks.extend(more.networks);
        self.volumes.extend(more.volumes);
    }

    /// Whether this network is among them.
    pub(super) fn has_network(&self, network: &str) -> bool {
        self.networks.iter().any(|thing| thing.name == network)
    }

    /// Without these containers and this network.
    pub(super) fn but(mut self, containers: &[String], network: &str) -> Self {
        self.containers.retain(|thing| !containers.contains(&thing.name));
        self.networks.retain(|thing| thing.name != network);
        self
    }

    fn keep(&mut self, wanted: impl Fn(&Thing) -> bool) {
        self.containers.retain(&wanted);
        self.networks.retain(&wanted);
        self.volumes.retain(&wanted);
    }
}

/// What there is in `scope`.
///
/// # Errors
/// The container engine does not answer.
pub async fn find(api: &Api, scope: &Scope) -> Result<Leftovers, DockerError> {
    let label = match scope {
        Scope::Lab(lab) => format!("{LAB_LABEL}={lab}"),
        Scope::Run(run) => format!("{RUN_LABEL}={run}"),
        Scope::Everything => RUN_LABEL.to_owned(),
    };
    let filter = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let containers =
        api.list_containers(Some(options)).await.map_err(DockerError::api("listing containers"))?;
    let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let networks = api.list_networks(Some(options)).await.map_err(DockerError::api("listing networks"))?;
    let options = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let volumes = api.list_volumes(Some(options)).await.map_err(DockerError::api("listing volumes"))?;
    Ok(Leftovers {
        containers: containers
            .into_iter()
            .map(|c| {
                let name =
                    c.names.unwrap_or_default().first().map(|name| name.trim_start_matches('/').to_owned());
                thing(c.id.unwrap_or_default(), name.unwrap_or_default(), &c.labels.unwrap_or_default())
            })
            .collect(),
        networks: networks
            .into_iter()
            .map(|n| {
                thing(n.id.unwrap_or_default(), n.name.unwrap_or_default(), &n.labels.unwrap_or_default())
            })
            .collect(),
        volumes: volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|v| thing(v.name.clone(), v.name, &v.labels))
            .collect(),
    })
}

fn thing(id: String, name: String, labels: &HashMap<String, String>) -> Thing {
    Thing {
        id,
        name,
        run: labels.get(RUN_LABEL).cloned().unwrap_or_default(),
        lab: labels.get(LAB_LABEL).cloned().unwrap_or_default(),
        owner: labels.get(OWNER_LABEL).cloned(),
        note: labels.get(NOTE_LABEL).cloned(),
        changed: labels.get(CHANGES_LABEL).cloned(),
    }
}

/// Removes what there is in `scope`, and says what it was. What fails is tried again, for as long as a busy
/// container engine may take to come round.
///
/// # Errors
/// Something could not be removed, named in the error.
pub async fn remove(api: &Api, scope: &Scope) -> Result<Leftovers, DockerError> {
    // A lab that is being made goes on making things for a moment: look again until there is nothing.
    let removed = Mutex::new(Leftovers::default());
    let what = "everything of the lab to be gone";
    wait::until(what, Duration::from_secs(30), Duration::from_millis(50), async || {
        let found = match find(api, scope).await {
            Ok(found) if found.is_empty() => return Seen::Ready(()),
            Ok(found) => found,
            Err(error) => return Seen::NotYet(chain(&error)),
        };
        let failed = remove_all(api, &found).await;
        let seen = if failed.is_empty() { found.names() } else { failed.iter().map(|e| chain(e)).collect() };
        removed.lock().expect("no panic while held").extend(found);
        Seen::NotYet(seen.join(", "))
    })
    .await
    .map_err(|source| DockerError::Api { doing: "removing a lab".to_owned(), source: Box::new(source) })?;
    Ok(removed.into_inner().expect("no panic while held"))
}

/// Removes exactly these.
pub(super) async fn remove_these(api: &Api, things: &Leftovers) -> Result<(), DockerError> {
    remove_all(api, things).await.into_iter().next().map_or(Ok(()), Err)
}

/// What becomes of topologies that were kept after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They stay: somebody may be looking at them.
    Stay,
    /// They go, too.
    Go,
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// What is gone.
    pub removed: Leftovers,
    /// What could not be removed, and why. It is tried again at the next sweep, and in nobody's way.
    pub failed: Vec<DockerError>,
}

/// Removes what labs left whose process has ended. A network that the container engine still counts
/// endpoints of stays, and is tried again at the next sweep.
///
/// # Errors
/// The container engine does not answer.
pub async fn sweep_dead(api: &Api, what_is_kept: Kept) -> Result<Swept, DockerError> {
    let mut found = find(api, &Scope::Everything).await?;
    let kept: BTreeSet<String> = found
        .containers
        .iter()
        .filter(|container| what_is_kept == Kept::Stay && container.name.ends_with(KEPT))
        .map(|container| container.lab.clone())
        .collect();
    found.keep(|thing| {
        let dead = thing.owner.as_deref().and_then(Owner::parse).is_some_and(|owner| !owner.may_be_alive());
        dead && !kept.contains(&thing.lab)
    });
    let failed = remove_all(api, &found).await;
    // What could not be removed is not said to have been.
    let left = find(api, &Scope::Everything).await?;
    found.keep(|thing| !left.things().any(|other| other.id == thing.id));
    Ok(Swept { removed: found, failed })
}

/// Removes each of these, whatever becomes of the others; returns what went wrong.
async fn remove_all(api: &Api, found: &Leftovers) -> Vec<DockerError> {
    let mut outcomes = Vec::new();
    // One after the other: see `Network::turn`.
    for container in &found.containers {
        outcomes.push(remove_container(api, container).await);
    }
    let networks = found.networks.iter().map(|network| async move {
        let result = api.remove_network(&network.id).await;
        gone(result, || format!("removing network `{}`", network.name))
    });
    outcomes.extend(join_all(networks).await);
    for volume in &found.volumes {
        outcomes.push(remove_volume(api, volume).await);
    }
    outcomes.into_iter().filter_map(Result::err).collect()
}

/// Removes a container. What it has changed is undone first: one that cannot do that stays.
async fn remove_container(api: &Api, container: &Thing) -> Result<(), DockerError> {
    if let Some(changed) = &container.changed {
        sidecar::undo(api, &container.id, changed).await?;
    }
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let result = api.remove_container(&container.id, Some(options)).await;
    gone(result, || format!("removing container `{}`", container.name))
}

/// Removes a volume. What a note says is done first: the note of a container that cannot be restored stays.
async fn remove_volume(api: &Api, volume: &Thing) -> Result<(), DockerError> {
    if let Some(note) = &volume.note {
        Standing::read(note)?.restore(api).await?;
    }
    let options = RemoveVolumeOptionsBuilder::new().force(true).build();
    let result = api.remove_volume(&volume.id, Some(options)).await;
    gone(result, || format!("removing volume `{}`", volume.name))
}

/// Gone already is as good as removed, and so is being removed by somebody else just now.
fn gone(result: Result<(), bollard::errors::Error>, doing: impl Fn() -> String) -> Result<(), DockerError> {
    match result {
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        // A container that was attached a moment ago still counts as an endpoint: the next look gets it.
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 403, message })
            if message.contains("active endpoints") =>
        {
            Ok(())
        }
        other => other.map_err(DockerError::api(doing())),
    }
}
