use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::{self, Vantage},
    cluster,
    docker::{FaultKind, Node},
    wait::{Seen, pass, scheduling},
    writer::{Keys, Writer},
};
use lab_report::{
    Slot,
    evidence::{At, Outcome, Write},
    judge::{Availability, Judgement, Limits, Outage, loss, loss_reach, undisturbed},
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
/// A primary answers its client and feeds its replicas in one turn of its event loop, so what a crash loses is of
/// that instant. This is how far behind a replica may be (`replica.lag`).
const LAG: Duration = Duration::from_millis(100);
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
/// 5. A shard that lost its primary was without an answer for as long as a failover takes.
/// 6. What it lost had been acknowledged in the instant of the crash.
async fn twenty_crashes(lab: &mut Lab<Clusters>) -> Step {
    let all = lab.deployment().topology().crashes;
    let mut rounds = Vec::new();
    for number in 1..=all {
        let spared = rounds.iter().all(Round::spared_the_primaries);
        rounds.push(round(lab, number, spared && number == all).await?);
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
    let others: Vec<Vec<Write>> = (rounds.iter().flat_map(|round| &round.loads))
        .filter(|load| !load.hit)
        .map(|load| load.writes.clone())
        .collect();
    lab.check("chaos.others-undisturbed", undisturbed("every request is acknowledged", &others));

    // 5. The others' outages.
    let availability = availability(&rounds);
    let clocks = clocks_with(lab, deployment().node_timeout);
    lab.check("chaos.availability", availability.of_clocks(&clocks, PROMISED));

    // 6. The loss.
    lab.check("chaos.loss", reach(&rounds));
    tell(lab, &rounds, &availability);
    Ok(())
}

/// One crash, and what came of it.
struct Round {
    victim: String,
    /// That every slot had an owner, or what was seen instead.
    owned: Result<(), String>,
    /// That the cluster stood again, likewise.
    returned: Result<(), String>,
    crashed: At,
    /// Elections that nobody won.
    failed: u64,
    /// What was written to each shard.
    loads: Vec<Load>,
}

/// What was written to a shard.
struct Load {
    /// It was its primary that crashed.
    hit: bool,
    writes: Vec<Write>,
    /// What its owner had of that in the end; nothing if there was none.
    found: BTreeSet<u64>,
}

impl Round {
    /// It was a replica that crashed.
    fn spared_the_primaries(&self) -> bool {
        self.loads.iter().all(|load| !load.hit)
    }
}

/// 1. to 3., once. Where chance has spared the primaries for too long, one of them has to be the victim.
async fn round(lab: &mut Lab<Clusters>, number: u32, a_primary: bool) -> Result<Round, StepError> {
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
    let crashed = lab.recorder().now();

    let left: Vec<Arc<Node>> = nodes.iter().filter(|node| node.id() != victim.id()).cloned().collect();
    let owned =
        lab.wait("every slot to have an owner", STAGE, async || owners(lab, &left, &victim).await).await;
    let elections = lab.deployment().epoch(&left).await?.saturating_sub(before);
    lab.heal(fault).await?;
    let returned = match &owned {
        Ok(()) => lab.deployment().stands().await.map_err(|late| late.last_seen),
        Err(_) => Err("nobody owned its slots".to_owned()),
    };
    let mut loads = Vec::new();
    for (other, (writer, (slot, keys))) in writers.into_iter().zip(&keys).enumerate() {
        let writes = writer.stop().await;
        let found = match returned {
            Ok(()) => keys.found(&*owner(lab, *slot).await?, &writes).await?,
            Err(_) => BTreeSet::new(),
        };
        loads.push(Load { hit: Some(other) == shard, writes, found });
    }
    let owned = owned.map_err(|late| late.last_seen);
    let failed = elections.saturating_sub(1);
    Ok(Round { victim: victim.id().to_string(), owned, returned, crashed, failed, loads })
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

/// The node that has a slot, once the cluster stands.
async fn owner(lab: &Lab<Clusters>, slot: Slot) -> Result<Arc<Node>, StepError> {
    let view = lab.deployment().view(&lab.deployment().primaries()[0]).await?;
    let name = view.owner(slot).map(|owner| owner.id.clone()).unwrap_or_default();
    Ok(Arc::clone(lab.deployment().named(&name).ok_or("nobody has the slot")?))
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

/// How far from its crash a write was acknowledged that is lost. A shard that kept its primary has nothing to lose.
fn reach(rounds: &[Round]) -> Judgement {
    let limits = Limits {
        what: "what was lost had been acknowledged",
        floor: Duration::ZERO,
        ceiling: LAG + scheduling(),
        resolution: Duration::ZERO,
        formula: "replication lag of 100 ms + scheduling",
    };
    let loads = || rounds.iter().flat_map(|round| round.loads.iter().map(move |load| (round.crashed, load)));
    let elsewhere: usize =
        loads().filter(|(_, load)| !load.hit).map(|(_, load)| loss(&load.writes, &load.found).lost).sum();
    let reach = |(crashed, load): (At, &Load)| loss_reach(&load.writes, &load.found, crashed);
    let hits = loads().filter(|(_, load)| load.hit).count();
    let judged = match (elsewhere, loads().filter(|(_, load)| load.hit).map(reach).max()) {
        (0, Some(reach)) => Judgement::within(limits, Some(reach)),
        (0, None) => Judgement::unknown("a bound of what is lost", "no primary was among those that crashed"),
        _ => Judgement::of(false, "nothing is lost where no primary crashed", "writes are lost there"),
    };
    judged.evidence(format!(
        "{hits} of {} crashes were of a primary; elsewhere {elsewhere} writes are lost",
        rounds.len()
    ))
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
fn tell(lab: &mut Lab<Clusters>, rounds: &[Round], availability: &Availability) {
    let loads = rounds.iter().flat_map(|round| &round.loads);
    let lost: usize = loads.map(|load| loss(&load.writes, &load.found).lost).sum();
    let Availability { acknowledged, requests, .. } = availability;
    let note =
        format!("{acknowledged} of {requests} requests were acknowledged; often promised: {PROMISED} %");
    lab.measure("availability", availability.percent(), "%", &note);
    lab.measure("acknowledged writes lost", lost as f64, "writes", "often promised: none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_by_chance(None).await;
}
