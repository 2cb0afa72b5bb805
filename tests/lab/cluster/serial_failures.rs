use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    docker::{Fault, FaultKind, Node},
    wait::Seen,
};
use lab_report::judge::{Judgement, SlotFailover};

use super::{
    cluster_recovery::following,
    seen::{all_but, at, key_of, one_owner_each, seen_as_replica, state_everywhere},
    slot_failover::{STAGE, clocks, failover},
};
use crate::step::{Outcome, step};

step!("cluster", "serial-failures", cluster(3).replicas(1), serial_failures);

const KEYS: usize = 100;

/// A primary fails over to its replica, comes back, and takes over again when its successor dies.
///
/// 1. The first primary dies; its replica takes over, by the nodes' clocks.
/// 2. Keys are written to the new primary; the first one returns and follows it.
/// 3. The new primary dies as well; the first one takes over again, as quickly.
/// 4. It has what was written while it was away.
/// 5. The other one returns: every slot has one owner in every view.
async fn serial_failures(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. There.
    let (one, other) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let there = Replaced::wait(lab, &one, &other).await?;
    if !lab.check("serial.first", there.judged) {
        return Ok(());
    }

    // 2. Back, as a replica.
    state_everywhere(lab, &all_but(lab, &[&one]), "ok").await?;
    write(lab, &other).await?;
    lab.heal(there.fault).await?;
    let follows = "it follows its successor, and everybody votes for it";
    let observed = follower(lab, &one, &other).await.map_or_else(|why| why, |()| follows.to_owned());
    if !lab.check("serial.returned", Judgement::equal(follows, observed)) {
        return Ok(());
    }

    // 3. And back again.
    let back = Replaced::wait(lab, &other, &one).await?;
    if !lab.check("serial.second", back.judged) {
        return Ok(());
    }
    for (name, took) in [("first promotion", there.took), ("second promotion", back.took)] {
        lab.measure(name, took.as_secs_f64() * 1000.0, "ms", "from the crash to the replica being primary");
    }

    // 4. The data.
    state_everywhere(lab, &all_but(lab, &[&other]), "ok").await?;
    let found = found(lab, &one).await?;
    lab.check("serial.kept", Judgement::equal(format!("{KEYS} of {KEYS}"), format!("{found} of {KEYS}")));

    // 5. One cluster.
    lab.heal(back.fault).await?;
    let one_each = "one owner of every slot in every view, and the last to return follows the first";
    let agreed = one_owner_each(lab, &other, &one).await;
    let observed = agreed.map_or_else(|why| why, |()| one_each.to_owned());
    lab.check("serial.agreed", Judgement::equal(one_each, observed));
    Ok(())
}

/// A primary that died, and how it was replaced.
pub(super) struct Replaced {
    pub(super) fault: Fault,
    pub(super) judged: Judgement,
    pub(super) took: Duration,
}

impl Replaced {
    /// Kills a primary, and waits for its heir.
    pub(super) async fn wait(
        lab: &Lab<Clusters>,
        primary: &Arc<Node>,
        heir: &Arc<Node>,
    ) -> Result<Self, StepError> {
        let left = all_but(lab, &[primary]);
        seen_as_replica(lab, heir).await?;
        let before = lab.deployment().epoch(&left).await?;
        let fault = lab.inject(FaultKind::Crash, primary).await?;
        // When, and whether at all, is for the checker to say.
        let _ = lab
            .wait("its replica to become primary", STAGE, async || {
                match failover(lab, primary).and_then(|failover| failover.new) {
                    Some(new) if &new == heir.id() => Seen::Ready(()),
                    _ => Seen::NotYet("it did not".to_owned()),
                }
            })
            .await;
        let elections = lab.deployment().epoch(&left).await?.saturating_sub(before);
        let failover = failover(lab, primary).ok_or("there was no fault")?;
        let SlotFailover { began, promoted, .. } = failover;
        let took = promoted.map_or(Duration::ZERO, |promoted| promoted.since(began));
        Ok(Self { fault, judged: failover.promotion(&clocks(lab), elections.saturating_sub(1)), took })
    }
}

/// Writes what a node that is away misses.
async fn write(lab: &Lab<Clusters>, primary: &Node) -> Result<(), StepError> {
    let (client, tag) = (at(lab, primary), key_of(lab, 0));
    for number in 0..KEYS {
        client.ask::<()>(&["SET", &key(&tag, number), "written"]).await?;
    }
    Ok(())
}

/// How much of it a node has.
async fn found(lab: &Lab<Clusters>, primary: &Node) -> Result<usize, StepError> {
    let (client, tag) = (at(lab, primary), key_of(lab, 0));
    let mut found = 0;
    for number in 0..KEYS {
        found += usize::from(client.ask::<Option<String>>(&["GET", &key(&tag, number)]).await?.is_some());
    }
    Ok(found)
}

fn key(tag: &str, number: usize) -> String {
    format!("{{{tag}}}:meanwhile:{number}")
}

/// Waits until `old` follows `new`, has its data, and is known as its replica by those who vote.
async fn follower(lab: &Lab<Clusters>, old: &Node, new: &Node) -> Result<(), String> {
    let cluster = lab.deployment();
    let (own, name) = (cluster.name_of(old), cluster.name_of(new));
    let known = lab.wait("it to follow its successor", STAGE, async || {
        if let Seen::NotYet(why) = following(lab, old, new).await {
            return Seen::NotYet(why);
        }
        if !old.info().await.is_ok_and(|info| info.link_up() == Some(true)) {
            return Seen::NotYet("it has not synchronised".to_owned());
        }
        for voter in &cluster.primaries()[1..] {
            let view = match cluster.view(voter).await {
                Ok(view) => view,
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            if view.member(own).and_then(|member| member.follows.as_deref()) != Some(name) {
                return Seen::NotYet(format!("{} takes it for something else", voter.id()));
            }
        }
        Seen::Ready(())
    });
    known.await.map_err(|late| late.last_seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
