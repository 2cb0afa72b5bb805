use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{Fault, FaultKind, Node},
    sentinels,
    wait::{self, Seen},
};
use lab_report::evidence::{Announcement, Timeline};
use rstest::rstest;

use super::{
    clocks,
    seen::{STAGE, election, follows, happened, stage, successor},
};
use crate::step::{Outcome, step};

step!("sentinel", "replica-dies-mid-failover", deployment(), replica_dies_mid_failover);

/// The leader takes its next step half a tenth of a second after it chose, at the earliest.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Three replicas, of which the first is chosen, and then the second. A failed attempt is given up after
/// two seconds, and followed by another one after four.
fn deployment() -> Sentinels {
    let topology = sentinels(3).replicas(3);
    let topology = topology.node_config("lab-002", "replica-priority", "10");
    let topology = topology.node_config("lab-003", "replica-priority", "50");
    Sentinels { failover_timeout: Duration::from_secs(2), ..topology }
}

/// A replica dies in the middle of a failover: the failover comes to an end all the same.
///
/// 1. The primary dies. As soon as the leader has chosen its successor, a replica dies as well: that very
///    one, or another.
/// 2. A replica that lives is primary, and every sentinel names it.
/// 3. Where the successor died, that was the second attempt, at the time when a second one is due; where
///    another did, the first one was enough.
/// 4. Those that are left follow.
/// 5. The dead replica comes back, and follows a primary that it has never heard of.
async fn replica_dies_mid_failover(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Two deaths.
    let old = Arc::clone(lab.deployment().first_primary());
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let dead = dies_when_chosen(lab).await?;

    // 2. The end.
    let gone = dead.node().id().clone();
    let sentinels = lab.deployment().sentinels().len();
    let ended = stage(lab, &old, "every sentinel to name a replica that lives", |election| {
        election.new.as_ref().is_some_and(|new| new != &gone) && election.advertised.len() == sentinels
    });
    let ended = happened("every sentinel names a replica that lives", ended.await);
    if !lab.check("mid.ends", ended) {
        return Ok(());
    }
    let election = election(lab, &old).ok_or("nothing began")?;
    let new = successor(lab, &election)?;

    // 3. The clocks.
    let clocks = clocks(&(STEP.topology)());
    let timing = match lab.case() {
        Some("selected") => election.second_attempt(&clocks),
        _ => election.promotion(&clocks),
    };
    lab.check("mid.timing", timing);

    // 4. The rest.
    let followed = the_others_follow(lab, &[&old, &new, dead.node()], &new).await;
    lab.check("mid.others-follow", happened("the others follow it", followed));

    // 5. The dead one.
    let returned = Arc::clone(dead.node());
    lab.heal(dead).await?;
    let back = lab.recorder().now();
    let followed = follows(lab, &returned, &new).await;
    let took = followed.is_ok().then(|| lab.recorder().now().since(back));
    lab.check("mid.returns", clocks.repoints(took));
    Ok(())
}

/// Waits for a leader to choose, and has a replica die before the next step of the failover.
async fn dies_when_chosen(lab: &Lab<Sentinels>) -> Result<Fault, StepError> {
    let (_, others) = lab.deployment().data().split_first().ok_or("there are no nodes")?;
    let chosen = wait::until("the leader to choose a replica", STAGE, AT_ONCE, async || {
        match lab.recorder().look(chosen) {
            Some(id) => Seen::Ready(id),
            None => Seen::NotYet("none is chosen".to_owned()),
        }
    });
    let chosen = chosen.await?;
    let victim = match lab.case() {
        Some("selected") => others.iter().find(|node| chosen.contains(node.id().as_str())),
        _ => others.iter().rfind(|node| !chosen.contains(node.id().as_str())),
    };
    let victim = victim.ok_or_else(|| format!("`{chosen}` names no replica"))?;
    // By way of the container engine a signal takes longer than the leader does. The server does not
    // answer this: it is gone.
    let _ = victim.ask::<()>(&["SHUTDOWN", "NOSAVE", "NOW", "FORCE"]).await;
    let fault = lab.inject(FaultKind::Crash, victim).await?;
    match lab.recorder().look(promoted) {
        Some(too_late) if lab.case() == Some("selected") => {
            Err(format!("promoted before it died: {too_late}").into())
        }
        _ => Ok(fault),
    }
}

/// Whom the first leader chose.
fn chosen(timeline: &Timeline) -> Option<String> {
    said(timeline, "+selected-slave")
}

/// Whom it saw to be promoted.
fn promoted(timeline: &Timeline) -> Option<String> {
    said(timeline, "+promoted-slave")
}

fn said(timeline: &Timeline, event: &str) -> Option<String> {
    let said = |said: &&Announcement| said.event == event;
    timeline.announcements.iter().find(said).map(|said| said.about.clone())
}

async fn the_others_follow(lab: &Lab<Sentinels>, but: &[&Arc<Node>], new: &Node) -> Result<(), String> {
    for node in lab.deployment().data() {
        if !but.iter().any(|other| other.id() == node.id()) {
            follows(lab, node, new).await?;
        }
    }
    Ok(())
}

#[rstest]
#[case::selected("selected")]
#[case::other("other")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
