use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::Vantage,
    cluster,
    docker::{Node, Partition, Side, Split},
    wait::Seen,
    writer::{Keys, Writer},
};
use lab_report::{
    evidence::Write,
    judge::{CutOff, Judgement, loss, seconds},
};

use super::{
    seen::{a_few_acknowledged, all_but, at, one_owner_each, seen_as_replica, state_everywhere},
    slot_failover::{STAGE, clocks, failover, keys},
};
use crate::step::{Outcome, step};

step!("cluster", "minority", cluster(3).replicas(1).config("cluster-require-full-coverage", "no"), minority);

/// One primary of three is cut off with a client: it stops, and the majority goes on.
///
/// 1. A client writes to the first shard; then its primary and the client are on one side, all others on the
///    other.
/// 2. The client is acknowledged for one to one and a half node timeouts, then told that the cluster is down.
/// 3. The majority has another primary for the shard, and takes writes.
/// 4. The partition heals: every slot has one owner in every view, and the old primary follows the new one.
/// 5. What is lost was acknowledged after the cut, and not later than the primary may have gone on.
async fn minority(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Two sides.
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let (keys, writer, partition) = cut_off(lab, &old).await?;
    let cut = CutOff { not_before: partition.not_before(), in_effect: partition.in_effect() };

    // 2. The minority.
    refused(lab, &cut).await;
    let writes = lab.recorder().look(|timeline| timeline.writes.clone());
    if !lab.check("minority.refused", cut.refusal(&writes, &clocks(lab), Writer::EVERY)) {
        return Ok(());
    }

    // 3. The majority.
    let goes_on = "another primary, which takes writes";
    let observed = majority(lab, &old, &heir).await.map_or_else(|why| why, |()| goes_on.to_owned());
    if !lab.check("minority.majority-goes-on", Judgement::equal(goes_on, observed)) {
        return Ok(());
    }

    // 4. One cluster.
    lab.doing("healing the partition");
    partition.heal().await?;
    let one = "one owner of every slot in every view, and the old primary follows the new one";
    let observed = one_owner_each(lab, &old, &heir).await.map_or_else(|why| why, |()| one.to_owned());
    let writes = writer.stop().await;
    if !lab.check("minority.healed", Judgement::equal(one, observed)) {
        return Ok(());
    }

    // 5. The loss.
    let found = keys.found(&heir, &writes).await?;
    lab.check("minority.loss", cut.loss(&writes, &found, &clocks(lab)));
    let lost = loss(&writes, &found);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    tell_of_two_owners(lab, &old, &cut, &writes);
    Ok(())
}

/// Begins to write to the first shard from a place of its own, and cuts that off together with the primary.
async fn cut_off(lab: &Lab<Clusters>, old: &Arc<Node>) -> Result<(Keys, Writer, Partition), StepError> {
    let relay = Arc::new(lab.relay("client").await?);
    let (slot, keys) = keys(lab).swap_remove(0);
    let client = lab.client_of_slot(slot, Vantage::Relay(Arc::clone(&relay)));
    let writer = Writer::start_at(client, lab.recorder(), keys.clone(), true);
    a_few_acknowledged(lab).await?;
    seen_as_replica(lab, &lab.deployment().replicas()[0]).await?;
    let others = all_but(lab, &[old]);
    let split = Split::between(Side::from(old).and(&relay), Side::from(others.as_slice()));
    Ok((keys, writer, lab.partition(&split).await?))
}

/// Waits until the client is refused: whether it is, and when, is for the checker to say.
async fn refused(lab: &Lab<Clusters>, cut: &CutOff) {
    let look = async || match lab.recorder().look(|timeline| cut.refused(&timeline.writes)) {
        Some(_) => Seen::Ready(()),
        None => Seen::NotYet("acknowledged".to_owned()),
    };
    let _ = lab.wait("the client to be refused", Duration::from_secs(8), look).await;
}

/// Whether the others have another primary for the shard, take the cluster to be whole, and take a write.
async fn majority(lab: &Lab<Clusters>, old: &Node, heir: &Arc<Node>) -> Result<(), String> {
    let others = all_but(lab, &[old]);
    let promoted = lab.wait("the majority to promote its replica", STAGE, async || {
        match failover(lab, old).and_then(|failover| failover.new) {
            Some(new) if &new == heir.id() => Seen::Ready(()),
            Some(other) => Seen::NotYet(format!("{other} was promoted")),
            None => Seen::NotYet("nobody was promoted".to_owned()),
        }
    });
    promoted.await.map_err(|late| late.last_seen)?;
    state_everywhere(lab, &others, "ok").await?;
    let (_, keys) = keys(lab).swap_remove(0);
    let written = at(lab, heir).ask::<()>(&["SET", &keys.key(u64::MAX), "by the majority"]).await;
    written.map_err(|error| error.to_string())
}

/// For how long both the old primary and the new one took writes for the same slots.
fn tell_of_two_owners(lab: &mut Lab<Clusters>, old: &Node, cut: &CutOff, writes: &[Write]) {
    let promoted = failover(lab, old).and_then(|failover| failover.promoted);
    let Some((refused, promoted)) = cut.refused(writes).zip(promoted) else { return };
    let millis = |from: lab_report::evidence::At| refused.since(from).as_secs_f64() * 1000.0;
    lab.measure("acknowledged in isolation", millis(cut.not_before), "ms", "from the cut to the refusal");
    let note = "from the majority's promotion to the minority's refusal; 0 if the refusal came first";
    lab.measure("two owners", millis(promoted), "ms", note);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
