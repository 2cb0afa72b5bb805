//! A deployment of somebody else's: taken as it was found, and handed back as good.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lab_report::NodeId;
use redis::aio::MultiplexedConnection;

use super::{SentinelGroup, Usable, watch::watch};
use crate::{
    StepError,
    client::Vantage,
    docker::Node,
    environment::Capability,
    topology::Attachment,
    wait::{self, Seen},
    writer::KEYS,
};

/// With the built-in clocks a sentinel hears of the others after up to 2 s (hello), of a replica after up to
/// 10 s (`INFO`), and turns one that is none back after four hellos.
const SETTLED: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(2);

/// What its owner had, and is owed.
pub(super) struct Lent {
    /// Whether the steps may change anything: there is nothing to put right where they may not.
    changes: bool,
    /// What each sentinel could count on.
    usable: BTreeMap<NodeId, Usable>,
}

pub(super) async fn attach(found: &Attachment<'_>) -> SentinelGroup {
    let Attachment { survey, environment, docker, recorder } = *found;
    let turn = Arc::default();
    let nodes = survey.nodes.iter().cloned().map(|node| Node::found(node, docker, &turn));
    let mut data: Vec<Arc<Node>> = nodes.collect();
    recorder.nodes(data.iter().map(|node| node.id().clone()).collect());
    let sentinels = data.split_off(survey.data_nodes);
    let watchers = watch(&survey.topology, &data, &sentinels, recorder);
    let topology = survey.topology.clone();
    let mut group =
        SentinelGroup { topology, admission: None, data, sentinels, lent: None, _watchers: watchers };
    let usable = group.usable_of_all().await.into_iter().collect();
    group.lent = Some(Lent { changes: environment.needs(Capability::Changes).is_ok(), usable });
    group
}

/// Waits until every sentinel can count on as much as before, and removes what the steps wrote, from the replicas too.
pub(super) async fn hand_back(group: &SentinelGroup, lent: &Lent) -> Result<(), StepError> {
    if !lent.changes {
        return Ok(());
    }
    // An election that fails is tried again after twice the failover timeout.
    let budget = SETTLED + group.topology.failover_timeout * 2;
    let what = "the deployment to be as good as it was found";
    let settled = wait::until(what, budget, PACE, || async {
        let now: BTreeMap<NodeId, Usable> = group.usable_of_all().await.into_iter().collect();
        for (sentinel, before) in &lent.usable {
            match now.get(sentinel) {
                Some(now) if now.as_good_as(before) => {}
                Some(now) => return Seen::NotYet(format!("{sentinel}: {now}, and it was {before}")),
                None => return Seen::NotYet(format!("{sentinel} does not answer")),
            }
        }
        Seen::Ready(())
    });
    settled.await?;
    let mut primary = group.discovery(Vantage::Host).primary(PATIENCE).await?;
    remove_keys(&mut primary).await?;
    // A sentinel looks at replicas every ten seconds. One that it holds to be up may still be copying the keys.
    let replicas = lent.usable.values().map(|before| before.replicas).max().unwrap_or_default();
    let what = "every replica to have let go of the lab's keys";
    let acknowledged = wait::until(what, SETTLED, PACE, || acknowledged_by(replicas, primary.clone()));
    Ok(acknowledged.await?)
}

/// Whether so many replicas have what was written on this connection.
async fn acknowledged_by(replicas: usize, mut primary: MultiplexedConnection) -> Seen<()> {
    let mut wait = redis::cmd("WAIT");
    wait.arg(replicas).arg(250);
    match wait.query_async::<usize>(&mut primary).await {
        Ok(have) if have >= replicas => Seen::Ready(()),
        Ok(have) => Seen::NotYet(format!("{have} of {replicas} replicas have")),
        Err(error) => Seen::NotYet(error.to_string()),
    }
}

async fn remove_keys(primary: &mut MultiplexedConnection) -> Result<(), String> {
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(format!("{KEYS}*")).arg("COUNT").arg(1000);
        let said = |error: redis::RedisError| format!("removing the lab's keys: {error}");
        let (next, keys): (String, Vec<String>) = scan.query_async(primary).await.map_err(said)?;
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(&keys).query_async::<u64>(primary).await.map_err(said)?;
        }
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

impl SentinelGroup {
    /// What each sentinel that answers can count on.
    async fn usable_of_all(&self) -> Vec<(NodeId, Usable)> {
        let mut all = Vec::new();
        for sentinel in &self.sentinels {
            all.extend(self.usable(sentinel).await.ok().map(|usable| (sentinel.id().clone(), usable)));
        }
        all
    }
}
