use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError,
    client::Vantage,
    cluster,
    docker::{FaultKind, Node},
    pubsub::Channel,
    writer::KEYS,
};
use lab_report::{
    evidence::{At, End, Traffic},
    judge::{Cause, Notice, Upheaval, all_passed_on, at_most_once, complete, lost_only_while_away, renewed},
};
use rstest::rstest;

use super::{
    messages::{Hall, close, everybody_hears, everybody_is_back, habits, measure, name_in},
    seen::{PATIENCE, all_but, at},
    slot_failover::{clocks, failover},
};
use crate::step::{Outcome, step};

step!("cluster", "pubsub-failover", cluster(3).replicas(1), pubsub_failover);

/// Of the ordinary channel.
const AT_THE_LOST: &str = "at the lost node";
const ELSEWHERE: [&str; 2] = ["at another primary", "at another replica"];
/// Of the first shard's channel.
const AT_THE_OWNER: &str = "at the shard's primary";
const AT_THE_REPLICA: &str = "at the shard's replica";

/// A primary is lost with the subscribers that it had, under messages on an ordinary and on a sharded channel.
///
/// 1. Two nodes that will live publish on an ordinary channel, the first shard's primary and its replica on a channel
///    of the shard. There are subscribers at both of these, and elsewhere. Then the primary is lost.
/// 2. The subscribers that it had subscribe again: of the ordinary channel at another node, of the sharded one at its
///    successor.
/// 3. Elsewhere nothing of the ordinary channel is missing.
/// 4. The shard's replica takes messages all the while, and passes them on to whoever is subscribed there.
/// 5. The lost node's subscribers are back when their clocks, and the nodes', say.
/// 6. They missed what was published while they were away, and nothing else.
/// 7. By no subscription did anything arrive twice, or out of order.
async fn pubsub_failover(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Messages, and the loss.
    let old = Arc::clone(&lab.deployment().primaries()[0]);
    let survivors = all_but(lab, &[&old]);
    let before = lab.deployment().epoch(&survivors).await?;
    let (ordinary, sharded) = (ordinary(lab), sharded(lab));
    everybody_hears(lab, &[&ordinary, &sharded]).await?;
    let (upheaval, notice) = lose(lab, &old).await?;

    // 2. Back.
    let lost = [(&ordinary, AT_THE_LOST), (&sharded, AT_THE_OWNER)];
    everybody_is_back(lab, &lost, upheaval.from, &[&ordinary, &sharded]).await?;
    let [ordinary, sharded] = close(lab, [ordinary, sharded]).await;

    // 3. Elsewhere.
    let all = "every message is acknowledged, and arrives at every other node";
    lab.check("pubsub.elsewhere", complete(all, &[ordinary.heard_by(&ELSEWHERE)]));

    // 4. The replica. Nobody is in its primary's place before the others have missed that for a node timeout.
    let all = "every message is acknowledged, and passed on";
    let alone = (upheaval.in_effect, At(upheaval.from.0 + clocks(lab).node_timeout));
    lab.check("pubsub.replica-serves", all_passed_on(all, &sharded.published[1..], alone));

    // 5. How soon.
    let elections = lab.deployment().epoch(&survivors).await?.saturating_sub(before);
    let failover = failover(lab, &old).ok_or("there was no fault")?;
    let (habits, clocks) = (habits(&(STEP.topology)()), clocks(lab));
    let took = took(&ordinary, AT_THE_LOST, &upheaval);
    lab.check("pubsub.moves-on", habits.elsewhere(&upheaval, notice, &clocks, took));
    let took = self::took(&sharded, AT_THE_OWNER, &upheaval);
    let judgement = habits.at_the_successor(&failover, notice, &clocks, elections.saturating_sub(1), took);
    lab.check("pubsub.resubscribed", judgement);

    // 6. What they missed.
    tell(lab, &ordinary, &sharded, &upheaval);
    let away = [ordinary.heard_by(&[AT_THE_LOST]), sharded.clone()];
    lab.check("pubsub.window", lost_only_while_away(&away, &upheaval));

    // 7. Once.
    lab.check("pubsub.once", at_most_once(&[ordinary, sharded]));
    Ok(())
}

/// A channel of all nodes: two that will live publish, and one listens at the node that will be lost.
fn ordinary(lab: &Lab<Clusters>) -> Hall {
    let (primaries, replicas) = (lab.deployment().primaries(), lab.deployment().replicas());
    let channel = Channel::ordinary(format!("{KEYS}news"));
    let publishers = [(1, &primaries[1]), (2, &replicas[1])];
    let seats = [(AT_THE_LOST, &primaries[0]), (ELSEWHERE[0], &primaries[2]), (ELSEWHERE[1], &replicas[2])];
    Hall {
        publishers: publishers.map(|(number, node)| lab.publisher(number, at(lab, node), &channel)).into(),
        subscribers: seats.map(|(name, node)| lab.subscriber(name, node, &channel)).into(),
    }
}

/// A channel of the first shard: one publishes at whoever owns its slot, and one at the replica, and there is a
/// subscriber at either.
///
/// On Redis 7.0 the replica's subscriber keeps its subscription through the promotion. Since 7.2, and on Valkey, the
/// replica ends it in that moment, and says so (`clusterDelSlot`).
fn sharded(lab: &Lab<Clusters>) -> Hall {
    let (primary, replica) = (&lab.deployment().primaries()[0], &lab.deployment().replicas()[0]);
    let share = &lab.deployment().topology().shares()[0];
    let channel = Channel::sharded(name_in(share, &[]));
    let of_owner = lab.client_of_slot(channel.slot(), Vantage::Host);
    let of_replica = lab.client_of(replica).patient(PATIENCE);
    let seats = [(AT_THE_OWNER, primary), (AT_THE_REPLICA, replica)];
    Hall {
        publishers: vec![lab.publisher(3, of_owner, &channel), lab.publisher(4, of_replica, &channel)],
        subscribers: seats.map(|(name, node)| lab.subscriber(name, node, &channel)).into(),
    }
}

/// Loses the primary, for good.
async fn lose(lab: &Lab<Clusters>, primary: &Arc<Node>) -> Result<(Upheaval, Notice), StepError> {
    let (kind, notice) = match lab.case() {
        Some("crash") => (FaultKind::Crash, Notice::Reset),
        Some("hold") => (FaultKind::Hold, Notice::Silence),
        other => return Err(format!("no such case: {other:?}").into()),
    };
    let fault = lab.inject(kind, primary).await?;
    let upheaval = Upheaval {
        cause: Cause::Lost(primary.id().clone()),
        from: fault.not_before(),
        in_effect: fault.in_effect(),
        passing_on: clocks(lab).scheduling,
    };
    Ok((upheaval, notice))
}

/// How soon after the loss a subscriber was subscribed elsewhere.
fn took(channel: &Traffic, subscriber: &str, upheaval: &Upheaval) -> Option<Duration> {
    renewed(&channel.heard_by(&[subscriber]).listened, upheaval.from, &[End::Broken, End::Silent])
}

/// For how long everybody was away, and what they missed.
fn tell(lab: &mut Lab<Clusters>, ordinary: &Traffic, sharded: &Traffic, upheaval: &Upheaval) {
    measure(lab, ordinary, AT_THE_LOST, upheaval.from);
    measure(lab, sharded, AT_THE_OWNER, upheaval.from);
    measure(lab, sharded, AT_THE_REPLICA, upheaval.from);
}

#[rstest]
#[case::crash("crash")]
#[case::hold("hold")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
