use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::{self, Client, Vantage},
    cluster,
    cluster::Health,
    docker::{Node, Relay, Side},
    engine::Family,
    observer,
    wait::{self, Seen, pass},
    writer::{Keys, Writer},
};
use lab_report::{
    Slot,
    evidence::{At, Outcome, Write},
    judge::{
        ClusterClocks, ElectionDelay, Inheritance, Judgement, Sent, SlotFailover, Witness, loss, seconds,
        undisturbed,
    },
};
use rstest::rstest;

use super::seen::{A_WHILE, PATIENCE, a_few_acknowledged, all_but, at, key_of};
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
/// What the shard has long before anything happens to it.
const KEYS: usize = 100;

/// One primary of three is lost, and its replica takes its slots.
///
/// 1. Write to every shard; lose the first one's primary by crash, stop, hold or partition.
/// 2. Its replica takes it to be dead as soon as the nodes' clocks say, and becomes primary.
/// 3. Every node that is left knows the replica as the owner of the shard's slots.
/// 4. The clients of the other shards notice nothing.
/// 5. What the shard had is at the new primary. What is lost had been acknowledged in the instant of the fault, and is
///    counted.
/// 6. The shard's own client is acknowledged again, as soon as its own clocks say.
/// 7. The promotion took as long as the nodes' clocks say.
async fn slot_failover(lab: &mut Lab<Clusters>) -> Step {
    // 1. A load, and the loss.
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let survivors = all_but(lab, &[&old]);
    let before = lab.deployment().epoch(&survivors).await?;
    fill(lab, &old, &heir).await?;
    let keys = keys(lab);
    let (writers, relay) = load(lab, &keys).await?;
    a_few_acknowledged(lab).await?;
    let moment = Duration::from_millis(lab.rng().u64(300..600));
    pass(moment).await;
    lose(lab, &old, relay.iter().fold(Side::from(&survivors[..]), Side::and)).await?;

    // 2. Its replica.
    let noticed = noticed(lab, &old, &heir).await;
    let fault = failover(lab, &old).ok_or("there was no fault")?;
    lab.check("slots.noticed", fault.noticed(&clocks(lab), noticed));
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
    pass(A_WHILE).await;
    let mut writes = Vec::new();
    for writer in writers {
        writes.push(writer.stop().await);
    }
    let failover = failover(lab, &old).ok_or("there was no fault")?;
    let (from, until) = (failover.began, failover.promoted.unwrap_or(failover.began));
    let others = writes[1..].iter().map(|writes| Witness { writes, from, until });
    lab.check("slots.others-undisturbed", undisturbed("every request is acknowledged", others));

    // 5. The data.
    let inherited = inherited(lab, &failover, &heir, (&keys[0].1, writes[0].as_slice())).await?;
    lab.check("slots.kept", inherited);

    // 6. The shard's own client.
    let follows = "acknowledged by the new primary";
    let observed = acknowledged.map_or_else(|late| late, |()| follows.to_owned());
    if !lab.check("slots.client-follows", Judgement::equal(follows, observed)) || !owned {
        return Ok(());
    }
    lab.check("slots.answered", failover.answered(&clocks(lab), client::PATIENCE, &writes[0]));
    if let Some(first) = failover.first_write(&writes[0]) {
        let note = "from the promotion to the first write that is acknowledged after it";
        lab.measure("first write", first.as_secs_f64() * 1000.0, "ms", note);
    }

    // 7. The clocks.
    let elections = lab.deployment().epoch(&survivors).await?.saturating_sub(before);
    lab.check("slots.timing", failover.promotion(&clocks(lab), elections.saturating_sub(1)));
    Ok(())
}

