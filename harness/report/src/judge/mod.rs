//! Pure checkers: evidence in, judgements out.
//!
//! A judgement says what would have passed, what was seen, and the raw figures behind it. It is *unknown*
//! where the evidence cannot show the claim either way.

mod alerts;
mod availability;
mod behind;
mod clients;
mod durability;
mod election;
mod failover;
mod inheritance;
mod lag;
mod loss;
mod messages;
mod metrics;
mod minority;
mod redirections;
mod requests;
mod scaling;
mod secrets;
mod slots;
mod subscriptions;
mod syncs;
mod throughput;
mod vacancy;

use std::time::Duration;

pub use alerts::{alone, alone_beyond, among, quiet};
pub use availability::{Availability, Outage};
pub use behind::{Behind, falls_behind};
pub use clients::{ClientClocks, Cost, Counted, round_trips};
pub use durability::{Sync, brought_back};
pub use election::{Election, Named, SentinelClocks, one_epoch_each};
pub use failover::{Clocks, Failover};
pub use inheritance::{Inheritance, Sent};
pub use lag::{Lags, Loaded, lag_under_load, lag_within};
pub use loss::{Held, Loss, Toll, last_instant, loss};
pub use messages::{
    Account, Cause, Gap, Upheaval, all_acknowledged, all_passed_on, at_most_once, complete,
    lost_only_while_away,
};
pub use metrics::{Sampling, Window, dip, lag_returns, recorded, recovery};
pub use minority::CutOff;
pub use redirections::{Redirected, Redirection, met};
pub use requests::{Witness, none_acknowledged, undisturbed};
pub use scaling::{balanced, none_lost};
pub use secrets::{Page, kept};
pub use slots::{ClusterClocks, ElectionDelay, SlotFailover};
pub use subscriptions::{Habits, Notice, renewed};
pub use syncs::{served, told};
pub use throughput::{Carried, Served, answered, carries};
pub use vacancy::nobody_promoted;

use crate::{evidence::At, report::Bound, verdict::Verdict};

/// What the evidence says about one claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What would have passed.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Raw answers and figures.
    pub evidence: Vec<String>,
    /// For a claim about time.
    pub bound: Option<Bound>,
}

impl Judgement {
    /// A claim that was exercised.
    pub fn of(holds: bool, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::of(holds),
            expected: expected.into(),
            observed: observed.into(),
            evidence: Vec::new(),
            bound: None,
        }
    }

    /// A claim that something observed is exactly what it should be.
    pub fn equal(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        let (expected, observed) = (expected.into(), observed.into());
        Self::of(expected == observed, expected, observed)
    }

    /// A claim that was not really tested.
    pub fn unknown(expected: impl Into<String>, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::of(false, expected, why) }
    }

    /// A claim that the environment cannot exercise, for want of a capability.
    pub fn skipped(expected: impl Into<String>, capability: &str) -> Self {
        let why = format!("skipped: {capability}");
        Self { verdict: Verdict::Skipped, ..Self::of(false, expected, why) }
    }

    /// A claim about a length of time; it fails if it did not happen.
    pub fn within(limits: Limits, measured: Option<Duration>) -> Self {
        let Limits { what, floor, ceiling, resolution, formula } = limits;
        let expected = match floor {
            Duration::ZERO => format!("{what} within {}", seconds(ceiling)),
            floor => format!("{what} after {} to {}", seconds(floor), seconds(ceiling)),
        };
        let observed = match measured {
            // No measurement is sharper than its resolution.
            Some(measured) => format!("{} ± {}", seconds(measured), seconds(resolution)),
            None => "it did not happen".to_owned(),
        };
        let holds = measured
            .is_some_and(|measured| measured + resolution >= floor && measured <= ceiling + resolution);
        let bound = Bound {
            formula: formula.to_owned(),
            floor: At(floor),
            ceiling: At(ceiling),
            measured: measured.map(At),
            resolution: At(resolution),
        };
        Self { bound: Some(bound), ..Self::of(holds, expected, observed) }
    }

    /// Adds a raw answer or figure.
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }
}

/// A floor and a ceiling, and where they come from.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What is timed.
    pub what: &'static str,
    /// Shorter than this, it did not happen the way the step says.
    pub floor: Duration,
    /// Longer than this, the claim does not hold.
    pub ceiling: Duration,
    /// How far the measurement can be off.
    pub resolution: Duration,
    /// How both follow from the clocks involved.
    pub formula: &'static str,
}

/// A length of time as people read it: `87 ms`, `1.32 s`.
pub fn seconds(length: Duration) -> String {
    match length.as_secs_f64() {
        s if s < 0.001 => format!("{:.2} ms", s * 1000.0),
        s if s < 0.0995 => format!("{:.1} ms", s * 1000.0),
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s => format!("{s:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            what: "promotion",
            floor: Duration::from_secs(1),
            ceiling: Duration::from_secs(2),
            resolution: Duration::from_millis(10),
            formula: "f",
        }
    }

    #[rstest::rstest]
    #[case::below_the_floor(980, Verdict::Fail)]
    #[case::at_the_floor_by_its_resolution(990, Verdict::Pass)]
    #[case::at_the_ceiling(2010, Verdict::Pass)]
    #[case::above_it(2011, Verdict::Fail)]
    fn a_bound_has_two_ends(#[case] millis: u64, #[case] verdict: Verdict) {
        assert_eq!(Judgement::within(limits(), Some(Duration::from_millis(millis))).verdict, verdict);
    }

    #[test]
    fn what_did_not_happen_is_not_within_any_bound() {
        assert_eq!(Judgement::within(limits(), None).verdict, Verdict::Fail);
    }
}
