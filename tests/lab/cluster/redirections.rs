use std::{sync::Arc, time::Duration};

use failover_lab::{Clusters, Lab, StepError, cluster, cluster::ClusterClient, docker::Node, wait::Seen};
use lab_report::{
    Slot,
    judge::{Judgement, Redirected, Redirection, met},
};
use redis::RedisError;
use tokio::task::JoinHandle;

use super::{
    seen::{answer, at, redirected_so_far},
    slot_failover::STAGE,
};
use crate::step::{Outcome, alike, step};

step!("cluster", "redirections", deployment(), redirections);

/// Two keys of one slot: one goes, one stays.
const GOES: &str = "{foo}:goes";
const STAYS: &str = "{foo}:stays";

/// A client that is told to try again does so after 1.28 s, at the soonest (the `redis` crate's, 1.8.1): with no more
/// patience than others have it could do so once, and a busy machine may not have moved the slot by then.
fn deployment() -> Clusters {
    let mut topology = cluster(3).replicas(1);
    topology.application.patience = Duration::from_secs(10);
    topology
}

/// A node that is asked for what another has says who has it.
///
/// 1. `MOVED`, from every node but the owner.
/// 2. While a slot is on its way, `ASK` for a key that has left; whoever gets it serves it after `ASKING` and
///    not without.
/// 3. `TRYAGAIN` for two keys of which only one has left.
/// 4. A cluster-aware client reads and writes all the while, one key and both, and after the slot has arrived. It is
///    told each of the three, and its caller sees none of them.
async fn redirections(lab: &mut Lab<Clusters>) -> Outcome {
    let slot = Slot::of("foo");
    let source = Arc::clone(lab.deployment().first_owner(slot));
    let others: Vec<Arc<Node>> =
        lab.deployment().primaries().iter().filter(|node| node.id() != source.id()).cloned().collect();
    let target = Arc::clone(&others[0]);
    let (at_source, at_target) = (at(lab, &source), at(lab, &target));
    let reached = |node: &Node| format!("{}:{}", node.address(), node.port());

    // 1. MOVED.
    let mut told = Vec::new();
    for node in lab.deployment().replicas().iter().chain(&others) {
        told.push((node.id().to_string(), answer(&at(lab, node), &["GET", "foo"]).await));
    }
    let moved = format!("MOVED {slot} {}", reached(&source));
    if !lab.check("redirect.moved", Judgement::equal(&moved, alike(told))) {
        return Ok(());
    }

    // 2. ASK.
    let client = lab.deployment().client().await?;
    client.ask::<()>(&["SET", GOES, "1"]).await?;
    client.ask::<()>(&["SET", STAYS, "2"]).await?;
    begin(lab, slot, &source, &target).await?;
    let (host, port) = (target.address().to_string(), target.port().to_string());
    at_source.ask::<()>(&["MIGRATE", &host, &port, GOES, "0", "1000"]).await?;
    let asked = [
        answer(&at_source, &["GET", GOES]).await,
        answer(&at_target, &["GET", GOES]).await,
        asking(lab, &target, &["GET", GOES]).await,
    ];
    let expected = format!("ASK {slot} {}; without ASKING {moved}; with it 1", reached(&target));
    let observed = format!("{}; without ASKING {}; with it {}", asked[0], asked[1], asked[2]);
    if !lab.check("redirect.ask", Judgement::equal(expected, observed)) {
        return Ok(());
    }

    // 3. TRYAGAIN.
    let half = asking(lab, &target, &["MGET", GOES, STAYS]).await;
    let code = half.split_whitespace().next().unwrap_or_default().to_owned();
    lab.check("redirect.tryagain", Judgement::equal("TRYAGAIN", code).evidence(half));

    // 4. A client that knows what to do.
    let followed = followed(lab, &client, slot, (&source, &target)).await?;
    lab.check("redirect.client", followed);
    Ok(())
}

