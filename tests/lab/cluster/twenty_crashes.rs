use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::{self, Vantage},
    cluster,
    cluster::View,
    docker::{FaultKind, Node},
    wait::{Seen, pass, scheduling},
    writer::{Keys, Writer},
};
use lab_report::{
    Slot,
    evidence::{At, Outcome, Write},
    judge::{Availability, Held, Judgement, Outage, Toll, Witness, last_instant, undisturbed},
};

use super::{seen::PATIENCE, slot_failover::clocks_with};
use crate::step::{Outcome as Step, step};

step!("cluster", "twenty-crashes", deployment(), twenty_crashes);

/// Twenty failovers take a while: half the node timeout of the other steps.
fn deployment() -> Clusters {
    Clusters { node_timeout: Duration::from_secs(1), ..cluster(3).replicas(1) }
        .config("cluster-require-full-coverage", "no")
}

/// An election that nobody wins costs 4 s, and may happen twice.
const STAGE: Duration = Duration::from_secs(20);
/// The share of requests that such a cluster is promised to acknowledge whatever crashes, in per cent.
const PROMISED: f64 = 99.99;

/// Twenty random crashes in a row, each looked into before the next.
///
/// Nobody asks for the replicas' acknowledgement (`WAIT`) before a crash: that would hide what it loses.
///
/// 1. Write to every shard, and crash one node of the six: any one.
/// 2. Whoever is left sees one owner for each slot.
/// 3. The node comes back, and the cluster stands.
/// 4. The shards that kept their primary acknowledged every request.
/// 5. A shard that lost its primary was without an answer for as long as a failover takes, every time.
/// 6. What it lost had been acknowledged in the instant of the crash. Whatever is older is looked for after each
///    crash, and is there.
async fn twenty_crashes(lab: &mut Lab<Clusters>) -> Step {
    let all = lab.deployment().topology().crashes;
    let (mut rounds, mut kept) = (Vec::new(), Vec::new());
    for number in 1..=all {
        // The first crash finds nothing old that could be lost.
        let spared = rounds.iter().skip(1).all(Round::spared_the_primaries);
        rounds.push(round(lab, number, spared && number == all, &mut kept).await?);
        if rounds.last().is_some_and(|round| round.returned.is_err()) {
            break;
        }
    }
    let every = |what: &str| format!("after each of {all} crashes {what}");

    // 2. The owners.
    let owned = every("each slot has one");
    let observed = first_trouble(&rounds, |round| round.owned.clone()).unwrap_or_else(|| owned.clone());
    if !lab.check("chaos.owners", Judgement::equal(owned, observed)) {
        return Ok(());
    }

    // 3. Back.
    let returned = every("the cluster stands again");
    let observed = first_trouble(&rounds, |round| round.returned.clone()).unwrap_or_else(|| returned.clone());
    if !lab.check("chaos.returned", Judgement::equal(returned, observed)) {
        return Ok(());
    }

    // 4. The others.
    let others = rounds.iter().flat_map(|round| {
        let (from, until) = round.lasted;
        let others = round.loads.iter().filter(|load| !load.hit);
        others.map(move |load| Witness { writes: &load.writes, from, until })
    });
    lab.check("chaos.others-undisturbed", undisturbed("every request is acknowledged", others));

    // 5. The outages.
    let availability = availability(&rounds);
    let clocks = clocks_with(lab, deployment().node_timeout);
    lab.check("chaos.availability", availability.of_clocks(&clocks, PROMISED));

    // 6. The loss.
    let tolls: Vec<Toll> = rounds.iter().filter_map(|round| round.toll.clone()).collect();
    lab.check("chaos.loss", last_instant(&tolls, scheduling()));
    tell(lab, &tolls, &availability);
    Ok(())
}

/// One crash, and what came of it.
struct Round {
    victim: String,
    /// That every slot had an owner, or what was seen instead.
    owned: Result<(), String>,
    /// That the cluster stood again, likewise.
    returned: Result<(), String>,
    /// Elections that nobody won.
    failed: u64,
    /// From the crash until every slot had an owner.
    lasted: (At, At),
    /// What was written to each shard.
    loads: Vec<Load>,
    /// What was missing once the cluster stood again.
    toll: Option<Toll>,
}

