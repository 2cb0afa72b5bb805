//! Booting a topology: what runs, an observer around it, and what the topology does to it afterwards.

use std::time::Duration;

use lab_report::evidence::Role;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::StepError;
use crate::{
    docker::{Docker, Network, Node},
    observer::Observer,
    record::Recorder,
    topology::{Boot, Deployment, Site, Target, Topology},
};

/// A topology that has just been booted, and what goes on around it for as long as the lab does.
pub(super) struct Booted<D> {
    pub(super) site: Site,
    pub(super) deployment: D,
    pub(super) boot: Boot,
    pub(super) observer: Observer,
    pub(super) background: JoinSet<()>,
}

pub(super) async fn boot<T: Topology>(
    docker: &Docker,
    topology: &T,
) -> Result<Booted<T::Deployment>, StepError> {
    let network = Network::create(docker, &docker.labels().lab).await?;
    let site = Site { docker: docker.clone(), network, recorder: Recorder::default() };
    let (deployment, boot) = topology.boot(&site).await?;
    let mut observer = Observer::new(&site.recorder, topology.monitor());
    for (index, node) in deployment.nodes().iter().enumerate() {
        match deployment.at_boot(index) {
            (_, Role::Sentinel) => observer.glance(node),
            _ => observer.watch(node),
        }
    }
    let primary = deployment.targets(Target::Primary)[0].address().to_string();
    for command in topology.after_boot() {
        let words: Vec<String> =
            command.command.iter().map(|word| word.replace("{primary}", &primary)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for node in deployment.targets(command.node) {
            node.ask::<redis::Value>(&words).await?;
        }
    }
    let mut background = JoinSet::new();
    for repeated in topology.background() {
        for node in deployment.targets(repeated.node) {
            let (command, every) = (repeated.command.clone(), repeated.every);
            background.spawn(async move { repeat(&node, &command, every).await });
        }
    }
    Ok(Booted { site, deployment, boot, observer, background })
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
