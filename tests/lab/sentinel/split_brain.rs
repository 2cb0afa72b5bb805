use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    client::{Client, Vantage},
    docker::{Partition, Relay, Side, Split},
    sentinels,
    wait::{Seen, pass},
    writer::{self, Writer},
};
use lab_report::{
    evidence::{At, Outcome as Became, Write},
    judge::{CutOff, Judgement, loss, seconds},
};

use super::seen::{all_have, follows, happened, replaced, stage, successor};
use crate::step::{Outcome, clocks, step};

step!("sentinel", "split-brain", sentinels(3).replicas(2), split_brain, needs [Changes, Partitions]);

/// The minority is looked at for this long after the majority has its primary: longer than any setting
/// of the lab that would stop it.
const AFTERWARDS: Duration = Duration::from_secs(4);
/// A setting that stops a primary does so for good.
const SHORTEST: Duration = Duration::from_secs(1);
const WHY_SHORTEST: &str =
    "whatever stops it stops it for good: one whole second without is no stall of the machine";

/// A primary that is cut off with a client goes on acknowledging what will be lost.
///
/// 1. A client writes; then the primary, one sentinel and the client are on one side, all others on the
///    other.
/// 2. The majority promotes a replica.
/// 3. The minority's client is acknowledged all the while.
/// 4. The partition heals: there is one primary, and the old one follows it.
/// 5. What was acknowledged before the cut is there.
/// 6. What the minority acknowledged while the majority had a primary is lost.
async fn split_brain(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Two sides, of which nothing stops the smaller one.
    all_have(lab, "min-replicas-to-write", "0").await?;
    let old = Arc::clone(lab.deployment().first_primary());
    let minority = Minority::cut_off(lab).await?;

    // 2. The majority.
    let promoted =
        stage(lab, &old, "the majority to promote a replica", |election| election.new.is_some()).await;
    if !lab.check("split.majority-promotes", happened("a replica is primary", promoted)) {
        return minority.heal(lab).await.map(drop);
    }
    let new = successor(lab, &replaced(lab, &old).await?)?;

    // 3. The minority.
    let promoted_at = lab.recorder().now();
    pass(AFTERWARDS).await;
    let (cut, until) = (minority.cut(), lab.recorder().now());
    let writes = minority.heal(lab).await?;
    lab.check("split.minority-acknowledges", cut.goes_on(&writes, until, SHORTEST, WHY_SHORTEST));

    // 4. One primary.
    let followed = follows(lab, &old, &new).await;
    if !lab.check("split.healed", happened("the old primary follows the new one", followed)) {
        return Ok(());
    }

    // 5. The loss.
    let found = writer::found(&new, &writes).await?;
    lab.check("split.loss-after-the-cut", cut.kept_before(&writes, &found, clocks().scheduling));

    // 6. Two primaries: for some time already, so that one that was to stop has stopped.
    let alone = At(promoted_at.0 + AFTERWARDS / 2);
    lab.check("split.minority-lost", gone(&writes, &found, alone));
    report(lab, &writes, &found);
    Ok(())
}

/// What was acknowledged from then on, by a primary that nobody else follows, is nowhere else.
fn gone(writes: &[Write], found: &BTreeSet<u64>, from: At) -> Judgement {
    const EXPECTED: &str = "none of it is at the new primary";
    let alone: Vec<_> = acknowledged(writes).filter(|write| write.intended >= from).collect();
    let there = alone.iter().filter(|write| found.contains(&write.sequence)).count();
    let judged = match (alone.len(), there) {
        (0, _) => Judgement::unknown(EXPECTED, "nothing was acknowledged"),
        (_, 0) => Judgement::equal(EXPECTED, EXPECTED),
        _ => Judgement::equal(EXPECTED, "some of it is at the new primary"),
    };
    judged.evidence(format!("{} acknowledged since, {there} of them there", alone.len()))
}

/// The primary's side of a partition: the primary, the first sentinel, and a client that writes.
pub(super) struct Minority {
    relay: Arc<Relay>,
    writer: Writer,
    partition: Partition,
}

impl Minority {
    /// Begins to write from a place of its own, and cuts that off together with the primary.
    pub(super) async fn cut_off(lab: &Lab<Sentinels>) -> Result<Self, StepError> {
        let relay = Arc::new(lab.relay("client").await?);
        let writer = lab.start_writing_as(Client::of_sentinels(
            lab.deployment().discovery(Vantage::Relay(Arc::clone(&relay))),
        ));
        a_few_acknowledged(lab).await?;
        let (data, sentinels) = (lab.deployment().data(), lab.deployment().sentinels());
        let ([primary, replicas @ ..], [first, rest @ ..]) = (data, sentinels) else {
            return Err("the step needs a primary and a sentinel".into());
        };
        let near = Side::from(primary).and(first).and(&relay);
        let far = Side::from(replicas).and(rest);
        let partition = lab.partition(&Split::between(near, far)).await?;
        Ok(Self { relay, writer, partition })
    }

    pub(super) fn cut(&self) -> CutOff {
        CutOff { not_before: self.partition.not_before(), in_effect: self.partition.in_effect() }
    }

    /// Stops writing, heals, and hands over what was written.
    pub(super) async fn heal(self, lab: &Lab<Sentinels>) -> Result<Vec<Write>, StepError> {
        let writes = self.writer.stop().await;
        lab.doing("healing the partition");
        self.partition.heal().await?;
        drop(self.relay);
        Ok(writes)
    }
}

/// Something has to be acknowledged before the cut, for a loss before it to be possible.
async fn a_few_acknowledged(lab: &Lab<Sentinels>) -> Result<(), StepError> {
    let wait = lab.wait("a hundred acknowledged writes", Duration::from_secs(10), async || {
        match lab.recorder().look(|timeline| acknowledged(&timeline.writes).count()) {
            100.. => Seen::Ready(()),
            some => Seen::NotYet(format!("{some}")),
        }
    });
    Ok(wait.await?)
}

pub(super) fn acknowledged(writes: &[Write]) -> impl Iterator<Item = &Write> {
    writes.iter().filter(|write| write.outcome == Became::Acknowledged)
}

/// How much was lost, and how long that was written.
pub(super) fn report(lab: &mut Lab<Sentinels>, writes: &[Write], found: &BTreeSet<u64>) {
    let lost = loss(writes, found);
    let note =
        format!("of {} acknowledged; they were written over {}", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    lab.measure(
        "loss window",
        lost.window.as_secs_f64() * 1000.0,
        "ms",
        "from the first lost write to the last",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
