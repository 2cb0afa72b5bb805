use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::Votes,
    docker::{Node, Side, Split},
    wait::{Seen, pass},
    writer::Writer,
};
use lab_report::{
    evidence::{At, Outcome, Role, Write},
    judge::{Judgement, Witness, loss, seconds, undisturbed},
};
use rstest::rstest;

use super::{
    cluster_recovery::following,
    seen::a_few_acknowledged,
    slot_failover::{acknowledged_by, keys, owner_everywhere},
};
use crate::step::{Outcome as Step, step};

step!("cluster", "cluster-manual-failover", cluster(3).replicas(1), cluster_manual_failover);

/// Far above what a request lasts.
const STAGE: Duration = Duration::from_secs(20);
/// A request is forgotten after this: `CLUSTER_MF_TIMEOUT`.
const REQUEST: Duration = Duration::from_secs(5);
/// `clusterCron` runs ten times a second, and is what forgets it.
const CRON: Duration = Duration::from_millis(100);

/// A replica is told to take over from a healthy primary, under load: gracefully, by force, and without asking
/// anybody.
///
/// 1. An application writes to the first shard.
/// 2. The shard's replica is told to take over: every other node knows it as the owner of the slots.
/// 3. The old primary follows it, and synchronises.
/// 4. A majority voted for it; for a takeover nobody was asked.
/// 5. The application's writes are acknowledged by it.
/// 6. Gracefully nothing is lost, and the application saw no error; otherwise both are counted.
/// 7. The other way round by force, but out of the other primaries' reach: the replica stays a replica.
async fn cluster_manual_failover(lab: &mut Lab<Clusters>) -> Step {
    // 1. A load.
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let (_, names) = keys(lab).swap_remove(0);
    lab.doing("writing to the first shard, as an application");
    let client = lab.deployment().client().await?;
    let writer = Writer::start_at(client, lab.recorder(), names.clone(), true);
    a_few_acknowledged(lab).await?;
    let case = lab.case().unwrap_or_default().to_owned();

    // 2. The slots.
    let asked = lab.recorder().now();
    tell(lab, &heir, &case).await;
    let nodes = lab.deployment().primaries().iter().chain(lab.deployment().replicas());
    let others: Vec<Arc<Node>> = nodes.filter(|node| node.id() != old.id()).cloned().collect();
    let owned = lab.wait("every other node to know the owner", STAGE, async || {
        owner_everywhere(lab, &others, &heir).await
    });
    let all = "every other node knows the replica as their owner";
    let observed = owned.await.map_or_else(|late| late.last_seen, |()| all.to_owned());
    if !lab.check("manual.owned", Judgement::equal(all, observed)) {
        return Ok(());
    }

    // 3. The old primary.
    let follows = "it follows the new primary, and is synchronised";
    let seen = lab.wait("the old primary to follow", STAGE, async || synchronised(lab, &old, &heir).await);
    let observed = seen.await.map_or_else(|late| late.last_seen, |()| follows.to_owned());
    lab.check("manual.follows", Judgement::equal(follows, observed));
    let until = lab.recorder().now();

    // 4. Votes.
    let expected = if case == "takeover" { NOBODY } else { MAJORITY };
    let (votes, primaries) = (lab.deployment().votes(&heir).await?, lab.deployment().primaries().len());
    let judged = Judgement::equal(expected, elected(votes, primaries));
    lab.check("manual.votes", judged.evidence(format!("{votes:?}")));

    // 5. The application.
    let reached = "acknowledged by the new primary";
    let observed =
        acknowledged_by(lab, &heir, &names).await.map_or_else(|late| late, |()| reached.to_owned());
    let reached = lab.check("manual.client-follows", Judgement::equal(reached, observed));

    // 6. What it cost.
    let writes = writer.stop().await;
    report(lab, &heir, asked, &writes);
    let lost = loss(&writes, &names.found(&heir, &writes).await?);
    let note = format!("of {} acknowledged, over {} of writes", lost.acknowledged, seconds(lost.window));
    lab.measure("acknowledged writes lost", lost.lost as f64, "writes", &note);
    if case == "graceful" && reached {
        let judged = Judgement::equal("0 lost", format!("{} lost", lost.lost));
        lab.check("manual.loses-nothing", judged.evidence(format!("of {} acknowledged", lost.acknowledged)));
        let application = Witness { writes: &writes, from: asked, until };
        lab.check("manual.no-errors", undisturbed("every request is acknowledged", [application]));
    }

    // 7. Without a majority.
    if case == "force" {
        known_to_follow(lab, &others, &old, &heir).await?;
        let stays = in_vain(lab, &old).await?;
        lab.check("manual.needs-votes", stays);
    }
    Ok(())
}

