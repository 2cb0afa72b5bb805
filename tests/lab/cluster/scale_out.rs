use std::sync::Arc;

use failover_lab::{Clusters, Lab, StepError, cluster, docker::Node};
use lab_report::{
    NodeId,
    judge::{Judgement, balanced},
};

use super::moving::{Load, all_kept, none_failed, shift};
use crate::step::{Outcome, step};

step!("cluster", "scale-out", cluster(3).replicas(1).spares(2), scale_out);

/// A fourth shard joins a running cluster of three, and gets its share of the slots under load.
///
/// 1. A client that knows of clusters writes, to all slots and to some that will move.
/// 2. A primary joins, and a replica of it; the slots move.
/// 3. Every node sees four shards.
/// 4. No request failed, and nothing that was acknowledged is lost.
/// 5. Every primary has a quarter of the slots, within 2 %.
/// 6. The new primary's replica is in another zone, and has its data.
async fn scale_out(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The load.
    let there = lab.deployment().members().to_vec();
    let new = lab.deployment().spares().to_vec();
    let all: Vec<Arc<Node>> = there.iter().chain(&new).cloned().collect();
    let [primary, replica] = &new[..] else { return Err("the step needs two nodes that stand alone".into()) };
    let lanes = lab.deployment().plan(&weighted(lab, primary)).await?;
    let load = Load::begin(lab, &lanes).await?;

    // 2. Who joins, and what moves.
    let four = "four shards of eight nodes, in every view";
    if let Err(why) = join(lab, &there, primary, replica).await {
        load.end(lab).await?;
        lab.check("scaleout.shards", Judgement::equal(four, why.to_string()));
        return Ok(());
    }
    let moved = shift(lab, &lanes).await?;

    // 3. One view.
    let observed = match lab.deployment().stands_of(&all).await {
        Ok(()) => shards(lab, &all).await?,
        Err(late) => late.last_seen,
    };
    let agreed = lab.check("scaleout.shards", Judgement::equal(four, observed));
    let written = load.end(lab).await?;
    if !agreed {
        return Ok(());
    }

    // 4. The load's end.
    let undisturbed = none_failed(lab, &written, moved);
    lab.check("scaleout.undisturbed", undisturbed);
    let kept = all_kept(lab, &written, &all).await?;
    lab.check("scaleout.kept", kept);

    // 5. Shares.
    let owned = owned(lab, primary).await?;
    lab.check("scaleout.balanced", balanced(&owned, "slots", 2.0));

    // 6. The replica.
    let apart = if primary.zone() == replica.zone() { "in the same zone" } else { "in another zone" };
    let data = copied(primary, replica).await?;
    let expected = "in another zone, with all of its keys";
    lab.check("scaleout.replica", Judgement::equal(expected, format!("{apart}, {data}")));
    Ok(())
}

/// The primaries, and the new one with its weight.
fn weighted(lab: &Lab<Clusters>, new: &Arc<Node>) -> Vec<(Arc<Node>, f64)> {
    let weight = lab.deployment().topology().weight_of_spares;
    let there = lab.deployment().primaries().iter().map(|node| (Arc::clone(node), 1.0));
    there.chain([(Arc::clone(new), weight)]).collect()
}

/// A primary and its replica join.
async fn join(
    lab: &Lab<Clusters>,
    there: &[Arc<Node>],
    primary: &Arc<Node>,
    replica: &Arc<Node>,
) -> Result<(), StepError> {
    lab.doing("a primary and its replica join");
    let new = [Arc::clone(primary), Arc::clone(replica)];
    lab.deployment().meet(there, &new).await?;
    lab.deployment().replicate(replica, primary, there).await
}

/// How many shards there are of how many nodes, once all views are the same.
async fn shards(lab: &Lab<Clusters>, nodes: &[Arc<Node>]) -> Result<String, StepError> {
    let view = lab.deployment().view(&nodes[0]).await?;
    let (shards, nodes) = (view.shards().count(), view.members().len());
    match (shards, nodes) {
        (4, 8) => Ok("four shards of eight nodes, in every view".to_owned()),
        _ => Ok(format!("{shards} shards of {nodes} nodes, in every view")),
    }
}

/// How many slots every primary has.
async fn owned(lab: &Lab<Clusters>, any: &Node) -> Result<Vec<(NodeId, u64)>, StepError> {
    let view = lab.deployment().view(any).await?;
    let named = |id: &str| lab.deployment().named(id).map(|node| node.id().clone());
    Ok(view.shards().filter_map(|member| Some((named(&member.id)?, member.slots.len() as u64))).collect())
}

/// Whether a replica has as many keys as its primary, once it has acknowledged everything.
async fn copied(primary: &Node, replica: &Node) -> Result<&'static str, StepError> {
    let acknowledged: u64 = primary.ask(&["WAIT", "1", "900"]).await?;
    let (of, has): (u64, u64) = (primary.ask(&["DBSIZE"]).await?, replica.ask(&["DBSIZE"]).await?);
    Ok(match acknowledged >= 1 && of > 0 && of == has {
        true => "with all of its keys",
        false => "without some of its keys",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
