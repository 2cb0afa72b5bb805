use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::{ClusterClient, Lane, Stage},
    docker::Node,
    wait::Seen,
};
use lab_report::{Slot, judge::Judgement};
use redis::Pipeline;
use tokio::sync::oneshot;

use super::{moving::tag_in, seen::at};
use crate::step::{Outcome, step};

step!("cluster", "half-moved-slot", cluster(3).replicas(1), half_moved_slot);

/// Several times what moves with one command.
const KEYS: usize = 2000;
/// Keys that are written while the slot is half moved.
const NEW: usize = 100;
/// Far above what a gossip takes.
const STAGE: Duration = Duration::from_secs(20);

/// Slots whose move was broken off are found and finished, and clients are served meanwhile.
///
/// 1. The move of a slot is broken off when some of its keys have left; that of another right after the
///    destination was told of it; and that of a third before the source was told that it has arrived.
/// 2. A client that knows of clusters reads every key, and writes new ones.
/// 3. The nodes say which slots are open, and they are moved to the end: every node sees one owner.
/// 4. Every key is there.
async fn half_moved_slot(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Broken off.
    let primaries = lab.deployment().primaries().to_vec();
    let (from, to) = (Arc::clone(&primaries[1]), Arc::clone(&primaries[0]));
    let share: Vec<Slot> = lab.deployment().topology().shares()[1].iter().collect();
    let tag = tag_in(&share);
    let half = Slot::of(&tag);
    let others: Vec<Slot> = share.into_iter().filter(|slot| *slot != half).take(2).collect();
    fill(lab, &from, &tag).await?;
    break_off(lab, &from, &to, half).await?;
    begin_and_end(lab, &from, &to, &others).await?;
    let left: usize = from.ask(&["CLUSTER", "COUNTKEYSINSLOT", &half.to_string()]).await?;
    if left == 0 || left == KEYS {
        return Err(format!("{left} of {KEYS} keys are left: the slot is not half moved").into());
    }

    // 2. Served meanwhile.
    let served = serve(&lab.deployment().client().await?, &tag).await;
    let all = "every key is read, and new ones are written";
    let judgement = Judgement::equal(all, served.error.unwrap_or_else(|| all.to_owned()));
    lab.check("half.served", judgement.evidence(format!("{left} of {KEYS} keys had not left")));

    // 3. Finished.
    let open = lab.deployment().open_slots(&primaries).await?;
    let count: usize = open.iter().map(|lane| lane.slots.len()).sum();
    lab.doing("finishing the moves that were broken off");
    lab.deployment().reshard(&open, |_| ()).await?;
    let moved: Vec<Slot> = others.iter().copied().chain([half]).collect();
    let one = "no slot is open, and every node sees the owner where they were going";
    let repaired = lab.wait("every node to see the owner", STAGE, async || closed(lab, &moved, &to).await);
    let observed = repaired.await.map_or_else(|late| late.last_seen, |()| one.to_owned());
    let judgement = Judgement::equal(one, observed).evidence(format!("{count} slots were open"));
    lab.check("half.repaired", judgement);

    // 4. All there.
    lab.doing("reading everything back");
    let client = lab.deployment().client().await?;
    let (mut found, keys) = (0, (0..KEYS).chain(served.written));
    let keys: Vec<usize> = keys.collect();
    for number in &keys {
        let value = client.ask::<Option<String>>(&["GET", &key(&tag, *number)]).await?;
        found += usize::from(value == Some(number.to_string()));
    }
    let observed = if found == keys.len() { "every key is there" } else { "keys are missing" };
    let judgement = Judgement::equal("every key is there", observed);
    lab.check("half.kept", judgement.evidence(format!("{found} of {} keys", keys.len())));
    Ok(())
}

fn key(tag: &str, number: usize) -> String {
    format!("{{{tag}}}:half:{number}")
}

async fn fill(lab: &Lab<Clusters>, node: &Node, tag: &str) -> Result<(), StepError> {
    let mut pipeline = Pipeline::new();
    for number in 0..KEYS {
        pipeline.cmd("SET").arg(key(tag, number)).arg(number).ignore();
    }
    Ok(at(lab, node).pipeline::<()>(&pipeline).await?)
}

/// Begins to move a slot, and drops that when some of its keys have left.
async fn break_off(
    lab: &Lab<Clusters>,
    from: &Arc<Node>,
    to: &Arc<Node>,
    slot: Slot,
) -> Result<(), StepError> {
    lab.doing("moving a slot, and breaking off half-way");
    let lane = Lane { from: Arc::clone(from), to: Arc::clone(to), slots: vec![slot] };
    let (some_moved, seen) = oneshot::channel();
    let some_moved = std::cell::Cell::new(Some(some_moved));
    let tell = |stage| {
        if let (Stage::SomeKeysMoved, Some(some_moved)) = (stage, some_moved.take()) {
            let _ = some_moved.send(());
        }
    };
    let lanes = [lane];
    tokio::select! {
        biased;
        _ = seen => Ok(()),
        moved = lab.deployment().reshard(&lanes, tell) => {
            moved?;
            Err("it was moved to the end before it could be broken off".into())
        }
    }
}

/// The first slot is expected, and nobody else knows; the second has arrived, and its source does not know.
async fn begin_and_end(lab: &Lab<Clusters>, from: &Node, to: &Node, slots: &[Slot]) -> Result<(), StepError> {
    let (source, target) = (lab.deployment().name_of(from), lab.deployment().name_of(to));
    let [expected, arrived] = [slots[0].to_string(), slots[1].to_string()];
    let set = ["CLUSTER", "SETSLOT"];
    to.ask::<()>(&[set[0], set[1], &expected, "IMPORTING", source]).await?;
    to.ask::<()>(&[set[0], set[1], &arrived, "IMPORTING", source]).await?;
    from.ask::<()>(&[set[0], set[1], &arrived, "MIGRATING", target]).await?;
    to.ask::<()>(&[set[0], set[1], &arrived, "NODE", target]).await?;
    Ok(())
}

/// How a client fared.
struct Served {
    /// The first error that it saw.
    error: Option<String>,
    /// The new keys whose writing was acknowledged.
    written: Vec<usize>,
}

/// Reads every key and writes new ones, wherever they are.
async fn serve(client: &ClusterClient, tag: &str) -> Served {
    let mut served = Served { error: None, written: Vec::new() };
    let mut failed = |error: redis::RedisError| {
        served.error.get_or_insert(error.to_string());
    };
    for number in 0..KEYS {
        if let Err(error) = client.ask::<Option<String>>(&["GET", &key(tag, number)]).await {
            failed(error);
        }
    }
    for number in KEYS..KEYS + NEW {
        match client.ask::<()>(&["SET", &key(tag, number), &number.to_string()]).await {
            Ok(()) => served.written.push(number),
            Err(error) => failed(error),
        }
    }
    served
}

/// Whether no node has an open slot, and all of them hold `owner` to have `slots`.
async fn closed(lab: &Lab<Clusters>, slots: &[Slot], owner: &Node) -> Seen<()> {
    let cluster = lab.deployment();
    for node in cluster.members() {
        let view = match cluster.view(node).await {
            Ok(view) => view,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        if view.members().iter().any(|member| !member.moving.is_empty()) {
            return Seen::NotYet(format!("{} has an open slot", node.id()));
        }
        let owns = |slot: &Slot| view.owner(*slot).is_some_and(|member| member.id == cluster.name_of(owner));
        if !slots.iter().all(owns) {
            return Seen::NotYet(format!("{} sees another owner", node.id()));
        }
    }
    Seen::Ready(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
