use std::{collections::BTreeSet, time::Duration};

use failover_lab::{
    Lab, StepError,
    client::{CallError, Client},
    docker::{Node, PORT},
    endpoint::{Caching, Resolver},
    group::NODE_GROUP,
    replicated,
    wait::pass,
};
use lab_report::{evidence::EndpointName, judge::Judgement};
use redis::{Value, io::AsyncDNSResolver};

use crate::step::{Outcome, step};

step!("q5", "reader-endpoint", replicated(2), reader_endpoint);

/// Twenty clients, each with a resolver of its own.
const CLIENTS: usize = 20;
/// A connection is used this often, 10 ms apart.
const READS: usize = 50;

/// The reader endpoint names the replicas, by turns.
///
/// 1. Both names resolve to nodes of the group.
/// 2. Twenty new clients of the reader never get the primary, and get every replica.
/// 3. One connection, used for half a second, stays on one replica.
/// 4. The node group is failed over, to a node in another zone: twenty new clients of the reader never get that, and
///    some get the old primary.
async fn reader_endpoint(lab: &mut Lab) -> Outcome {
    // 1. The names.
    let observed = unresolved(lab).await;
    lab.check("endpoints.resolve", Judgement::equal("both resolve to nodes of the group", observed));

    // 2. New clients.
    let old = lab.group().primary();
    let found = reached(lab, &old).await?;
    let never_primary = lab.check(
        "reader.never-primary",
        Judgement::equal("0 of 20 connections", format!("{} of {CLIENTS} connections", found.primary)),
    );
    lab.check(
        "reader.spreads",
        Judgement::equal("2 replicas reached", format!("{} replicas reached", found.replicas.len())),
    );

    // 3. One connection.
    let observed = match behind_one_connection(lab).await {
        Ok(servers) => format!("{} replica", servers.len()),
        Err(error) => format!("the connection broke: {}", error.class()),
    };
    lab.check("reader.sticky", Judgement::equal("1 replica", observed));

    // 4. After a failover. A name that was wrong before is not for this to judge.
    if !never_primary {
        return Ok(());
    }
    lab.doing("asking for a failover of the node group");
    lab.group().test_failover(NODE_GROUP).await?;
    let new = lab.group().primary();
    let observed = if new.zone() == old.zone() { "in the same zone" } else { "in another zone" };
    lab.check(
        "zones.successor",
        Judgement::equal("in another zone", observed).evidence(format!(
            "{} in {}, after {} in {}",
            new.id(),
            new.zone(),
            old.id(),
            old.zone()
        )),
    );
    let found = reached(lab, &new).await?;
    let back = if found.replicas.contains(&identity_of(&old).await?) { "is" } else { "is not" };
    lab.check(
        "reader.after-failover",
        Judgement::equal(
            "0 of 20 connections to a primary, and the old one is among the others",
            format!(
                "{} of {CLIENTS} connections to a primary, and the old one {back} among the others",
                found.primary
            ),
        ),
    );
    Ok(())
}

/// Who answers a client of the reader that stays connected.
async fn behind_one_connection(lab: &Lab) -> Result<BTreeSet<String>, CallError> {
    let reader = lab.reader_client().staying_connected();
    let mut servers = BTreeSet::new();
    for _ in 0..READS {
        servers.insert(identity(&reader.ask::<String>(&["INFO", "server"]).await?));
        pass(Duration::from_millis(10)).await;
    }
    Ok(servers)
}

/// Where new clients of the reader get to.
struct Reached {
    /// How many of them to a primary.
    primary: usize,
    /// Whom the others get to.
    replicas: BTreeSet<String>,
}

/// Twenty new clients of the reader. Whoever says that it is a primary counts as one, beside `primary` itself.
async fn reached(lab: &Lab, primary: &Node) -> Result<Reached, StepError> {
    let primary = identity_of(primary).await?;
    let mut found = Reached { primary: 0, replicas: BTreeSet::new() };
    for _ in 0..CLIENTS {
        let (role, identity) = first_answer(lab).await?;
        if role != "slave" || identity == primary {
            found.primary += 1;
        } else {
            found.replicas.insert(identity);
        }
    }
    Ok(found)
}

/// Resolves both names as a client does.
async fn unresolved(lab: &Lab) -> String {
    let records = lab.group().records();
    let nodes: Vec<_> = lab.group().nodes().iter().map(|node| node.reach()).collect();
    let mut wrong = Vec::new();
    for name in [EndpointName::Primary, EndpointName::Reader].map(|name| records.name(name)) {
        let resolver = Resolver::new(records, Caching::ByTtl);
        match resolver.resolve(&name, PORT).await {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.collect();
                if addresses.is_empty() || !addresses.iter().all(|address| nodes.contains(address)) {
                    wrong.push(format!("{name} resolves to {addresses:?}"));
                }
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    if wrong.is_empty() { "both resolve to nodes of the group".to_owned() } else { wrong.join(", ") }
}

/// The role and identity behind a new client's connection. A connection that is closed before it
/// answered says nothing about where it went, so another is made.
async fn first_answer(lab: &Lab) -> Result<(String, String), CallError> {
    let mut last = CallError::NotSent("never tried".to_owned());
    for _ in 0..5 {
        let client: Client = lab.reader_client();
        let role = client.ask::<Vec<Value>>(&["ROLE"]).await;
        let info = client.ask::<String>(&["INFO", "server"]).await;
        match (role, info) {
            (Ok(role), Ok(info)) => return Ok((first_word(&role), identity(&info))),
            (Err(error), _) | (_, Err(error)) => last = error,
        }
    }
    Err(last)
}

fn first_word(answer: &[Value]) -> String {
    match answer.first() {
        Some(Value::BulkString(word)) => String::from_utf8_lossy(word).into_owned(),
        other => format!("{other:?}"),
    }
}

async fn identity_of(node: &Node) -> Result<String, StepError> {
    Ok(identity(&node.ask::<String>(&["INFO", "server"]).await?))
}

/// `run_id`: of one server process, for as long as it lives.
fn identity(info: &str) -> String {
    failover_lab::info::Info::parse(info).get("run_id").unwrap_or("none").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
