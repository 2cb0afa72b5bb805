use std::{sync::Arc, time::Duration};

use failover_lab::{Lab, Sentinels, StepError, docker::Node, sentinels, wait::Seen, writer};
use lab_report::{
    evidence::{Outcome as Became, Write},
    judge::{loss, seconds},
};

use super::seen::{happened, patience, replaced, stage, successor};
use crate::step::{Outcome, step};

step!("sentinel", "manual-failover", sentinels(3).replicas(2), manual_failover, needs[Changes]);

/// `SENTINEL FAILOVER` replaces a healthy primary under load, and may lose what it acknowledged.
///
/// 1. Write through the sentinels, and ask one of them for a failover.
/// 2. A replica becomes primary, though the old one lives.
/// 3. The client's writes are acknowledged by the new primary.
/// 4. Count what was lost: the old primary was not told to wait (redis issue 6062).
async fn manual_failover(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Asked for.
    let old = Arc::clone(lab.deployment().first_primary());
    let writer = lab.start_writing();
    some_writes(lab).await?;
    lab.recorder().mark(|marks, now| marks.requested = Some(now));
    let (sentinel, name) = (&lab.deployment().sentinels()[0], lab.deployment().name());
    let asked = sentinel.ask::<String>(&["SENTINEL", "FAILOVER", name]).await;
    lab.doing(&format!("asked for a failover: {}", asked.unwrap_or_else(|error| error.to_string())));

    // 2. Done.
    let promoted = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await;
    if !lab.check("manual.promoted", happened("a replica is primary", promoted)) {
        return Ok(());
    }
    let new = successor(lab, &replaced(lab, &old).await?)?;

    // 3. The client.
    let followed = writes_reach(lab, &new).await;
    lab.check("manual.client-follows", happened("acknowledged by the new primary", followed));

    // 4. The loss.
    let writes = writer.stop().await;
    let lost = loss(&writes, &writer::found(&new, &writes).await?);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    Ok(())
}

/// Waits until this node, a primary already, has a write that is sent from now on and acknowledged. What it
/// has from before it may have as a replica.
pub(super) async fn writes_reach(lab: &Lab<Sentinels>, new: &Node) -> Result<(), String> {
    let from = lab.recorder().now();
    let look = || async {
        let last = lab.recorder().look(|timeline| {
            let acknowledged =
                |write: &&Write| write.outcome == Became::Acknowledged && write.intended >= from;
            timeline.writes.iter().rfind(acknowledged).map(|write| write.sequence)
        });
        match last {
            Some(last) if has(new, last).await => Seen::Ready(()),
            other => Seen::NotYet(format!("the last acknowledged write is {other:?}")),
        }
    };
    let reached = lab.wait("the client's writes to reach the new primary", patience(lab), look).await;
    reached.map_err(|late| late.to_string())
}

async fn has(node: &Node, sequence: u64) -> bool {
    node.info().await.is_ok_and(|info| info.role() == lab_report::evidence::Role::Primary)
        && node.ask::<bool>(&["EXISTS", &writer::Writer::key(sequence)]).await.unwrap_or(false)
}

/// A load that is under way, so that there is something to lose.
pub(super) async fn some_writes(lab: &Lab<Sentinels>) -> Result<(), StepError> {
    let wait = lab.wait("a hundred acknowledged writes", Duration::from_secs(10), async || {
        let acknowledged = lab.recorder().look(|timeline| {
            timeline.writes.iter().filter(|write| write.outcome == Became::Acknowledged).count()
        });
        match acknowledged {
            100.. => Seen::Ready(()),
            some => Seen::NotYet(format!("{some}")),
        }
    });
    Ok(wait.await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
