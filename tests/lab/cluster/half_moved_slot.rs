use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::{ClusterClient, Lane, Stage},
    docker::Node,
    wait::Seen,
};
use lab_report::{
    Slot,
    judge::{Judgement, Redirection, met},
};
use redis::Pipeline;
use tokio::sync::oneshot;

use super::{
    moving::tag_in,
    redirections::begin,
    seen::{at, redirected_so_far},
};
use crate::step::{Outcome, step};

step!("cluster", "half-moved-slot", cluster(3).replicas(1), half_moved_slot);

/// Several times what moves with one command.
const KEYS: usize = 2000;
/// Keys that are written while the slot is half moved.
const NEW: usize = 100;
/// What a key is that is at both ends: where its slot is going, and where it is, once that was written to.
const OLDER: &str = "older";
const NEWER: &str = "newer";
/// Far above what a gossip takes.
const STAGE: Duration = Duration::from_secs(20);

/// Slots whose move was broken off are found and finished, and clients are served meanwhile.
///
/// 1. The move of a slot is broken off when some of its keys have left; that of another right after the
///    destination was told of it; that of a third before the source was told that it has arrived; and that of a fourth
///    when its key was at the destination, and the source had not dropped it yet.
/// 2. A client that knows of clusters reads every key, writes new ones, and writes to the one that is at both ends.
/// 3. The nodes say which slots are open, and they are moved to the end: every node sees one owner.
/// 4. Every key is there, with what was last written to it.
async fn half_moved_slot(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Broken off.
    let primaries = lab.deployment().primaries().to_vec();
    let (from, to) = (Arc::clone(&primaries[1]), Arc::clone(&primaries[0]));
    let share: Vec<Slot> = lab.deployment().topology().shares()[1].iter().collect();
    let tag = tag_in(&share);
    let half = Slot::of(&tag);
    let others: Vec<Slot> = share.into_iter().filter(|slot| *slot != half).collect();
    let (others, rest) = others.split_at(2);
    let twice = format!("{{{}}}:twice", tag_in(rest));
    fill(lab, &from, &tag).await?;
    break_off(lab, &from, &to, half).await?;
    begin_and_end(lab, &from, &to, others).await?;
    copy(lab, &from, &to, &twice).await?;
    let left: usize = from.ask(&["CLUSTER", "COUNTKEYSINSLOT", &half.to_string()]).await?;
    if left == 0 || left == KEYS {
        return Err(format!("{left} of {KEYS} keys are left: the slot is not half moved").into());
    }

    // 2. Served meanwhile.
    let before = redirected_so_far(lab).await?;
    let served = serve(&lab.deployment().client().await?, &tag, &twice).await;
    let told = redirected_so_far(lab).await?.since(before);
    let all = "every key is read, and new ones are written";
    let judgement = Judgement::equal(all, served.error.as_deref().unwrap_or(all));
    let judgement = judgement.evidence(format!("{left} of {KEYS} keys had not left"));
    lab.check("half.served", met(judgement, told, &[Redirection::Ask]));

    // 3. Finished.
    let open = lab.deployment().open_slots(&primaries).await?;
    let count: usize = open.iter().map(|lane| lane.slots.len()).sum();
    lab.doing("finishing the moves that were broken off");
    lab.deployment().reshard(&open, |_| ()).await?;
    let moved: Vec<Slot> = others.iter().copied().chain([half, Slot::of(&twice)]).collect();
    let one = "no slot is open, and every node sees the owner where they were going";
    let repaired = lab.wait("every node to see the owner", STAGE, async || closed(lab, &moved, &to).await);
    let observed = repaired.await.map_or_else(|late| late.last_seen, |()| one.to_owned());
    let judgement = Judgement::equal(one, observed).evidence(format!("{count} slots were open"));
    lab.check("half.repaired", judgement);

    // 4. All there.
    lab.doing("reading everything back");
    let kept = kept(&lab.deployment().client().await?, &tag, &twice, &served).await?;
    lab.check("half.kept", kept);
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

/// A key is at both ends: its move was broken off between `MIGRATE`'s two halves, at the destination and at the source.
async fn copy(lab: &Lab<Clusters>, from: &Node, to: &Node, key: &str) -> Result<(), StepError> {
    let (slot, source) = (Slot::of(key), at(lab, from));
    source.ask::<()>(&["SET", key, OLDER]).await?;
    begin(lab, slot, from, to).await?;
    let (host, port) = (to.address().to_string(), to.port().to_string());
    source.ask::<()>(&["MIGRATE", &host, &port, key, "0", "1000", "COPY"]).await?;
    for end in [from, to] {
        let there: usize = end.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]).await?;
        if there != 1 {
            return Err(format!("{} has {there} keys of slot {slot}, and not one", end.id()).into());
        }
    }
    Ok(())
}

/// How a client fared.
struct Served {
    /// The first thing that was wrong.
    error: Option<String>,
    /// The new keys whose writing was acknowledged.
    written: Vec<usize>,
    /// So was the writing to the key that is at both ends.
    anew: bool,
}

/// Reads every key and writes new ones, wherever they are, and writes to the one that is at both ends.
async fn serve(client: &ClusterClient, tag: &str, twice: &str) -> Served {
    let mut served = Served { error: None, written: Vec::new(), anew: false };
    let mut failed = |why: String| {
        served.error.get_or_insert(why);
    };
    for number in 0..KEYS {
        match client.ask::<Option<String>>(&["GET", &key(tag, number)]).await {
            Ok(Some(value)) if value == number.to_string() => {}
            Ok(other) => failed(format!("{}: {other:?}", key(tag, number))),
            Err(error) => failed(error.to_string()),
        }
    }
    for number in KEYS..KEYS + NEW {
        match client.ask::<()>(&["SET", &key(tag, number), &number.to_string()]).await {
            Ok(()) => served.written.push(number),
            Err(error) => failed(error.to_string()),
        }
    }
    match client.ask::<()>(&["SET", twice, NEWER]).await {
        Ok(()) => served.anew = true,
        Err(error) => failed(error.to_string()),
    }
    served
}

/// Whether every key is there with what was last written to it, as far as that is known.
async fn kept(
    client: &ClusterClient,
    tag: &str,
    twice: &str,
    served: &Served,
) -> Result<Judgement, StepError> {
    let keys: Vec<usize> = (0..KEYS).chain(served.written.iter().copied()).collect();
    let mut found = 0;
    for number in &keys {
        let value = client.ask::<Option<String>>(&["GET", &key(tag, *number)]).await?;
        found += usize::from(value == Some(number.to_string()));
    }
    let left = client.ask::<Option<String>>(&["GET", twice]).await?;
    let all = "every key is there, with what was last written to it";
    let observed = if found < keys.len() {
        "keys are missing"
    } else if served.anew && left.as_deref() != Some(NEWER) {
        "of a key that was at both ends the wrong one is left"
    } else {
        all
    };
    let judgement = Judgement::equal(all, observed).evidence(format!("{found} of {} keys", keys.len()));
    Ok(judgement.evidence(format!("of the key that was at both ends {left:?} is left")))
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
