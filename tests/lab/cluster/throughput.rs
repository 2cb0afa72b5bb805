use std::sync::Arc;

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    docker::Node,
    load::{Share, carry},
    topology::clusters::Load,
    wait::Seen,
};
use lab_report::judge::{Carried, answered, balanced, carries};

use super::slot_failover::STAGE;
use crate::step::{Outcome, step};

step!("cluster", "throughput", cluster(3).replicas(1).beside_a_single_one(), throughput);

/// Commands a second that such a cluster is promised to carry.
const PROMISED: u32 = 100_000;

/// Three shards share a load evenly, and are good for more than they are promised to carry.
///
/// How many commands a second they carry depends on the machine, and on what else it does: a figure, beside that
/// of a single server. What can be judged on every machine is how many commands each server counts, and what they
/// used of its processor. That varies by two, and what was promised leaves room for ten.
///
/// 1. A server beside the cluster gets a replica, as each of the shards has one.
/// 2. The same load for both: every server counts what it was sent, and carries out all of it.
/// 3. Each shard has its part of it.
/// 4. With a processor to each of its servers, the cluster carries what was promised.
async fn throughput(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The peer.
    let [single, replica] = lab.deployment().spares() else { return Err("there is no peer".into()) };
    let single = Arc::clone(single);
    follows(lab, replica, &single).await?;

    // 2. The load.
    lab.doing("as much as a single server can");
    let alone = carry(&lab.application().load, &[(single, keys(lab))]).await?;
    lab.doing("as much as the cluster can");
    let together = carry(&lab.application().load, &shares(lab)).await?;
    if !lab.check("throughput.answered", answered(&[&alone, &together])) {
        return Ok(());
    }

    // 3. The parts.
    let parts: Vec<_> = together.by.iter().map(|server| (server.node.clone(), server.commands)).collect();
    lab.check("throughput.shared", balanced(&parts, "commands", 10.0));

    // 4. The promise.
    lab.check("throughput.promised", carries(PROMISED, &together, &alone));
    tell(lab, &alone, &together);
    Ok(())
}

/// Makes a server that belongs to no cluster follow another.
async fn follows(lab: &Lab<Clusters>, replica: &Node, primary: &Node) -> Result<(), StepError> {
    let (host, port) = (primary.address().to_string(), primary.port().to_string());
    replica.ask::<()>(&["REPLICAOF", &host, &port]).await?;
    let follows = lab.wait("the single server's replica to follow it", STAGE, async || {
        match replica.info().await.map(|info| info.link_up()) {
            Ok(Some(true)) => Seen::Ready(()),
            Ok(_) => Seen::NotYet("its link is not up".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    Ok(follows.await?)
}

fn keys(lab: &Lab<Clusters>) -> Vec<String> {
    (0..lab.application().load.keys).map(|number| lab.application().key(number)).collect()
}

/// The same keys, each at the primary that the application takes to have its slot.
fn shares(lab: &Lab<Clusters>) -> Vec<Share> {
    let mut shares: Vec<Share> =
        lab.deployment().primaries().iter().map(|node| (Arc::clone(node), Vec::new())).collect();
    for key in keys(lab) {
        let owner = lab.deployment().first_owner(lab.application().hash.slot(&key));
        let share = shares.iter_mut().find(|(node, _)| node.id() == owner.id());
        share.expect("every slot's owner is a primary").1.push(key);
    }
    shares
}

/// What this machine made of it, with everything else that it had to do.
fn tell(lab: &mut Lab<Clusters>, alone: &Carried, together: &Carried) {
    let Load { value, batch, connections, .. } = lab.application().load;
    let note = format!("SETs of {value} bytes, {batch} to a round trip on {connections} connections");
    lab.measure("a single server, here", alone.rate(), "ops/s", &note);
    lab.measure("the cluster, here", together.rate(), "ops/s", &note);
    let note = "with all servers, and the load, on one machine: few processors leave none for more servers";
    lab.measure("cluster against single server, here", together.rate() / alone.rate(), "×", note);
    let note = "with a processor to each server: by what the busiest used of its own";
    lab.measure("a single server, at best", alone.capacity(), "ops/s", note);
    lab.measure("the cluster, at best", together.capacity(), "ops/s", note);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
