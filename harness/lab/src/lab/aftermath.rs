//! What is kept of a lab: its record, the nodes' last words, and a picture of the world when it went wrong.

use std::fs;

use futures_util::future::join_all;
use lab_report::{
    NodeId,
    evidence::{Role, Timeline},
    report::{NodeSummary, StepRecord},
};

use crate::{
    record::Recorder,
    session::{News, Session},
    topology::Deployment,
};

/// Everything a person would look at first: roles, offsets, links, and what happened.
pub(super) async fn world(deployment: &impl Deployment, timeline: &Timeline) -> String {
    let mut text = format!("{}\n", deployment.standing());
    for node in deployment.nodes() {
        let state = match node.info().await {
            Ok(info) => info.standing(),
            Err(error) => error.to_string(),
        };
        text.push_str(&format!("{} ({}, {}): {state}\n", node.id(), node.zone(), node.address()));
    }
    for event in &timeline.events {
        text.push_str(&format!("{:>9.1} ms  {:?}: {}\n", event.at.millis(), event.source, event.text));
    }
    for node in deployment.nodes() {
        text.push_str(&format!("--- log of {}\n{}", node.id(), node.log_tail(15).await));
    }
    text
}

pub(super) async fn summaries(deployment: &impl Deployment, recorder: &Recorder) -> Vec<NodeSummary> {
    let nodes = deployment.nodes();
    let ids: Vec<NodeId> = recorder.look(|timeline| timeline.nodes.clone());
    let summary = async |index: usize, id: NodeId| {
        let last_role = match nodes.iter().find(|node| node.id() == &id) {
            Some(node) => node.info().await.map_or(Role::Unreachable, |info| info.role()),
            None => Role::Unreachable,
        };
        let (zone, role) = deployment.at_boot(index);
        NodeSummary { id, zone, role, last_role }
    };
    join_all(ids.into_iter().enumerate().map(|(index, id)| summary(index, id))).await
}

pub(super) fn write_record(session: &Session, folder: &str, record: &StepRecord) {
    let dir = session.dir().join(folder);
    let text = serde_json::to_string_pretty(record).expect("a record is plain data");
    let written = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join("record.json"), text));
    if let Err(error) = written {
        session.report(&record.name(), News::Doing(format!("could not write {}: {error}", dir.display())));
    }
}
