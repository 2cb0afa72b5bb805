//! What became of acknowledged writes. Redis may lose them; the lab says how many.

use std::{collections::BTreeSet, time::Duration};

use super::{Judgement, Limits};
use crate::{
    evidence::{At, Outcome, Write},
    verdict::Verdict,
};

/// A primary answers its client and feeds its replicas in one turn of its event loop, so what a crash loses is of
/// that instant. This is how far behind a replica may be (`replica.lag`).
pub(super) const LAG: Duration = Duration::from_millis(100);

/// Writes against what a read at the end found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Acknowledged in all.
    pub acknowledged: usize,
    /// Acknowledged, and gone.
    pub lost: usize,
    /// From the first lost write to the last, by intended time.
    pub window: Duration,
    /// Without an answer, and gone.
    pub indeterminate_gone: usize,
    /// Without an answer, and there.
    pub indeterminate_applied: usize,
}

/// Holds `writes` against the sequence numbers `found` after the failover.
pub fn loss(writes: &[Write], found: &BTreeSet<u64>) -> Loss {
    let is = |outcome| writes.iter().filter(move |write| write.outcome == outcome);
    let gone = |write: &&Write| !found.contains(&write.sequence);
    let lost: Vec<_> = is(Outcome::Acknowledged).filter(gone).map(|write| write.intended).collect();
    let window =
        lost.iter().max().zip(lost.iter().min()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    let indeterminate = is(Outcome::Indeterminate).count();
    let indeterminate_gone = is(Outcome::Indeterminate).filter(gone).count();
    Loss {
        acknowledged: is(Outcome::Acknowledged).count(),
        lost: lost.len(),
        window,
        indeterminate_gone,
        indeterminate_applied: indeterminate - indeterminate_gone,
    }
}

/// Acknowledged writes that are looked for again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Held(Vec<Write>);

impl Held {
    /// Those of `writes` that were acknowledged.
    pub fn of(writes: &[Write]) -> Self {
        let acknowledged = |write: &&Write| write.outcome == Outcome::Acknowledged;
        Self(writes.iter().filter(acknowledged).cloned().collect())
    }

    /// Those that have been there whenever somebody looked.
    pub fn writes(&self) -> &[Write] {
        &self.0
    }

    /// Those that are not among the sequence numbers `found` any more. Each is lost once.
    pub fn lost(&mut self, found: &BTreeSet<u64>) -> Vec<Write> {
        let there = |write: &Write| found.contains(&write.sequence);
        let (there, lost) = std::mem::take(&mut self.0).into_iter().partition(there);
        self.0 = there;
        lost
    }
}

/// What is missing after one of several crashes, of all that was acknowledged by then and not missing before.
#[derive(Debug, Clone, PartialEq)]
pub struct Toll {
    /// When the node crashed.
    pub crashed: At,
    /// From the shard that it was the primary of; none if it was a replica.
    pub hit: Option<Vec<Write>>,
    /// From the other shards.
    pub elsewhere: Vec<Write>,
}

impl Toll {
    /// How many writes are missing.
    pub fn lost(&self) -> usize {
        self.hit.as_ref().map_or(0, Vec::len) + self.elsewhere.len()
    }

    /// How far from the crash, before or after it, a write was acknowledged at most that is missing where it hit;
    /// zero if none is.
    fn reach(&self) -> Duration {
        let reach = |write: &Write| write.done.0.abs_diff(self.crashed.0);
        self.hit.iter().flatten().map(reach).max().unwrap_or_default()
    }
}

/// A crash of a primary loses what was acknowledged in its last instant, and nothing that is older; a shard that keeps
/// its primary has nothing to lose.
///
/// At the first crash there is nothing old yet: it takes a later one of a primary to exercise the claim.
pub fn last_instant(tolls: &[Toll], scheduling: Duration) -> Judgement {
    let limits = Limits {
        what: "what was lost had been acknowledged",
        floor: Duration::ZERO,
        ceiling: LAG + scheduling,
        resolution: Duration::ZERO,
        formula: "replication lag of 100 ms + scheduling",
    };
    let hits = tolls.iter().filter(|toll| toll.hit.is_some()).count();
    let later = tolls.iter().skip(1).any(|toll| toll.hit.is_some());
    let elsewhere: usize = tolls.iter().map(|toll| toll.elsewhere.len()).sum();
    let reach = tolls.iter().map(Toll::reach).max().unwrap_or_default();
    let bounded = Judgement::within(limits, Some(reach));
    let judged = match (elsewhere, bounded.verdict) {
        (0, Verdict::Pass) if !later => {
            Judgement::unknown("a bound of what is lost", "no primary crashed when there were old writes")
        }
        (0, _) => bounded,
        _ => Judgement::of(false, "nothing is lost where no primary crashed", "writes are lost there"),
    };
    judged.evidence(format!(
        "{hits} of {} crashes were of a primary; elsewhere {elsewhere} writes are lost",
        tolls.len()
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        /// Whatever the outcomes, exactly the acknowledged writes that are gone are lost.
        #[test]
        fn exactly_the_planted_losses_are_found(
            outcomes in prop::collection::vec(0..3_u8, 1..200),
            gone in prop::collection::btree_set(0..200_u64, 0..50),
        ) {
            let writes: Vec<_> = (0..).zip(&outcomes).map(|(sequence, outcome)| Write {
                sequence,
                intended: At(Duration::from_millis(sequence)),
                done: At(Duration::from_millis(sequence + 1)),
                outcome: [Outcome::Acknowledged, Outcome::Failed, Outcome::Indeterminate][usize::from(*outcome)],
                error: None,
            }).collect();
            let found = writes.iter().map(|write| write.sequence).filter(|sequence| !gone.contains(sequence)).collect();
            let planted = writes.iter().filter(|w| w.outcome == Outcome::Acknowledged && gone.contains(&w.sequence)).count();
            prop_assert_eq!(loss(&writes, &found).lost, planted);
            let mut held = Held::of(&writes);
            prop_assert_eq!(held.lost(&found).len(), planted);
            prop_assert!(held.lost(&found).is_empty(), "each is lost once");
            let acknowledged = writes.iter().filter(|w| w.outcome == Outcome::Acknowledged).count();
            prop_assert_eq!(held.lost(&BTreeSet::new()).len(), acknowledged - planted);
        }
    }

    fn acknowledged(millis: &[u64]) -> Vec<Write> {
        let write = |millis: &u64| Write {
            sequence: *millis,
            intended: At(Duration::from_millis(*millis)),
            done: At(Duration::from_millis(*millis)),
            outcome: Outcome::Acknowledged,
            error: None,
        };
        millis.iter().map(write).collect()
    }

    /// A crash, and when what is missing after it was acknowledged.
    fn toll(crashed: u64, hit: Option<&[u64]>, elsewhere: &[u64]) -> Toll {
        let crashed = At(Duration::from_millis(crashed));
        Toll { crashed, hit: hit.map(acknowledged), elsewhere: acknowledged(elsewhere) }
    }

    #[rstest]
    #[case::nothing(vec![toll(1_000, None, &[]), toll(9_000, Some(&[]), &[])], Verdict::Pass)]
    #[case::just_before(vec![toll(1_000, None, &[]), toll(9_000, Some(&[8_900, 8_950]), &[])], Verdict::Pass)]
    #[case::just_after(vec![toll(1_000, Some(&[]), &[]), toll(9_000, Some(&[9_100]), &[])], Verdict::Pass)]
    #[case::before(vec![toll(1_000, None, &[]), toll(9_000, Some(&[8_899, 8_950]), &[])], Verdict::Fail)]
    #[case::after(vec![toll(1_000, None, &[]), toll(9_000, Some(&[9_101]), &[])], Verdict::Fail)]
    #[case::another_crashs(vec![toll(1_000, None, &[]), toll(9_000, Some(&[1_000]), &[])], Verdict::Fail)]
    #[case::elsewhere(vec![toll(1_000, None, &[999]), toll(9_000, Some(&[]), &[])], Verdict::Fail)]
    #[case::with_nothing_old(vec![toll(1_000, Some(&[999]), &[]), toll(9_000, None, &[])], Verdict::Unknown)]
    #[case::too_much_all_the_same(vec![toll(1_000, Some(&[1]), &[]), toll(9_000, None, &[])], Verdict::Fail)]
    #[case::replicas_only(vec![toll(1_000, None, &[]), toll(9_000, None, &[])], Verdict::Unknown)]
    #[case::no_crash(vec![], Verdict::Unknown)]
    fn a_crash_loses_its_last_instant(#[case] tolls: Vec<Toll>, #[case] verdict: Verdict) {
        let judged = last_instant(&tolls, Duration::ZERO);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }
}
