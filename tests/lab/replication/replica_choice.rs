use std::time::Duration;

use failover_lab::{Lab, docker::FaultKind, replicated, wait::Seen};
use lab_report::judge::Judgement;

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
        match lab.group().primary().id() {
            id if id == old.id() => Seen::NotYet("nobody is".to_owned()),
            id => Seen::Ready(id.clone()),
        }
    });
    let observed = match promoted.await {
        Ok(id) if &id == ahead.id() => "the one with the larger offset".to_owned(),
        Ok(_) => "the one with the smaller offset".to_owned(),
        Err(late) => late.last_seen,
    };
    let judgement = Judgement::equal("the one with the larger offset", observed);
    lab.check("choice.largest-offset", judgement.evidence(format!("offsets {offsets:?}")));
    fault.heal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
