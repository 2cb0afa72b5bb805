use std::{sync::Arc, time::Duration};

use lab_report::Verdict;

use super::{
    clocks,
    seen::{happened, stage},
};
use crate::step::{Outcome, step};
use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Node},
    sentinels,
    wait::Seen,
};

step!("sentinel", "late-sentinel", deployment(), late_sentinel, needs[Faults]);

/// Two sentinels that both stand for election elect nobody: they try again soon.
fn deployment() -> Sentinels {
    Sentinels { failover_timeout: Duration::from_secs(2), ..sentinels(3).replicas(2) }
}

/// Far above the bound, and above the longest silence between two greetings of a broken set-up.
const CATCH_UP: Duration = Duration::from_secs(15);

/// A sentinel that was down during a failover catches up.
///
/// 1. A sentinel is lost, and then the primary: the others replace it.
/// 2. The sentinel returns, believing what it believed; it is told better.
/// 3. That took no longer than it takes to be greeted.
async fn late_sentinel(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. A failover without it.
    let (late, others) = {
        let mut all = lab.deployment().sentinels().to_vec();
        let late = all.pop().ok_or("there is no sentinel")?;
        (late, all)
    };
    let away = lab.inject(FaultKind::Crash, &late).await?;
    let old = Arc::clone(lab.deployment().first_primary());
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let agreed = stage(lab, &old, "the other sentinels to agree on a successor", |election| {
        // The leader goes on showing the old primary until the other replica follows.
        election.advertised.len() == others.len() && election.in_order().verdict == Verdict::Pass
    });
    let agreed = agreed.await;
    if !lab.check("late.failover", happened("the others name a successor", agreed)) {
        return Ok(());
    }

    // 2. Back, and told.
    lab.heal(away).await?;
    let back = lab.recorder().now();
    let caught_up = agrees(lab, &late, &others).await;
    let took = lab.recorder().now().since(back);
    let caught_up = happened("it names the others' primary, with their epoch", caught_up);
    if !lab.check("late.caught-up", caught_up) {
        return Ok(());
    }

    // 3. The clock.
    let sound = lab.promised((STEP.topology)());
    lab.check("late.timing", clocks(&sound).catching_up(sound.timers.publish, took));
    Ok(())
}

/// Waits until `late` names the same primary as the others do, with the same configuration epoch.
async fn agrees(lab: &Lab<Sentinels>, late: &Node, others: &[Arc<Node>]) -> Result<(), String> {
    let deployment = lab.deployment();
    let view = async |sentinel: &Node| match deployment.master(sentinel).await {
        Ok(master) => Ok(format!("{} with epoch {}", master.address(), master.epoch())),
        Err(error) => Err(error.to_string()),
    };
    let look = || async {
        let late = view(late).await;
        for other in others {
            let other = view(other).await;
            if late.is_err() || late != other {
                return Seen::NotYet(format!("it says {late:?}, another {other:?}"));
            }
        }
        Seen::Ready(())
    };
    let result = lab.wait("the sentinel that was away to agree with the others", CATCH_UP, look).await;
    result.map_err(|late| format!("not within {CATCH_UP:?}: {}", late.last_seen))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
