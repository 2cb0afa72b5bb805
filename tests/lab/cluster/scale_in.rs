use std::sync::Arc;

use failover_lab::{Clusters, Lab, StepError, cluster, docker::Node};
use lab_report::judge::Judgement;

use super::moving::{Load, all_kept, none_failed, shift};
use crate::step::{Outcome, step};

step!("cluster", "scale-in", cluster(4).replicas(1), scale_in);

/// One shard of four gives its slots to the others under load, and leaves.
///
/// 1. A client that knows of clusters writes, to all slots and to some that will move.
/// 2. The last shard's slots move to the other three.
/// 3. All others forget its nodes: they are in no view.
/// 4. No request failed, and nothing that was acknowledged is lost.
async fn scale_in(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. The load.
    let (gone, rest) = leaving(lab);
    let weights: Vec<(Arc<Node>, f64)> = (lab.deployment().primaries().iter())
        .map(|node| (Arc::clone(node), if node.id() == gone[0].id() { 0.0 } else { 1.0 }))
        .collect();
    let lanes = lab.deployment().plan(&weights).await?;
    let load = Load::begin(lab, &lanes).await?;

    // 2. The slots.
    let began = shift(lab, &lanes).await?;

    // 3. Forgotten.
    lab.doing("all others forget its nodes");
    lab.deployment().forget(&gone, &rest).await?;
    // They send clients on until the last of them knows better.
    let written = load.end().await;
    lab.deployment().reset(&gone).await?;
    let three = "three shards of six nodes, in every view";
    let observed = match lab.deployment().stands_of(&rest).await {
        Ok(()) => shards(lab, &rest).await?,
        Err(late) => late.last_seen,
    };
    if !lab.check("scalein.removed", Judgement::equal(three, observed)) {
        return Ok(());
    }

    // 4. The load's end.
    let undisturbed = none_failed(lab, &written, began);
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
