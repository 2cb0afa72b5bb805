use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError, docker::Node, sentinels, topology::sentinels::NAME, wait::Seen, writer,
};
use lab_report::{
    evidence::Outcome as Became,
    judge::{loss, seconds},
};

use super::seen::{STAGE, happened, replaced, stage, successor};
use crate::step::{Outcome, step};

step!("sentinel", "manual-failover", sentinels(3).replicas(2), manual_failover);

/// `SENTINEL FAILOVER` replaces a healthy primary under load, and may lose what it acknowledged.
///
/// 1. Write through the sentinels, and ask one of them for a failover.
/// 2. A replica becomes primary, without anybody holding the old one to be down.
/// 3. The client's writes are acknowledged by the new primary.
/// 4. Count what was lost: the old primary was not told to wait (redis issue 6062).
async fn manual_failover(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Asked for.
    let old = Arc::clone(lab.deployment().first_primary());
    let writer = lab.start_writing();
    some_writes(lab).await?;
    lab.recorder().mark(|marks, now| marks.requested = Some(now));
    let asked = lab.deployment().sentinels()[0].ask::<String>(&["SENTINEL", "FAILOVER", NAME]).await;
    lab.doing(&format!("asked for a failover: {}", asked.unwrap_or_else(|error| error.to_string())));

    // 2. Done.
    let promoted = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await;
    if !lab.check("manual.promoted", happened("a replica is primary", promoted)) {
        return Ok(());
    }
    let new = successor(lab, &replaced(lab, &old).await?)?;

    // 3. The client.
    let followed = lab.wait("the client's writes to reach the new primary", STAGE, async || {
        let last = lab.recorder().look(|timeline| {
            timeline
                .writes
                .iter()
                .rfind(|write| write.outcome == Became::Acknowledged)
                .map(|write| write.sequence)
        });
        match last {
            Some(last) if has(&new, last).await => Seen::Ready(()),
            other => Seen::NotYet(format!("the last acknowledged write is {other:?}")),
        }
    });
    let followed = followed.await.map_err(|late| late.to_string());
    lab.check("manual.client-follows", happened("acknowledged by the new primary", followed));

    // 4. The loss.
    let writes = writer.stop().await;
    let lost = loss(&writes, &writer::found(&new, &writes).await?);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    Ok(())
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
