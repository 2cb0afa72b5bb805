//! What is kept of a lab: its record, the nodes' last words, and a picture of the world when it went wrong.

use std::fs;

use futures_util::future::join_all;
use lab_report::{
    NodeId,
    evidence::{Role, Timeline},
    report::{NodeSummary, StepRecord},
};

use crate::{
    group::ReplicationGroup,
    record::Recorder,
    session::{News, Session},
};

/// Everything a person would look at first: roles, offsets, links, and what happened.
pub(super) async fn world(group: &ReplicationGroup, timeline: &Timeline) -> String {
    let description = group.describe();
    let mut text = format!("group {} is {}\n", description.id, description.status);
    for node in group.nodes() {
        let state = match node.info().await {
            Ok(info) => info.replication(),
            Err(error) => error.to_string(),
        };
        text.push_str(&format!("{} ({}, {}): {state}\n", node.id(), node.zone(), node.address()));
    }
    for event in &timeline.events {
        text.push_str(&format!("{:>9.1} ms  {:?}: {}\n", event.at.millis(), event.source, event.text));
    }
    for node in group.nodes() {
        text.push_str(&format!("--- log of {}\n{}", node.id(), node.log_tail(15).await));
    }
    text
}

pub(super) async fn summaries(group: &ReplicationGroup, recorder: &Recorder) -> Vec<NodeSummary> {
    let topology = group.topology();
    let boot_role = |index: usize| match index {
        0 => Role::Primary,
        _ => Role::Replica,
    };
    let ids: Vec<NodeId> = recorder.timeline().nodes;
    join_all(ids.into_iter().enumerate().map(|(index, id)| async move {
        let last_role = match group.node(&id) {
            Ok(node) => node.info().await.map_or(Role::Unreachable, |info| info.role()),
            Err(_) => Role::Unreachable,
        };
        NodeSummary { id, zone: topology.zone_of(index).to_owned(), role: boot_role(index), last_role }
    }))
    .await
}

pub(super) fn write_record(session: &Session, folder: &str, record: &StepRecord) {
    let dir = session.dir().join(folder);
    let text = serde_json::to_string_pretty(record).expect("a record is plain data");
    let written = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join("record.json"), text));
    if let Err(error) = written {
        session.report(&record.name(), News::Doing(format!("could not write {}: {error}", dir.display())));
    }
}
