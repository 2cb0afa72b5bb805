use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, cluster,
    docker::{FaultKind, Node},
    wait::Seen,
};
use lab_report::{Slot, judge::Judgement};

use super::seen::{at, key_of};
use crate::step::{Outcome, step};

step!("cluster", "cluster-recovery", cluster(3).replicas(1), cluster_recovery);

/// Far above what a gossip and a synchronisation take.
const STAGE: Duration = Duration::from_secs(20);
const KEYS: usize = 100;

/// A primary that was replaced comes back, follows its successor, and gets what it missed.
///
/// 1. The first primary dies, and its replica takes over.
/// 2. Keys are written to the shard, which the old primary does not get.
/// 3. It comes back: it follows its successor and owns nothing.
/// 4. Every node sees the same cluster, and takes it to be whole.
/// 5. It has what was written without it.
async fn cluster_recovery(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The loss.
    let old = Arc::clone(&lab.deployment().primaries()[0]);
    let heir = Arc::clone(&lab.deployment().replicas()[0]);
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    lab.wait("its replica to take over", STAGE, async || owns(lab, &heir).await).await?;

    // 2. What it misses.
    let tag = key_of(lab, 0);
    let client = at(lab, &heir);
    for number in 0..KEYS {
        client.ask::<()>(&["SET", &missed(&tag, number), "written"]).await?;
    }

    // 3. Back.
    lab.heal(fault).await?;
    let follows = "it follows its successor and owns nothing";
    let seen = lab.wait("it to follow its successor", STAGE, async || following(lab, &old, &heir).await);
    let observed = seen.await.map_or_else(|late| late.last_seen, |()| follows.to_owned());
    if !lab.check("rejoin.follows", Judgement::equal(follows, observed)) {
        return Ok(());
    }

    // 4. One view.
    let one = "the same, and whole";
    let stands = lab.deployment().stands().await;
    let observed = stands.map_or_else(|late| late.last_seen, |()| one.to_owned());
    lab.check("rejoin.agreed", Judgement::equal(one, observed));

    // 5. Its data.
    let reader = at(lab, &old);
    reader.ask::<()>(&["READONLY"]).await?;
    let mut found = 0;
    for number in 0..KEYS {
        found += usize::from(reader.ask::<Option<String>>(&["GET", &missed(&tag, number)]).await?.is_some());
    }
    lab.check("rejoin.resynced", Judgement::equal(format!("{KEYS} of {KEYS}"), format!("{found} of {KEYS}")));
    Ok(())
}

fn missed(tag: &str, number: usize) -> String {
    format!("{{{tag}}}:missed:{number}")
}

/// Whether a node owns the first shard's slots, as it sees it itself.
async fn owns(lab: &Lab<Clusters>, heir: &Node) -> Seen<()> {
    match lab.deployment().view(heir).await {
        Ok(view) if view.myself().is_some_and(|myself| myself.slots.contains(first(lab))) => Seen::Ready(()),
        Ok(_) => Seen::NotYet("it owns nothing".to_owned()),
        Err(error) => Seen::NotYet(error.to_string()),
    }
}

/// The first shard's first slot.
fn first(lab: &Lab<Clusters>) -> Slot {
    lab.deployment().topology().shares()[0].iter().next().expect("a share has slots")
}

/// Whether a node holds itself to be a replica of another, with nothing of its own.
pub(super) async fn following(lab: &Lab<Clusters>, old: &Node, heir: &Node) -> Seen<()> {
    let view = match lab.deployment().view(old).await {
        Ok(view) => view,
        Err(error) => return Seen::NotYet(error.to_string()),
    };
    let name = lab.deployment().name_of(heir);
    match view.myself() {
        Some(myself) if myself.follows.as_deref() == Some(name) && myself.slots.is_empty() => Seen::Ready(()),
        Some(myself) if myself.follows.is_none() => Seen::NotYet("it takes itself for a primary".to_owned()),
        _ => Seen::NotYet("it follows somebody else".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
