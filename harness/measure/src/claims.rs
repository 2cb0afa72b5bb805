//! What a history shows of clients and a failover: the claims of the client lab's steps, as pure functions.
//!
//! A claim is *unknown* where the history cannot show it: there was no failover, or nothing was asked for.

use std::time::Duration;

use lab_history::{
    Event, History, Length, Moment, Operation, Outcome,
    judge::{rollback::Rollback, sets::sets},
    note::Role,
};
use lab_load::Profile;
use lab_report::judge::{Clocks, Judgement, Limits, seconds};

/// A primary answers its client and feeds its replicas in one turn of its event loop, so what a replica lacks is of an
/// instant. This is how far behind it may be.
pub const LAG: Duration = Duration::from_millis(100);

/// The first fault of a history, and what followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failover {
    /// It took effect after this …
    pub from: Moment,
    /// … and by this.
    pub in_effect: Moment,
    /// Another node was seen to be primary.
    pub promoted: Option<Moment>,
}

impl Failover {
    /// None if there was no fault.
    pub fn read(history: &History) -> Option<Self> {
        let (from, in_effect, hit) = history.notes.iter().find_map(|note| match &note.event {
            Event::Injected { nodes, in_effect, .. } => Some((note.at, *in_effect, nodes)),
            _ => None,
        })?;
        let promoted = history.notes.iter().filter(|note| {
            let heir = |node: &String| !hit.contains(node);
            note.at >= from && matches!(&note.event, Event::Role { node, role: Role::Primary } if heir(node))
        });
        Some(Self { from, in_effect, promoted: promoted.map(|note| note.at).min() })
    }

    /// What its injection took: nothing that is measured from it is sharper.
    pub fn uncertainty(&self) -> Duration {
        self.in_effect.since(self.from).into()
    }
}

/// What an application asked for.
pub fn asked_by<'a>(history: &'a History, who: &'a str) -> impl Iterator<Item = &'a Operation> {
    history.operations.iter().filter(move |operation| {
        history.names.of_client(operation.process.client()) == who && operation.action.kind().is_asked_for()
    })
}

fn is_done(operation: &&Operation) -> bool {
    operation.action.outcome() == Outcome::Ok(())
}

/// How many operations of an application were not done, as its caller sees it: within the deadline.
pub fn failed_for(history: &History, who: &str) -> usize {
    let deadline = history.header.deadline.unwrap_or(Length::from_micros(u64::MAX));
    let in_time = |operation: &&Operation| is_done(operation) && operation.timing.latency() <= deadline;
    asked_by(history, who).filter(|operation| !in_time(operation)).count()
}

/// Of what an application asked for after the failover, nothing was done.
pub fn never_again(history: &History, who: &str) -> Judgement {
    let expected = "nothing is acknowledged after the failover";
    let Some(Failover { from, promoted: Some(promoted), .. }) = Failover::read(history) else {
        return Judgement::unknown(expected, "there was no failover");
    };
    let before = asked_by(history, who).filter(is_done).filter(|done| done.timing.completed() < from).count();
    let after = || asked_by(history, who).filter(|asked| asked.timing.invoked() >= promoted);
    let judged = match (before, after().count(), after().filter(is_done).count()) {
        (0, ..) => Judgement::unknown(expected, "nothing was acknowledged before it"),
        (_, 0, _) => Judgement::unknown(expected, "nothing was asked for after it"),
        (_, _, 0) => Judgement::of(true, expected, expected),
        _ => Judgement::of(false, expected, "some of it is acknowledged"),
    };
    judged.evidence(format!("{before} acknowledged before it, {} asked for after it", after().count()))
}

/// From a fault until an application was served again.
pub fn served_again(history: &History, who: &str, limits: Limits) -> Judgement {
    let expected = format!("{} within {}", limits.what, seconds(limits.ceiling));
    let Some(failover) = Failover::read(history).filter(|failover| failover.promoted.is_some()) else {
        return Judgement::unknown(expected, "there was no failover");
    };
    let again = asked_by(history, who).filter(|asked| asked.timing.invoked() >= failover.in_effect);
    let again = again.filter(is_done).map(|done| done.timing.completed()).min();
    let limits = Limits { resolution: failover.uncertainty(), ..limits };
    Judgement::within(limits, again.map(|at| at.since(failover.from).into()))
        .evidence(format!("{} operations were not done in time", failed_for(history, who)))
}

/// Until a client is served again that resolves the name for each connection, and leaves what is silent: by the clocks
/// of who moves the name, and by its own.
pub fn back_by_name(clocks: &Clocks, profile: &Profile) -> Limits {
    let own = |setting: Option<Duration>| setting.unwrap_or_default();
    let (connect, response) = (own(profile.connect_timeout), own(profile.response_timeout));
    let Clocks { probe_every, probe_timeout, dead_after, ttl, scheduling, .. } = *clocks;
    let moved = dead_after + probe_every + probe_timeout * 2;
    Limits {
        what: "acknowledged again",
        floor: dead_after.saturating_sub(probe_every + probe_timeout),
        ceiling: moved + ttl + connect + response + own(profile.max_pause) + scheduling * 3,
        resolution: Duration::ZERO,
        formula: "dead_after − probe_every − probe_timeout … dead_after + probe_every + 2 × probe_timeout (detected, promoted) + ttl + connect-timeout (to the old address) + response-timeout + max-pause + 3 × scheduling",
    }
}

/// Elements of sets that were acknowledged and are gone had been acknowledged when the fault came, or just before.
pub fn lost_in_the_instant(history: &History, scheduling: Duration) -> Judgement {
    let judged = sets(history);
    let limits = Limits {
        what: "what is lost had been acknowledged",
        floor: Duration::ZERO,
        ceiling: LAG + scheduling,
        // What the injection took is no part of it: see `reach`.
        resolution: Duration::ZERO,
        formula: "before the fault's beginning, or after it was in effect, by no more than replication lag of 100 ms + scheduling",
    };
    let expected = "all that is lost had been acknowledged in the instant of the fault";
    let (Some(failover), 1..) = (Failover::read(history), judged.figures.acknowledged) else {
        return Judgement::unknown(expected, "there was no fault, or nothing was acknowledged");
    };
    let reach = judged.figures.rollbacks.iter().map(|lost| reach(lost, &failover)).max().unwrap_or_default();
    Judgement::within(limits, Some(reach)).evidence(format!(
        "{} of {} acknowledged writes are lost",
        judged.figures.lost, judged.figures.acknowledged
    ))
}

/// How far from the fault something was acknowledged that is lost, at most.
fn reach(lost: &Rollback, failover: &Failover) -> Duration {
    failover.from.since(lost.from_us).max(lost.to_us.since(failover.in_effect)).into()
}
