use std::time::Duration;

use failover_lab::{Lab, Replicated, docker::FaultKind, wait::pass};
use lab_load::{
    client::Library,
    workload::{Consuming, Sort},
};
use lab_measure::{
    cell::Load,
    claims::{delivered, kept_its_place, lost_entries, taken_over},
    scenario::Harm,
    stage::Stage,
    trial::{Caller, Trial},
};

use super::load::{AFTERWARDS, BEFORE, adds, clocks, group, replaced, sound};
use crate::step::{Outcome, step};

step!("client" on Replicated, "stream-consumers", group(), stream_consumers);

const DEAD: &str = "consumer that dies";

/// A stream's consumers lose no entry that survived the failover, and take over what a dead one had.
///
/// 1. Entries are appended to a stream, and two consumers of a group work them off. A third one takes some, and dies with
///    them in its hands.
/// 2. The primary is lost, and replaced.
/// 3. Every entry that is there in the end was delivered.
/// 4. What the dead consumer had was taken over, and is done with.
/// 5. Entries that are lost had been acknowledged in the instant of the loss.
/// 6. The group's place in the stream went no further back than that.
async fn stream_consumers(lab: &mut Lab) -> Outcome {
    // 1. A stream.
    let entrance = Replicated::entrance(lab).await?;
    let mut trial = Trial::of_a_step(lab)?;
    let consuming = Consuming { channels: 1, claim_every: claims(lab), ..Consuming::default() };
    let (profile, load) = (sound("hardened")?, Load { sort: Sort::Streams, consuming, ..adds() });
    let caller = Caller { who: "application", library: Library::Redis, profile: &profile, load: &load };
    trial.add(lab, caller, &entrance.target).await?;
    pass(BEFORE).await;
    trial.lose_a_consumer(lab, caller, &entrance.target, DEAD).await?;

    // 2. The loss.
    let old = lab.group().primary();
    let lost = trial.inflict(Harm::Node(FaultKind::Crash), &old, lab).await?;
    replaced(lab, &old).await;
    pass(AFTERWARDS).await;
    trial.enough();
    trial.heal(lost, lab).await?;
    let history = trial.end(lab).await?;

    // 3. What is there.
    lab.check("streams.delivered", delivered(&history));

    // 4. What was left.
    lab.check("streams.taken-over", taken_over(&history, DEAD));

    // 5. What is lost.
    lab.check("streams.loss", lost_entries(&history, clocks().scheduling));

    // 6. The group's place.
    lab.check("streams.place", kept_its_place(&history, clocks().scheduling));
    Ok(())
}

/// How often consumers take over what others have left.
fn claims(lab: &Lab) -> Duration {
    match Replicated::clients(lab).get("claims").map(String::as_str) {
        Some("never") => Duration::from_secs(3600),
        _ => Consuming::default().claim_every,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_in_the_end(None).await;
}
