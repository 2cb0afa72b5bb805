use std::time::Duration;

use failover_lab::{Lab, Replicated, docker::FaultKind, wait::pass};
use lab_load::{
    Profile,
    client::Library,
    workload::{Consuming, Part, Sort},
};
use lab_measure::{
    cell::Load,
    claims::{deaf, heard_but_while_away, missed_by, subscribed_again, subscribed_by_name},
    scenario::Harm,
    stage::Stage,
    trial::{Caller, Trial, profile_of},
};

use super::load::{AFTERWARDS, BEFORE, adds, clocks, group, replaced, sound};
use crate::step::{Outcome, step};

step!("client" on Replicated, "messages-lost", group(), messages_lost);

/// What a subscriber misses while it connects again nobody sends it again: it has more patience than who can ask again.
const PATIENCE: Duration = Duration::from_secs(1);
const NAIVE: &str = "naive";
const HARDENED: &str = "hardened";

/// Messages that are published while a subscriber is away are lost to it.
///
/// 1. Messages are published by the primary endpoint's name, and two subscribers listen by it: one that looks for nothing,
///    and one that asks for a sign of life, and resolves the name again.
/// 2. The primary's host dies without a word, and the primary is replaced. Whoever publishes goes on.
/// 3. The first subscriber hears nothing of it, and does not know.
/// 4. The other has subscribed again when the clocks of both sides say.
/// 5. What that one missed was published while it was away.
async fn messages_lost(lab: &mut Lab) -> Outcome {
    // 1. Messages.
    let entrance = Replicated::entrance(lab).await?;
    let mut trial = Trial::of_a_step(lab)?;
    let consuming = Consuming { channels: 1, consumers: 1, ..Consuming::default() };
    let load = Load { sort: Sort::PubSub, part: Part::Consumer, rate: 200, consuming, ..adds() };
    for who in [NAIVE, HARDENED] {
        let profile = patient(profile_of(lab, who, who)?);
        let caller = Caller { who, library: Library::Redis, profile: &profile, load: &load };
        trial.add(lab, caller, &entrance.target).await?;
    }
    let (profile, load) = (sound(HARDENED)?, Load { part: Part::Producer, ..load });
    let caller = Caller { who: "publisher", library: Library::Redis, profile: &profile, load: &load };
    trial.add(lab, caller, &entrance.target).await?;
    pass(BEFORE).await;

    // 2. The loss.
    let old = lab.group().primary();
    let lost = trial.inflict(Harm::Node(FaultKind::Stop), &old, lab).await?;
    replaced(lab, &old).await;
    pass(AFTERWARDS).await;
    trial.enough();
    trial.heal(lost, lab).await?;
    let history = trial.end(lab).await?;

    // 3. Deaf.
    lab.check("messages.lost", deaf(&history, &subscriber(NAIVE)));

    // 4. Back.
    let limits = subscribed_by_name(&clocks(), &patient(sound(HARDENED)?));
    lab.check("messages.subscribed-again", subscribed_again(&history, &subscriber(HARDENED), limits));

    // 5. What it missed.
    let judged = heard_but_while_away(&history, &subscriber(HARDENED), clocks().scheduling);
    lab.check("messages.only-while-away", judged);
    for who in [NAIVE, HARDENED] {
        let missed = missed_by(&history, &subscriber(who)) as f64;
        lab.measure(
            &format!("{who}: messages missed"),
            missed,
            "messages",
            "that a publisher was told to be published",
        );
    }
    Ok(())
}

fn patient(profile: Profile) -> Profile {
    Profile { response_timeout: Some(PATIENCE), ..profile }
}

/// What an application's one subscriber is called in the record.
fn subscriber(of: &str) -> String {
    format!("{of} subscriber 1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes_in_the_end(None).await;
}