/// How a client fares while the rest of the slot moves, and after that. Nobody else is sent elsewhere meanwhile.
async fn followed(
    lab: &Lab<Clusters>,
    client: &ClusterClient,
    slot: Slot,
    (source, target): (&Node, &Node),
) -> Result<Judgement, StepError> {
    let before = redirected_so_far(lab).await?;
    let mut seen = Vec::new();
    for key in [GOES, STAYS] {
        seen.push(format!("{key}: {}", outcome(client.ask(&["GET", key]).await)));
        seen.push(format!("{key}: {}", outcome(client.ask(&["SET", key, "3"]).await)));
    }
    let both = write_both(lab, client, before).await;
    finish(lab, slot, source, target).await?;
    seen.push(format!("both: {}", outcome(both.await?)));
    for key in [GOES, STAYS] {
        seen.push(format!("{key}: {}", outcome(client.ask(&["GET", key]).await)));
    }
    let expected = [
        format!("{GOES}: 1"),
        format!("{GOES}: OK"),
        format!("{STAYS}: 2"),
        format!("{STAYS}: OK"),
        "both: OK".to_owned(),
        format!("{GOES}: 4"),
        format!("{STAYS}: 4"),
    ];
    let told = redirected_so_far(lab).await?.since(before);
    let all = [Redirection::Moved, Redirection::Ask, Redirection::TryAgain];
    Ok(met(Judgement::equal(expected.join(", "), seen.join(", ")), told, &all))
}

/// Begins to write both keys at once, which nobody can take until both are in one place. Returns when a client was told
/// so since `before`, or the writing is over.
async fn write_both(
    lab: &Lab<Clusters>,
    client: &ClusterClient,
    before: Redirected,
) -> JoinHandle<Result<String, RedisError>> {
    let client = client.clone();
    let writing = tokio::spawn(async move { client.ask::<String>(&["MSET", GOES, "4", STAYS, "4"]).await });
    let told = lab.wait("the client to be told TRYAGAIN", STAGE, async || {
        let so_far = redirected_so_far(lab).await;
        match so_far {
            Ok(now) if now.since(before).try_again > 0 => Seen::Ready(()),
            _ if writing.is_finished() => Seen::Ready(()),
            Ok(_) => Seen::NotYet("it was not".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    // Whether it ever was is for the checker to say.
    let _ = told.await;
    writing
}

fn outcome(result: Result<String, RedisError>) -> String {
    result.unwrap_or_else(|error| error.to_string())
}

/// Says at both ends that the slot is on its way.
pub(super) async fn begin(
    lab: &Lab<Clusters>,
    slot: Slot,
    source: &Node,
    target: &Node,
) -> Result<(), StepError> {
    let (number, cluster) = (slot.to_string(), lab.deployment());
    target.ask::<()>(&["CLUSTER", "SETSLOT", &number, "IMPORTING", cluster.name_of(source)]).await?;
    source.ask::<()>(&["CLUSTER", "SETSLOT", &number, "MIGRATING", cluster.name_of(target)]).await?;
    Ok(())
}

/// Moves what is left of the slot, and says everywhere whose it is now: first where it arrives.
async fn finish(lab: &Lab<Clusters>, slot: Slot, source: &Node, target: &Node) -> Result<(), StepError> {
    let (host, port) = (target.address().to_string(), target.port().to_string());
    source.ask::<()>(&["MIGRATE", &host, &port, STAYS, "0", "1000"]).await?;
    let (number, owner) = (slot.to_string(), lab.deployment().name_of(target));
    target.ask::<()>(&["CLUSTER", "SETSLOT", &number, "NODE", owner]).await?;
    for primary in lab.deployment().primaries().iter().filter(|node| node.id() != target.id()) {
        primary.ask::<()>(&["CLUSTER", "SETSLOT", &number, "NODE", owner]).await?;
    }
    Ok(())
}

/// A command right after `ASKING`, on one connection.
async fn asking(lab: &Lab<Clusters>, node: &Node, command: &[&str]) -> String {
    let client = at(lab, node);
    match client.ask::<()>(&["ASKING"]).await {
        Ok(()) => answer(&client, command).await,
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
