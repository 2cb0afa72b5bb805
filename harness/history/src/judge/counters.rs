//! Counters: a count lies between what was acknowledged before it and what was attempted by then. After Jepsen's
//! `counter`.
//!
//! At any read, the count is at least the number of increments that were acknowledged before the read was invoked,
//! and at most the number of increments that were invoked before the read was completed and did not fail. An
//! increment says which count it made, so it is a read as well, of a count that includes itself.
//!
//! A count **below** its bounds shows increments that were lost, at least for a time; those that the last final
//! read misses are **lost** for good. A count **above** them shows increments that were applied twice, or that
//! nobody asked for.

use serde::Serialize;

use super::{Figures, Judgement, Row, Witnesses, grouped::Grouped, unsettled};
use crate::{action::Action, history::History, operation::Operation, outcome::Outcome, time::Moment};

/// How the counts compare with their bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Acknowledged increments that the last final reads miss.
    pub lost: u64,
    /// Reads of less than was acknowledged.
    pub below: u64,
    /// Reads of more than was attempted.
    pub above: u64,
    /// Increments that were acknowledged.
    pub acknowledged: u64,
    /// Increments that were certainly not applied.
    pub failed: u64,
    /// Increments of which nobody knows.
    pub indeterminate: u64,
    /// Those of them that must have been applied: what the last final reads have more than was acknowledged.
    pub recovered: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// How much less than was acknowledged a read found, at most.
    pub most_missing: u64,
    /// How much more than was attempted a read found, at most.
    pub most_extra: u64,
    /// Counters with acknowledged increments, and without a final read.
    pub unread: u64,
}

impl Figures for Counters {
    const JUDGE: &'static str = "counters";

    fn rows(&self) -> Vec<Row> {
        vec![
            Row::anomaly("lost", self.lost, "acknowledged increments that are gone in the end"),
            Row::anomaly("below", self.below, "reads of less than was acknowledged before them"),
            Row::anomaly("above", self.above, "reads of more than was attempted by then"),
            Row::count("acknowledged", self.acknowledged, "increments that were acknowledged"),
            Row::count("failed", self.failed, "increments that were certainly not applied"),
            Row::count("indeterminate", self.indeterminate, "increments of which nobody knows"),
            Row::count("recovered", self.recovered, "of these, increments that must have been applied"),
            Row::count("reads", self.reads, "reads that were answered"),
            Row::count("most_missing", self.most_missing, "less than was acknowledged, at most"),
            Row::count("most_extra", self.most_extra, "more than was attempted, at most"),
        ]
    }
}

/// Judges the counters of a history.
pub fn counters(history: &History) -> Judgement<Counters> {
    let settled = history.settled().unwrap_or(Moment::NEVER);
    let mut judge = Judge { settled, ..Judge::default() };
    for (_, touches) in Grouped::of(history, Touch::of).objects() {
        judge.counter(touches);
    }
    let Counters { acknowledged, reads, unread, .. } = judge.figures;
    let unexercised = match () {
        () if acknowledged == 0 => Some("no increment was acknowledged".to_owned()),
        () if reads == 0 => Some("no read was answered".to_owned()),
        () => unsettled(history, unread, "counters"),
    };
    Judgement::of(history, judge.figures, judge.witnesses, unexercised)
}

#[derive(Debug, Clone, Copy, Default)]
enum What {
    /// To this count.
    Incremented(u64),
    #[default]
    Tried,
    Refused,
    Counted(u64),
}

/// One operation on a counter.
#[derive(Debug, Clone, Copy, Default)]
struct Touch {
    what: What,
    invoked: Moment,
    completed: Moment,
    place: u32,
}

impl Touch {
    fn of(place: u32, operation: &Operation) -> Option<Self> {
        let what = match operation.action {
            Action::Increment { outcome: Outcome::Ok(count), .. } => What::Incremented(count),
            Action::Increment { outcome: Outcome::Indeterminate(_), .. } => What::Tried,
            Action::Increment { outcome: Outcome::Failed(_), .. } => What::Refused,
            Action::Count { outcome: Outcome::Ok(count), .. } => What::Counted(count),
            _ => return None,
        };
        let (invoked, completed) = (operation.timing.invoked(), operation.timing.completed());
        Some(Self { what, invoked, completed, place })
    }
}

#[derive(Default)]
struct Judge {
    settled: Moment,
    figures: Counters,
    witnesses: Witnesses,
    acknowledged: Steps,
    attempted: Steps,
}

