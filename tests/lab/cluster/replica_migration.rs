use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::{Health, View},
    docker::{FaultKind, Node},
    wait::{self, Seen, pass},
};
use lab_report::judge::Judgement;

use super::cluster_manual_failover::synchronised;
use crate::step::{Outcome, step};

step!("cluster", "replica-migration", cluster(3).replicas(2).config(ALLOW, "no"), replica_migration);

const ALLOW: &str = "cluster-allow-replica-migration";
/// A primary has to have been without a replica for this long (`CLUSTER_SLAVE_MIGRATION_DELAY`).
const DELAY: Duration = Duration::from_secs(5);
/// `clusterCron` runs ten times a second.
const CRON: Duration = Duration::from_millis(100);
/// Far above every bound.
const STAGE: Duration = Duration::from_secs(15);

/// A primary that has lost its replicas gets one from a shard with two, where that is allowed.
///
/// 1. Both replicas of the first shard die, and every node knows.
/// 2. Where migration is off the primary stays alone, for longer than a migration takes.
/// 3. Where it is on a replica of a shard with two follows it, and every primary has one.
/// 4. It has the primary's data.
async fn replica_migration(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Alone.
    let orphan = Arc::clone(&lab.deployment().primaries()[0]);
    let (lost, left) = lose_the_replicas(lab).await?;
    lab.wait("every node to know of it", STAGE, async || all_know(lab, &left, &lost).await).await?;

    // 2. Off.
    // Whoever migrates tells the others when it next pings them, every half node timeout.
    let gossip = lab.deployment().topology().node_timeout / 2;
    pass(DELAY + gossip + CRON * 2 + wait::scheduling()).await;
    let alone = "nobody follows it";
    let followers = following(lab, &lab.deployment().view(&orphan).await?, &orphan);
    let observed = if followers.is_empty() { alone } else { "a replica follows it" };
    if !lab.check("migration.off", Judgement::equal(alone, observed)) {
        return Ok(());
    }

    // 3. On.
    let allowed = lab.recorder().now();
    for node in &left {
        node.ask::<()>(&["CONFIG", "SET", ALLOW, "yes"]).await?;
    }
    let covered = "a replica follows it in every view, and every primary has one";
    let seen = lab.wait("a replica to follow it", STAGE, async || covers(lab, &left, &orphan).await);
    let (observed, moved) = match seen.await {
        Ok(moved) => (covered.to_owned(), Some(moved)),
        Err(late) => (late.last_seen, None),
    };
    lab.check("migration.covers", Judgement::equal(covered, observed));
    let Some(moved) = moved else { return Ok(()) };
    let millis = lab.recorder().now().since(allowed).as_secs_f64() * 1000.0;
    lab.measure("migration", millis, "ms", "from its being allowed to every node knowing of it");

    // 4. Its data.
    let follows = "it follows the primary, and is synchronised";
    let seen = lab.wait("it to synchronise", STAGE, async || synchronised(lab, &moved, &orphan).await);
    let observed = seen.await.map_or_else(|late| late.last_seen, |()| follows.to_owned());
    lab.check("migration.synchronised", Judgement::equal(follows, observed));
    Ok(())
}

/// Loses the first shard's replicas, for good: who they were, and who is left.
async fn lose_the_replicas(lab: &Lab<Clusters>) -> Result<(Vec<Arc<Node>>, Vec<Arc<Node>>), StepError> {
    let (cluster, topology) = (lab.deployment(), lab.deployment().topology());
    let nodes = cluster.primaries().iter().chain(cluster.replicas()).cloned().enumerate();
    let (lost, left): (Vec<_>, Vec<_>) =
        nodes.partition(|(index, _)| topology.shard_of(*index) == 0 && topology.place_of(*index) > 0);
    let nodes =
        |indexed: Vec<(usize, Arc<Node>)>| indexed.into_iter().map(|(_, node)| node).collect::<Vec<_>>();
    let (lost, left) = (nodes(lost), nodes(left));
    for node in &lost {
        let _lost = lab.inject(FaultKind::Crash, node).await?;
    }
    Ok((lost, left))
}

/// Whether every one of `nodes` knows that a majority holds `dead` to be dead.
async fn all_know(lab: &Lab<Clusters>, nodes: &[Arc<Node>], dead: &[Arc<Node>]) -> Seen<()> {
    for node in nodes {
        let view = match lab.deployment().view(node).await {
            Ok(view) => view,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        for other in dead {
            match view.member(lab.deployment().name_of(other)).map(|member| member.health) {
                Some(Health::Failed) => {}
                health => {
                    return Seen::NotYet(format!("{} holds {} to be {health:?}", node.id(), other.id()));
                }
            }
        }
    }
    Seen::Ready(())
}

/// Who follows a primary in a view, and is alive.
fn following(lab: &Lab<Clusters>, view: &View, primary: &Node) -> Vec<Arc<Node>> {
    let cluster = lab.deployment();
    let alive = view.replicas_of(cluster.name_of(primary)).filter(|member| member.health == Health::Up);
    alive.filter_map(|member| cluster.named(&member.id).cloned()).collect()
}

/// The one replica of the orphan's, if every node knows it, and every primary has at least one.
async fn covers(lab: &Lab<Clusters>, nodes: &[Arc<Node>], orphan: &Node) -> Seen<Arc<Node>> {
    let mut moved = None;
    for node in nodes {
        let view = match lab.deployment().view(node).await {
            Ok(view) => view,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        let bare =
            lab.deployment().primaries().iter().find(|primary| following(lab, &view, primary).is_empty());
        if let Some(primary) = bare {
            return Seen::NotYet(format!("nobody follows {}", primary.id()));
        }
        moved = following(lab, &view, orphan).pop();
    }
    moved.map_or_else(|| Seen::NotYet("nobody was asked".to_owned()), Seen::Ready)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
