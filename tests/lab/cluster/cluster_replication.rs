use std::{sync::Arc, time::Duration};

use failover_lab::{Clusters, Lab, StepError, cluster, docker::Node};
use lab_report::judge::{Judgement, lag_within};
use redis::Pipeline;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::seen::{answer, at, key_of};
use crate::{
    replication::data_replication::lags,
    step::{Outcome, alike, step},
};

step!("cluster", "cluster-replication", cluster(3).replicas(1), cluster_replication);

/// Every shard is written at this pace while the lag is measured: 5000 writes a second.
const BATCH: usize = 100;
const BATCH_EVERY: Duration = Duration::from_millis(20);

/// Every primary has a replica in another zone, which has its data and says so when asked the right way.
///
/// 1. Primary and replica of every shard are in different zones.
/// 2. A replica that is asked for its own shard's key sends the client to the primary.
/// 3. After `READONLY` it answers itself.
/// 4. Under load it is less than 100 ms behind.
async fn cluster_replication(lab: &mut Lab<Clusters>) -> Outcome {
    let shards = shards(lab);

    // 1. Zones.
    let of = |(primary, replica): &(Arc<Node>, Arc<Node>)| {
        let told = if primary.zone() == replica.zone() { "the same zone" } else { "different zones" };
        (primary.id().to_string(), told.to_owned())
    };
    lab.check("replica.zones", Judgement::equal("different zones", alike(shards.iter().map(of).collect())));

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
    let mut measured = Vec::new();
    for (number, (primary, replica)) in shards.iter().enumerate() {
        let reader = at(lab, replica);
        reader.ask::<()>(&["READONLY"]).await?;
        let (writer, primary) = (at(lab, primary), at(lab, primary));
        measured
            .extend(lags(&format!("{{{}}}:mark", key_of(lab, number)), &writer, &primary, &[reader]).await?);
    }
    drop(load);
    lab.check("replica.lag", lag_within(Duration::from_millis(100), &measured));
    Ok(())
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
            batch.cmd("SET").arg(format!("{{{tag}}}:{value}")).arg("x".repeat(100)).ignore();
        });
        writers.spawn(async move {
            let mut ticks = tokio::time::interval(BATCH_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
