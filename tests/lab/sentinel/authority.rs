use std::sync::Arc;

use failover_lab::{Lab, Sentinels, docker::FaultKind, sentinels, wait::Seen};
use lab_report::judge::Judgement;

use super::{
    quorum::crash_all_but_one,
    seen::{NOBODY, STAGE, happened, promoted},
};
use crate::step::{Outcome, step};

step!("sentinel", "authority", sentinels(3).replicas(2).quorum(1), authority);

/// A quorum of one is enough to agree, and not enough to act: that takes a majority of all sentinels.
///
/// 1. Two of three sentinels crash, then the primary.
/// 2. The last sentinel alone agrees that the primary is down, and begins a failover.
/// 3. It is not elected, and gives up; nobody is promoted.
async fn authority(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. The last sentinel.
    let _down = crash_all_but_one(lab).await?;
    let old = Arc::clone(lab.deployment().first_primary());
    let _lost = lab.inject(FaultKind::Crash, &old).await?;

    // 2. Agreed.
    let agreed = said(lab, &["+odown"]).await.map(drop);
    if !lab.check("authority.agreed", happened("the primary is agreed to be down", agreed)) {
        return Ok(());
    }

    // 3. Not authorised.
    let outcome = said(lab, &["-failover-abort-not-elected", "+elected-leader"]).await;
    let observed = format!("{}, {}", outcome.unwrap_or_else(|why| why), promoted(lab, &old));
    let expected = format!("-failover-abort-not-elected, {NOBODY}");
    lab.check("authority.not-given", Judgement::equal(expected, observed));
    Ok(())
}

/// The first of `events` that a sentinel says about the primary.
async fn said(lab: &Lab<Sentinels>, events: &[&str]) -> Result<String, String> {
    let look = || async {
        let found = lab.recorder().look(|timeline| {
            let mut said = timeline.announcements.iter();
            said.find(|said| events.contains(&said.event.as_str())).map(|said| said.event.clone())
        });
        found.map_or_else(|| Seen::NotYet("neither".to_owned()), Seen::Ready)
    };
    let what = format!("the sentinel to say {}", events.join(" or "));
    lab.wait(&what, STAGE, look).await.map_err(|late| format!("not within {STAGE:?}: {}", late.last_seen))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