/// What was written to a shard.
struct Load {
    /// It was its primary that crashed.
    hit: bool,
    writes: Vec<Write>,
}

/// What a round wrote to a shard: it is looked for after this crash and after all that come later.
struct Kept {
    shard: usize,
    slot: Slot,
    keys: Keys,
    held: Held,
}

impl Round {
    /// It was a replica that crashed.
    fn spared_the_primaries(&self) -> bool {
        self.loads.iter().all(|load| !load.hit)
    }
}

/// Items 1 to 3, once, and a look at what is left of all that was written so far. Where chance has spared the primaries
/// for too long, one of them has to be the victim.
async fn round(
    lab: &mut Lab<Clusters>,
    number: u32,
    a_primary: bool,
    kept: &mut Vec<Kept>,
) -> Result<Round, StepError> {
    let nodes = lab.deployment().members().to_vec();
    let mut victim = Arc::clone(&nodes[lab.rng().usize(..nodes.len())]);
    while a_primary && shard_of(lab, &victim).await?.is_none() {
        victim = Arc::clone(&nodes[lab.rng().usize(..nodes.len())]);
    }
    let moment = Duration::from_millis(lab.rng().u64(100..400));
    let shard = shard_of(lab, &victim).await?;
    let before = lab.deployment().epoch(&nodes).await?;
    lab.doing(&format!("crash {number}: {}", victim.id()));

    let keys = keys(lab, number);
    let writers: Vec<Writer> = (keys.iter().enumerate())
        .map(|(other, (slot, keys))| {
            let client = lab.client_of_slot(*slot, Vantage::Host);
            // Of the others it is asked whether they are answered at all, not how soon.
            let client = if Some(other) == shard { client } else { client.patient(PATIENCE) };
            Writer::start_at(client, lab.recorder(), keys.clone(), false)
        })
        .collect();
    pass(moment).await;
    let fault = lab.inject(FaultKind::Crash, &victim).await?;
    let (began, crashed) = (fault.not_before(), lab.recorder().now());

    let left: Vec<Arc<Node>> = nodes.iter().filter(|node| node.id() != victim.id()).cloned().collect();
    let owned =
        lab.wait("every slot to have an owner", STAGE, async || owners(lab, &left, &victim).await).await;
    let lasted = (began, lab.recorder().now());
    let elections = lab.deployment().epoch(&left).await?.saturating_sub(before);
    lab.heal(fault).await?;
    let returned = match &owned {
        Ok(()) => lab.deployment().stands().await.map_err(|late| late.last_seen),
        Err(_) => Err("nobody owned its slots".to_owned()),
    };
    let mut loads = Vec::new();
    for (other, (writer, (slot, keys))) in writers.into_iter().zip(keys).enumerate() {
        let writes = writer.stop().await;
        kept.push(Kept { shard: other, slot, keys, held: Held::of(&writes) });
        loads.push(Load { hit: Some(other) == shard, writes });
    }
    let toll = match returned {
        Ok(()) => Some(missing(lab, kept, crashed, shard).await?),
        Err(_) => None,
    };
    let owned = owned.map_err(|late| late.last_seen);
    let failed = elections.saturating_sub(1);
    Ok(Round { victim: victim.id().to_string(), owned, returned, failed, lasted, loads, toll })
}

/// A slot of each shard, and keys in it that no other round has.
fn keys(lab: &Lab<Clusters>, round: u32) -> Vec<(Slot, Keys)> {
    let of_shard = |share: lab_report::Slots| {
        let mut tags = (0_u32..).map(|number| format!("{round}-{number}"));
        let tag = tags.find(|tag| share.contains(Slot::of(tag))).expect("some tag is in every share");
        (Slot::of(&tag), Keys::tagged(&tag))
    };
    lab.deployment().topology().shares().into_iter().map(of_shard).collect()
}

/// The shard that a node is the primary of; none if it is a replica.
async fn shard_of(lab: &Lab<Clusters>, node: &Node) -> Result<Option<usize>, StepError> {
    let view = lab.deployment().view(node).await?;
    let owned = view.myself().map(|myself| myself.slots.clone()).unwrap_or_default();
    Ok(lab.deployment().topology().shares().iter().position(|share| share == &owned))
}

