use std::sync::Arc;

use failover_lab::{Clusters, Lab, StepError, cluster, docker::Node};
use lab_report::judge::Judgement;

use super::moving::{Load, all_kept, none_failed, shift};
use crate::step::{Outcome, alike, step};

step!("cluster", "scale-in", cluster(4).replicas(1), scale_in);

/// One shard of four gives its slots to the others under load, and leaves.
///
/// 1. A client that knows of clusters writes, to all slots and to some that will move.
/// 2. The last shard's slots move to the other three.
/// 3. All others forget its nodes: they are in no view.
/// 4. The nodes forget them as well, and their own names: nobody is left to bring them back.
/// 5. No request failed, and nothing that was acknowledged is lost.
async fn scale_in(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The load.
    let (gone, rest) = leaving(lab);
    let weights: Vec<(Arc<Node>, f64)> = (lab.deployment().primaries().iter())
        .map(|node| (Arc::clone(node), if node.id() == gone[0].id() { 0.0 } else { 1.0 }))
        .collect();
    let lanes = lab.deployment().plan(&weights).await?;
    let load = Load::begin(lab, &lanes).await?;

    // 2. The slots.
    lab.deployment().stay(&gone).await?;
    let moved = shift(lab, &lanes).await?;

    // 3. Forgotten.
    lab.doing("all others forget its nodes");
    lab.deployment().forget(&gone, &rest).await?;
    // They send clients on until the last of them knows better.
    let written = load.end(lab).await?;
    let reset = lab.deployment().reset(&gone).await;
    let three = "three shards of six nodes, in every view";
    let observed = match lab.deployment().stands_of(&rest).await {
        Ok(()) => shards(lab, &rest).await?,
        Err(late) => late.last_seen,
    };
    if !lab.check("scalein.removed", Judgement::equal(three, observed)) {
        return Ok(());
    }

    // 4. For good.
    let alone = for_good(lab, &gone).await?;
    let evidence = reset.map_or_else(|refused| refused.to_string(), |()| "CLUSTER RESET HARD: OK".to_owned());
    lab.check("scalein.for-good", Judgement::equal(ALONE, alone).evidence(evidence));

    // 5. The load's end.
    let undisturbed = none_failed(lab, &written, moved);
    lab.check("scalein.undisturbed", undisturbed);
    let kept = all_kept(lab, &written, &rest).await?;
    lab.check("scalein.kept", kept);
    Ok(())
}

/// The last shard's nodes, its primary first, and all others.
fn leaving(lab: &Lab<Clusters>) -> (Vec<Arc<Node>>, Vec<Arc<Node>>) {
    let (cluster, last) = (lab.deployment(), usize::from(lab.deployment().topology().primaries) - 1);
    let of_last = |index: &usize| cluster.topology().shard_of(*index) == last;
    let node = |index: usize| Arc::clone(&cluster.members()[index]);
    let (gone, rest): (Vec<usize>, Vec<usize>) = (0..cluster.members().len()).partition(of_last);
    (gone.into_iter().map(node).collect(), rest.into_iter().map(node).collect())
}

/// What a node that has left for good knows.
const ALONE: &str = "nobody but itself, by a name that nobody has heard";

/// What the nodes that left know of others, and how they call themselves.
///
/// For a minute nobody hears of a name that it was told to forget (`CLUSTER_BLACKLIST_TTL`). What is judged before
/// that is over must not depend on it. It does not, where nobody knows the name any more: a node tells others of
/// those that it knows itself (`clusterSendPing`), and listens only to such (`clusterProcessPacket`). So once it is
/// in no view, only the node could make itself known, to somebody whom it remembers; and by a new name, which no
/// minute would keep out.
async fn for_good(lab: &Lab<Clusters>, gone: &[Arc<Node>]) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for node in gone {
        let view = lab.deployment().view(node).await?;
        let named = view.myself().map(|myself| myself.id.as_str());
        let knows = match (view.members().len(), named == Some(lab.deployment().name_of(node))) {
            (1, false) => ALONE.to_owned(),
            (1, true) => "nobody but itself, by its old name".to_owned(),
            (others, _) => format!("{} others", others - 1),
        };
        seen.push((node.id().to_string(), knows));
    }
    Ok(alike(seen))
}

/// How many shards there are of how many nodes, once all views are the same.
async fn shards(lab: &Lab<Clusters>, nodes: &[Arc<Node>]) -> Result<String, StepError> {
    let view = lab.deployment().view(&nodes[0]).await?;
    let (shards, nodes) = (view.shards().count(), view.members().len());
    match (shards, nodes) {
        (3, 6) => Ok("three shards of six nodes, in every view".to_owned()),
        _ => Ok(format!("{shards} shards of {nodes} nodes, in every view")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
