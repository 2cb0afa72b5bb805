//! What the steps look for in a cluster.

use std::sync::Arc;

use failover_lab::{Clusters, Lab, client::Client, docker::Node, wait::Seen};
use lab_report::Slot;

use super::{cluster_recovery::following, slot_failover::STAGE};

/// Long enough for whatever a busy machine does to one command.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// A client of one node, that stays there.
pub(super) fn at(lab: &Lab<Clusters>, node: &Node) -> Client {
    lab.client_of(node).patient(PATIENCE)
}

/// A node's answer as a person reads it, or its error.
pub(super) async fn answer(client: &Client, command: &[&str]) -> String {
    match client.ask::<redis::Value>(command).await {
        Ok(value) => words(&value),
        Err(error) => error.to_string(),
    }
}

fn words(value: &redis::Value) -> String {
    use redis::Value;
    match value {
        Value::Nil => "nothing".to_owned(),
        Value::Okay => "OK".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::ServerError(error) => format!("{} {}", error.code(), error.details().unwrap_or_default()),
        other => format!("{other:?}"),
    }
}

/// A key of the shard with this number: the first of many that is.
pub(super) fn key_of(lab: &Lab<Clusters>, shard: usize) -> String {
    let (application, share) = (lab.application(), &lab.deployment().topology().shares()[shard]);
    let mut keys = (0..).map(|number| application.key(number));
    keys.find(|key| share.contains(Slot::of(key))).expect("some key is in every share")
}

/// Waits until each of `nodes` says that the cluster is `ok`, or that it is `fail`.
pub(super) async fn state_everywhere(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
    state: &str,
) -> Result<(), String> {
    let what = format!("every node that is left to say {state}");
    let asked = lab.wait(&what, STAGE, async || {
        for node in nodes {
            match lab.deployment().state(node).await {
                Ok(said) if said == state => {}
                Ok(said) => return Seen::NotYet(format!("{} says {said}", node.id())),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
        }
        Seen::Ready(())
    });
    asked.await.map_err(|late| late.last_seen)
}

/// Waits until the cluster stands, with one owner of every slot in every view, and until `old` follows `new`.
pub(super) async fn one_owner_each(lab: &Lab<Clusters>, old: &Node, new: &Node) -> Result<(), String> {
    let cluster = lab.deployment();
    let followed = lab.wait("it to follow its successor", STAGE, async || following(lab, old, new).await);
    followed.await.map_err(|late| late.last_seen)?;
    // All views are the same then: one of them says it for all.
    cluster.stands().await.map_err(|late| late.last_seen)?;
    let view = cluster.view(new).await.map_err(|error| error.to_string())?;
    let owners = |slot: Slot| view.shards().filter(|member| member.slots.contains(slot)).count();
    match Slot::all().find(|slot| owners(*slot) != 1) {
        None => Ok(()),
        Some(_) => Err("some slot has no owner, or more than one".to_owned()),
    }
}
