//! What is lost of sets: every element is one write, so that later ones hide nothing.

use std::{collections::BTreeMap, time::Duration};

use lab_history::{
    Event, History, Moment, Outcome, Refusal,
    judge::sets::{Sets, sets},
};
use lab_report::judge::{Clocks, Judgement, Limits};

use super::{Failover, instant, reach};

/// `replicationCron` counts the good replicas once a second, and lag in whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// The failover and the figures; none where the history shows nothing of a loss.
fn exercised(history: &History) -> Option<(Failover, Sets)> {
    let figures = sets(history).figures;
    let failover = Failover::read(history).filter(|failover| failover.promoted.is_some())?;
    (figures.acknowledged > 0 && figures.unread == 0).then_some((failover, figures))
}

const NOT_EXERCISED: &str = "there was no failover, or nothing was acknowledged, or nobody looked in the end";

fn told(judged: Judgement, figures: &Sets) -> Judgement {
    judged.evidence(format!("{} of {} acknowledged writes are lost", figures.lost, figures.acknowledged))
}

/// How many acknowledged writes are lost, and of how many.
pub fn lost(history: &History) -> (u64, u64) {
    let figures = sets(history).figures;
    (figures.lost, figures.acknowledged)
}

/// What is lost had been acknowledged when the fault came, or just before.
pub fn lost_in_the_instant(history: &History, scheduling: Duration) -> Judgement {
    let limits = instant("what is lost had been acknowledged", scheduling);
    match exercised(history) {
        Some((failover, figures)) => {
            told(Judgement::within(limits, Some(reach(&figures.rollbacks, &failover))), &figures)
        }
        None => Judgement::unknown("all that is lost is of the fault's instant", NOT_EXERCISED),
    }
}

/// Nothing is lost.
pub fn lost_nothing(history: &History) -> Judgement {
    let expected = "no acknowledged write is lost";
    match exercised(history) {
        Some((_, figures)) => {
            let observed = if figures.lost == 0 { expected } else { "acknowledged writes are lost" };
            told(Judgement::equal(expected, observed), &figures)
        }
        None => Judgement::unknown(expected, NOT_EXERCISED),
    }
}

/// Writes that were confirmed when the other side had a primary of its own are lost.
pub fn lost_though_confirmed(history: &History) -> Judgement {
    let expected = "writes that were confirmed are lost";
    let Some((Failover { promoted: Some(promoted), .. }, figures)) = exercised(history) else {
        return Judgement::unknown(expected, NOT_EXERCISED);
    };
    let late = figures.rollbacks.iter().any(|lost| lost.to_us >= promoted);
    let observed = if late { expected } else { "nothing that was confirmed is lost" };
    told(Judgement::equal(expected, observed), &figures)
}

/// Nothing is lost that had been acknowledged before the cut, but what the other side had not got yet.
pub fn lost_before_the_cut(history: &History, scheduling: Duration) -> Judgement {
    let limits = Limits {
        formula: "before the cut by no more than replication lag of 100 ms + scheduling",
        ..instant("what is lost had been acknowledged", scheduling)
    };
    match exercised(history) {
        Some((cut, figures)) => {
            let before = figures.rollbacks.iter().map(|lost| cut.from.since(lost.from_us)).max();
            told(Judgement::within(limits, Some(before.unwrap_or_default().into())), &figures)
        }
        None => Judgement::unknown("what is lost is of the minority", NOT_EXERCISED),
    }
}

/// The server refused writes after the cut, because too few replicas follow.
pub fn refused(history: &History) -> Judgement {
    let expected = "NOREPLICAS";
    let Some(cut) = Failover::read(history) else {
        return Judgement::unknown(expected, "there was no fault");
    };
    let after = history.operations.iter().filter(|asked| asked.timing.invoked() >= cut.from);
    let outcomes: Vec<Outcome> = after.map(|asked| asked.action.outcome()).collect();
    let count = |wanted: Outcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let refused = count(Outcome::Failed(Refusal::NoReplicas));
    let judged = match (count(Outcome::Ok(())), refused) {
        (0, 0) => Judgement::unknown(expected, "nothing was answered after it"),
        (_, 0) => Judgement::of(false, expected, "nobody refuses"),
        _ => Judgement::of(true, expected, expected),
    };
    judged.evidence(format!("{refused} of {} were refused so", outcomes.len()))
}

/// Nothing is lost that was acknowledged later after the cut than `min-replicas-max-lag` and the server's clocks allow.
pub fn bounded(history: &History, max_lag: Duration, scheduling: Duration) -> Judgement {
    let Some((cut, figures)) = exercised(history) else {
        return Judgement::unknown("the loss is bounded", NOT_EXERCISED);
    };
    let limits = Limits {
        what: "the last lost write",
        floor: Duration::ZERO,
        ceiling: max_lag + SECOND * 2 + scheduling,
        resolution: cut.uncertainty(),
        formula: "min-replicas-max-lag + 1 s (it counts whole seconds) + 1 s (replicationCron) + scheduling, after the cut",
    };
    let last = figures.rollbacks.iter().map(|lost| lost.to_us.since(cut.from)).max().unwrap_or_default();
    told(Judgement::within(limits, Some(last.into())), &figures)
}

/// Of several faults: what is lost had been acknowledged in the instant of one of them, while it lasted, or before the
/// manager had seen to the node that was back.
pub fn lost_around_faults(history: &History, clocks: &Clocks) -> Judgement {
    let Some((_, figures)) = exercised(history) else {
        return Judgement::unknown("what is lost is of a fault", NOT_EXERCISED);
    };
    let limits = Limits {
        // More than replication lag: what is before a fault is within it as well.
        ceiling: clocks.probe_every + clocks.probe_timeout * 2 + clocks.scheduling,
        formula: "before a fault's beginning, or after it was healed, by no more than probe_every + 2 × probe_timeout (a node that is back is seen, and told whom to follow) + scheduling",
        ..instant("what is lost had been acknowledged", clocks.scheduling)
    };
    let lasting = lasting(history);
    let reaches = figures.rollbacks.iter().map(|lost| {
        let fault = lost.fault.and_then(|fault| lasting.get(&fault));
        fault.map_or(Duration::MAX, |(from, until)| {
            from.since(lost.from_us).max(lost.to_us.since(*until)).into()
        })
    });
    told(Judgement::within(limits, Some(reaches.max().unwrap_or_default())), &figures)
}

/// From when until when each fault lasted.
fn lasting(history: &History) -> BTreeMap<u32, (Moment, Moment)> {
    let mut lasting = BTreeMap::new();
    for note in &history.notes {
        match &note.event {
            Event::Injected { fault, in_effect, .. } => {
                lasting.insert(*fault, (note.at, *in_effect));
            }
            Event::Healed { fault } => {
                if let Some((_, until)) = lasting.get_mut(fault) {
                    *until = note.at.max(*until);
                }
            }
            _ => {}
        }
    }
    lasting
}
