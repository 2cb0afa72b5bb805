use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, cluster,
    cluster::{Health, Votes},
    docker::{FaultKind, Node},
    wait::{self, Seen, pass},
};
use lab_report::{evidence::Role, judge::Judgement};

use super::{best_offset::cut_off, slot_failover::owner_everywhere};
use crate::step::{Outcome, alike, step};

step!(
    "cluster",
    "validity-factor",
    cluster(3).replicas(1).config(FACTOR, "1").config("repl-ping-replica-period", "1"),
    validity_factor
);

const FACTOR: &str = "cluster-replica-validity-factor";
/// `repl-ping-replica-period` of the step's own topology.
const PING: Duration = Duration::from_secs(1);
/// The link's age is counted in whole seconds of the clock.
const WHOLE_SECONDS: Duration = Duration::from_secs(1);
/// Before it stands for election a replica waits for half a second, and at random up to as long again.
const ELECTION_DELAY: Duration = Duration::from_secs(1);
/// `clusterCron` runs ten times a second: once it notices, once it asks for votes.
const CRON: Duration = Duration::from_millis(100);
/// Far above every bound, and long enough for one election that fails.
const STAGE: Duration = Duration::from_secs(20);

/// A replica that was cut off from its primary for too long does not stand for election, unless its validity factor
/// is 0.
///
/// 1. The first shard's replica is cut off from its primary for longer than it may be.
/// 2. The primary dies: the replica knows, and does not stand.
/// 3. The slots have nobody: the cluster is down.
/// 4. With a factor of 0 it stands, and owns the slots.
async fn validity_factor(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. For too long.
    let (old, stale) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let cut = cut_off(lab, &old, &stale).await?;
    // `clusterHandleSlaveFailover`: a node timeout of it is always forgiven, and the factor is 1.
    let limit = lab.deployment().topology().node_timeout * 2 + PING + WHOLE_SECONDS;
    lab.wait("its link to be down for too long", limit * 3, async || match stale.info().await {
        Ok(info) => match info.number("master_link_down_since_seconds").map(Duration::from_secs) {
            Some(down) if down >= limit => Seen::Ready(()),
            down => Seen::NotYet(format!("down for {down:?}")),
        },
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await?;

    // 2. It does not stand.
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    lab.wait("it to know of the loss", STAGE, async || knows(lab, &stale, &old).await).await?;
    pass(ELECTION_DELAY + CRON * 2 + wait::scheduling()).await;
    let votes = lab.deployment().votes(&stale).await?;
    let refuses = "a replica, that asked nobody for a vote";
    let observed = match (stale.info().await?.role(), votes) {
        (Role::Replica, Votes { asked_for: 0, .. }) => refuses,
        (Role::Replica, _) => "a replica, that asked for votes",
        _ => "primary",
    };
    let judged = Judgement::equal(refuses, observed).evidence(format!("{votes:?}"));
    if !lab.check("validity.refuses", judged) {
        return Ok(cut.heal().await?);
    }

    // 3. Nobody has the slots.
    let nodes = lab.deployment().primaries().iter().chain(lab.deployment().replicas());
    let left: Vec<Arc<Node>> = nodes.filter(|node| node.id() != old.id()).cloned().collect();
    let mut states = Vec::new();
    for node in &left {
        states.push((node.id().to_string(), lab.deployment().state(node).await?));
    }
    lab.check("validity.down", Judgement::equal("fail", alike(states)));

    // 4. Whatever its age.
    let allowed = lab.recorder().now();
    let set = stale.ask::<String>(&["CONFIG", "SET", FACTOR, "0"]).await;
    lab.doing(&format!("{FACTOR} 0: {}", set.unwrap_or_else(|error| error.to_string())));
    let owns = lab.wait("it to own the slots", STAGE, async || owner_everywhere(lab, &left, &stale).await);
    let all = "every node that is left knows it as their owner";
    let observed = owns.await.map_or_else(|late| late.last_seen, |()| all.to_owned());
    if lab.check("validity.zero", Judgement::equal(all, observed)) {
        let millis = lab.recorder().now().since(allowed).as_secs_f64() * 1000.0;
        lab.measure("election", millis, "ms", "from a factor of 0 to every node knowing the owner");
    }
    Ok(cut.heal().await?)
}

/// Whether a node knows that a majority holds another to be dead, or has replaced it.
async fn knows(lab: &Lab<Clusters>, node: &Node, dead: &Node) -> Seen<()> {
    let view = match lab.deployment().view(node).await {
        Ok(view) => view,
        Err(error) => return Seen::NotYet(error.to_string()),
    };
    match view.member(lab.deployment().name_of(dead)).map(|member| member.health) {
        Some(Health::Failed) => Seen::Ready(()),
        health => Seen::NotYet(format!("{health:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
