use failover_lab::{
    Lab, Sentinels,
    docker::{FaultKind, Node},
    sentinels,
    wait::Seen,
    writer,
};
use lab_report::{
    evidence::Role,
    judge::{Judgement, loss},
};

use super::{
    manual_failover::some_writes,
    seen::{STAGE, follows, happened},
};
use crate::step::{Outcome, step};

step!("sentinel", "handover", sentinels(3).replicas(2), handover, needs [Changes, Faults]);

/// `FAILOVER TO` on the primary itself waits for the replica, and loses nothing.
///
/// 1. The sentinels crash, so that only one hand changes roles; a client writes to the primary.
/// 2. Ask the primary to hand over to a replica: the two change roles.
/// 3. Everything that was acknowledged is there: clients were made to wait until the replica had it all.
/// 4. Hand over again, so that sentinels that come back find who they know.
async fn handover(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Alone.
    for sentinel in lab.deployment().sentinels().to_vec() {
        let _down = lab.inject(FaultKind::Crash, &sentinel).await?;
    }
    let data = lab.deployment().data().to_vec();
    let [old, new, ..] = data.as_slice() else { return Err("the step needs a replica".into()) };
    let writer = lab.start_writing_as(lab.client_of(old));
    some_writes(lab).await?;

    // 2. Hand over.
    let changed = hand_over(lab, old, new).await;
    if !lab.check("handover.promoted", happened("the two have changed roles", changed)) {
        return Ok(());
    }

    // 3. Nothing lost.
    let writes = writer.stop().await;
    let lost = loss(&writes, &writer::found(new, &writes).await?);
    let judged = Judgement::equal("0 lost", format!("{} lost", lost.lost));
    lab.check("handover.loses-nothing", judged.evidence(format!("of {} acknowledged", lost.acknowledged)));

    // 4. As before.
    follows(lab, old, new).await?;
    Ok(hand_over(lab, new, old).await?)
}

/// Asks a primary to change roles with a replica, and waits until they have.
async fn hand_over(lab: &Lab<Sentinels>, old: &Node, new: &Node) -> Result<(), String> {
    let (address, port) = (new.address().to_string(), new.port().to_string());
    let asked = old.ask::<String>(&["FAILOVER", "TO", &address, &port, "TIMEOUT", "5000"]).await;
    lab.doing(&format!("asked for a hand-over: {}", asked.unwrap_or_else(|error| error.to_string())));
    let role = async |node: &Node| node.info().await.map_or(Role::Unreachable, |info| info.role());
    let changed =
        lab.wait("the two to change roles", STAGE, async || match (role(old).await, role(new).await) {
            (Role::Replica, Role::Primary) => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        });
    changed.await.map_err(|late| late.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
