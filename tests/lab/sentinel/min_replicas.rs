use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::Node,
    environment::{Capability, Environment},
    sentinels,
    wait::Seen,
    writer,
};
use lab_report::judge::Judgement;

use super::{
    seen::{follows, replaced, setting, stage, successor},
    split_brain::{Minority, report},
};
use crate::step::{Outcome, clocks, step};

step!(
    "sentinel",
    "min-replicas",
    sentinels(3).replicas(2).config("min-replicas-to-write", "1").config("min-replicas-max-lag", "1"),
    min_replicas,
    needs [Changes, Partitions]
);

/// `min-replicas-max-lag` of the step's own topology.
const MAX_LAG: Duration = Duration::from_secs(1);
/// Far above the bound, beside what the setting says.
const REFUSED: Duration = Duration::from_secs(7);
/// The lag is counted in whole seconds of the clock: up to one more passes before it shows.
const WHOLE_SECONDS: Duration = Duration::from_secs(1);
/// `replicationCron` counts the good replicas once a second.
const CRON: Duration = Duration::from_secs(1);

/// With `min-replicas-to-write` a primary that is cut off stops acknowledging, and so bounds the loss.
///
/// 1. The primary, one sentinel and a writing client are cut off from all others.
/// 2. The client is answered `NOREPLICAS` before long.
/// 3. The partition heals: writes were acknowledged in isolation, and lost, for no longer than the setting
///    and the server's clocks allow.
async fn min_replicas(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Two sides.
    let old = Arc::clone(lab.deployment().first_primary());
    let max_lag = max_lag(lab, &old).await?;
    let minority = Minority::cut_off(lab).await?;
    let cut = minority.cut();

    // 2. No more.
    let refused = lab.wait("the client to be refused", max_lag + REFUSED, async || {
        let last =
            lab.recorder().look(|timeline| timeline.writes.last().and_then(|write| write.error.clone()));
        match last.as_deref() {
            Some("NOREPLICAS") => Seen::Ready(()),
            other => Seen::NotYet(other.unwrap_or("acknowledged").to_owned()),
        }
    });
    let observed = refused.await.map_or_else(|late| late.last_seen, |()| "NOREPLICAS".to_owned());
    if !lab.check("min-replicas.refuses", Judgement::equal("NOREPLICAS", observed)) {
        return minority.heal(lab).await.map(drop);
    }

    // 3. The loss.
    stage(lab, &old, "the majority to promote a replica", |election| election.new.is_some()).await?;
    let new = successor(lab, &replaced(lab, &old).await?)?;
    let writes = minority.heal(lab).await?;
    follows(lab, &old, &new).await?;
    let found = writer::found(&new, &writes).await?;
    let ceiling = max_lag + WHOLE_SECONDS + CRON + clocks().scheduling;
    let formula = "min-replicas-max-lag + 1 s (it counts whole seconds) + 1 s (replicationCron) + scheduling, after the cut; none before it";
    lab.check("min-replicas.bounds-the-loss", cut.loss_until(ceiling, formula, &writes, &found));
    report(lab, &writes, &found);
    Ok(())
}

/// The setting that the bound follows from: the step's own, or what was found in its place.
async fn max_lag(lab: &Lab<Sentinels>, primary: &Node) -> Result<Duration, StepError> {
    if *lab.environment() == Environment::Containers {
        return Ok(MAX_LAG);
    }
    let (replicas, lag) =
        (setting(primary, "min-replicas-to-write").await?, setting(primary, "min-replicas-max-lag").await?);
    if replicas == "0" || lag == "0" {
        lab.needs(Capability::FreshDeployment)?;
    }
    Ok(Duration::from_secs(lag.parse()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
