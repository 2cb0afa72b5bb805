use failover_lab::{Lab, Replicated, wait::pass};
use lab_load::client::Library;
use lab_measure::{
    claims::{back_by_name, failed_for, lost_in_the_instant, never_again, served_again},
    stage::Stage,
    trial::{Caller, Trial, profile_of},
};
use rstest::rstest;

use super::load::{AFTERWARDS, BEFORE, adds, clocks, group, harm, replaced, sound, tell_the_loss};
use crate::step::{Outcome, step};

step!("client" on Replicated, "client-profiles", group(), client_profiles);

const NAIVE: &str = "naive";
const HARDENED: &str = "hardened";

/// A naive client dies with the address that it holds, and a hardened one is back.
///
/// 1. Two clients of the primary endpoint with the same load: one keeps the address and its one connection, the other
///    leaves what is silent or broken, and resolves the name again.
/// 2. The primary is lost, and replaced.
/// 3. The first client is never acknowledged again.
/// 4. The other is, when the clocks of both sides say.
/// 5. What they lost had been acknowledged in the instant of the loss.
async fn client_profiles(lab: &mut Lab) -> Outcome {
    // 1. Two clients.
    let entrance = Replicated::entrance(lab).await?;
    let mut trial = Trial::of_a_step(lab)?;
    let load = adds();
    for who in [NAIVE, HARDENED] {
        let profile = profile_of(lab, who, who)?;
        let caller = Caller { who, library: Library::Redis, profile: &profile, load: &load };
        trial.add(lab, caller, &entrance.target).await?;
    }
    pass(BEFORE).await;

    // 2. The loss.
    let old = lab.group().primary();
    let lost = trial.inflict(harm(lab)?, &old, lab).await?;
    replaced(lab, &old).await;
    pass(AFTERWARDS).await;
    trial.enough();
    trial.heal(lost, lab).await?;
    let history = trial.end(lab).await?;

    // 3. The naive one.
    lab.check("profiles.naive-dies", never_again(&history, NAIVE));

    // 4. The hardened one.
    let limits = back_by_name(&clocks(), &sound(HARDENED)?);
    lab.check("profiles.hardened-recovers", served_again(&history, HARDENED, limits));

    // 5. The loss.
    lab.check("profiles.loss", lost_in_the_instant(&history, clocks().scheduling));
    tell_the_loss(lab, &history);
    for who in [NAIVE, HARDENED] {
        let note = "not done within a second of their intended beginning, as the caller sees it";
        lab.measure(
            &format!("{who}: operations failed"),
            failed_for(&history, who) as f64,
            "operations",
            note,
        );
    }
    Ok(())
}

#[rstest]
#[case::crash("crash")]
#[case::stop("stop")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes_in_the_end(Some(case)).await;
}
