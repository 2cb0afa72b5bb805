use std::{sync::Arc, time::Duration};

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
    judge::{Judgement, loss, seconds},
};

use super::seen::{follows, happened, replaced, stage, successor};
use crate::step::{Outcome, step};

step!("sentinel", "split-brain", sentinels(3).replicas(2), split_brain);

/// The minority is looked at for this long after the majority has its primary: longer than any setting
/// of the lab that would stop it.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// A primary that is cut off with a client goes on acknowledging what will be lost.
///
/// 1. A client writes; then the primary, one sentinel and the client are on one side, all others on the
///    other.
/// 2. The majority promotes a replica.
/// 3. The minority's client is acknowledged all the while.
/// 4. The partition heals: there is one primary, and the old one follows it.
/// 5. What was acknowledged before the cut is there; what the minority acknowledged after it is lost.
async fn split_brain(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Two sides.
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
    let cut = minority.cut_at();
    let writes = minority.heal(lab).await?;
    let late =
        acknowledged(&writes).filter(|write| write.intended >= At(promoted_at.0 + AFTERWARDS / 2)).count();
    let goes_on = if late > 0 { "acknowledged all the while" } else { "no longer acknowledged" };
    lab.check("split.minority-acknowledges", Judgement::equal("acknowledged all the while", goes_on));

    // 4. One primary.
    let followed = follows(lab, &old, &new).await;
    if !lab.check("split.healed", happened("the old primary follows the new one", followed)) {
        return Ok(());
    }

    // 5. The loss.
    let found = writer::found(&new, &writes).await?;
    let before: Vec<Write> = writes.iter().filter(|write| write.done < cut).cloned().collect();
    let lost_before = loss(&before, &found).lost;
    let observed = format!("{lost_before} lost");
    lab.check("split.loss-after-the-cut", Judgement::equal("0 lost", observed));
    report(lab, &writes, &found);
    Ok(())
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

    /// The cut had not begun before this.
    pub(super) fn cut_at(&self) -> At {
        self.partition.not_before()
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
pub(super) fn report(lab: &mut Lab<Sentinels>, writes: &[Write], found: &std::collections::BTreeSet<u64>) {
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
