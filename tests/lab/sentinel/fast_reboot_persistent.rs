use std::sync::Arc;

use failover_lab::{Lab, Sentinels, writer};
use lab_report::judge::{Sync, brought_back};

use super::{
    fast_reboot::{unnoticed, write_and_reboot},
    persistence::{deployment, replicas_have},
    seen::happened,
};
use crate::step::{Outcome, step};

step!(
    "sentinel",
    "fast-reboot-persistent",
    deployment().config("appendfsync", Sync::Always.setting()),
    fast_reboot_persistent
);

/// A primary that keeps a file reboots before it is missed, and nothing is lost.
///
/// 1. Write; reboot the primary in less time than the sentinels wait.
/// 2. The sentinels see a reboot, and no failure.
/// 3. The primary is back with every write that it acknowledged.
/// 4. The replicas have what it has.
async fn fast_reboot_persistent(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. A short absence.
    let rebooted = write_and_reboot(lab).await?;

    // 2. Nobody was missed.
    if !lab.check("reboot-aof.unnoticed", unnoticed(lab, &rebooted).await?) {
        return Ok(());
    }

    // 3. All there.
    let primary = Arc::clone(lab.deployment().first_primary());
    let found = writer::found(&primary, &rebooted.writes).await?;
    let kept = brought_back(&rebooted.writes, &found, rebooted.gone, Sync::Always);
    lab.check("reboot-aof.kept", kept);

    // 4. And everywhere.
    let followed = replicas_have(lab, &primary, &rebooted.writes, &found).await;
    lab.check("reboot-aof.replicas", happened("the replicas have what the primary has", followed));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
