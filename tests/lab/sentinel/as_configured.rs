use std::sync::Arc;

use failover_lab::{Lab, Sentinels, StepError, docker::FaultKind, sentinels};
use lab_report::judge::Judgement;

use super::{
    clocks,
    seen::{happened, replaced, stage},
};
use crate::step::{Outcome, alike, step};

step!("sentinel", "as-configured", sentinels(3).replicas(2).unshortened(), as_configured, needs []);

/// What the table of settings says of a data node, as `CONFIG GET` answers.
const DATA: [(&str, &str); 6] = [
    ("maxmemory", "536870912"),
    ("maxmemory-policy", "allkeys-lru"),
    ("maxclients", "10000"),
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("save", "900 1 300 10 60 10000"),
];

/// What it says of a sentinel, as `SENTINEL MASTER` answers.
const SENTINEL: [(&str, &str); 4] = [
    ("quorum", "2"),
    ("down-after-milliseconds", "5000"),
    ("failover-timeout", "60000"),
    ("parallel-syncs", "1"),
];

/// The running servers have every setting of the table, and fail over by its clocks, none shortened.
///
/// 1. Every sentinel has the table's values.
/// 2. Every data node has them.
/// 3. The primary crashes: promotion comes 4 to 7.5 s later, and every sentinel names the new primary
///    within about a second.
async fn as_configured(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. and 2. The table.
    let wanted =
        |table: &[(&str, &str)]| table.iter().map(|(n, v)| format!("{n} {v}")).collect::<Vec<_>>().join(", ");
    let sentinels = sentinel_settings(lab).await?;
    lab.check("configured.sentinels", Judgement::equal(wanted(&SENTINEL), sentinels));
    let data = data_settings(lab).await?;
    lab.check("configured.data-nodes", Judgement::equal(wanted(&DATA), data));

    // 3. The clocks.
    let old = Arc::clone(lab.deployment().first_primary());
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let promoted = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await;
    if let Err(why) = promoted {
        lab.check("configured.promoted", happened("promoted in time", Err(why)));
        return Ok(());
    }
    let count = lab.deployment().sentinels().len();
    let _ =
        stage(lab, &old, "every sentinel to name it", |election| election.advertised.len() == count).await;
    let election = replaced(lab, &old).await?;
    let clocks = clocks(&lab.promised((STEP.topology)()));
    lab.check("configured.promoted", election.promotion(&clocks));
    lab.check("configured.advertised", election.advertisement(count, &clocks));
    Ok(())
}

async fn data_settings(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for node in lab.deployment().data() {
        let mut values = Vec::new();
        for (name, _) in DATA {
            let answer: Vec<String> = node.ask(&["CONFIG", "GET", name]).await?;
            values.push(answer.join(" "));
        }
        seen.push((node.id().to_string(), values.join(", ")));
    }
    Ok(alike(seen))
}

async fn sentinel_settings(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for sentinel in lab.deployment().sentinels() {
        let master = lab.deployment().master(sentinel).await?;
        let value = |name: &str| format!("{name} {}", master.get(name).unwrap_or("absent"));
        seen.push((sentinel.id().to_string(), SENTINEL.map(|(name, _)| value(name)).join(", ")));
    }
    Ok(alike(seen))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