/// Writes what the shard has long before anything happens to it, and waits until its replica has it, too.
async fn fill(lab: &Lab<Clusters>, primary: &Node, replica: &Node) -> Result<(), StepError> {
    let client = at(lab, primary);
    for name in names(lab) {
        client.ask::<()>(&["SET", &name, "written"]).await?;
    }
    let end = primary.info().await?.offset();
    let copied = lab.wait("its replica to have what it has", STAGE, async || match replica.info().await {
        Ok(info) if info.offset() >= end => Seen::Ready(()),
        Ok(info) => Seen::NotYet(format!("{} of {end}", info.offset())),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    Ok(copied.await?)
}

/// The names of that.
fn names(lab: &Lab<Clusters>) -> Vec<String> {
    let tag = key_of(lab, 0);
    (0..KEYS).map(|number| format!("{{{tag}}}:before:{number}")).collect()
}

/// Begins to write to every shard, from a place of its own where that is to be cut off from the lost primary.
async fn load(
    lab: &Lab<Clusters>,
    keys: &[(Slot, Keys)],
) -> Result<(Vec<Writer>, Option<Arc<Relay>>), StepError> {
    let relay = match lab.case() {
        Some("partition") => Some(Arc::new(lab.relay("client").await?)),
        _ => None,
    };
    let vantage = || relay.clone().map_or(Vantage::Host, Vantage::Relay);
    lab.doing("writing to every shard");
    let writers: Vec<Writer> = (keys.iter().enumerate())
        .map(|(shard, (slot, keys))| {
            let client = lab.client_of_slot(*slot, vantage());
            // Of the others it is asked whether they are answered at all, not how soon.
            let client = if shard == 0 { own(lab, client) } else { client.patient(PATIENCE) };
            Writer::start_at(client, lab.recorder(), keys.clone(), shard == 0)
        })
        .collect();
    Ok((writers, relay))
}

/// The client of the shard that is lost, which a broken set-up may have wait for its answers.
fn own(lab: &Lab<Clusters>, client: Client) -> Client {
    match lab.deployment().topology().clients.get("own").map(String::as_str) {
        Some("patient") => client.patient(STAGE / 2),
        _ => client,
    }
}

/// When a replica took its primary to be dead, as far as it was asked.
async fn noticed(lab: &Lab<Clusters>, old: &Node, heir: &Node) -> Option<At> {
    let (cluster, name) = (lab.deployment(), lab.deployment().name_of(old));
    let failed =
        lab.wait("its replica to take it to be dead", STAGE, async || match cluster.view(heir).await {
            Ok(view) if view.member(name).is_some_and(|member| member.health == Health::Failed) => {
                Seen::Ready(lab.recorder().now())
            }
            Ok(_) => Seen::NotYet("it does not".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        });
    failed.await.ok()
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

/// Whether the new primary has what the shard had. What is lost of what was `written` is counted.
async fn inherited(
    lab: &mut Lab<Clusters>,
    failover: &SlotFailover,
    heir: &Node,
    (keys, writes): (&Keys, &[Write]),
) -> Result<Judgement, StepError> {
    let found = keys.found(heir, writes).await?;
    let lost = loss(writes, &found);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);

    let names = names(lab);
    let words: Vec<&str> = ["EXISTS"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let has: usize = at(lab, heir).ask(&words).await?;
    // A process that dies takes along what it has sent and nobody has read; one that is only silent does not.
    let sent = match lab.case() {
        Some("crash" | "stop") => Sent::Dropped,
        _ => Sent::Delivered,
    };
    let inherited = Inheritance { had: KEYS, has, writes, found: &found };
    Ok(inherited.kept(failover, sent, wait::scheduling()))
}

/// The clocks of a sound cluster, of the engine that it runs on.
pub(super) fn clocks(lab: &Lab<Clusters>) -> ClusterClocks {
    clocks_with(lab, (STEP.topology)().node_timeout)
}

/// The same where the node timeout is another one.
pub(super) fn clocks_with(lab: &Lab<Clusters>, node_timeout: Duration) -> ClusterClocks {
    let (family, version) = (lab.docker().engine().family(), lab.docker().engine().version());
    let election_delay = match family {
        Family::Redis => ElectionDelay::Fixed,
        Family::Valkey => ElectionDelay::of_valkey(version.major(), version.minor()),
    };
    ClusterClocks {
        node_timeout,
        election_delay,
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
