//! Booting a topology: the group, an observer around it, and what the topology does to it afterwards.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::StepError;
use crate::{
    docker::{Docker, Network, Node},
    group::{Boot, ReplicationGroup},
    observer::Observer,
    record::Recorder,
    topology::{Target, Topology},
};

pub(super) type Booted = (Network, ReplicationGroup, Boot, Recorder, Observer, JoinSet<()>);

pub(super) async fn boot(docker: &Docker, topology: &Topology) -> Result<Booted, StepError> {
    let network = Network::create(docker, &docker.labels().lab).await?;
    let recorder = Recorder::default();
    let (group, boot) = ReplicationGroup::create("lab", topology, docker, &network, &recorder).await?;
    let mut observer = Observer::new(&recorder, &topology.monitor);
    group.nodes().iter().for_each(|node| observer.watch(node));
    for command in &topology.after_boot {
        let primary = group.primary().address().to_string();
        let words: Vec<String> =
            command.command.iter().map(|word| word.replace("{primary}", &primary)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for node in targets(&group, command.node) {
            node.ask::<redis::Value>(&words).await?;
        }
    }
    let mut background = JoinSet::new();
    for repeated in &topology.background {
        for node in targets(&group, repeated.node) {
            let (command, every) = (repeated.command.clone(), repeated.every);
            background.spawn(async move { repeat(&node, &command, every).await });
        }
    }
    Ok((network, group, boot, recorder, observer, background))
}

fn targets(group: &ReplicationGroup, target: Target) -> Vec<Arc<Node>> {
    let replicas = group.replicas();
    match target {
        Target::Primary => vec![group.primary()],
        Target::FirstReplica => replicas.into_iter().take(1).collect(),
        Target::LastReplica => replicas.into_iter().last().into_iter().collect(),
        Target::Replicas => replicas,
    }
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
