use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::Vantage,
    cluster,
    docker::{Node, Side},
    engine::Family,
    observer,
    wait::{self, Seen, pass},
    writer::{Keys, Writer},
};
use lab_report::{
    Slot,
    evidence::{At, Outcome, Write},
    judge::{ClusterClocks, Judgement, SlotFailover, loss, seconds, undisturbed},
};
use rstest::rstest;

use super::seen::PATIENCE;
use crate::step::{Outcome as Step, lose, step};

step!(
    "cluster",
    "slot-failover",
    cluster(3).replicas(1).config("cluster-require-full-coverage", "no"),
    slot_failover
);

/// Far above every bound, and long enough for one election that fails: a slow stage fails its bound and nothing
/// else.
pub(super) const STAGE: Duration = Duration::from_secs(20);

/// One primary of three is lost, and its replica takes its slots.
///
/// 1. Write to every shard; lose the first one's primary by crash, stop, hold or partition.
/// 2. Its replica becomes primary.
/// 3. Every node that is left knows the replica as the owner of the shard's slots.
/// 4. The clients of the other shards notice nothing.
/// 5. The shard's own client is acknowledged again; what was lost is counted.
/// 6. The promotion took as long as the nodes' clocks say.
async fn slot_failover(lab: &mut Lab<Clusters>) -> Step {
    // 1. A load, and the loss.
    let primaries = lab.deployment().primaries().to_vec();
    let (old, heir) = (Arc::clone(&primaries[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let nodes = primaries.iter().chain(lab.deployment().replicas());
    let survivors: Vec<Arc<Node>> = nodes.filter(|node| node.id() != old.id()).cloned().collect();
    let before = lab.deployment().epoch(&survivors).await?;
    let relay = match lab.case() {
        Some("partition") => Some(Arc::new(lab.relay("client").await?)),
        _ => None,
    };
    let vantage = || relay.clone().map_or(Vantage::Host, Vantage::Relay);
    let keys = keys(lab);
    lab.doing("writing to every shard");
    let writers: Vec<Writer> = (keys.iter().enumerate())
        .map(|(shard, (slot, keys))| {
            let client = lab.client_of_slot(*slot, vantage());
            // Of the others it is asked whether they are answered at all, not how soon.
            let client = if shard == 0 { client } else { client.patient(PATIENCE) };
            Writer::start_at(client, lab.recorder(), keys.clone(), shard == 0)
        })
        .collect();
    let moment = Duration::from_millis(lab.rng().u64(300..600));
    pass(moment).await;
    lose(lab, &old, relay.iter().fold(Side::from(&survivors[..]), Side::and)).await?;

    // 2. Its replica.
    let promoted = lab.wait("its replica to become primary", STAGE, async || match failover(lab, &old) {
        Some(SlotFailover { new: Some(new), .. }) => Seen::Ready(new),
        _ => Seen::NotYet("nobody was promoted".to_owned()),
    });
    let expected = format!("{} is primary", heir.id());
    let observed = promoted.await.map_or_else(|late| late.last_seen, |new| format!("{new} is primary"));
    if !lab.check("slots.promoted", Judgement::equal(expected, observed)) {
        return Ok(());
    }

    // 3. The owner.
    let owned = lab.wait("every node that is left to know the owner", STAGE, async || {
        owner_everywhere(lab, &survivors, &heir).await
    });
    let all = "every node that is left knows it as their owner";
    let observed = owned.await.map_or_else(|late| late.last_seen, |()| all.to_owned());
    let owned = lab.check("slots.owned", Judgement::equal(all, observed));

    // 4. The others.
    let acknowledged = acknowledged_by(lab, &heir, &keys[0].1).await;
    let mut writes = Vec::new();
    for writer in writers {
        writes.push(writer.stop().await);
    }
    lab.check("slots.others-undisturbed", undisturbed("every request is acknowledged", &writes[1..]));

    // 5. The shard's own client.
    let follows = "acknowledged by the new primary";
    let observed = acknowledged.map_or_else(|late| late, |()| follows.to_owned());
    if !lab.check("slots.client-follows", Judgement::equal(follows, observed)) || !owned {
        return Ok(());
    }
    tell(lab, &old, &writes[0], &keys[0].1, &heir).await?;

    // 6. The clocks.
    let elections = lab.deployment().epoch(&survivors).await?.saturating_sub(before);
    let failover = failover(lab, &old).ok_or("there was no fault")?;
    lab.check("slots.timing", failover.promotion(&clocks(lab), elections.saturating_sub(1)));
    Ok(())
}

/// A slot of each shard, and keys in it.
pub(super) fn keys(lab: &Lab<Clusters>) -> Vec<(Slot, Keys)> {
    let of_shard = |share: lab_report::Slots| {
        let tag = (0..).map(|number: u32| number.to_string()).find(|tag| share.contains(Slot::of(tag)));
        let tag = tag.expect("some number is in every share");
        (Slot::of(&tag), Keys::tagged(&tag))
    };
    lab.deployment().topology().shares().into_iter().map(of_shard).collect()
}

pub(super) fn failover(lab: &Lab<Clusters>, old: &Node) -> Option<SlotFailover> {
    lab.recorder().look(|timeline| SlotFailover::read(timeline, old.id()))
}

/// Whether every one of `nodes` holds `heir` to own the first shard's slots.
pub(super) async fn owner_everywhere(lab: &Lab<Clusters>, nodes: &[Arc<Node>], heir: &Node) -> Seen<()> {
    let (cluster, share) = (lab.deployment(), &lab.deployment().topology().shares()[0]);
    for node in nodes {
        let view = match cluster.view(node).await {
            Ok(view) => view,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        let owner = view.member(cluster.name_of(heir)).map(|member| &member.slots);
        if owner != Some(share) {
            return Seen::NotYet(format!("{} holds another to be their owner", node.id()));
        }
    }
    Seen::Ready(())
}

/// Waits until a write of the timeline's, since the promotion, is at the new primary.
pub(super) async fn acknowledged_by(lab: &Lab<Clusters>, heir: &Node, keys: &Keys) -> Result<(), String> {
    acknowledged_since(lab, heir, keys, |write| write.intended).await
}

/// The same by any other moment of a write. When it was done is one where whoever was lost can have acknowledged
/// nothing for a while, and where writes wait for others: those that an outage kept waiting come first.
pub(super) async fn acknowledged_since(
    lab: &Lab<Clusters>,
    heir: &Node,
    keys: &Keys,
    moment: fn(&Write) -> At,
) -> Result<(), String> {
    let since = lab.recorder().now();
    let written = lab.wait("the client's writes to reach the new primary", STAGE, async || {
        let last = lab.recorder().look(|timeline| {
            let acknowledged =
                |write: &&Write| write.outcome == Outcome::Acknowledged && moment(write) >= since;
            timeline.writes.iter().rfind(acknowledged).map(|write| write.sequence)
        });
        match last {
            Some(last) if heir.ask::<bool>(&["EXISTS", &keys.key(last)]).await.unwrap_or(false) => {
                Seen::Ready(())
            }
            Some(_) => Seen::NotYet("acknowledged elsewhere".to_owned()),
            None => Seen::NotYet("not acknowledged".to_owned()),
        }
    });
    written.await.map_err(|late| late.last_seen)
}

/// What the shard's client saw, and what is left of what it wrote.
async fn tell(
    lab: &mut Lab<Clusters>,
    old: &Node,
    writes: &[Write],
    keys: &Keys,
    heir: &Node,
) -> Result<(), StepError> {
    let failover = failover(lab, old).ok_or("there was no fault")?;
    let first = failover.promoted.and_then(|promoted| {
        let again = |write: &&Write| write.outcome == Outcome::Acknowledged && write.done >= promoted;
        Some((promoted, writes.iter().filter(again).map(|write| write.done).min()?))
    });
    if let Some((promoted, first)) = first {
        let note = "from the promotion to the first write that is acknowledged after it";
        lab.measure("first write", first.since(promoted).as_secs_f64() * 1000.0, "ms", note);
    }
    let lost = loss(writes, &keys.found(heir, writes).await?);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    Ok(())
}

/// The clocks of a sound cluster, of the engine that it runs on.
pub(super) fn clocks(lab: &Lab<Clusters>) -> ClusterClocks {
    clocks_with(lab, (STEP.topology)().node_timeout)
}

/// The same where the node timeout is another one.
pub(super) fn clocks_with(lab: &Lab<Clusters>, node_timeout: Duration) -> ClusterClocks {
    let engine = lab.docker().engine();
    let delay = Duration::from_millis(500);
    let short = engine.family() == Family::Valkey && engine.version().major() >= 9;
    ClusterClocks {
        node_timeout,
        election_delay: if short { delay.min(node_timeout / 30) } else { delay },
        observe_every: observer::ROLE_EVERY,
        scheduling: wait::scheduling(),
    }
}

#[rstest]
#[case::crash("crash")]
#[case::stop("stop")]
#[case::hold("hold")]
#[case::partition("partition")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
