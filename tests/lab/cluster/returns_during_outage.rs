use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    docker::{Fault, FaultKind, Node, Partition, Side, Split},
    wait::{Seen, pass},
    writer::Writer,
};
use lab_report::judge::{Judgement, Limits, none_acknowledged};
use rstest::rstest;

use super::{
    cluster_recovery::following,
    seen::{all_but, at, dead_everywhere, key_of, one_owner_each},
    slot_failover::{STAGE, clocks, keys, owner_everywhere},
};
use crate::step::{Outcome, step};

step!(
    "cluster",
    "returns-during-outage",
    cluster(3).replicas(1).config("cluster-require-full-coverage", "no"),
    returns_during_outage
);

/// A primary that has just started takes no writes for this long, so that there is time to tell it what has changed
/// (`CLUSTER_WRITABLE_DELAY`).
const WRITABLE: Duration = Duration::from_secs(2);
const KEYS: usize = 100;

/// A primary that was replaced returns while its successor is out of sight, and does not take its slots back.
///
/// 1. The first primary dies, its replica takes over, and keys are written that the replica alone has.
/// 2. The replica freezes, or is cut off from all other nodes: nobody answers for the slots.
/// 3. The first primary returns with its old map of the slots; the other shards tell it better before it would take a
///    write.
/// 4. For longer than an election takes they hold on to its successor, and it asks nobody for a vote.
/// 5. Of what was sent to it all the while nothing is acknowledged.
/// 6. The replica is back: every slot has one owner in every view, and the first primary follows it.
/// 7. It has the keys that were written while it was away.
async fn returns_during_outage(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Replaced.
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let left = all_but(lab, &[&old, &heir]);
    let lost = replaced(lab, &old, &heir).await?;

    // 2. The outage.
    let outage = Outage::begin(lab, &heir).await?;
    dead_everywhere(lab, &left, &heir).await?;

    // 3. Back.
    let writer = Writer::start_at(lab.client_of(&old), lab.recorder(), keys(lab).swap_remove(0).1, true);
    let told = told(lab, lost, &old, &heir).await?;
    if !lab.check("outage.told", told) {
        return Ok(());
    }

    // 4. Nobody takes it for the owner.
    pass(clocks(lab).latest_promotion(0)).await;
    let held = holds(lab, &left, &old, &heir).await?;
    if !lab.check("outage.not-back", held) {
        return Ok(());
    }

    // 5. Nothing acknowledged.
    let writes = writer.stop().await;
    lab.check("outage.none-acknowledged", none_acknowledged("no write is acknowledged", &writes));

    // 6. Its successor.
    outage.end(lab).await?;
    let one = "one owner of every slot in every view, and the old primary follows its successor";
    let observed = one_owner_each(lab, &old, &heir).await.map_or_else(|why| why, |()| one.to_owned());
    if !lab.check("outage.over", Judgement::equal(one, observed)) {
        return Ok(());
    }

    // 7. The keys.
    let found = found(lab, &old).await?;
    lab.check("outage.kept", Judgement::equal(format!("{KEYS} of {KEYS}"), format!("{found} of {KEYS}")));
    Ok(())
}

/// What keeps a node out of the others' sight.
enum Outage {
    /// It is frozen.
    Held(Fault),
    /// It is cut off from all of them, and not from whoever observes it.
    CutOff(Partition),
}

impl Outage {
    /// That of the step's case.
    async fn begin(lab: &Lab<Clusters>, node: &Arc<Node>) -> Result<Self, StepError> {
        match lab.case() {
            Some("hold") => Ok(Self::Held(lab.inject(FaultKind::Hold, node).await?)),
            Some("partition") => {
                let others = all_but(lab, &[node]);
                let split = Split::between(node, Side::from(others.as_slice()));
                Ok(Self::CutOff(lab.partition(&split).await?))
            }
            other => Err(format!("no such case: {other:?}").into()),
        }
    }

    async fn end(self, lab: &Lab<Clusters>) -> Outcome {
        match self {
            Self::Held(fault) => Ok(lab.heal(fault).await?),
            Self::CutOff(partition) => Ok(partition.heal().await?),
        }
    }
}

/// Has a primary replaced, and writes to its successor.
async fn replaced(lab: &Lab<Clusters>, old: &Arc<Node>, heir: &Arc<Node>) -> Result<Fault, StepError> {
    let lost = lab.inject(FaultKind::Crash, old).await?;
    let others = all_but(lab, &[old]);
    let owned = lab.wait("its replica to take over, in every view", STAGE, async || {
        owner_everywhere(lab, &others, heir).await
    });
    owned.await?;
    let client = at(lab, heir);
    for number in 0..KEYS {
        client.ask::<()>(&["SET", &key(lab, number), "written"]).await?;
    }
    Ok(lost)
}

/// How long after it was started again the old primary knew that it has been replaced.
///
/// Who has no link to a node tries every tick of `clusterCron`, and says hello; the old primary's answer names slots
/// that others know to be taken with a larger epoch, and they say so (`clusterSendUpdate`).
async fn told(lab: &Lab<Clusters>, lost: Fault, old: &Node, heir: &Node) -> Result<Judgement, StepError> {
    let began = lab.recorder().now();
    lab.heal(lost).await?;
    let up = lab.recorder().now();
    let follows = lab.wait("it to follow its successor", STAGE, async || following(lab, old, heir).await);
    let told = follows.await.ok().map(|()| lab.recorder().now().since(began));
    let limits = Limits {
        what: "it follows its successor",
        floor: Duration::ZERO,
        ceiling: WRITABLE,
        resolution: up.since(began),
        formula: "before CLUSTER_WRITABLE_DELAY is over, 2 s after its start",
    };
    Ok(Judgement::within(limits, told))
}

/// Whether `nodes` hold the successor to be the owner, and the old primary has not tried to replace it.
async fn holds(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
    old: &Node,
    heir: &Node,
) -> Result<Judgement, StepError> {
    let holds = "every node that is left holds its successor to be their owner, and it asked for no vote";
    let votes = lab.deployment().votes(old).await?;
    let observed = match (owner_everywhere(lab, nodes, heir).await, votes.asked_for) {
        (Seen::Ready(()), 0) => holds.to_owned(),
        (Seen::Ready(()), _) => "it asked for votes".to_owned(),
        (Seen::NotYet(other), _) => other,
    };
    Ok(Judgement::equal(holds, observed).evidence(format!("{votes:?}")))
}

/// How many of the keys that its successor was given a node has.
async fn found(lab: &Lab<Clusters>, node: &Node) -> Result<usize, StepError> {
    let reader = at(lab, node);
    reader.ask::<()>(&["READONLY"]).await?;
    let mut found = 0;
    for number in 0..KEYS {
        found += usize::from(reader.ask::<Option<String>>(&["GET", &key(lab, number)]).await?.is_some());
    }
    Ok(found)
}

/// A key of the first shard.
fn key(lab: &Lab<Clusters>, number: usize) -> String {
    format!("{{{}}}:meanwhile:{number}", key_of(lab, 0))
}

#[rstest]
#[case::hold("hold")]
#[case::partition("partition")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
