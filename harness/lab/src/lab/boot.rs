//! Booting a topology, or taking a deployment that was found for one: what runs, an observer around it, and
//! what the topology does to it afterwards.

use std::time::{Duration, Instant};

use lab_report::{evidence::Role, report::Image};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{StepError, ground::Ground};
use crate::{
    docker::{Network, Node},
    environment::Environment,
    observer::Observer,
    record::Recorder,
    topology::{Attachment, Boot, Deployment, Site, Target, Topology},
};

/// A topology that runs, and what goes on around it for as long as the lab does.
pub(super) struct Booted<D> {
    /// The lab's own, if it made one.
    pub(super) network: Option<Network>,
    pub(super) image: Option<Image>,
    pub(super) recorder: Recorder,
    pub(super) deployment: D,
    pub(super) boot: Boot,
    pub(super) observer: Observer,
    pub(super) background: JoinSet<()>,
}

pub(super) async fn boot<T: Topology>(
    environment: &Environment,
    ground: &Ground,
    topology: &T,
) -> Result<Booted<T::Deployment>, StepError> {
    let recorder = Recorder::default();
    let (network, image, deployment, boot) = match (&ground.survey, &ground.docker) {
        (Some(survey), docker) => {
            let begin = Instant::now();
            let found = Attachment { survey, environment, docker: docker.as_ref(), recorder: &recorder };
            let deployment = topology.attach(&found).await?;
            (None, Some(survey.image.clone()), deployment, Boot::found(begin.elapsed()))
        }
        (None, Some(docker)) => {
            let network = docker.network().await?;
            let site = Site { docker: docker.clone(), network, recorder: recorder.clone() };
            let (deployment, boot) = topology.boot(&site).await?;
            docker.clear_rack(&site.network).await?;
            (Some(site.network), Some(docker.image().clone()), deployment, boot)
        }
        (None, None) => return Err("there is nothing to stand on".into()),
    };
    let observer = observe(topology, &deployment, &recorder);
    after_boot(topology, &deployment).await?;
    let background = background(topology, &deployment);
    Ok(Booted { network, image, recorder, deployment, boot, observer, background })
}

fn observe<T: Topology>(topology: &T, deployment: &T::Deployment, recorder: &Recorder) -> Observer {
    let mut observer = Observer::new(recorder, topology.monitor());
    for (index, node) in deployment.nodes().iter().enumerate() {
        match deployment.at_boot(index) {
            (_, Role::Sentinel) => observer.glance(node),
            _ => observer.watch(node),
        }
    }
    observer
}

async fn after_boot<T: Topology>(topology: &T, deployment: &T::Deployment) -> Result<(), StepError> {
    let primary = deployment.targets(Target::Primary)[0].address().to_string();
    for command in topology.after_boot() {
        let fill = |word: &String| deployment.fill(&word.replace("{primary}", &primary));
        let words: Vec<String> = command.command.iter().map(fill).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for node in deployment.targets(command.node) {
            node.ask::<redis::Value>(&words).await?;
        }
    }
    Ok(())
}

fn background<T: Topology>(topology: &T, deployment: &T::Deployment) -> JoinSet<()> {
    let mut background = JoinSet::new();
    for repeated in topology.background() {
        for node in deployment.targets(repeated.node) {
            let (command, every) = (repeated.command.clone(), repeated.every);
            background.spawn(async move { repeat(&node, &command, every).await });
        }
    }
    background
}

async fn repeat(node: &Node, command: &[String], every: Duration) {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What it does to the node is the point; the node may well not answer any more.
        let _ = node.ask::<redis::Value>(&words).await;
    }
}
