use std::sync::Arc;

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::{ClusterClient, Lane},
    docker::Node,
    pubsub::Channel,
    writer::KEYS,
};
use lab_report::{
    evidence::{At, End, Traffic},
    judge::{Cause, Upheaval, all_acknowledged, at_most_once, complete, lost_only_while_away, renewed},
};

use super::{
    messages::{Hall, close, everybody_hears, everybody_is_back, habits, measure, name_in},
    seen::at,
    slot_failover::clocks,
};
use crate::step::{Outcome, step};

step!("cluster", "pubsub-slot-move", cluster(3).replicas(1), pubsub_slot_move);

/// Of the channel whose slot moves.
const MOVING: [&str; 2] = ["at the slot's primary", "at the slot's replica"];

/// A slot moves to another shard with its sharded channel, under messages on that and on two others.
///
/// 1. Clients that know of clusters publish on two channels of the second shard, and somebody on an ordinary one.
///    There are subscribers at the shard's primary, at its replica, and elsewhere. Then one channel's slot moves.
/// 2. Its subscribers are told, and subscribe at its new owner.
/// 3. Who publishes sees no error.
/// 4. The subscribers are back as soon as the nodes' gossip and their own clocks say.
/// 5. They missed what was published while they were away, and nothing else.
/// 6. Nothing is missing on the other channels.
/// 7. By no subscription did anything arrive twice, or out of order.
async fn pubsub_slot_move(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Messages, and the move.
    let [from, to] = [1, 0].map(|shard: usize| Arc::clone(&lab.deployment().primaries()[shard]));
    let client = lab.deployment().client().await?;
    let (channel, moving) = moving(lab, &client);
    let (staying, ordinary) = (staying(lab, &client, &channel), ordinary(lab));
    everybody_hears(lab, &[&moving, &staying, &ordinary]).await?;
    let upheaval = shift(lab, &channel, from, to).await?;

    // 2. Back.
    let told = MOVING.map(|name| (&moving, name));
    everybody_is_back(lab, &told, upheaval.from, &[&moving, &staying, &ordinary]).await?;
    let [moving, staying, ordinary] = close(lab, [moving, staying, ordinary]).await;

    // 3. Publishers.
    let acknowledged = "every message is acknowledged";
    lab.check("slotmove.published", all_acknowledged(acknowledged, &moving.published));
    slowest(lab, &moving, upheaval.from);

    // 4. How soon.
    let took = renewed(&moving.listened, upheaval.from, &[End::Told]);
    let judgement = habits(&(STEP.topology)()).at_the_new_owner(&upheaval, &clocks(lab), took);
    lab.check("slotmove.resubscribed", judgement);

    // 5. What they missed.
    MOVING.iter().for_each(|name| measure(lab, &moving, name, upheaval.from));
    let all = [moving, staying, ordinary];
    lab.check("slotmove.window", lost_only_while_away(&all[..1], &upheaval));

    // 6. The others.
    let everything = "every message is acknowledged, and arrives at every subscriber";
    lab.check("slotmove.others", complete(everything, &all[1..]));

    // 7. Once.
    lab.check("slotmove.once", at_most_once(&all));
    Ok(())
}

/// A channel of the second shard, with two publishers, and a subscriber at either of its nodes.
fn moving(lab: &Lab<Clusters>, client: &ClusterClient) -> (Channel, Hall) {
    let channel = Channel::sharded(name_in(&lab.deployment().topology().shares()[1], &[]));
    let nodes = [&lab.deployment().primaries()[1], &lab.deployment().replicas()[1]];
    let seats = MOVING.iter().zip(nodes);
    let hall = Hall {
        publishers: [1, 2].map(|number| lab.publisher(number, client.clone(), &channel)).into(),
        subscribers: seats.map(|(name, node)| lab.subscriber(name, node, &channel)).collect(),
    };
    (channel, hall)
}

/// Another channel of the same shard, in another slot, with a subscriber at the same primary.
fn staying(lab: &Lab<Clusters>, client: &ClusterClient, moving: &Channel) -> Hall {
    let channel = Channel::sharded(name_in(&lab.deployment().topology().shares()[1], &[moving.slot()]));
    let primary = &lab.deployment().primaries()[1];
    Hall {
        publishers: vec![lab.publisher(3, client.clone(), &channel)],
        subscribers: vec![lab.subscriber("of another slot", primary, &channel)],
    }
}

/// A channel of all nodes.
fn ordinary(lab: &Lab<Clusters>) -> Hall {
    let channel = Channel::ordinary(format!("{KEYS}news"));
    let (primaries, replicas) = (lab.deployment().primaries(), lab.deployment().replicas());
    let seats = [("of an ordinary channel", &primaries[1]), ("of it, elsewhere", &replicas[0])];
    Hall {
        publishers: vec![lab.publisher(4, at(lab, &replicas[2]), &channel)],
        subscribers: seats.map(|(name, node)| lab.subscriber(name, node, &channel)).into(),
    }
}

/// Moves the channel's slot.
async fn shift(
    lab: &Lab<Clusters>,
    channel: &Channel,
    from: Arc<Node>,
    to: Arc<Node>,
) -> Result<Upheaval, StepError> {
    lab.doing("moving the slot");
    let began = lab.recorder().now();
    lab.deployment().reshard(&[Lane { from, to, slots: vec![channel.slot()] }], |_| ()).await?;
    Ok(Upheaval {
        cause: Cause::Moved,
        from: began,
        in_effect: lab.recorder().now(),
        passing_on: clocks(lab).scheduling,
    })
}

/// Puts on record for how long a message waited to be acknowledged at most. By what clock, nothing says.
fn slowest(lab: &mut Lab<Clusters>, moving: &Traffic, from: At) {
    let messages = moving.published.iter().flat_map(|published| &published.messages);
    let waited = messages.filter(|message| message.answered >= from);
    if let Some(slowest) = waited.map(|message| message.answered.since(message.asked)).max() {
        let note = "on the channel whose slot moves, since it began to";
        lab.measure("slowest message", slowest.as_secs_f64() * 1000.0, "ms", note);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
