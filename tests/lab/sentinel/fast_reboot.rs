use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::FaultKind,
    wait::{Seen, pass},
    writer,
};
use lab_report::{
    NodeId,
    evidence::{At, Write},
    judge::Judgement,
};

use super::{
    persistence::{deployment, replicas_have},
    seen::{epoch, happened},
};
use crate::step::{Outcome, step};

step!("sentinel", "fast-reboot", deployment().config("appendonly", "no").config("save", ""), fast_reboot);

/// Enough writes to see that they are gone.
const LOAD: Duration = Duration::from_secs(3);
/// A reboot's length: well below `down-after-milliseconds`, which is 5 s here, and above every other clock.
const REBOOT: Duration = Duration::from_secs(1);
/// A sentinel looks at the run id with every `INFO`, after its link is made again (once a second).
const NOTICED: Duration = Duration::from_secs(10);

/// A memory-only primary reboots before it is missed, and takes everybody's data with it.
///
/// 1. Write; reboot the primary in less time than the sentinels wait.
/// 2. The sentinels see a reboot, and no failure.
/// 3. The primary is back, and empty.
/// 4. The replicas follow it: what they had is gone.
async fn fast_reboot(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. A short absence.
    let rebooted = write_and_reboot(lab).await?;

    // 2. Nobody was missed.
    if !lab.check("reboot.unnoticed", unnoticed(lab, &rebooted).await?) {
        return Ok(());
    }

    // 3. Empty.
    let primary = Arc::clone(lab.deployment().first_primary());
    let found = writer::found(&primary, &rebooted.writes).await?;
    let left = match found.len() {
        0 => "no write is there".to_owned(),
        there => format!("{there} writes are there"),
    };
    let emptied = Judgement::equal("no write is there", left);
    if !lab.check("reboot.emptied", emptied.evidence(format!("{} were written", rebooted.writes.len()))) {
        return Ok(());
    }

    // 4. And everybody else.
    let followed = replicas_have(lab, &primary, &rebooted.writes, &BTreeSet::new()).await;
    lab.check("reboot.replicas-emptied", happened("the replicas follow, and have nothing either", followed));
    Ok(())
}

/// A primary that was away and is back.
pub(super) struct Rebooted {
    /// What was written before.
    pub(super) writes: Vec<Write>,
    /// When it went.
    pub(super) gone: (At, At),
    epoch: u64,
}

pub(super) async fn write_and_reboot(lab: &mut Lab<Sentinels>) -> Result<Rebooted, StepError> {
    let epoch = epoch(lab).await;
    let primary = Arc::clone(lab.deployment().first_primary());
    let writer = lab.start_writing();
    pass(LOAD).await;
    let fault = lab.inject(FaultKind::Crash, &primary).await?;
    let gone = (fault.not_before(), fault.in_effect());
    let writes = writer.stop().await;
    pass(REBOOT).await;
    lab.heal(fault).await?;
    Ok(Rebooted { writes, gone, epoch })
}

/// Every sentinel saw the reboot, and none took it for more.
pub(super) async fn unnoticed(lab: &Lab<Sentinels>, rebooted: &Rebooted) -> Result<Judgement, StepError> {
    let since = rebooted.gone.0;
    let said = |event: &str| -> BTreeSet<NodeId> {
        lab.recorder().look(|timeline| {
            let of_event =
                timeline.announcements.iter().filter(|said| said.event == event && said.at >= since);
            of_event.map(|said| said.sentinel.clone()).collect()
        })
    };
    let sentinels = lab.deployment().sentinels().len();
    let look = || async {
        match said("+reboot").len() {
            all if all == sentinels => Seen::Ready(()),
            some => Seen::NotYet(format!("{some} say +reboot")),
        }
    };
    let seen = lab.wait("every sentinel to see the reboot", NOTICED, look).await;
    let grown = epoch(lab).await.saturating_sub(rebooted.epoch);
    let story = |reboot: usize, down: usize, grown: u64| {
        format!("{reboot} sentinels say +reboot, {down} say +odown, the epoch grew by {grown}")
    };
    let observed = story(said("+reboot").len(), said("+odown").len(), grown);
    let judgement = Judgement::equal(story(sentinels, 0, 0), observed);
    Ok(match seen {
        Ok(()) => judgement,
        Err(late) => judgement.evidence(late.to_string()),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
