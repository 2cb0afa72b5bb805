//! What a history shows of clients and a failover: the claims of the client lab's steps, as pure functions.
//!
//! A claim is *unknown* where the history cannot show it: there was no failover, or nothing was asked for.

mod losses;
mod messages;
mod streams;

use std::time::Duration;

use lab_history::{
    Event, History, Length, Moment, Operation, Outcome, judge::availability::availability,
    judge::rollback::Rollback, note::Role,
};
use lab_load::Profile;
use lab_report::judge::{Clocks, Judgement, Limits, seconds};

pub use self::{
    losses::{
        bounded, lost, lost_around_faults, lost_before_the_cut, lost_in_the_instant, lost_nothing,
        lost_though_confirmed, refused,
    },
    messages::{deaf, heard_but_while_away, missed_by, subscribed_again},
    streams::{delivered, kept_its_place, lost_entries, taken_over},
};

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
    /// A replica was seen to have become primary.
    pub promoted: Option<Moment>,
}

impl Failover {
    /// None if there was no fault.
    pub fn read(history: &History) -> Option<Self> {
        let (from, in_effect, hit) = history.notes.iter().find_map(|note| match &note.event {
            Event::Injected { nodes, in_effect, .. } => Some((note.at, *in_effect, nodes)),
            _ => None,
        })?;
        let was_replica = |whose: &String, before: Moment| {
            history.notes.iter().any(|note| {
                let is_it = matches!(&note.event, Event::Role { node, role: Role::Replica } if node == whose);
                is_it && note.at < before
            })
        };
        let promoted = history.notes.iter().filter(|note| match &note.event {
            // A primary of another shard that was out of sight for a moment has not become one.
            Event::Role { node, role: Role::Primary } => {
                note.at >= from && !hit.contains(node) && was_replica(node, note.at)
            }
            _ => false,
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
    let moved = moved(clocks);
    Limits {
        what: "acknowledged again",
        floor: dead_after.saturating_sub(probe_every + probe_timeout),
        ceiling: moved + ttl + connect + response + own(profile.max_pause) + scheduling * 3,
        resolution: Duration::ZERO,
        formula: "dead_after − probe_every − probe_timeout … dead_after + probe_every + 3 × probe_timeout (detected; offsets asked for, twice if nobody answered) + ttl + connect-timeout (to the old address) + response-timeout + max-pause + 3 × scheduling",
    }
}

/// The same for a subscriber, which learns of a silent host by a ping: one comes every response-timeout, and is waited for as
/// long.
pub fn subscribed_by_name(clocks: &Clocks, profile: &Profile) -> Limits {
    let by_name = back_by_name(clocks, profile);
    let moved = moved(clocks) + clocks.ttl;
    let noticed = profile.response_timeout.unwrap_or_default() * 2;
    Limits {
        what: "subscribed again",
        ceiling: by_name.ceiling - moved + moved.max(noticed),
        formula: "dead_after − probe_every − probe_timeout … the longer of dead_after + probe_every + 3 × probe_timeout + ttl (the name leads elsewhere) and 2 × response-timeout (the silence is noticed) + connect-timeout + response-timeout + max-pause + 3 × scheduling",
        ..by_name
    }
}

/// The name names another node this long after the primary is gone, at most. On a busy machine no replica may answer the
/// first time that the manager asks for offsets.
fn moved(clocks: &Clocks) -> Duration {
    clocks.dead_after + clocks.probe_every + clocks.probe_timeout * 3
}

/// Of several faults, one of which is a failover, none takes a client down for longer than a failover does.
pub fn down_at_most(history: &History, limits: Limits) -> Judgement {
    let figures = availability(history).figures;
    let limits = Limits { what: "the longest outage is over", ..limits };
    let expected = format!("{} within {}", limits.what, seconds(limits.ceiling));
    if Failover::read(history).is_none_or(|failover| failover.promoted.is_none()) || figures.served == 0 {
        return Judgement::unknown(expected, "there was no failover, or nothing was served");
    }
    let longest = figures.downtimes.iter().map(|downtime| downtime.length().into()).max();
    Judgement::within(limits, longest)
        .evidence(format!("{:.2} % were done in time", 100.0 * figures.seen_by_callers()))
}

/// How far from the fault something was acknowledged that is lost, at most.
fn reach(lost: &[Rollback], failover: &Failover) -> Duration {
    let one = |lost: &Rollback| failover.from.since(lost.from_us).max(lost.to_us.since(failover.in_effect));
    lost.iter().map(one).max().unwrap_or_default().into()
}

/// How far from a fault things may be that belong to its instant.
fn instant(what: &'static str, scheduling: Duration) -> Limits {
    Limits {
        what,
        floor: Duration::ZERO,
        ceiling: LAG + scheduling,
        // What the injection took is no part of it: see `reach`.
        resolution: Duration::ZERO,
        formula: "before the fault's beginning, or after it was in effect, by no more than replication lag of 100 ms + scheduling",
    }
}

#[cfg(test)]
mod tests;
