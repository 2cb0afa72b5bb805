use std::time::Duration;

use failover_lab::{Clusters, Lab, cluster, cluster::View, wait::Seen};
use lab_report::{Slot, judge::Judgement};

use crate::step::{Outcome, alike, step};

step!("cluster", "cluster-creation", cluster(3).replicas(1).unformed(), cluster_creation);

/// A replica calls its primary once a second (`replicationCron`), and gets data that is next to nothing.
const SYNCHRONISED: Duration = Duration::from_secs(10);

/// Nodes that stand alone become a cluster, the way everybody does it.
///
/// 1. `redis-cli --cluster create`, and its answer.
/// 2. Every node takes the cluster to be whole, and all of them see the same.
/// 3. Every slot has one owner.
/// 4. The primaries' shares are even: 5461, 5462 and 5461 slots.
/// 5. Every primary has its replica, and the replica its data.
async fn cluster_creation(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The command.
    lab.doing("redis-cli --cluster create");
    let printed = lab.deployment().create().await?;

    // 2. One view.
    let agreed = agreement(lab).await;
    let seen = agreed.as_ref().map_or_else(|late| late.clone(), |_| "the same, and whole".to_owned());
    let agree = Judgement::equal("the same, and whole", seen);
    if !lab.check("creation.agreed", agree.evidence(printed.lines().last().unwrap_or_default())) {
        return Ok(());
    }
    let view = agreed?;

    // 3. One owner.
    let owners = |slot: Slot| view.shards().filter(|member| member.slots.contains(slot)).count();
    let (nobody, several) = Slot::all().map(owners).fold((0, 0), |(nobody, several), owners| match owners {
        0 => (nobody + 1, several),
        1 => (nobody, several),
        _ => (nobody, several + 1),
    });
    let observed = format!("{nobody} slots without an owner, {several} with several");
    let covered =
        lab.check("creation.covered", Judgement::equal("0 slots without an owner, 0 with several", observed));
    if !covered {
        return Ok(());
    }

    // 4. Even shares.
    let mut shares: Vec<_> =
        view.shards().map(|member| (member.slots.to_string(), member.slots.len())).collect();
    shares.sort_by_key(|(slots, _)| slots.split('-').next().and_then(|first| first.parse::<u16>().ok()));
    let sizes: Vec<String> = shares.iter().map(|(_, size)| size.to_string()).collect();
    lab.check(
        "creation.shares",
        Judgement::equal("5461, 5462, 5461 slots", format!("{} slots", sizes.join(", "))),
    );

    // 5. A replica each.
    let linked = lab.wait("the replicas to synchronise", SYNCHRONISED, async || replicas(lab, &view).await);
    let observed = linked.await.unwrap_or_else(|late| late.last_seen);
    lab.check("creation.replicas", Judgement::equal("1 of each primary, synchronised", observed));
    Ok(())
}

/// How many replicas each primary has in a view, once all of them say that they are synchronised.
async fn replicas(lab: &Lab<Clusters>, view: &View) -> Seen<String> {
    let called =
        |name: &str| lab.deployment().named(name).map_or(name.to_owned(), |node| node.id().to_string());
    let mut of_each = Vec::new();
    for primary in view.shards() {
        for replica in view.replicas_of(&primary.id) {
            let Some(node) = lab.deployment().named(&replica.id) else {
                return Seen::NotYet(format!("nobody knows {}", replica.id));
            };
            match node.info().await.map(|info| info.link_up()) {
                Ok(Some(true)) => {}
                Ok(_) => return Seen::NotYet(format!("{} is not synchronised", node.id())),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
        }
        of_each.push((called(&primary.id), view.replicas_of(&primary.id).count().to_string()));
    }
    Seen::Ready(format!("{} of each primary, synchronised", alike(of_each)))
}

/// The view that all nodes have, once each of them says that the cluster is whole. `redis-cli` does not wait
/// for the last of them: a gossip every half node timeout, and the writable delay of 2 s.
pub(super) async fn agreement(lab: &Lab<Clusters>) -> Result<View, String> {
    let budget = Duration::from_secs(10);
    let cluster = lab.deployment();
    let look = || async {
        let (mut views, mut states) = (Vec::new(), Vec::new());
        for node in cluster.primaries().iter().chain(cluster.replicas()) {
            let of = |what: String| (node.id().to_string(), what);
            match cluster.view(node).await {
                Ok(view) => views.push((node.id().to_string(), view)),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
            states.push(of(cluster.state(node).await.unwrap_or_else(|error| error.to_string())));
        }
        let states = alike(states);
        let one = alike(views.iter().map(|(who, view)| (who.clone(), view.configuration())).collect());
        match (states.as_str(), views.pop()) {
            ("ok", Some((_, view))) if one == view.configuration() => Seen::Ready(view),
            ("ok", _) => Seen::NotYet("not the same".to_owned()),
            (states, _) => Seen::NotYet(format!("cluster_state is {states}")),
        }
    };
    lab.wait("all nodes to see one cluster", budget, look).await.map_err(|late| late.last_seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
