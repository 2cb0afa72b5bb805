use std::time::Duration;

use failover_lab::{Lab, Sentinels};
use lab_measure::claims::{bounded, refused};

use super::{
    cut_off::cut_off_with_a_replica,
    load::{clocks, tell_the_loss, watched},
};
use crate::step::{Outcome, step};

step!("client" on Sentinels, "bounded-loss", deployment(), bounded_loss);

/// Both replicas have to follow: with one of them on its side a primary could go on for ever.
fn deployment() -> Sentinels {
    watched().config("min-replicas-to-write", "2").config("min-replicas-max-lag", "1")
}

/// `min-replicas-max-lag` of the step's own topology.
const MAX_LAG: Duration = Duration::from_secs(1);

/// Where `WAIT 1` does not exclude a loss, `min-replicas-to-write` bounds it.
///
/// 1. As in `wait-one`; but the primary insists on two replicas that follow.
/// 2. The client is refused before long.
/// 3. What is lost was acknowledged before that: for no longer than the setting and the server's clocks allow.
async fn bounded_loss(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Two sides.
    let history = cut_off_with_a_replica(lab).await?;

    // 2. No more.
    if !lab.check("bounded.refused", refused(&history)) {
        return Ok(());
    }

    // 3. The loss.
    lab.check("bounded.loss", bounded(&history, MAX_LAG, clocks().scheduling));
    tell_the_loss(lab, &history);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_in_the_end(None).await;
}
