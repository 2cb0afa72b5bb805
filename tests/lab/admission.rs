//! What the steps of users and passwords try.

use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab,
    client::{CallError, Client},
    docker::{Access, Node},
    topology::Topology,
};
use lab_report::judge::{Judgement, Page, kept};
use redis::Value;

use crate::step::alike;

/// How a refusal comes out is the question, and not how soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a client that gives no name, at each of `nodes`.
pub(crate) async fn turned_away(nodes: &[Arc<Node>], command: &[&str]) -> String {
    let mut seen = Vec::new();
    for node in nodes {
        let nobody = Access { tls: node.access().tls.clone(), ..Access::default() };
        let stranger = Client::of_node_as(node, &nobody).patient(PATIENCE);
        seen.push((node.id().to_string(), said(stranger.ask(command).await)));
    }
    alike(seen)
}

/// What becomes of each of `commands`: it is answered, or the class of its error.
pub(crate) async fn answers(client: &Client, commands: &[&[&str]]) -> String {
    let mut seen = Vec::new();
    for command in commands {
        seen.push((command.join(" "), said(client.ask(command).await)));
    }
    alike(seen)
}

fn said(answer: Result<Value, CallError>) -> String {
    answer.map_or_else(|error| error.class(), |_| "answered".to_owned())
}

/// The deployment's passwords, looked for on every page.
pub(crate) fn secrets_in(lab: &Lab<impl Topology>, pages: &[Page]) -> Judgement {
    kept(&lab.passwords(), pages)
}
