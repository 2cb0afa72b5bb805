use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, cluster,
    docker::{FaultKind, Node},
    wait::{Seen, pass},
};
use lab_report::judge::Judgement;

use super::{
    seen::{all_but, at, key_of, outcome, state_everywhere},
    slot_failover::STAGE,
};
use crate::step::{Outcome, alike, step};

step!(
    "cluster",
    "majority-lost",
    cluster(3).replicas(1).config("cluster-require-full-coverage", "no"),
    majority_lost
);

/// A replica that is promoted at all is promoted within 5.2 s of its primary's death
/// (`SlotFailover::promotion`), and the node timeout of 2 s is over before anybody takes the cluster to be down.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Two primaries of three die at once: everything stops, until their replicas are told to take over.
///
/// 1. The first two primaries die; every node that is left takes the cluster to be down.
/// 2. For longer than an election takes, nobody is promoted.
/// 3. The primary that is left answers for nothing, not even for its own slots.
/// 4. Both replicas take over without a vote: the cluster is whole.
/// 5. Every shard takes writes.
async fn majority_lost(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The loss.
    let [first, second, last] = lab.deployment().primaries().to_vec().try_into().map_err(|_| "not three")?;
    let heirs = lab.deployment().replicas()[..2].to_vec();
    let left = all_but(lab, &[&first, &second]);
    let _lost =
        tokio::try_join!(lab.inject(FaultKind::Crash, &first), lab.inject(FaultKind::Crash, &second))?;
    let down = "every node that is left says fail";
    let observed = state_everywhere(lab, &left, "fail").await.map_or_else(|why| why, |()| down.to_owned());
    if !lab.check("majority.stopped", Judgement::equal(down, observed)) {
        return Ok(());
    }

    // 2. No election.
    pass(AFTERWARDS).await;
    let promoted = promoted(lab, &heirs).await?;
    if !lab.check("majority.nobody-promoted", Judgement::equal("nobody", promoted)) {
        return Ok(());
    }

    // 3. No answer.
    let (client, key) = (at(lab, &last), key_of(lab, 2));
    let mut seen = Vec::new();
    for command in [["SET", &key, "x"].as_slice(), &["GET", &key]] {
        seen.push((command[0].to_owned(), outcome(&client, command).await));
    }
    lab.check("majority.refused", Judgement::equal("CLUSTERDOWN", alike(seen)));

    // 4. By hand.
    let began = lab.recorder().now();
    let whole = "every node that is left says ok, and knows the replicas as owners";
    let observed = restored(lab, &heirs, &left).await.map_or_else(|why| why, |()| whole.to_owned());
    let took = lab.recorder().now().since(began);
    if !lab.check("majority.restored", Judgement::equal(whole, observed)) {
        return Ok(());
    }
    lab.measure("restored", took.as_secs_f64() * 1000.0, "ms", "from the first TAKEOVER to ok on every node");

    // 5. Every shard.
    let mut seen = Vec::new();
    for (shard, owner) in heirs.iter().chain([&last]).enumerate() {
        let written = outcome(&at(lab, owner), &["SET", &key_of(lab, shard), "x"]).await;
        seen.push((owner.id().to_string(), written));
    }
    lab.check("majority.answered", Judgement::equal("answered", alike(seen)));
    Ok(())
}

/// Who of `replicas` takes itself for a primary.
async fn promoted(lab: &Lab<Clusters>, replicas: &[Arc<Node>]) -> Result<String, failover_lab::StepError> {
    let mut promoted = Vec::new();
    for replica in replicas {
        if lab.deployment().view(replica).await?.myself().is_some_and(|myself| myself.follows.is_none()) {
            promoted.push(replica.id().to_string());
        }
    }
    Ok(if promoted.is_empty() { "nobody".to_owned() } else { promoted.join(", ") })
}

/// Has each of `heirs` take its primary's place, and waits until `left` all know it and say `ok`.
async fn restored(lab: &Lab<Clusters>, heirs: &[Arc<Node>], left: &[Arc<Node>]) -> Result<(), String> {
    for heir in heirs {
        lab.doing(&format!("{} takes over", heir.id()));
        let told = heir.ask::<()>(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
        told.map_err(|error| error.to_string())?;
    }
    state_everywhere(lab, left, "ok").await?;
    let known = lab.wait("every node that is left to know the new owners", STAGE, async || {
        let shares = lab.deployment().topology().shares();
        for node in left {
            let view = match lab.deployment().view(node).await {
                Ok(view) => view,
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            let owns = |(heir, share): (&Arc<Node>, _)| {
                view.member(lab.deployment().name_of(heir)).is_some_and(|member| &member.slots == share)
            };
            if !heirs.iter().zip(&shares).all(owns) {
                return Seen::NotYet(format!("{} holds another to be an owner", node.id()));
            }
        }
        Seen::Ready(())
    });
    known.await.map_err(|late| late.last_seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
