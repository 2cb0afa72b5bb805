use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Node, Split},
    sentinels,
    wait::Seen,
};
use lab_report::judge::{served, told};

use super::seen::{behind, election, stage, successor};
use crate::step::{Outcome, step};

step!("sentinel", "parallel-syncs", deployment(), parallel_syncs);

const KEYS: usize = 100;
/// Far above the three synchronisations: each takes half a second, and the leader hears of its end within
/// a second (`INFO`).
const RECONFIGURED: Duration = Duration::from_secs(25);

/// Four replicas, of which one is preferred: three have to be turned to it. A sentinel that is alone has
/// nobody to lose an election to, and so the time of a failover is for the replicas. A hundred keys take
/// half a second to send, which is long enough to be seen.
fn deployment() -> Sentinels {
    let mut topology = sentinels(1).quorum(1).replicas(4).config("rdb-key-save-delay", "5000").node_config(
        "lab-002",
        "replica-priority",
        "1",
    );
    topology.failover_timeout = Duration::from_secs(30);
    topology.monitor.every = Duration::from_millis(20);
    topology
}

/// Of many replicas one at a time is turned to the new primary, and gets its data.
///
/// 1. All have the same data. Cut `lab-002`, which will be promoted, off from the primary, and write: the
///    others are ahead of it, and will have to give up what they have for a whole copy.
/// 2. The primary crashes, and `lab-002` is promoted.
/// 3. The leader tells a replica whom to follow only when the one before is done.
/// 4. The new primary sends its data to one replica at a time.
async fn parallel_syncs(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Ahead of their next primary.
    let data = lab.deployment().data().to_vec();
    let [old, late, others @ ..] = data.as_slice() else { return Err("the step needs replicas".into()) };
    same_data(old, data.len() - 1).await?;
    let cut = lab.partition(&Split::between(old, late)).await?;
    for ahead in others {
        behind(lab, old, ahead, late).await?;
    }

    // 2. The loss.
    let _lost = lab.inject(FaultKind::Crash, old).await?;
    stage(lab, old, "a replica to become primary", |election| election.new.is_some()).await?;
    let new = successor(lab, &election(lab, old).ok_or("nothing began")?)?;
    leader_is_done(lab, old).await?;
    cut.heal().await?;

    // 3. and 4. One at a time.
    let began = election(lab, old).ok_or("nothing began")?.began;
    let limit = (STEP.topology)().parallel_syncs;
    let (timeline, by) = (lab.timeline(), new.id());
    if lab.check("parallel.told", told(&timeline, began, limit.into())) {
        lab.check("parallel.served", served(&timeline, by, began, limit.into()));
    }
    Ok(())
}

/// Writes at the primary, and waits until every replica has it.
async fn same_data(primary: &Node, replicas: usize) -> Outcome {
    for key in 0..KEYS {
        primary.ask::<()>(&["SET", &format!("same:{key}"), &"x".repeat(100)]).await?;
    }
    let acknowledged: usize =
        primary.ask_within(&["WAIT", &replicas.to_string(), "5000"], Duration::from_secs(6)).await?;
    match acknowledged {
        all if all == replicas => Ok(()),
        some => Err(format!("{some} of {replicas} replicas have the data").into()),
    }
}

/// Waits until every replica that is not promoted was told whom to follow, and follows.
async fn leader_is_done(lab: &Lab<Sentinels>, old: &Arc<Node>) -> Outcome {
    let look = || async {
        let milestones = election(lab, old).map(|election| election.milestones).unwrap_or_default();
        match milestones.last() {
            Some((last, _)) if last == "+switch-master" => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        }
    };
    Ok(lab.wait("the leader to be done", RECONFIGURED, look).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
