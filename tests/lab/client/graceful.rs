use failover_lab::{Clusters, Lab, cluster, wait::pass};
use lab_load::client::Library;
use lab_measure::{
    claims::lost_nothing,
    stage::Stage,
    trial::{Caller, Trial},
};

use super::load::{AFTERWARDS, BEFORE, adds, replaced, sound};
use crate::step::{Outcome, step};

step!("client" on Clusters, "graceful", cluster(3).replicas(1), graceful);

/// A failover that waits for the replica loses nothing of what a client was acknowledged.
///
/// 1. A client of a cluster adds elements to sets in every shard.
/// 2. The first shard's replica is asked to take over from its primary, which lives: it waits until it has all.
/// 3. Everything that was acknowledged is there.
async fn graceful(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. A client.
    let entrance = Clusters::entrance(lab).await?;
    let mut trial = Trial::of_a_step(lab)?;
    let (profile, load) = (sound("hardened")?, adds());
    let caller = Caller { who: "client", library: Library::Redis, profile: &profile, load: &load };
    trial.add(lab, caller, &entrance.target).await?;
    pass(BEFORE).await;

    // 2. The failover.
    let old = Clusters::victim(lab);
    trial.fail_over(lab).await?;
    replaced(lab, &old).await;
    pass(AFTERWARDS).await;
    trial.enough();
    let history = trial.end(lab).await?;

    // 3. Nothing lost.
    lab.check("graceful.loses-nothing", lost_nothing(&history));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_in_the_end(None).await;
}
