//! What the steps look for in a cluster.

use failover_lab::{Clusters, Lab, client::Client, docker::Node};
use lab_report::Slot;

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
