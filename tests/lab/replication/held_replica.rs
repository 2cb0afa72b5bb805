use std::time::Duration;

use failover_lab::{
    Lab,
    docker::{FaultKind, Node},
    info::Info,
    replicated,
    wait::Seen,
};
use lab_report::judge::{Behind, Judgement, falls_behind, lag_within};

use super::data_replication::replication_lag;
use crate::step::{Outcome, step};

step!("q5", "held-replica", replicated(2).without_recovery(), held_replica);

/// The primary counts whole seconds since the last acknowledgement, which comes once a second. Four are
/// more than a healthy replica shows, and more than a primary lets pass that drops replicas after one.
const LAG: u64 = 4;
const SHOWS: Duration = Duration::from_secs(LAG + 2);

/// A frozen replica falls behind and catches up.
///
/// 1. Freeze a replica under a write load: the primary lists it, and a second look finds it further behind.
/// 2. Release it: it catches up.
/// 3. Marks show that its lag is back under 100 ms.
async fn held_replica(lab: &mut Lab) -> Outcome {
    let primary = lab.group().primary();
    let replica = lab.group().replicas().into_iter().next().ok_or("the step needs a replica")?;
    let writer = lab.start_writing();

    // 1. Frozen.
    let held = lab.inject(FaultKind::Hold, &replica).await?;
    let first = behind(lab, &primary, &replica, 1).await;
    let later = behind(lab, &primary, &replica, LAG).await;
    lab.check("held.lag-visible", falls_behind(first, later, LAG));

    // 2. Released. Its node left the reader name, and comes back to it once in sync: it is asked directly.
    held.heal().await?;
    writer.stop().await;
    let caught_up = lab.wait("the replica to catch up", Duration::from_secs(10), async || {
        match listed(&primary, &replica).await {
            Some(Behind { bytes: 0, .. }) => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        }
    });
    if let Err(late) = caught_up.await {
        lab.check("held.recovers", Judgement::of(false, "it catches up", late.to_string()));
        return Ok(());
    }

    // 3. As before.
    let reader = lab.client_of(&replica).patient(Duration::from_secs(2));
    let lags = replication_lag(lab, &[reader]).await?;
    lab.check("held.recovers", lag_within(Duration::from_millis(100), &lags));
    Ok(())
}

/// How the primary lists the replica once that is so many `seconds` behind; how it does in the end, if that is never.
async fn behind(lab: &Lab, primary: &Node, replica: &Node, seconds: u64) -> Option<Behind> {
    let what = format!("the primary to list the replica {seconds} s behind");
    let shown = lab.wait(&what, SHOWS, async || match listed(primary, replica).await {
        Some(behind) if behind.seconds >= seconds && behind.bytes > 0 => Seen::Ready(behind),
        other => Seen::NotYet(format!("{other:?}")),
    });
    match shown.await {
        Ok(behind) => Some(behind),
        Err(_) => listed(primary, replica).await,
    }
}

async fn listed(primary: &Node, replica: &Node) -> Option<Behind> {
    let info = Info::parse(&primary.ask::<String>(&["INFO", "replication"]).await.ok()?);
    let address = replica.address().to_string();
    let line = info.replicas().into_iter().find(|line| line.ip == address)?;
    Some(Behind { seconds: line.lag, bytes: info.offset().saturating_sub(line.offset) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
