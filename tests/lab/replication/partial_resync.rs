use std::time::Duration;

use failover_lab::{
    Lab, Replicated, StepError,
    docker::{FaultKind, Node},
    info::Info,
    replicated,
    wait::Seen,
};
use lab_report::judge::Judgement;

use crate::step::{Outcome, step};

step!("q5", "partial-resync", topology(), partial_resync);

/// `repl-timeout` in seconds, below. A link is given up that long after its last byte, checked once a
/// second (`replicationCron`).
const REPL_TIMEOUT: u64 = 2;
/// The link is down within `repl-timeout` + 1 s of cron, and a console command each way.
const LINK_DOWN: Duration = Duration::from_secs(REPL_TIMEOUT + 1 + 2);
/// A lost replica tries again once a second; every try may wait `repl-timeout` for an answer.
const LINK_UP: Duration = Duration::from_secs(1 + 2 * REPL_TIMEOUT + 2);

fn topology() -> Replicated {
    // Nobody restarts the replica while it is cut off; pings come oftener than the timeout.
    replicated(2)
        .without_recovery()
        .config("repl-timeout", &REPL_TIMEOUT.to_string())
        .config("repl-ping-replica-period", "1")
}

/// Writes of 1 KiB.
const MISSED: usize = 200;

/// A replica that was cut off catches up from the backlog.
///
/// 1. Take a replica off the network: on its own console its link to the primary goes down.
/// 2. Write 200 KiB meanwhile, less than the backlog holds.
/// 3. Put it back: the link comes up, by a partial resynchronisation.
async fn partial_resync(lab: &mut Lab) -> Outcome {
    let primary = lab.group().primary();
    let replica = lab.group().replicas().into_iter().next().ok_or("the step needs a replica")?;
    let before = syncs(&primary).await?;

    // 1. The cut.
    let cut = lab.inject(FaultKind::Isolate, &replica).await?;
    let down = lab.wait("the replica's link to go down", LINK_DOWN, async || {
        match replica.console(&["INFO", "replication"]).await {
            Ok(text) => match Info::parse(&text).get("master_link_status") {
                Some("down") => Seen::Ready(()),
                other => Seen::NotYet(other.unwrap_or("absent").to_owned()),
            },
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    let observed = down.await.map_or_else(|late| late.last_seen, |()| "down".to_owned());
    if !lab.check("resync.link-down", Judgement::equal("down", observed)) {
        cut.heal().await?;
        return Ok(());
    }

    // 2. What it misses.
    let missed = "m".repeat(1024);
    for number in 0..MISSED {
        primary.ask::<()>(&["SET", &format!("missed:{number}"), &missed]).await?;
    }

    // 3. The way back.
    cut.heal().await?;
    let up = lab.wait("the replica's link to come up", LINK_UP, async || match replica.info().await {
        Ok(info) if info.link_up() == Some(true) => Seen::Ready(()),
        Ok(_) => Seen::NotYet("down".to_owned()),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    let observed = up.await.map_or_else(|late| late.last_seen, |()| "up".to_owned());
    if !lab.check("resync.recovers", Judgement::equal("up", observed)) {
        return Ok(());
    }
    let after = syncs(&primary).await?;
    let missing = missing(&replica).await?;
    let observed = format!("{} full, {} partial, {missing} missing", after.0 - before.0, after.1 - before.1);
    lab.check("resync.partial", Judgement::equal("0 full, 1 partial, 0 missing", observed));
    Ok(())
}

/// How much of what was written meanwhile a node does not have.
async fn missing(node: &Node) -> Result<usize, StepError> {
    let mut missing = 0;
    for number in 0..MISSED {
        let there: bool = node.ask(&["EXISTS", &format!("missed:{number}")]).await?;
        missing += usize::from(!there);
    }
    Ok(missing)
}

/// Full and partial resynchronisations that a primary has served.
async fn syncs(primary: &Node) -> Result<(u64, u64), StepError> {
    let info = primary.info().await?;
    let count = |field| info.number(field).unwrap_or(0);
    Ok((count("sync_full"), count("sync_partial_ok")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