impl Judge {
    fn counter(&mut self, touches: &[Touch]) {
        self.acknowledged.reset();
        self.attempted.reset();
        for touch in touches {
            match touch.what {
                What::Incremented(_) => {
                    self.acknowledged.add(touch.completed);
                    self.attempted.add(touch.invoked);
                    self.figures.acknowledged += 1;
                }
                What::Tried => {
                    self.attempted.add(touch.invoked);
                    self.figures.indeterminate += 1;
                }
                What::Refused => self.figures.failed += 1,
                What::Counted(_) => self.figures.reads += 1,
            }
        }
        self.acknowledged.sort();
        self.attempted.sort();
        let mut last: Option<(Moment, u64)> = None;
        for touch in touches {
            let (count, own) = match touch.what {
                What::Counted(count) => (count, 0),
                What::Incremented(count) => (count, 1),
                What::Tried | What::Refused => continue,
            };
            self.read(touch, count, own);
            let is_final =
                touch.invoked >= self.settled && last.is_none_or(|(last, _)| last <= touch.invoked);
            if matches!(touch.what, What::Counted(_)) && is_final {
                last = Some((touch.invoked, count));
            }
        }
        self.finally(last);
    }

    /// `own`: how much of the count the read did itself.
    fn read(&mut self, read: &Touch, count: u64, own: u64) {
        let least = self.acknowledged.before(read.invoked) + own;
        let most = self.attempted.up_to(read.completed);
        if count < least {
            self.figures.below += 1;
            self.figures.most_missing = self.figures.most_missing.max(least - count);
            self.witnesses.add("below", read.place);
        }
        if count > most {
            self.figures.above += 1;
            self.figures.most_extra = self.figures.most_extra.max(count - most);
            self.witnesses.add("above", read.place);
        }
    }

    fn finally(&mut self, last: Option<(Moment, u64)>) {
        let Some((invoked, count)) = last else {
            self.figures.unread += u64::from(!self.acknowledged.moments.is_empty());
            return;
        };
        let acknowledged = self.acknowledged.before(invoked);
        let attempted = self.attempted.up_to(Moment::NEVER);
        self.figures.lost += acknowledged.saturating_sub(count);
        self.figures.recovered += count.min(attempted).saturating_sub(acknowledged);
    }
}

/// Moments in their order, and how many of them come before another. Who asks, asks for about the same place
/// again: the search begins where the last one ended.
#[derive(Default)]
struct Steps {
    moments: Vec<Moment>,
    near: usize,
}

impl Steps {
    fn reset(&mut self) {
        self.moments.clear();
        self.near = 0;
    }

    fn add(&mut self, moment: Moment) {
        self.moments.push(moment);
    }

    fn sort(&mut self) {
        if !self.moments.is_sorted() {
            self.moments.sort_unstable();
        }
    }

    fn before(&mut self, moment: Moment) -> u64 {
        self.seek(|other| *other < moment)
    }

    fn up_to(&mut self, moment: Moment) -> u64 {
        self.seek(|other| *other <= moment)
    }

    /// How many moments `come_first`, which the first of them do and the others do not.
    fn seek(&mut self, come_first: impl Fn(&Moment) -> bool) -> u64 {
        let (mut low, mut high, mut step) = (self.near, self.near, 1);
        while low > 0 && !come_first(&self.moments[low - 1]) {
            high = low - 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
        while high < self.moments.len() && come_first(&self.moments[high]) {
            low = high + 1;
            high = (high + step).min(self.moments.len());
            step *= 2;
        }
        self.near = low + self.moments[low..high].partition_point(come_first);
        self.near as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_search_from_anywhere_finds_the_place(
            moments in prop::collection::vec(0..100_u64, 0..50),
            asked in prop::collection::vec(0..110_u64, 1..50),
        ) {
            let mut steps = Steps::default();
            moments.iter().for_each(|moment| steps.add(Moment::from_micros(*moment)));
            steps.sort();
            for asked in asked {
                let count = |first: &dyn Fn(u64) -> bool| moments.iter().filter(|moment| first(**moment)).count() as u64;
                prop_assert_eq!(steps.before(Moment::from_micros(asked)), count(&|moment| moment < asked));
                prop_assert_eq!(steps.up_to(Moment::from_micros(asked)), count(&|moment| moment <= asked));
            }
        }
    }
}
