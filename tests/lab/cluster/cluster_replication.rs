use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use failover_lab::{Clusters, Lab, StepError, cluster, docker::Node};
use lab_report::judge::{Judgement, Lags, Loaded, lag_under_load};
use redis::Pipeline;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{
    cluster_creation::agreement,
    seen::{answer, at, key_of},
};
use crate::{
    replication::{data_replication::lags, replication_group::ZONE_LABEL},
    step::{Outcome, alike, step},
};

step!("cluster", "cluster-replication", cluster(3).replicas(1), cluster_replication);

/// What the load consists of: another command than the marks do, so that it is counted apart from them.
const LOAD: &str = "hset";
/// Every shard is written at this pace while the lag is measured: 5000 writes a second.
const BATCH: usize = 100;
const BATCH_EVERY: Duration = Duration::from_millis(20);

/// Every primary has a replica in another zone, which has its data and says so when asked the right way.
///
/// 1. Whoever follows a primary, by the view that all nodes have, is in another zone, by what its container says.
/// 2. A replica that is asked for its own shard's key sends the client to the primary.
/// 3. After `READONLY` it answers itself.
/// 4. Under load, which the primaries count, it is less than 100 ms behind.
async fn cluster_replication(lab: &mut Lab<Clusters>) -> Outcome {
    let shards = shards(lab);

    // 1. Zones.
    let apart = zones(lab).await?;
    lab.check("replica.zones", apart);

    // 2. Without READONLY.
    let (mut told, mut expected) = (Vec::new(), Vec::new());
    for (number, (primary, replica)) in shards.iter().enumerate() {
        let key = key_of(lab, number);
        expected.push(format!("MOVED to {}", primary.id()));
        let answer = answer(&at(lab, replica), &["GET", &key]).await;
        let sent = answer.strip_prefix("MOVED ").and_then(|rest| rest.split_once(' ')?.1.rsplit_once(':'));
        let whom = sent.and_then(|(host, port)| lab.deployment().at(host, port.parse().ok()?));
        told.push(whom.map_or(answer.clone(), |node| format!("MOVED to {}", node.id())));
    }
    if !lab.check("replica.moved", Judgement::equal(expected.join(", "), told.join(", "))) {
        return Ok(());
    }

    // 3. With it.
    let mut told = Vec::new();
    for (number, (primary, replica)) in shards.iter().enumerate() {
        let (client, key) = (at(lab, replica), key_of(lab, number));
        primary.ask::<()>(&["SET", &key, "value"]).await?;
        let allowed = answer(&client, &["READONLY"]).await;
        // The value may still be on its way.
        let _ = primary.ask::<u64>(&["WAIT", "1", "900"]).await;
        told.push((
            replica.id().to_string(),
            format!("{allowed}, {}", answer(&client, &["GET", &key]).await),
        ));
    }
    if !lab.check("replica.readonly", Judgement::equal("OK, value", alike(told))) {
        return Ok(());
    }

    // 4. Lag.
    lab.doing("measuring the replication lag of every shard, under load");
    let load = load(lab, &shards);
    let (mut measured, mut loaded) = (Vec::new(), Vec::new());
    for (number, shard) in shards.iter().enumerate() {
        let (lags, carried) = lags_of(lab, number, shard).await?;
        measured.extend(lags);
        loaded.push(carried);
    }
    drop(load);
    let rate = BATCH as f64 / BATCH_EVERY.as_secs_f64();
    lab.check("replica.lag", lag_under_load(Duration::from_millis(100), rate, &measured, &loaded));
    Ok(())
}

const APART: &str = "different zones";
const SAME: &str = "the same zone";

/// Whether primaries and those who follow them are in different zones.
async fn zones(lab: &Lab<Clusters>) -> Result<Judgement, StepError> {
    let view = match agreement(lab).await {
        Ok(view) => view,
        Err(late) => return Ok(Judgement::equal(APART, late)),
    };
    let (mut seen, mut evidence) = (Vec::new(), Vec::new());
    for primary in view.shards() {
        let (node, zone) = zone_of(lab, &primary.id).await?;
        let mut told = "nobody follows it";
        for replica in view.replicas_of(&primary.id) {
            let (follower, other) = zone_of(lab, &replica.id).await?;
            told = if other == zone || told == SAME { SAME } else { APART };
            evidence.push(format!("{node} in {zone} is followed by {follower} in {other}"));
        }
        seen.push((node, told.to_owned()));
    }
    let judged = Judgement::equal(APART, alike(seen));
    Ok(evidence.into_iter().fold(judged, Judgement::evidence))
}

/// A node of the cluster by its name there: what the lab calls it, and the zone that its container says it is in.
async fn zone_of(lab: &Lab<Clusters>, name: &str) -> Result<(String, String), StepError> {
    let node = lab.deployment().named(name).ok_or("a node that nobody made")?;
    let container = lab.docker().api().inspect_container(node.container(), None).await?;
    let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
    let zone = labels.get(ZONE_LABEL).ok_or_else(|| format!("{} has no {ZONE_LABEL}", node.container()))?;
    Ok((node.id().to_string(), zone.clone()))
}

/// How far behind a shard's replica is, and what its primary carried out of the load meanwhile.
async fn lags_of(
    lab: &Lab<Clusters>,
    number: usize,
    (primary, replica): &(Arc<Node>, Arc<Node>),
) -> Result<(Vec<Lags>, Loaded), StepError> {
    let reader = at(lab, replica);
    reader.ask::<()>(&["READONLY"]).await?;
    let carried = async || primary.counters().await.map(|told| told.calls(LOAD).carried_out);
    let (before, begin) = (carried().await?, Instant::now());
    let mark = format!("{{{}}}:mark", key_of(lab, number));
    let lags = lags(&mark, &at(lab, primary), &at(lab, primary), &[reader]).await?;
    let length = begin.elapsed();
    Ok((lags, Loaded { commands: carried().await?.saturating_sub(before), length }))
}

/// The nodes that boot as primaries, each with its first replica.
fn shards(lab: &Lab<Clusters>) -> Vec<(Arc<Node>, Arc<Node>)> {
    let cluster = lab.deployment();
    cluster.primaries().iter().cloned().zip(cluster.replicas().iter().cloned()).collect()
}

/// Writes to every shard for as long as it is not dropped.
fn load(lab: &Lab<Clusters>, shards: &[(Arc<Node>, Arc<Node>)]) -> JoinSet<Result<(), StepError>> {
    let mut writers = JoinSet::new();
    for (number, (primary, _)) in shards.iter().enumerate() {
        let (client, tag) = (at(lab, primary), key_of(lab, number));
        let mut batch = Pipeline::new();
        (0..BATCH).for_each(|value| {
            let key = format!("{{{tag}}}:{value}");
            batch.cmd(LOAD).arg(key).arg("field").arg("x".repeat(100)).ignore();
        });
        writers.spawn(async move {
            let mut ticks = tokio::time::interval(BATCH_EVERY);
            // A load at a rate: what a late timer missed is made up for.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                ticks.tick().await;
                client.pipeline::<()>(&batch).await?;
            }
        });
    }
    writers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
