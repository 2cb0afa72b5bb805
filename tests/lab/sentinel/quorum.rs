use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{Fault, FaultKind},
    info::Quorum,
    sentinel::Flag,
    sentinels,
    wait::{Seen, pass, scaled},
    writer::KEYS,
};
use lab_report::judge::Judgement;

use super::{
    clocks,
    discovery::ckquorum,
    seen::{NOBODY, happened, patience, promoted, stage},
};
use crate::step::{Outcome, alike, step};

step!("sentinel", "quorum", sentinels(3).replicas(2), quorum, needs [Changes, Faults]);

/// One of three, where two have to agree and two to elect.
const ALONE: Quorum = Quorum { usable: 1, agrees: false, authorises: false };

/// Without a quorum nobody is promoted, and with one again somebody is.
///
/// 1. Two of three sentinels crash: the last one says that there is no quorum.
/// 2. The primary crashes: nobody is promoted in the time that a failover takes.
/// 3. The replicas go on answering reads.
/// 4. One sentinel comes back: a replica is promoted.
async fn quorum(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. One of three.
    let known = format!("{KEYS}known");
    lab.client().patient(Duration::from_secs(2)).ask::<()>(&["SET", &known, "value"]).await?;
    let down = crash_all_but_one(lab).await?;
    let last = Arc::clone(&lab.deployment().sentinels()[0]);
    let answer = ckquorum(&last, lab.deployment().name()).await;
    let told = Quorum::parse(&answer).map_or(answer, |quorum| quorum.to_string());
    lab.check("quorum.refused", Judgement::equal(ALONE.to_string(), told));

    // 2. Nobody.
    let old = Arc::clone(lab.deployment().first_primary());
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    pass(clocks(&lab.promised((STEP.topology)())).latest_promotion() * 2).await;
    if !lab.check("quorum.not-replaced", Judgement::equal(NOBODY, promoted(lab, &old))) {
        return Ok(());
    }

    // 3. Reads.
    let mut answers = Vec::new();
    for node in lab.deployment().data().iter().filter(|node| node.id() != old.id()) {
        let answer = node.ask::<String>(&["GET", &known]).await;
        answers.push((node.id().to_string(), answer.unwrap_or_else(|error| error.to_string())));
    }
    lab.check("quorum.reads", Judgement::equal("value", alike(answers)));

    // 4. Two of three.
    if let Some(fault) = down.into_iter().next() {
        lab.heal(fault).await?;
    }
    let replaced = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await;
    lab.check("quorum.replaced", happened("a replica is primary", replaced));
    Ok(())
}

/// Crashes every sentinel but the first, and waits until that one knows.
pub(super) async fn crash_all_but_one(lab: &Lab<Sentinels>) -> Result<Vec<Fault>, StepError> {
    let (last, others) = lab.deployment().sentinels().split_first().ok_or("there are no sentinels")?;
    let mut faults = Vec::new();
    for sentinel in others {
        faults.push(lab.inject(FaultKind::Crash, sentinel).await?);
    }
    let known = lab.wait("the last sentinel to know", scaled(patience(lab)), async || {
        match lab.deployment().others(last).await {
            Ok(listed) if listed.iter().all(|other| other.flags().contains(&Flag::SubjectivelyDown)) => {
                Seen::Ready(())
            }
            Ok(listed) => {
                Seen::NotYet(format!("{:?}", listed.iter().map(|other| other.flags()).collect::<Vec<_>>()))
            }
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    known.await?;
    Ok(faults)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
