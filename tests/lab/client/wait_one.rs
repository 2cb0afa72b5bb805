use failover_lab::{Lab, Sentinels};
use lab_measure::claims::{lost_before_the_cut, lost_though_confirmed};

use super::{
    cut_off::cut_off_with_a_replica,
    load::{clocks, tell_the_loss, watched},
};
use crate::step::{Outcome, step};

step!("client" on Sentinels, "wait-one", watched(), wait_one);

/// `WAIT 1` alone does not exclude that what it confirmed is lost.
///
/// 1. A client has each of its writes confirmed by one replica. It is cut off with the primary, and with a replica that
///    goes on confirming; the others promote the other replica; then all is healed.
/// 2. Writes are lost that were confirmed when the majority had its own primary.
/// 3. Nothing is lost that was confirmed before the cut.
async fn wait_one(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Two sides.
    let history = cut_off_with_a_replica(lab).await?;

    // 2. The loss.
    lab.check("wait.does-not-exclude-loss", lost_though_confirmed(&history));

    // 3. And no more than that.
    lab.check("wait.loses-the-minority", lost_before_the_cut(&history, clocks().scheduling));
    tell_the_loss(lab, &history);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_in_the_end(None).await;
}
