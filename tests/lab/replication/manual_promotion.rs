use std::time::Duration;

use failover_lab::{
    Lab, StepError,
    docker::{FaultKind, Node},
    replicated,
    wait::{Seen, TimedOut, pass},
};
use lab_report::{
    evidence::{EndpointName, Role},
    judge::{Judgement, nobody_promoted},
};

use super::write_rejection::words;
use crate::step::{Outcome, clocks, step};

step!("q5", "manual-promotion", replicated(2).without_automatic_failover(), manual_promotion);

/// A write takes milliseconds, and on a busy machine longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// A replica connects at once, and tries again once a second (`replicationCron`); a busy machine needs the rest.
const FOLLOWS: Duration = Duration::from_secs(5);
const TOOK_OVER: &str = "primary, named, written to, and followed";

/// Without automatic failover nobody is promoted until somebody promotes.
///
/// 1. Crash the primary, and wait until the control plane holds it dead.
/// 2. Wait three times as long as a promotion may take: nobody is promoted.
/// 3. Promote the last replica by hand: it becomes primary, the name moves to it, it takes what is written there, and
///    the other replica follows it.
async fn manual_promotion(lab: &mut Lab) -> Outcome {
    // 1. A dead primary.
    let old = lab.group().primary();
    let [other, chosen] = &lab.group().replicas()[..] else {
        return Err("the step needs two replicas".into());
    };
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let detected = lab.wait("the control plane to notice", Duration::from_secs(5), async || {
        match lab.recorder().look(|timeline| timeline.marks.detected) {
            Some(_) => Seen::Ready(()),
            None => Seen::NotYet("nothing noticed".to_owned()),
        }
    });
    detected.await?;

    // 2. Nobody. The bound of a promotion after detection: one round of offsets, and what observing costs.
    let clocks = clocks();
    let since = lab.recorder().now();
    pass(3 * (clocks.probe_timeout + clocks.observe_every + clocks.scheduling)).await;
    lab.check("manual.nobody-promoted", nobody_promoted(&lab.timeline(), old.id(), since));

    // 3. By hand.
    let answer = match lab.group().promote(chosen.id()).await {
        Ok(()) => "promoted".to_owned(),
        Err(error) => error.to_string(),
    };
    let observed = took_over(lab, chosen, other).await?;
    lab.check(
        "manual.promotes",
        Judgement::equal(TOOK_OVER, observed).evidence(format!("the control plane: {answer}")),
    );
    fault.heal().await?;
    Ok(())
}

/// What of being primary `chosen` lacks: the role, the name, what is written through the name, or the `other` replica.
async fn took_over(lab: &Lab, chosen: &Node, other: &Node) -> Result<String, StepError> {
    let role = chosen.info().await?.role();
    let named = lab.group().records().targets(EndpointName::Primary);
    if role != Role::Primary || named != [chosen.id().clone()] {
        return Ok(format!("{role:?}, and the name points at {named:?}"));
    }
    let writer = lab.primary_client().patient(PATIENCE);
    let answer = words(writer.ask(&["SET", "taken", "by the new primary"]).await);
    let there: bool = chosen.ask(&["EXISTS", "taken"]).await?;
    if answer != "OK" || !there {
        return Ok(format!("a write through the name: {answer}"));
    }
    let wanted = chosen.address().to_string();
    let follows = lab.wait("the other replica to follow it", FOLLOWS, async || match other.info().await {
        Ok(info) if info.get("master_host") == Some(wanted.as_str()) && info.link_up() == Some(true) => {
            Seen::Ready(())
        }
        Ok(info) => Seen::NotYet(info.replication()),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    let left_behind = |late: TimedOut| format!("the other replica does not follow it: {}", late.last_seen);
    Ok(follows.await.map_or_else(left_behind, |()| TOOK_OVER.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
