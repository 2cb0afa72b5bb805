//! What became of acknowledged writes. Redis may lose them; the lab says how many.

use std::{collections::BTreeSet, time::Duration};

use crate::evidence::{At, Outcome, Write};

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

/// How far from `crash`, before or after it, a lost write was acknowledged at most; zero if none was lost.
pub fn loss_reach(writes: &[Write], found: &BTreeSet<u64>, crash: At) -> Duration {
    let lost = |write: &&Write| write.outcome == Outcome::Acknowledged && !found.contains(&write.sequence);
    let reach = |write: &Write| write.done.0.abs_diff(crash.0);
    writes.iter().filter(lost).map(reach).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::At;

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
            let reach = loss_reach(&writes, &found, At(Duration::from_millis(100)));
            prop_assert!(planted > 0 || reach == Duration::ZERO);
            prop_assert!(reach <= Duration::from_millis(100), "{reach:?}");
        }
    }

    #[test]
    fn a_loss_reaches_as_far_after_the_crash_as_before_it() {
        let write = |sequence| Write {
            sequence,
            intended: At(Duration::from_millis(sequence)),
            done: At(Duration::from_millis(sequence)),
            outcome: Outcome::Acknowledged,
            error: None,
        };
        let reach = |lost| loss_reach(&[write(lost)], &BTreeSet::new(), At(Duration::from_millis(500)));
        assert_eq!((reach(480).as_millis(), reach(900).as_millis()), (20, 400));
    }
}
