//! What a lab stands on: a container engine to make nodes with, or a deployment that was found.

use std::sync::Arc;

use crate::{
    attach::{AttachError, Survey, survey},
    connect,
    docker::{Docker, DockerError, Labels, Network, Node, Rack, route},
    environment::{Capability, Environment, MissingCapability},
    explain::chain,
    reaper::Reaper,
    session::Session,
};

/// What is there before a topology is.
pub(super) struct Ground {
    /// The container engine, where there is one within reach.
    pub(super) docker: Option<Docker>,
    /// What was found; none where the lab makes its own.
    pub(super) survey: Option<Survey>,
    /// Cleans up after this process; none where nothing can be left.
    reaper: Option<Reaper>,
    /// All that is left are the hosts on this network, for the next lab.
    vacated: Option<Network>,
}

impl Ground {
    /// Makes sure of everything that the environment needs. Why it cannot be had is said with a hint.
    pub(super) async fn prepare(
        session: &Session,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, String> {
        let environment = &session.environment;
        if let Environment::Endpoints { .. } = environment {
            let survey = survey(environment, None).await.map_err(attach_failed)?;
            return Ok(Self { docker: None, survey: Some(survey), reaper: None, vacated: None });
        }
        let rack = match environment {
            Environment::Containers => Rack::take(session),
            _ => None,
        };
        let labels =
            rack.as_ref().map_or_else(|| Labels::new(session.run.clone()), |rack| rack.labels(session));
        // Before the first container, so that nothing is ever without somebody who removes or restores it.
        let reaper = Reaper::watch_over(session.reaper(), &labels.lab);
        let reaper = reaper.map_err(|error| format!("no reaper: {error}"))?;
        let prepared = match environment {
            Environment::Containers => containers(session, labels, rack, progress)
                .await
                .map(|docker| (docker, None))
                .map_err(|error| explained(&error, &error.hint())),
            _ => borrow(session, labels).await.map_err(attach_failed),
        };
        match prepared {
            Ok((docker, survey)) => {
                Ok(Self { docker: Some(docker), survey, reaper: Some(reaper), vacated: None })
            }
            Err(why) => {
                reaper.dismiss();
                Err(why)
            }
        }
    }

    /// Makes the hosts ready for the next lab, where there may be one; says whether it did. What goes wrong is no loss: the
    /// lab is torn down then.
    pub(super) async fn vacate(&mut self, network: Option<&Network>, nodes: &[Arc<Node>]) -> bool {
        if let (Some(docker), Some(network)) = (&self.docker, network)
            && docker.vacate(network, nodes).await.unwrap_or(false)
        {
            self.vacated = Some(network.clone());
        }
        self.vacated.is_some()
    }

    /// Removes everything of the lab's that is not for the next one, and restores what it borrowed.
    pub(super) async fn clear(&self) -> Result<(), DockerError> {
        match &self.docker {
            Some(docker) if self.vacated.is_none() => docker.tear_down().await.map(drop),
            _ => Ok(()),
        }
    }

    /// There is nothing more to look after.
    pub(super) fn leave(self) {
        if let Some(reaper) = self.reaper {
            reaper.dismiss();
        }
        // Not before: the next lab is not the reaper's business.
        if let Some(docker) = self.docker {
            docker.hand_on(self.vacated.as_ref());
        }
    }
}

/// The network that all nodes are on, and none of them on another: elsewhere they may know other addresses of each other.
pub(super) fn common_network(nodes: &[Arc<Node>]) -> Result<Network, MissingCapability> {
    let networks: Vec<Network> = nodes.iter().filter_map(|node| node.network()).collect();
    let same = |one: &&Network| networks.iter().all(|other| other.name() == one.name());
    let common = networks.first().filter(same).filter(|_| networks.len() == nodes.len());
    common.cloned().ok_or_else(|| MissingCapability {
        capability: Capability::Partitions,
        whose: "the deployment's networks have",
        says: "its nodes are on several".to_owned(),
    })
}

async fn containers(
    session: &Session,
    labels: Labels,
    rack: Option<Rack>,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Docker, DockerError> {
    let docker = Docker::prepare(session.engine.clone(), labels, progress).await?;
    match rack {
        Some(rack) => docker.on(rack).await,
        None => Ok(docker),
    }
}

async fn borrow(session: &Session, labels: Labels) -> Result<(Docker, Option<Survey>), AttachError> {
    let api = connect::connect().await.map_err(DockerError::from)?;
    let addressing = route(&api).await.map_err(DockerError::from)?.addressing();
    let found = survey(&session.environment, Some((&api, addressing))).await?;
    let docker = Docker::attached(api, addressing, found.image.clone(), session.engine.clone(), labels);
    Ok((docker, Some(found)))
}

fn attach_failed(error: AttachError) -> String {
    explained(&error, &error.hint())
}

fn explained(error: &dyn std::error::Error, hint: &str) -> String {
    format!("{}\nhint: {hint}", chain(error))
}