/// Looks for all that is kept at whoever owns it now, once the cluster stands. What is missing is of the shard that
/// was `hit`, or of another, and is not looked for again.
async fn missing(
    lab: &Lab<Clusters>,
    kept: &mut [Kept],
    crashed: At,
    hit: Option<usize>,
) -> Result<Toll, StepError> {
    let view = lab.deployment().view(&lab.deployment().primaries()[0]).await?;
    let mut toll = Toll { crashed, hit: hit.map(|_| Vec::new()), elsewhere: Vec::new() };
    for Kept { shard, slot, keys, held } in kept {
        let found = keys.found(owner(lab, &view, *slot)?, held.writes()).await?;
        let lost = held.lost(&found);
        match &mut toll.hit {
            Some(of_shard) if hit == Some(*shard) => of_shard.extend(lost),
            _ => toll.elsewhere.extend(lost),
        }
    }
    Ok(toll)
}

/// The node that has a slot, in a view that all agree on.
fn owner<'a>(lab: &'a Lab<Clusters>, view: &View, slot: Slot) -> Result<&'a Arc<Node>, StepError> {
    let owner = view.owner(slot).and_then(|owner| lab.deployment().named(&owner.id));
    Ok(owner.ok_or("nobody has the slot")?)
}

/// Whether every one of `nodes` takes the cluster to be sound, with an owner of every slot that is not `lost`.
async fn owners(lab: &Lab<Clusters>, nodes: &[Arc<Node>], lost: &Node) -> Seen<()> {
    let cluster = lab.deployment();
    for node in nodes {
        let (state, view) = match (cluster.state(node).await, cluster.view(node).await) {
            (Ok(state), Ok(view)) => (state, view),
            (Err(error), _) => return Seen::NotYet(error.to_string()),
            (_, Err(error)) => return Seen::NotYet(error.to_string()),
        };
        let owned: usize = view
            .shards()
            .filter(|owner| owner.id != cluster.name_of(lost))
            .map(|owner| owner.slots.len())
            .sum();
        if state != "ok" || owned != usize::from(Slot::COUNT) {
            return Seen::NotYet(format!("to {} it is {state}, with {owned} slots owned", node.id()));
        }
    }
    Seen::Ready(())
}

/// The first crash after which something was not as it should be, and how it was.
fn first_trouble(rounds: &[Round], of: impl Fn(&Round) -> Result<(), String>) -> Option<String> {
    let trouble = |(number, round): (usize, &Round)| {
        of(round).err().map(|what| format!("crash {} ({}): {what}", number + 1, round.victim))
    };
    rounds.iter().enumerate().find_map(trouble)
}

/// What all clients were answered, and those of a shard that lost its primary in particular.
fn availability(rounds: &[Round]) -> Availability {
    let loads = || rounds.iter().flat_map(|round| round.loads.iter().map(move |load| (round, load)));
    let acknowledged =
        |load: &Load| load.writes.iter().filter(|write| write.outcome == Outcome::Acknowledged).count();
    let outage = |(round, load): (&Round, &Load)| Outage {
        refused: load.writes.len() - acknowledged(load),
        failed: round.failed,
    };
    Availability {
        shards: rounds.iter().map(|round| round.loads.len()).max().unwrap_or(0),
        requests: loads().map(|(_, load)| load.writes.len()).sum(),
        acknowledged: loads().map(|(_, load)| acknowledged(load)).sum(),
        every: Writer::EVERY,
        patience: client::PATIENCE,
        outages: loads().filter(|(_, load)| load.hit).map(outage).collect(),
    }
}

/// What it cost all clients, for those who were promised less.
fn tell(lab: &mut Lab<Clusters>, tolls: &[Toll], availability: &Availability) {
    let lost: usize = tolls.iter().map(Toll::lost).sum();
    let Availability { acknowledged, requests, .. } = availability;
    let note =
        format!("{acknowledged} of {requests} requests were acknowledged; often promised: {PROMISED} %");
    lab.measure("availability", availability.percent(), "%", &note);
    if let Some(mean) = availability.mean() {
        lab.measure("outage", mean.as_secs_f64(), "s", "of a shard that lost its primary, on average");
    }
    lab.measure("acknowledged writes lost", lost as f64, "writes", "often promised: none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_by_chance(None).await;
}
