//! A load on a cluster whose slots move, by a client that knows of clusters, and what becomes of it.

use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    cluster::{Lane, Progress, Stage},
    docker::Node,
    wait::pass,
    writer::{Keys, Writer},
};
use lab_report::{
    Slot,
    evidence::{At, Write},
    judge::{Judgement, Redirected, Redirection, Witness, loss, met, none_lost, undisturbed},
};
use redis::Pipeline;

use super::seen::{A_WHILE, a_few_acknowledged, at, redirected_so_far};

/// Something for the slots to have in them: three keys in each, or nearly.
const FILLED: usize = 50_000;
/// Often enough for whoever watches.
const TELL_EVERY: usize = 512;
/// A node that sends keys away answers nobody meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writers: one to all slots, and one to a slot of every lane that is to move.
pub(super) struct Load {
    writers: Vec<(Keys, Writer)>,
    /// How often clients had been sent elsewhere when they began.
    before: Redirected,
}

/// What they wrote, and how often they were sent elsewhere: nobody else was.
pub(super) struct Written {
    by: Vec<(Keys, Vec<Write>)>,
    redirected: Redirected,
}

impl Load {
    /// Fills the slots, and begins to write.
    pub(super) async fn begin(lab: &Lab<Clusters>, lanes: &[Lane]) -> Result<Self, StepError> {
        fill(lab).await?;
        let before = redirected_so_far(lab).await?;
        lab.doing("writing to all slots, and to one of every lane");
        let client = lab.deployment().client().await?;
        let of_lanes = lanes.iter().map(|lane| Keys::tagged(&tag_in(&lane.slots)));
        let writers = [Keys::default()].into_iter().chain(of_lanes).enumerate().map(|(number, keys)| {
            (keys.clone(), Writer::start_at(client.clone(), lab.recorder(), keys, number == 0))
        });
        let writers = writers.collect();
        a_few_acknowledged(lab).await?;
        Ok(Self { writers, before })
    }

    /// Stops to write, after a while.
    pub(super) async fn end(self, lab: &Lab<Clusters>) -> Result<Written, StepError> {
        pass(A_WHILE).await;
        let mut by = Vec::new();
        for (keys, writer) in self.writers {
            by.push((keys, writer.stop().await));
        }
        Ok(Written { by, redirected: redirected_so_far(lab).await?.since(self.before) })
    }
}

/// Writes the application's keys, each where it belongs.
async fn fill(lab: &Lab<Clusters>) -> Result<(), StepError> {
    lab.doing("filling the slots");
    let keys: Vec<String> = (0..FILLED).map(|number| lab.application().key(number)).collect();
    for primary in lab.deployment().primaries() {
        let mut pipeline = Pipeline::new();
        for key in &keys {
            if lab.deployment().first_owner(Slot::of(key)).id() == primary.id() {
                pipeline.cmd("SET").arg(key).arg("x").ignore();
            }
        }
        at(lab, primary).patient(Duration::from_secs(20)).pipeline::<()>(&pipeline).await?;
    }
    Ok(())
}

/// A tag whose slot is one of these.
pub(super) fn tag_in(slots: &[Slot]) -> String {
    let mut tags = (0..).map(|number: u32| number.to_string());
    tags.find(|tag| slots.contains(&Slot::of(tag))).expect("some number is in every slot")
}

/// Moves slots under the load, and says how far it is. It lasted from one of the instants that are returned to the
/// other.
pub(super) async fn shift(lab: &mut Lab<Clusters>, lanes: &[Lane]) -> Result<(At, At), StepError> {
    let began = lab.recorder().now();
    let tell = |stage| match stage {
        Stage::Moved(Progress { slot, moved, of }) if moved % TELL_EVERY == 0 || moved == of => {
            lab.doing(&format!("{moved} of {of} slots have moved, {slot} the last of them"));
        }
        Stage::Moved(_) | Stage::SomeKeysMoved => {}
    };
    log_from(lab, "warning").await?;
    let moved = lab.deployment().reshard(lanes, tell).await;
    let ended = lab.recorder().now();
    // Whoever looks for why a move failed reads these logs.
    let logged = log_from(lab, "notice").await;
    moved.and(logged)?;
    let slots: usize = lanes.iter().map(|lane| lane.slots.len()).sum();
    let note = format!("{slots} slots, under load");
    lab.measure("slots moved in", ended.since(began).as_secs_f64() * 1000.0, "ms", &note);
    Ok((began, ended))
}

/// What nodes tell their logs. Valkey tells it of every change of every slot: thousands of lines a node, which cost the
/// container engine more than the moves do, and push everything else out of what is kept.
async fn log_from(lab: &Lab<Clusters>, level: &str) -> Result<(), StepError> {
    for node in lab.deployment().members() {
        node.ask_within::<()>(&["CONFIG", "SET", "loglevel", level], PATIENCE).await?;
    }
    Ok(())
}

/// Of the requests since slots began to move, none failed, though some went to who had no longer what they were for.
///
/// How long a request may take is nobody's promise: a node that sends keys away answers nobody else meanwhile, and by
/// no clock. So the slowest one is a figure.
pub(super) fn none_failed(lab: &mut Lab<Clusters>, written: &Written, (from, until): (At, At)) -> Judgement {
    let writes = written.by.iter().flat_map(|(_, writes)| writes);
    if let Some(slowest) = writes.filter(|write| write.done >= from).map(Write::latency).max() {
        let note = "from its intended time, since slots began to move";
        lab.measure("slowest write", slowest.as_secs_f64() * 1000.0, "ms", note);
    }
    // Whether anybody asks for a key in the moment in which its slot is open is chance, and no claim.
    let witnesses = written.by.iter().map(|(_, writes)| Witness { writes, from, until });
    met(undisturbed("every request is acknowledged", witnesses), written.redirected, &[Redirection::Moved])
}

/// Whether all that was acknowledged is there, and what the slots were filled with. `nodes` are the cluster.
pub(super) async fn all_kept(
    lab: &Lab<Clusters>,
    written: &Written,
    nodes: &[Arc<Node>],
) -> Result<Judgement, StepError> {
    lab.doing("reading everything back");
    let client = lab.deployment().client_by(nodes).await?;
    let mut losses = Vec::new();
    for (keys, writes) in &written.by {
        losses.push(loss(writes, &keys.found_by(&client, writes).await?));
    }
    losses.push(loss_of_filling(lab, nodes).await?);
    Ok(none_lost(&losses))
}

/// What is left of what the slots were filled with.
async fn loss_of_filling(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
) -> Result<lab_report::judge::Loss, StepError> {
    let view = lab.deployment().view(&nodes[0]).await?;
    let mut found = 0;
    for member in view.shards() {
        let node = lab.deployment().named(&member.id).ok_or("an owner that is no node")?;
        let keys = (0..FILLED).map(|number| lab.application().key(number));
        let mut pipeline = Pipeline::new();
        for key in keys.filter(|key| member.slots.contains(Slot::of(key))) {
            pipeline.cmd("EXISTS").arg(key);
        }
        let there: Vec<bool> = at(lab, node).patient(Duration::from_secs(20)).pipeline(&pipeline).await?;
        found += there.into_iter().filter(|there| *there).count();
    }
    Ok(lab_report::judge::Loss { acknowledged: FILLED, lost: FILLED - found, ..Default::default() })
}
