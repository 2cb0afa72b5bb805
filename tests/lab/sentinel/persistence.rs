use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{Fault, FaultKind, Node},
    sentinels,
    topology::Deployment,
    wait::{Seen, pass},
    writer,
};
use futures_util::future::try_join_all;
use lab_report::{
    evidence::{At, Write},
    judge::{Judgement, Sync, brought_back, loss, seconds},
};

use super::seen::{all_have, happened, setting};
use crate::step::{Outcome, step};

step!("sentinel", "persistence", deployment(), persistence, needs [Changes, Faults]);

/// Longer than the bound on what may be gone, so that losing everything breaks it.
const LOAD: Duration = Duration::from_secs(4);
/// From an empty replica to one with everything: a connection is tried once a second
/// (`replicationCron`), then a snapshot of a few kilobytes.
const RESYNC: Duration = Duration::from_secs(15);

/// The sentinels wait as long as the files in `fixtures/conf/` say: nobody is to be promoted while all
/// are down.
pub(super) fn deployment() -> Sentinels {
    Sentinels { down_after: Duration::from_secs(5), ..sentinels(3).replicas(2) }
}

/// Every node is killed, and the data comes back.
///
/// 1. Every data node syncs its file once a second.
/// 2. Write; kill the server process on every node, the sentinels' too.
/// 3. Started again, the primary has its writes from its file.
/// 4. The replicas have what it has.
async fn persistence(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. The policy that the bound follows from.
    let policy = policy(lab, Sync::EverySecond).await?;
    if !lab.check("aof.policy", policy) {
        return Ok(());
    }

    // 2. A load, and the end of everything: not of what somebody else has in memory only.
    all_have(lab, "appendonly", "yes").await?;
    let killed = kill_all_under_load(lab).await?;
    let writes = killed.writes.clone();

    // 3. Back, from the file.
    let (span, found) = bring_back(lab, killed).await?;
    lab.check("aof.loss", brought_back(&writes, &found, span, Sync::EverySecond));

    // 4. And followed.
    let primary = Arc::clone(lab.deployment().first_primary());
    let followed = replicas_have(lab, &primary, &writes, &found).await;
    lab.check("aof.replicas", happened("the replicas have what the primary has", followed));
    Ok(())
}

/// Nodes without a server process, and the writes until then.
pub(super) struct Killed {
    faults: Vec<Fault>,
    pub(super) writes: Vec<Write>,
}

/// What every data node says of its sync policy.
pub(super) async fn policy(lab: &Lab<Sentinels>, sync: Sync) -> Result<Judgement, StepError> {
    let mut said = BTreeSet::new();
    for node in lab.deployment().data() {
        said.insert(format!("appendfsync {}", setting(node, "appendfsync").await?));
    }
    let said = said.into_iter().collect::<Vec<_>>().join(", ");
    Ok(Judgement::equal(format!("appendfsync {}", sync.setting()), said))
}

pub(super) async fn kill_all_under_load(lab: &Lab<Sentinels>) -> Result<Killed, StepError> {
    let writer = lab.start_writing();
    pass(LOAD).await;
    let nodes = lab.deployment().nodes();
    let faults = try_join_all(nodes.iter().map(|node| lab.inject(FaultKind::Crash, node))).await?;
    Ok(Killed { faults, writes: writer.stop().await })
}

/// Starts all of them again: when the primary died, and which writes it has now.
pub(super) async fn bring_back(
    lab: &mut Lab<Sentinels>,
    killed: Killed,
) -> Result<((At, At), BTreeSet<u64>), StepError> {
    let Killed { faults, writes } = killed;
    let primary = Arc::clone(lab.deployment().first_primary());
    let span = faults
        .iter()
        .find(|fault| fault.node().id() == primary.id())
        .map(|fault| (fault.not_before(), fault.in_effect()))
        .ok_or("the primary was not killed")?;
    try_join_all(faults.into_iter().map(|fault| lab.heal(fault))).await?;
    let found = writer::found(&primary, &writes).await?;
    let lost = loss(&writes, &found);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    Ok((span, found))
}

/// Waits until every other data node follows `primary` and has exactly what it has of `writes`.
pub(super) async fn replicas_have(
    lab: &Lab<Sentinels>,
    primary: &Node,
    writes: &[Write],
    wanted: &BTreeSet<u64>,
) -> Result<(), String> {
    let replicas: Vec<_> = lab.deployment().data().iter().filter(|node| node.id() != primary.id()).collect();
    let look = || async {
        for replica in &replicas {
            match replica.info().await {
                Ok(info) if info.link_up() == Some(true) => {}
                Ok(info) => return Seen::NotYet(format!("{}: {}", replica.id(), info.replication())),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
            match writer::found(replica, writes).await {
                Ok(found) if &found == wanted => {}
                Ok(found) => {
                    let (has, wants) = (found.len(), wanted.len());
                    return Seen::NotYet(format!("{} has {has} writes, not {wants}", replica.id()));
                }
                Err(error) => return Seen::NotYet(error.to_string()),
            }
        }
        Seen::Ready(())
    };
    let result = lab.wait("the replicas to have what the primary has", RESYNC, look).await;
    result.map_err(|late| format!("not within {RESYNC:?}: {}", late.last_seen))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
