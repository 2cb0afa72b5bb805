use std::time::Duration;

use failover_lab::{Lab, docker::FaultKind, info::Info, replicated, wait::Seen};
use lab_report::judge::{Judgement, lag_within};

use super::data_replication::replication_lag;
use crate::step::{Outcome, step};

step!("q5", "held-replica", replicated(2).without_recovery(), held_replica);

/// The primary counts whole seconds since the last acknowledgement, which comes once a second. Four are
/// more than a healthy replica shows, and more than a primary lets pass that drops replicas after one.
const LAG: u64 = 4;
const SHOWS: Duration = Duration::from_secs(LAG + 2);

/// A frozen replica falls behind and catches up.
///
/// 1. Freeze a replica under a write load: the primary lists it with a growing lag.
/// 2. Release it: it catches up.
/// 3. Marks show that its lag is back under 100 ms.
async fn held_replica(lab: &mut Lab) -> Outcome {
    let primary = lab.group().primary();
    let replica = lab.group().replicas().into_iter().next().ok_or("the step needs a replica")?;
    let address = replica.address().to_string();
    let writer = lab.start_writing();

    // 1. Frozen.
    let held = lab.inject(FaultKind::Hold, &replica).await?;
    let listed = async || {
        let info = Info::parse(&primary.ask::<String>(&["INFO", "replication"]).await.unwrap_or_default());
        let end = info.offset();
        info.replicas()
            .into_iter()
            .find(|line| line.ip == address)
            .map(|line| (line.lag, end.saturating_sub(line.offset)))
    };
    let shown = lab.wait("the lag to show at the primary", SHOWS, async || match listed().await {
        Some((lag, behind)) if lag >= LAG && behind > 0 => Seen::Ready(()),
        Some(_) => Seen::NotYet("listed, without a lag".to_owned()),
        None => Seen::NotYet("not listed".to_owned()),
    });
    let observed = shown.await.map_or_else(|late| late.last_seen, |()| "listed, behind".to_owned());
    lab.check("held.lag-visible", Judgement::equal("listed, behind", observed));

    // 2. Released. Its node left the reader name, and comes back to it once in sync: it is asked directly.
    held.heal().await?;
    writer.stop().await;
    let caught_up =
        lab.wait("the replica to catch up", Duration::from_secs(10), async || match listed().await {
            Some((_, 0)) => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
