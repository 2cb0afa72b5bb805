use std::{cell::Cell, time::Duration};

use failover_lab::{
    Lab, Replicated, StepError,
    docker::{Fault, FaultKind, Node},
    info::Info,
    replicated,
    wait::{Seen, scheduling},
};
use lab_report::judge::{Judgement, Limits};

use crate::step::{Outcome, step};

step!("q5", "partial-resync", topology(), partial_resync);

/// `repl-timeout` in seconds, below.
const REPL_TIMEOUT: u64 = 2;
/// `repl-ping-replica-period` in seconds, below: of an idle primary comes nothing else.
const PING: u64 = 1;
/// The clocks of a server show whole seconds, and once a second it looks at them (`replicationCron`).
const LOOKS: u64 = 1 + 1;
/// Longer than the bound: a link that goes down late fails that.
const LINK_DOWN: Duration = Duration::from_secs(REPL_TIMEOUT + LOOKS + 2);
/// A lost replica tries again once a second; every try may wait `repl-timeout` for an answer.
const LINK_UP: Duration = Duration::from_secs(1 + 2 * REPL_TIMEOUT + 2);

fn topology() -> Replicated {
    // Nobody restarts the replica while it is cut off; pings come oftener than the timeout.
    replicated(2)
        .without_recovery()
        .config("repl-timeout", &REPL_TIMEOUT.to_string())
        .config("repl-ping-replica-period", &PING.to_string())
}

/// Writes of 1 KiB.
const MISSED: usize = 200;
/// They arrive in milliseconds, and on a busy machine later.
const ARRIVED: Duration = Duration::from_secs(5);

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
    let given_up = given_up(lab, &cut, &replica).await;
    if !lab.check("resync.link-down", given_up) {
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
    // The link is up before everything has come. What has not by then is missing.
    let end = primary.info().await?.offset();
    let arrived =
        lab.wait("the replica to reach the stream's end", ARRIVED, async || match replica.info().await {
            Ok(info) if info.offset() >= end => Seen::Ready(()),
            Ok(info) => Seen::NotYet(format!("it is {} bytes behind", end - info.offset())),
            Err(error) => Seen::NotYet(error.to_string()),
        });
    let _ = arrived.await;
    let after = syncs(&primary).await?;
    let missing = missing(&replica).await?;
    let observed = format!("{} full, {} partial, {missing} missing", after.0 - before.0, after.1 - before.1);
    lab.check("resync.partial", Judgement::equal("0 full, 1 partial, 0 missing", observed));
    Ok(())
}

/// How long after the cut the replica gave its link up, as it says on its own console.
///
/// It does that `repl-timeout` after the link's last byte, which came up to a ping before the cut.
async fn given_up(lab: &Lab, cut: &Fault, replica: &Node) -> Judgement {
    let now = || lab.recorder().now();
    let up = Cell::new(cut.in_effect());
    let down = lab.wait("the replica's link to go down", LINK_DOWN, async || {
        let asked = now();
        match replica.console(&["INFO", "replication"]).await {
            Ok(text) => match Info::parse(&text).get("master_link_status") {
                Some("down") => Seen::Ready(now()),
                other => {
                    up.set(asked);
                    Seen::NotYet(other.unwrap_or("absent").to_owned())
                }
            },
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    let down = down.await;
    let seen = down.as_ref().copied().unwrap_or(up.get());
    let limits = Limits {
        what: "the link is down",
        floor: Duration::from_secs(REPL_TIMEOUT - PING),
        ceiling: Duration::from_secs(REPL_TIMEOUT + LOOKS) + scheduling(),
        // A console command takes its time, and so did the cut.
        resolution: seen.since(up.get()) + cut.in_effect().since(cut.not_before()),
        formula: "repl-timeout − repl-ping-replica-period … repl-timeout + 1 s (clocks of whole seconds) + 1 s (replicationCron) + scheduling",
    };
    let measured = down.as_ref().ok().map(|at| at.since(cut.not_before()));
    let judged = Judgement::within(limits, measured);
    match down {
        Ok(_) => judged,
        Err(late) => judged.evidence(format!("last seen: {}", late.last_seen)),
    }
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
