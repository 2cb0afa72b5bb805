//! What became of the entries of a stream, and of its group's place in it.

use std::{collections::BTreeSet, time::Duration};

use lab_history::{
    Action, History, Outcome, Value,
    judge::streams::{Streams, streams},
};
use lab_report::judge::Judgement;

use super::{Failover, instant, reach};

const NOT_EXERCISED: &str = "there was no failover, or nothing was delivered, or nobody looked in the end";

fn exercised(history: &History) -> Option<(Failover, Streams)> {
    let figures = streams(history).figures;
    let failover = Failover::read(history).filter(|failover| failover.promoted.is_some())?;
    let is_seen = figures.acknowledged > 0 && figures.delivered > 0 && figures.unread == 0;
    is_seen.then_some((failover, figures))
}

/// Every entry that is there in the end was delivered.
pub fn delivered(history: &History) -> Judgement {
    let expected = "every entry that is there was delivered";
    let Some((_, figures)) = exercised(history) else { return Judgement::unknown(expected, NOT_EXERCISED) };
    let Streams { skipped, waiting, delivered, .. } = figures;
    let observed = match (skipped, waiting) {
        (0, 0) => expected,
        (0, _) => "entries are left that nobody gets",
        _ => "the group went past entries that nobody got",
    };
    Judgement::equal(expected, observed)
        .evidence(format!("{delivered} delivered, {skipped} skipped, {waiting} left at the end"))
}

/// Acknowledged entries that are gone had been acknowledged when the fault came, or just before.
pub fn lost_entries(history: &History, scheduling: Duration) -> Judgement {
    let limits = instant("what is lost had been acknowledged", scheduling);
    match exercised(history) {
        Some((failover, figures)) => Judgement::within(limits, Some(reach(&figures.rollbacks, &failover)))
            .evidence(format!("{} of {} acknowledged entries are lost", figures.lost, figures.acknowledged)),
        None => Judgement::unknown("what is lost is of the fault's instant", NOT_EXERCISED),
    }
}

/// The group does nothing again but what it had done when the fault came, or just before.
pub fn kept_its_place(history: &History, scheduling: Duration) -> Judgement {
    let limits = instant("what the group did again it had done", scheduling);
    match exercised(history) {
        Some((failover, figures)) => {
            let back = reach(&figures.repeated, &failover).max(figures.went_back_by.into());
            Judgement::within(limits, Some(back)).evidence(format!(
                "{} delivered as new again, {} after they were done with; the last-delivered id went back {} times",
                figures.redelivered, figures.forgotten, figures.went_back
            ))
        }
        None => Judgement::unknown("the group keeps its place", NOT_EXERCISED),
    }
}

/// What a consumer had in its hands when it died, and is there in the end, was given to another, and nothing is pending.
pub fn taken_over(history: &History, dead: &str) -> Judgement {
    let expected = "others have what it had, and nothing is pending";
    let Some((_, figures)) = exercised(history) else { return Judgement::unknown(expected, NOT_EXERCISED) };
    let (mut held, mut others, mut there) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::<Value>::new());
    for operation in &history.operations {
        let who = history.names.of_client(operation.process.client());
        match operation.action {
            Action::Deliver { outcome: Outcome::Ok(value), .. } if who == dead => {
                held.insert(value);
            }
            // Whoever takes over what is left in the end is nobody's consumer.
            Action::Deliver { outcome: Outcome::Ok(value), .. }
            | Action::Claim { outcome: Outcome::Ok(value), .. }
                if who != lab_load::workload::READER =>
            {
                others.insert(value);
            }
            Action::Entries { outcome: Outcome::Ok(list), .. } => there.extend(history.list(list)),
            _ => {}
        }
    }
    let left: BTreeSet<Value> = held.intersection(&there).copied().collect();
    let judged = match (left.is_empty(), left.is_subset(&others), figures.pending_last) {
        (true, ..) => Judgement::unknown(expected, "nothing that it had is there"),
        (_, true, 0) => Judgement::of(true, expected, expected),
        (_, true, _) => Judgement::of(false, expected, "entries are pending"),
        _ => Judgement::of(false, expected, "nobody has what it had"),
    };
    judged.evidence(format!(
        "it had {}, of which {} are there; {} pending in the end, {} at most",
        held.len(),
        left.len(),
        figures.pending_last,
        figures.pending_most
    ))
}
