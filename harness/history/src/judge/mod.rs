//! Pure functions from a history to what it shows.
//!
//! | judge | claim | after |
//! | --- | --- | --- |
//! | [`availability`] | something was served; how much of it, and for how long nothing was | Jepsen's `stats` |
//! | [`registers`] | no acknowledged write is lost, and no read is stale, or of what was never written | Terry's session guarantees; Golab's Δ for the age |
//! | [`sets`] | every element that was added stays | Jepsen's `set-full` |
//! | [`counters`] | every count is between what was acknowledged and what was attempted | Jepsen's `counter` |
//! | [`channels`] | every subscriber gets every message once and in order | Jepsen's `total-queue`, per subscriber |
//! | [`streams`] | every entry stays, and is delivered to the group | Jepsen's `kafka` |
//! | [`linearizability`] | there is one order of all operations on a register that explains every answer | Gibbons and Korach; Wing, Gong and Lowe |
//!
//! A judge counts; a count that should be zero is an *anomaly*. Its verdict follows from that in one way for all of
//! them ([`Judgement::verdict`]): a history that was cut off shows nothing, an anomaly is a failure, and a claim
//! that was not exercised is unknown.
//!
//! Which operation came first is known from time alone: *a* precedes *b* if *a* was completed before *b* was
//! invoked, and else they are concurrent, even if one process numbered them. Where several orders explain what was
//! seen, a judge takes the innocent one. So what it counts did happen; there may have been more.

pub mod availability;
pub mod channels;
mod check;
pub mod counters;
mod grouped;
pub mod linearizability;
mod register;
pub mod registers;
pub mod rollback;
pub mod sets;
pub mod streams;
mod table;

use std::fmt;

pub use check::{Judge, Judged};
use serde::Serialize;

use crate::{
    action::Kind,
    history::{Ending, History},
    time::{Length, Spread},
};

/// What a history says about a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// The claim was exercised, and held.
    Pass,
    /// The claim was exercised, and did not hold.
    Fail,
    /// The history cannot show it, for this reason.
    Unknown(String),
}

impl Verdict {
    /// The worst of several: a failure, else what is unknown. Of none it is unknown: nothing was judged.
    pub fn worst<'a>(verdicts: impl IntoIterator<Item = &'a Self>) -> Self {
        let severity = |verdict: &&Self| match verdict {
            Self::Pass => 0,
            Self::Unknown(_) => 1,
            Self::Fail => 2,
        };
        let worst = verdicts.into_iter().max_by_key(severity);
        worst.cloned().unwrap_or_else(|| Self::Unknown("nothing was judged".to_owned()))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown(_) => "unknown",
        })
    }
}

/// A figure of a judge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// How many.
    Count(u64),
    /// How long, in microseconds.
    Time(Length),
    /// Of one.
    Share(f64),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.pad(&count.to_string()),
            Self::Time(length) => length.fmt(f),
            // Rounded down: what is not all is never 100 %.
            Self::Share(share) => f.pad(&format!("{:.3} %", (share * 1e5).floor() / 1e3)),
        }
    }
}

/// A figure with its name, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As it is written in JSON.
    pub name: &'static str,
    /// How much.
    pub quantity: Quantity,
    /// Whether it should be zero.
    pub is_anomaly: bool,
    /// In words.
    pub meaning: &'static str,
}

impl Row {
    /// A count that should be zero.
    pub(crate) fn anomaly(name: &'static str, count: u64, meaning: &'static str) -> Self {
        Self { name, quantity: Quantity::Count(count), is_anomaly: true, meaning }
    }

    /// A count.
    pub(crate) fn count(name: &'static str, count: u64, meaning: &'static str) -> Self {
        Self { name, quantity: Quantity::Count(count), is_anomaly: false, meaning }
    }

    /// A length of time.
    pub(crate) fn time(name: &'static str, length: Length, meaning: &'static str) -> Self {
        Self { name, quantity: Quantity::Time(length), is_anomaly: false, meaning }
    }

    /// How some lengths of time are spread, if there are any.
    pub(crate) fn spread(
        [p50, p99, max]: [&'static str; 3],
        spread: &Spread,
        meaning: &'static str,
    ) -> impl Iterator<Item = Self> {
        let lengths = [(p50, spread.p50_us), (p99, spread.p99_us), (max, spread.max_us)];
        let rows = lengths.map(|(name, length)| Self::time(name, length, meaning));
        rows.into_iter().filter(|_| spread.count > 0)
    }

    /// Whether it should be zero, and is not.
    pub fn is_found(&self) -> bool {
        self.is_anomaly && self.quantity != Quantity::Count(0)
    }
}

/// The figures of a judge.
pub trait Figures: Serialize {
    /// The judge's name.
    const JUDGE: &'static str;

    /// The figures, one by one, anomalies first.
    fn rows(&self) -> Vec<Row>;
}

/// An operation that shows an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// The anomaly's name, as in its row.
    pub anomaly: &'static str,
    /// The operation's place in [`History::operations`].
    pub operation: usize,
}

/// What a judge found in a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement<F> {
    /// How much of what.
    pub figures: F,
    /// For each anomaly, the first operations that show it.
    pub witnesses: Vec<Witness>,
    ending: Ending,
    unexercised: Option<String>,
}

impl<F: Figures> Judgement<F> {
    fn of(history: &History, figures: F, witnesses: Witnesses, unexercised: Option<String>) -> Self {
        Self { figures, witnesses: witnesses.found, ending: history.ending, unexercised }
    }

    /// What follows from the figures.
    pub fn verdict(&self) -> Verdict {
        self.verdict_allowing(|_| false)
    }

    /// What follows from the figures, if some anomalies are what was to be expected.
    pub fn verdict_allowing(&self, allowed: impl Fn(&str) -> bool) -> Verdict {
        if let Ending::Cut { .. } = self.ending {
            // What is missing may explain what looks wrong: the write of a value that was read, the message that
            // had not come yet.
            return Verdict::Unknown("the history was cut off".to_owned());
        }
        if self.figures.rows().iter().any(|row| row.is_found() && !allowed(row.name)) {
            return Verdict::Fail;
        }
        match &self.unexercised {
            Some(why) => Verdict::Unknown(why.clone()),
            None => Verdict::Pass,
        }
    }
}

/// Collects witnesses: the first few of each anomaly.
#[derive(Debug, Default)]
struct Witnesses {
    found: Vec<Witness>,
}

impl Witnesses {
    const EACH: usize = 5;

    fn add(&mut self, anomaly: &'static str, operation: u32) {
        if self.found.iter().filter(|witness| witness.anomaly == anomaly).count() < Self::EACH {
            self.found.push(Witness { anomaly, operation: operation as usize });
        }
    }
}

/// Whether anything of these kinds was done or tried.
fn any(history: &History, kinds: &[Kind]) -> bool {
    history.operations.iter().any(|operation| kinds.contains(&operation.action.kind()))
}

/// Why nothing can be said of what is there in the end, if nothing can.
fn unsettled(history: &History, unread: u64, what: &str) -> Option<String> {
    match history.settled() {
        None => Some("nobody waited until everything had settled".to_owned()),
        Some(_) => (unread > 0).then(|| format!("{unread} {what} were not read in the end")),
    }
}
