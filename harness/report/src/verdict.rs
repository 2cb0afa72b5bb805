//! The four outcomes of a claim.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the evidence says about a claim.
///
/// The order is the order of severity: the worst of several verdicts is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The claim was exercised and held.
    Pass,
    /// The environment lacks a capability that the claim needs.
    Skipped,
    /// The claim was not really tested, so nothing is known about it.
    Unknown,
    /// The claim was exercised and did not hold.
    Fail,
}

impl Verdict {
    /// `Pass` or `Fail`, for a claim that was exercised.
    pub fn of(holds: bool) -> Self {
        if holds { Self::Pass } else { Self::Fail }
    }

    /// The worst of several verdicts; `Unknown` of none, because nothing was tested.
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or(Self::Unknown)
    }

    /// One character for a checklist line.
    pub fn mark(self) -> char {
        match self {
            Self::Pass => '✓',
            Self::Fail => '✗',
            Self::Unknown => '?',
            Self::Skipped => '–',
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        })
    }
}
