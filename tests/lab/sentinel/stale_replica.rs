use std::time::Duration;

use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Split},
    sentinels,
    wait::Seen,
};
use lab_report::judge::Judgement;

use super::seen::{chosen, replaced};
use crate::step::{Outcome, step};

const DOWN_AFTER: Duration = Duration::from_secs(1);
/// A replica is not eligible once its link was down for ten times down-after, and for as long as the
/// primary is held to be down (`sentinelSelectSlave`).
const TOO_LONG: Duration = Duration::from_secs(10);
/// Of which the primary is held to be down before the choice is made: an election.
const ELECTION: Duration = Duration::from_secs(2);

step!(
    "sentinel",
    "stale-replica",
    {
        let mut topology = sentinels(3).replicas(2).node_config("lab-002", "replica-priority", "1");
        topology.down_after = DOWN_AFTER;
        topology
    },
    stale_replica
);

/// A replica that was cut off for too long is not promoted, though it is the preferred one.
///
/// 1. Cut `lab-002`, which has the lower priority number, off from the primary, until the sentinels have
///    known its link to be down for more than ten times down-after.
/// 2. The primary crashes: `lab-003` is promoted.
async fn stale_replica(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. For too long.
    let data = lab.deployment().data().to_vec();
    let [old, stale, _] = data.as_slice() else { return Err("the step needs two replicas".into()) };
    let cut = lab.partition(&Split::between(old, stale)).await?;
    // It would notice after `repl-timeout`, 60 s; this closes its link, which cannot be made again.
    stale.ask::<()>(&["CLIENT", "KILL", "TYPE", "master"]).await?;
    let address = stale.address().to_string();
    let wanted = TOO_LONG + ELECTION;
    let known = lab.wait("every sentinel to know its link to be down", wanted * 2, async || {
        for sentinel in lab.deployment().sentinels() {
            let listed = match lab.deployment().replicas(sentinel).await {
                Ok(listed) => listed,
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            let replica = listed.iter().find(|replica| replica.address() == address);
            let down = replica.and_then(|replica| replica.number("master-link-down-time")).unwrap_or(0);
            if Duration::from_millis(down) < wanted {
                return Seen::NotYet(format!("{} knows of {down} ms", sentinel.id()));
            }
        }
        Seen::Ready(())
    });
    known.await?;

    // 2. The loss.
    let _lost = lab.inject(FaultKind::Crash, old).await?;
    let election = replaced(lab, old).await?;
    lab.check("selection.not-stale", Judgement::equal("lab-003 is promoted", chosen(&election)));
    Ok(cut.heal().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
