//! Clients that are sent elsewhere, as the nodes that send them count it.

use std::{fmt, ops::AddAssign};

use super::Judgement;
use crate::verdict::Verdict;

/// What a node tells a client that it does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirection {
    /// Another node owns the slot.
    Moved,
    /// The key has left already, though the slot has not.
    Ask,
    /// Of several keys some have left, and some have not.
    TryAgain,
}

impl fmt::Display for Redirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Moved => "MOVED",
            Self::Ask => "ASK",
            Self::TryAgain => "TRYAGAIN",
        })
    }
}

/// How often nodes have told their clients so: `errorstat_MOVED` and the others of `INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redirected {
    /// [`Redirection::Moved`].
    pub moved: u64,
    /// [`Redirection::Ask`].
    pub ask: u64,
    /// [`Redirection::TryAgain`].
    pub try_again: u64,
}

impl Redirected {
    /// How often they were told this.
    pub fn times(&self, redirection: Redirection) -> u64 {
        match redirection {
            Redirection::Moved => self.moved,
            Redirection::Ask => self.ask,
            Redirection::TryAgain => self.try_again,
        }
    }

    /// What has been added since it was `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            moved: self.moved.saturating_sub(earlier.moved),
            ask: self.ask.saturating_sub(earlier.ask),
            try_again: self.try_again.saturating_sub(earlier.try_again),
        }
    }
}

impl AddAssign for Redirected {
    fn add_assign(&mut self, other: Self) {
        self.moved += other.moved;
        self.ask += other.ask;
        self.try_again += other.try_again;
    }
}

impl fmt::Display for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MOVED {} times, ASK {} times, TRYAGAIN {} times", self.moved, self.ask, self.try_again)
    }
}

/// A claim about clients that are sent elsewhere, and what they were told meanwhile. A claim that holds is unknown if
/// one of `redirections` was told to nobody: who is never sent elsewhere arrives.
pub fn met(judgement: Judgement, told: Redirected, redirections: &[Redirection]) -> Judgement {
    let judgement = judgement.evidence(format!("clients were told {told}"));
    match redirections.iter().find(|redirection| told.times(**redirection) == 0) {
        Some(never) if judgement.verdict == Verdict::Pass => {
            let observed = format!("no client was told {never}");
            Judgement { verdict: Verdict::Unknown, observed, ..judgement }
        }
        _ => judgement,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Redirection::*, *};

    const fn told(moved: u64, ask: u64, try_again: u64) -> Redirected {
        Redirected { moved, ask, try_again }
    }

    #[rstest]
    #[case::all(told(1, 2, 1), &[Moved, Ask, TryAgain], true, Verdict::Pass)]
    #[case::what_matters(told(1, 0, 0), &[Moved], true, Verdict::Pass)]
    #[case::never_asked(told(1, 0, 1), &[Moved, Ask, TryAgain], true, Verdict::Unknown)]
    #[case::never_moved(told(0, 9, 9), &[Moved], true, Verdict::Unknown)]
    #[case::never_told_to_try_again(told(1, 1, 0), &[TryAgain], true, Verdict::Unknown)]
    #[case::what_fails_fails(told(0, 0, 0), &[Moved], false, Verdict::Fail)]
    fn who_was_never_sent_elsewhere_proves_nothing(
        #[case] told: Redirected,
        #[case] redirections: &[Redirection],
        #[case] holds: bool,
        #[case] verdict: Verdict,
    ) {
        let judgement = Judgement::of(holds, "answered", "answered");
        assert_eq!(met(judgement, told, redirections).verdict, verdict);
    }

    #[test]
    fn a_counter_counts_from_an_earlier_one() {
        let mut all = told(1, 0, 0);
        all += told(2, 3, 0);
        assert_eq!(all.since(told(1, 1, 0)), told(2, 2, 0));
        assert_eq!(told(0, 0, 0).since(all), Redirected::default(), "of a server that was started again");
    }
}
