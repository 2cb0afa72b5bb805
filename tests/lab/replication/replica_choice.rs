use std::time::Duration;

use failover_lab::{
    Lab,
    docker::{FaultKind, Node},
    replicated,
    wait::Seen,
};
use lab_report::{evidence::Role, judge::Judgement};

use crate::step::{Outcome, step};

step!("q5", "replica-choice", replicated(2), replica_choice);

/// An address of TEST-NET-1 (RFC 5737): nobody is there.
const NOWHERE: &str = "192.0.2.1";

/// The replica with most of the data is promoted.
///
/// 1. Let the first replica, which wins every tie, follow an address where nobody is.
/// 2. Write; only the second replica gets it.
/// 3. Crash the primary: the second replica takes over.
async fn replica_choice(lab: &mut Lab) -> Outcome {
    // 1. One replica falls behind.
    let old = lab.group().primary();
    let [behind, ahead] = &lab.group().replicas()[..] else {
        return Err("the step needs two replicas".into());
    };
    behind.ask::<()>(&["REPLICAOF", NOWHERE, "6379"]).await?;

    // 2. The other does not.
    for number in 0..200 {
        old.ask::<()>(&["SET", &format!("late:{number}"), "x"]).await?;
    }
    let acknowledged: usize = old.ask(&["WAIT", "1", "900"]).await?;
    let offsets = [behind.info().await?.offset(), ahead.info().await?.offset()];
    if acknowledged == 0 || offsets[0] >= offsets[1] {
        return Err(format!("the replicas are not apart: {offsets:?}").into());
    }

    // 3. The choice.
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let promoted = lab.wait("a replica to be promoted", Duration::from_secs(5), async || {
        let (behind, ahead) = (says_primary(behind).await, says_primary(ahead).await);
        match (behind, ahead) {
            (false, false) => Seen::NotYet("nobody is".to_owned()),
            (false, true) => Seen::Ready("the one with the larger offset"),
            (true, false) => Seen::Ready("the one with the smaller offset"),
            (true, true) => Seen::Ready("both"),
        }
    });
    let observed = promoted.await.map_or_else(|late| late.last_seen, str::to_owned);
    let judgement = Judgement::equal("the one with the larger offset", observed);
    lab.check("choice.largest-offset", judgement.evidence(format!("offsets {offsets:?}")));
    fault.heal().await?;
    Ok(())
}

/// By the node's own word, whatever the control plane says.
async fn says_primary(node: &Node) -> bool {
    node.info().await.is_ok_and(|info| info.role() == Role::Primary)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