const MAJORITY: &str = "a majority of the primaries voted for it";
const NOBODY: &str = "nobody was asked for a vote";

fn elected(votes: Votes, primaries: usize) -> &'static str {
    match votes {
        Votes { asked_for: 0, .. } => NOBODY,
        Votes { received, .. } if received * 2 > primaries as u64 => MAJORITY,
        _ => "it asked for votes, and got none of a majority",
    }
}

/// Tells a replica to take over. That it is told no is the step's to see, not to stumble over.
async fn tell(lab: &Lab<Clusters>, heir: &Node, case: &str) {
    let how = match case {
        "force" => Some("FORCE"),
        "takeover" => Some("TAKEOVER"),
        _ => None,
    };
    let words: Vec<&str> = ["CLUSTER", "FAILOVER"].into_iter().chain(how).collect();
    let answer = heir.ask::<String>(&words).await.unwrap_or_else(|error| error.to_string());
    lab.doing(&format!("{}: {answer}", words.join(" ")));
}

/// Waits until every one of `nodes` knows that a node follows another: nobody votes for a primary.
async fn known_to_follow(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
    replica: &Node,
    primary: &Node,
) -> Result<(), StepError> {
    let (cluster, name) = (lab.deployment(), lab.deployment().name_of(primary));
    let known = lab.wait("every node to know the old primary as a replica", STAGE, async || {
        for node in nodes {
            let view = cluster.view(node).await;
            let follows = view.is_ok_and(|view| {
                let member = view.member(cluster.name_of(replica));
                member.is_some_and(|member| member.follows.as_deref() == Some(name))
            });
            if !follows {
                return Seen::NotYet(format!("{} takes it for a primary", node.id()));
            }
        }
        Seen::Ready(())
    });
    Ok(known.await?)
}

/// Has a replica stand for election where only its own primary can vote, until its request is forgotten. Nobody is
/// to be elected after that: a request may reach a voter when the links are back, who then votes, and for that
/// shard not again for two node timeouts.
async fn in_vain(lab: &Lab<Clusters>, replica: &Arc<Node>) -> Result<Judgement, StepError> {
    let others = &lab.deployment().primaries()[1..];
    let cut = lab.partition(&Split::between(replica, Side::from(others))).await?;
    tell(lab, replica, "force").await;
    pass(REQUEST + CRON * 2).await;
    let votes = lab.deployment().votes(replica).await?;
    let stays = "it asked for votes, and stays a replica";
    let judged = match (replica.info().await?.role(), votes.asked_for) {
        (Role::Replica, 0) => Judgement::unknown(stays, "it asked nobody for a vote"),
        (Role::Replica, _) => Judgement::equal(stays, stays),
        _ => Judgement::equal(stays, "it is primary"),
    };
    cut.heal().await?;
    Ok(judged.evidence(format!("{votes:?}")))
}

/// Whether a node follows another, and has its data.
pub(super) async fn synchronised(lab: &Lab<Clusters>, old: &Node, heir: &Node) -> Seen<()> {
    match (following(lab, old, heir).await, old.info().await) {
        (Seen::Ready(()), Ok(info)) if info.link_up() == Some(true) => Seen::Ready(()),
        (Seen::Ready(()), Ok(_)) => {
            Seen::NotYet("it follows the new primary, and is not synchronised".to_owned())
        }
        (Seen::Ready(()), Err(error)) => Seen::NotYet(error.to_string()),
        (not_yet, _) => not_yet,
    }
}

/// How long it took, and what the application noticed of it.
fn report(lab: &mut Lab<Clusters>, heir: &Node, asked: At, writes: &[Write]) {
    let promoted = lab.recorder().look(|timeline| {
        let became = |change: &&lab_report::evidence::RoleChange| {
            change.at >= asked && &change.node == heir.id() && change.role == Role::Primary
        };
        timeline.roles.iter().find(became).map(|change| change.at)
    });
    let millis = |length: Duration| length.as_secs_f64() * 1000.0;
    if let Some(promoted) = promoted {
        lab.measure(
            "promotion",
            millis(promoted.since(asked)),
            "ms",
            "from the request to the replica being primary",
        );
    }
    let since: Vec<&Write> = writes.iter().filter(|write| write.done >= asked).collect();
    let longest = since.iter().map(|write| write.done.since(write.intended)).max().unwrap_or_default();
    lab.measure("longest call", millis(longest), "ms", "of the application, since the request");
    let failed = since.iter().filter(|write| write.outcome != Outcome::Acknowledged).count();
    lab.measure("failed calls", failed as f64, "calls", &format!("of {} since the request", since.len()));
}

#[rstest]
#[case::graceful("graceful")]
#[case::force("force")]
#[case::takeover("takeover")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
