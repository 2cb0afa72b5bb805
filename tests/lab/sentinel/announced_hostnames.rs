use std::sync::Arc;

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{FaultKind, Node},
    sentinel::Instance,
    sentinels,
};
use lab_report::judge::{Election, Judgement};

use super::{
    manual_failover::{some_writes, writes_reach},
    seen::{happened, replaced, stage, successor},
};
use crate::step::{Outcome, alike, step};

step!("sentinel", "announced-hostnames", sentinels(3).replicas(2).hostnames(), announced_hostnames);

/// Nodes go by their names: sentinels advertise those, and a failover works by them.
///
/// 1. Every sentinel advertises the primary by its name.
/// 2. Every sentinel knows the replicas and the other sentinels by theirs.
/// 3. The primary crashes: a replica is promoted, and every sentinel advertises its name.
/// 4. A client that resolves that name finds the new primary.
async fn announced_hostnames(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. The primary.
    let old = Arc::clone(lab.deployment().first_primary());
    let advertised = advertised(lab).await?;
    if !lab.check("hostnames.advertised", Judgement::equal(name(&old), advertised)) {
        return Ok(());
    }

    // 2. The others.
    let known = known(lab).await?;
    let wanted = "2 of 2 replicas and 2 of 2 sentinels by name";
    lab.check("hostnames.known", Judgement::equal(wanted, known));

    // 3. A failover.
    let writer = lab.start_writing();
    some_writes(lab).await?;
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let count = lab.deployment().sentinels().len();
    let all = |election: &Election| election.new.is_some() && election.advertised.len() == count;
    if let Err(why) = stage(lab, &old, "every sentinel to name a new primary", all).await {
        lab.check("hostnames.failover", happened("a new primary is advertised by its name", Err(why)));
        return Ok(());
    }
    let new = successor(lab, &replaced(lab, &old).await?)?;
    let advertised = self::advertised(lab).await?;
    lab.check("hostnames.failover", Judgement::equal(name(&new), advertised));

    // 4. A client.
    let followed = writes_reach(lab, &new).await;
    lab.check("hostnames.client-follows", happened("acknowledged by the new primary", followed));
    writer.stop().await;
    Ok(())
}

/// A node as a client is sent to it.
fn name(node: &Node) -> String {
    format!("{}:{}", node.id(), node.port())
}

/// Where the sentinels send clients.
async fn advertised(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let (mut seen, group) = (Vec::new(), lab.deployment());
    for sentinel in group.sentinels() {
        let answer: Vec<String> =
            sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", group.name()]).await?;
        seen.push((sentinel.id().to_string(), answer.join(":")));
    }
    Ok(alike(seen))
}

/// Whom the sentinels know by name.
async fn known(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let group = lab.deployment();
    let by_name = |listed: &[Instance], nodes: &[Arc<Node>]| {
        let named = |known: &&Instance| nodes.iter().any(|node| node.id().as_str() == known.address());
        format!("{} of {}", listed.iter().filter(named).count(), listed.len())
    };
    let mut seen = Vec::new();
    for sentinel in group.sentinels() {
        let replicas = by_name(&group.replicas(sentinel).await?, group.data());
        let others = by_name(&group.others(sentinel).await?, group.sentinels());
        let known = format!("{replicas} replicas and {others} sentinels by name");
        seen.push((sentinel.id().to_string(), known));
    }
    Ok(alike(seen))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
