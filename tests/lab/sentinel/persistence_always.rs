use failover_lab::{Lab, Sentinels};
use lab_report::judge::{Sync, brought_back};

use super::persistence::{bring_back, deployment, kill_all_under_load, policy};
use crate::step::{Outcome, step};

step!(
    "sentinel",
    "persistence-always",
    deployment().config("appendfsync", Sync::Always.setting()),
    persistence_always
);

/// Every node is killed, and no acknowledged write is lost: each was synced first.
///
/// 1. Every data node syncs its file before it acknowledges.
/// 2. Write; kill the server process on every node, the sentinels' too.
/// 3. Started again, the primary has every write that it acknowledged.
async fn persistence_always(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. The policy: with another one, what follows shows nothing.
    let policy = policy(lab, Sync::Always).await?;
    if !lab.check("aof-always.policy", policy) {
        return Ok(());
    }

    // 2. A load, and the end of everything.
    let killed = kill_all_under_load(lab).await?;
    let writes = killed.writes.clone();

    // 3. Back, with all of it.
    let (span, found) = bring_back(lab, killed).await?;
    lab.check("aof-always.loss", brought_back(&writes, &found, span, Sync::Always));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
