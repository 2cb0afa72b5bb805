use std::time::Duration;

use failover_lab::{Lab, Replicated, docker::FaultKind, wait::pass};
use lab_load::client::Library;
use lab_measure::{
    cell::TopologyName,
    claims::{back_by_name, down_at_most, failed_for, lost_around_faults},
    scenario::Harm,
    stage::Stage,
    trial::{Caller, Trial},
};
use lab_report::judge::Judgement;

use super::load::{BEFORE, adds, clocks, group, replaced, settled, sound, tell_the_loss};
use crate::step::{Outcome, step};

step!("client" on Replicated, "client-chaos", group(), client_chaos);

const WHO: &str = "client";
/// The first fault is for certain, and lasts until the primary was replaced, and some more.
const FIRST: Duration = Duration::from_secs(2);
/// For so long others are left to chance: one to four of them, and three seconds without any.
const CHANCE: Duration = Duration::from_secs(18);

/// Random faults, one after the other, under load.
///
/// 1. A hardened client of the primary endpoint. The primary has a fault of any kind, and is replaced.
/// 2. Whatever node: faults as the seed has them, each healed, and none before its group has recovered from the last.
/// 3. In the end the group is whole again.
/// 4. The client was never down for longer than one failover takes.
/// 5. What is lost had been acknowledged around a fault.
async fn client_chaos(lab: &mut Lab) -> Outcome {
    // 1. One that is certain.
    let entrance = Replicated::entrance(lab).await?;
    let mut trial = Trial::of_a_step(lab)?;
    let (profile, load) = (sound("hardened")?, adds());
    let caller = Caller { who: WHO, library: Library::Redis, profile: &profile, load: &load };
    trial.add(lab, caller, &entrance.target).await?;
    pass(BEFORE).await;
    let old = lab.group().primary();
    let kinds = [FaultKind::Crash, FaultKind::Stop, FaultKind::Hold, FaultKind::Isolate];
    let kind = kinds[lab.rng().usize(..kinds.len())];
    let first = trial.inflict(Harm::Node(kind), &old, lab).await?;
    replaced(lab, &old).await;
    pass(FIRST).await;
    trial.heal(first, lab).await?;

    // 2. The others.
    let happened = trial.chaos(lab, TopologyName::Replication, CHANCE).await?;
    pass(FIRST).await;
    trial.enough();
    trial.driven().await;

    // 3. Whole.
    let whole = "a primary and two replicas that follow it";
    let observed = settled(lab).await.map_or_else(|why| why, |()| whole.to_owned());
    if !lab.check("chaos.whole", Judgement::equal(whole, observed)) {
        return Ok(());
    }
    let history = trial.end(lab).await?;

    // 4. Availability.
    lab.check("chaos.available", down_at_most(&history, back_by_name(&clocks(), &profile)));

    // 5. The loss.
    lab.check("chaos.loss", lost_around_faults(&history, &clocks()));
    tell_the_loss(lab, &history);
    let (all, failed) = (happened.len(), failed_for(&history, WHO) as f64);
    let faults = happened.iter().filter(|fault| fault.left_out.is_none()).count();
    let note = format!("{faults} faults after the first one, of {all} that the seed has");
    lab.measure("operations failed", failed, "operations", &note);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_by_chance(None).await;
}
