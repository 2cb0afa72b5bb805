//! All judges, for whoever wants to hear each that has something to say.

use serde::{Deserialize, Serialize};

use super::{
    Figures, Judgement, Row, Verdict, Witness, any,
    availability::{Availability, availability},
    channels::{Channels, channels},
    counters::{Counters, counters},
    linearizability::{Cap, Linearizability, is_contended, linearizability},
    registers::{Registers, registers},
    sets::{Sets, sets},
    streams::{Streams, streams},
};
use crate::{action::Kind, history::History, outcome::words};

words! {
    /// A judge, by name.
    Judge {
        /// [`availability()`].
        Availability,
        /// [`registers()`].
        Registers,
        /// [`linearizability()`].
        Linearizability,
        /// [`sets()`].
        Sets,
        /// [`counters()`].
        Counters,
        /// [`channels()`].
        Channels,
        /// [`streams()`].
        Streams,
    }
}

/// What a judge found, in a form that is the same for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Which judge.
    pub judge: Judge,
    /// What follows.
    pub verdict: Verdict,
    /// The figures, one by one.
    pub rows: Vec<Row>,
    /// For each anomaly, the first operations that show it.
    pub witnesses: Vec<Witness>,
    /// The figures as JSON.
    pub figures: serde_json::Value,
}

impl Judge {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Availability => Availability::JUDGE,
            Self::Registers => Registers::JUDGE,
            Self::Linearizability => Linearizability::JUDGE,
            Self::Sets => Sets::JUDGE,
            Self::Counters => Counters::JUDGE,
            Self::Channels => Channels::JUDGE,
            Self::Streams => Streams::JUDGE,
        }
    }

    /// The names of the anomalies that it looks for.
    pub fn anomalies(self) -> Vec<&'static str> {
        let rows = match self {
            Self::Availability => Availability::default().rows(),
            Self::Registers => Registers::default().rows(),
            Self::Linearizability => Linearizability::default().rows(),
            Self::Sets => Sets::default().rows(),
            Self::Counters => Counters::default().rows(),
            Self::Channels => Channels::default().rows(),
            Self::Streams => Streams::default().rows(),
        };
        rows.into_iter().filter(|row| row.is_anomaly).map(|row| row.name).collect()
    }

    /// Whether a history has anything for this judge: operations of the sort that it is about.
    pub fn is_concerned(self, history: &History) -> bool {
        match self {
            Self::Availability => true,
            Self::Registers => any(history, &[Kind::Write, Kind::Read]),
            Self::Linearizability => is_contended(history),
            Self::Sets => any(history, &[Kind::Add, Kind::Members]),
            Self::Counters => any(history, &[Kind::Increment, Kind::Count]),
            Self::Channels => any(history, &[Kind::Publish, Kind::Subscribe, Kind::Receive]),
            Self::Streams => {
                any(history, &[Kind::Append, Kind::Deliver, Kind::Claim, Kind::Acknowledge, Kind::Entries])
            }
        }
    }

    /// Judges a history. `allowed` says which anomalies are what was to be expected.
    pub fn judge(self, history: &History, cap: Cap, allowed: &dyn Fn(&str) -> bool) -> Judged {
        match self {
            Self::Availability => self.judged(availability(history), allowed),
            Self::Registers => self.judged(registers(history), allowed),
            Self::Linearizability => self.judged(linearizability(history, cap), allowed),
            Self::Sets => self.judged(sets(history), allowed),
            Self::Counters => self.judged(counters(history), allowed),
            Self::Channels => self.judged(channels(history), allowed),
            Self::Streams => self.judged(streams(history), allowed),
        }
    }

    fn judged<F: Figures>(self, judgement: Judgement<F>, allowed: &dyn Fn(&str) -> bool) -> Judged {
        Judged {
            judge: self,
            verdict: judgement.verdict_allowing(allowed),
            rows: judgement.figures.rows(),
            witnesses: judgement.witnesses,
            figures: serde_json::to_value(&judgement.figures).expect("plain data"),
        }
    }
}
