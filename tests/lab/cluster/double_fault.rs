use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use failover_lab::{
    Clusters, Lab, StepError,
    client::Vantage,
    cluster,
    docker::{Fault, FaultKind, Node},
    wait::{Seen, pass},
    writer::{Keys, Writer},
};
use lab_report::{
    Slot, Slots, Verdict,
    evidence::At,
    judge::{Judgement, Witness, undisturbed},
};

use super::{
    seen::{A_WHILE, PATIENCE, all_but, at, dead_everywhere, key_of, outcome},
    slot_failover::{STAGE, keys},
};
use crate::step::{Outcome, alike, step};

step!(
    "cluster",
    "double-fault",
    cluster(3).replicas(1).config("cluster-require-full-coverage", "no"),
    double_fault
);

/// A replica stands for election at most a second after its primary is taken to be dead, or two if another has
/// more of the data, and is elected within two ticks of 0.1 s (`SlotFailover::promotion`).
const AFTERWARDS: Duration = Duration::from_secs(4);

/// So many slots of a shard are tried: the first, the last, and others between them.
const TRIED: usize = 5;
/// What becomes of a command that is carried out.
const ANSWERED: &str = "answered";

/// A primary and its replica die: exactly their slots are unavailable, where a cluster need not be whole.
///
/// 1. Write to the other shards; the first shard's primary and replica die.
/// 2. For longer than an election takes, nobody answers for the shard's slots.
/// 3. The other shards answer for theirs, and their clients notice nothing.
/// 4. The primary comes back, and its slots with it.
async fn double_fault(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. A shard is lost.
    let tried = tried(&lab.deployment().topology().shares());
    let writers: Vec<Writer> = keys(lab)[1..]
        .iter()
        .map(|(slot, keys)| {
            let client = lab.client_of_slot(*slot, Vantage::Host).patient(PATIENCE);
            Writer::start_at(client, lab.recorder(), keys.clone(), false)
        })
        .collect();
    pass(A_WHILE).await;
    let from = lab.recorder().now();
    let lost = LostShard::lose(lab).await?;
    let until = lab.recorder().now();

    // 2. Its slots.
    pass(AFTERWARDS).await;
    let (answering, told) = lost.who_answers(lab, &tried[0]).await;
    let judged = Judgement::equal("nobody", answering);
    lab.check("double.unavailable", told.into_iter().fold(judged, Judgement::evidence));

    // 3. The others'.
    let answered = of_their_primaries(lab, &tried).await;
    let mut writes = Vec::new();
    for writer in writers {
        writes.push(writer.stop().await);
    }
    let witnesses = writes.iter().map(|writes| Witness { writes, from, until });
    let judged = undisturbed("every request is acknowledged", witnesses);
    lab.check("double.others-undisturbed", and_all_answered(judged, answered));

    // 4. Back.
    let (back, observed) = lost.comes_back(lab).await?;
    let took = lab.recorder().now().since(back).as_secs_f64() * 1000.0;
    if lab.check("double.returns", Judgement::equal("answered", observed)) {
        lab.measure("answered again", took, "ms", "from the primary's return to its slots taking writes");
    }
    Ok(())
}

/// The first shard, without its primary and its first replica.
pub(super) struct LostShard {
    primary: Fault,
    _replica: Fault,
    /// Every other node.
    pub(super) left: Vec<Arc<Node>>,
}

impl LostShard {
    /// Kills both, and waits until every node that is left takes the primary to be dead.
    pub(super) async fn lose(lab: &Lab<Clusters>) -> Result<Self, StepError> {
        let cluster = lab.deployment();
        let (primary, replica) = (Arc::clone(&cluster.primaries()[0]), Arc::clone(&cluster.replicas()[0]));
        let left = all_but(lab, &[&primary, &replica]);
        // In this order nobody can take over, however long lies between the two.
        let _replica = lab.inject(FaultKind::Crash, &replica).await?;
        let fault = lab.inject(FaultKind::Crash, &primary).await?;
        dead_everywhere(lab, &left, &primary).await?;
        Ok(Self { primary: fault, _replica, left })
    }

