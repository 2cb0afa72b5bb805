use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::Vantage,
    cluster,
    docker::{Fault, FaultKind, Node},
    wait::{Seen, pass},
    writer::Writer,
};
use lab_report::{
    Slot,
    evidence::At,
    judge::{Judgement, undisturbed},
};

use super::{
    seen::{PATIENCE, all_but, at, dead_everywhere, key_of, outcome},
    slot_failover::{STAGE, keys},
};
use crate::step::{Outcome, step};

step!(
    "cluster",
    "double-fault",
    cluster(3).replicas(1).config("cluster-require-full-coverage", "no"),
    double_fault
);

/// A replica stands for election at most a second after its primary is taken to be dead, or two if another has
/// more of the data, and is elected within two ticks of 0.1 s (`SlotFailover::promotion`).
const AFTERWARDS: Duration = Duration::from_secs(4);

/// A primary and its replica die: exactly their slots are unavailable, where a cluster need not be whole.
///
/// 1. Write to the other shards; the first shard's primary and replica die.
/// 2. For longer than an election takes, nobody answers for the shard's slots.
/// 3. The clients of the other shards notice nothing.
/// 4. The primary comes back, and its slots with it.
async fn double_fault(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. A shard is lost.
    let writers: Vec<Writer> = keys(lab)[1..]
        .iter()
        .map(|(slot, keys)| {
            let client = lab.client_of_slot(*slot, Vantage::Host).patient(PATIENCE);
            Writer::start_at(client, lab.recorder(), keys.clone(), false)
        })
        .collect();
    let lost = LostShard::lose(lab).await?;

    // 2. Its slots.
    pass(AFTERWARDS).await;
    let (answering, told) = lost.who_answers(lab).await;
    let judged = Judgement::equal("nobody", answering);
    lab.check("double.unavailable", told.into_iter().fold(judged, Judgement::evidence));

    // 3. The others'.
    let mut writes = Vec::new();
    for writer in writers {
        writes.push(writer.stop().await);
    }
    lab.check("double.others-undisturbed", undisturbed("every request is acknowledged", &writes));

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

    /// Who of those that are left answers for the lost shard's slots, and what the others say.
    async fn who_answers(&self, lab: &Lab<Clusters>) -> (String, Vec<String>) {
        let (key, mut answering, mut told) = (key_of(lab, 0), Vec::new(), Vec::new());
        for node in &self.left {
            match outcome(&at(lab, node), &["GET", &key]).await {
                answered if answered == "answered" => answering.push(node.id().to_string()),
                error => told.push(format!("{}: {error}", node.id())),
            }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