    /// Who of those that are left answers for one of the lost shard's slots, and what each of them says of all.
    async fn who_answers(&self, lab: &Lab<Clusters>, keys: &[String]) -> (String, Vec<String>) {
        let (mut answering, mut told) = (Vec::new(), Vec::new());
        for node in &self.left {
            let said = of_slots(lab, node, keys).await;
            if said.iter().any(|(_, said)| said == ANSWERED) {
                answering.push(node.id().to_string());
            }
            told.push(format!("{}: {}", node.id(), alike(said)));
        }
        (if answering.is_empty() { "nobody".to_owned() } else { answering.join(", ") }, told)
    }

    /// Brings the primary back, and waits until its slots take writes again. Says when it was back, and what became
    /// of the last write.
    pub(super) async fn comes_back(self, lab: &Lab<Clusters>) -> Result<(At, String), StepError> {
        lab.heal(self.primary).await?;
        let back = lab.recorder().now();
        let key = key_of(lab, 0);
        let client = lab.client_of_slot(Slot::of(&key), Vantage::Host).patient(PATIENCE);
        let again = lab.wait("its slots to take writes", STAGE, async || {
            match outcome(&client, &["SET", &key, "again"]).await {
                answered if answered == "answered" => Seen::Ready(answered),
                error => Seen::NotYet(error),
            }
        });
        Ok((back, again.await.unwrap_or_else(|late| late.last_seen)))
    }
}

/// A key in each of the slots that are tried, shard by shard.
fn tried(shares: &[Slots]) -> Vec<Vec<String>> {
    let spread = |share: &Slots| -> Vec<Slot> {
        let slots: Vec<Slot> = share.iter().collect();
        (0..TRIED).map(|number| slots[number * (slots.len() - 1) / (TRIED - 1)]).collect()
    };
    let slots: Vec<Vec<Slot>> = shares.iter().map(spread).collect();
    let wanted: BTreeSet<Slot> = slots.iter().flatten().copied().collect();
    let mut tags: BTreeMap<Slot, String> = BTreeMap::new();
    let mut numbers = (0_u32..).map(|number| number.to_string());
    while tags.len() < wanted.len() {
        let tag = numbers.next().expect("some number is in every slot");
        let slot = Slot::of(&tag);
        if wanted.contains(&slot) {
            tags.entry(slot).or_insert(tag);
        }
    }
    let key = |slot: &Slot| Keys::tagged(&tags[slot]).key(0);
    slots.iter().map(|slots| slots.iter().map(key).collect()).collect()
}

/// What becomes of a read of each of these keys at a node, by the key's slot.
async fn of_slots(lab: &Lab<Clusters>, node: &Node, keys: &[String]) -> Vec<(String, String)> {
    let (client, mut said) = (at(lab, node), Vec::new());
    for key in keys {
        said.push((format!("slot {}", Slot::of(key)), outcome(&client, &["GET", key]).await));
    }
    said
}

/// The same for every shard but the first, at its primary: the same for all, or each by itself.
async fn of_their_primaries(lab: &Lab<Clusters>, tried: &[Vec<String>]) -> String {
    let mut said = Vec::new();
    for (primary, keys) in lab.deployment().primaries().iter().zip(tried).skip(1) {
        said.extend(of_slots(lab, primary, keys).await);
    }
    alike(said)
}

/// A claim that holds only where all slots of the other shards that were tried were answered for.
fn and_all_answered(judged: Judgement, answered: String) -> Judgement {
    let judged = judged.evidence(format!("{TRIED} slots of each of them: {answered}"));
    match answered == ANSWERED {
        true => judged,
        false => Judgement { verdict: Verdict::Fail, observed: answered, ..judged },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
