//! What a server's append-only file brings back after its process was killed.
//!
//! Killing a process takes nothing from the kernel: whatever the server had written to its file is there
//! when it starts again, synced or not. So this shows that a write is in the file before it is
//! acknowledged, and that the file can be read back. What a power cut takes beside that, the writes that
//! were not synced yet, no container can show.

use std::{collections::BTreeSet, time::Duration};

use super::{Judgement, Limits, loss};
use crate::evidence::{At, Outcome, Write};

/// `flushAppendOnlyFile`: a write to the file waits for an fsync that is under way, and the client does
/// not, until this has passed.
const POSTPONED: Duration = Duration::from_secs(2);

/// When the file is synced: `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Once a second, beside the work.
    EverySecond,
    /// Before every acknowledgement.
    Always,
}

impl Sync {
    /// The setting's value.
    pub fn setting(self) -> &'static str {
        match self {
            Self::EverySecond => "everysec",
            Self::Always => "always",
        }
    }
}

/// Holds the `writes` of a server that was killed between `before` and `after` against the sequence
/// numbers that it has `found` in its file.
pub fn brought_back(
    writes: &[Write],
    found: &BTreeSet<u64>,
    (before, after): (At, At),
    sync: Sync,
) -> Judgement {
    let counts = loss(writes, found);
    if counts.acknowledged == 0 {
        return Judgement::unknown("acknowledged writes are there again", "none was acknowledged");
    }
    let gone = writes
        .iter()
        .filter(|write| write.outcome == Outcome::Acknowledged && !found.contains(&write.sequence));
    let first = gone.map(|write| write.intended).min();
    let judgement = match sync {
        Sync::Always => Judgement::equal(
            "no acknowledged write is gone",
            match counts.lost {
                0 => "no acknowledged write is gone",
                _ => "acknowledged writes are gone",
            },
        ),
        Sync::EverySecond => {
            let limits = Limits {
                what: "all that is gone was written before the crash",
                floor: Duration::ZERO,
                ceiling: POSTPONED,
                resolution: after.since(before),
                formula: "appendfsync everysec, process killed: a write to the file waits up to 2 s for an fsync under way (a power cut takes the second since the last fsync as well)",
            };
            Judgement::within(limits, Some(first.map_or(Duration::ZERO, |first| before.since(first))))
        }
    };
    judgement
        .evidence(format!("{} acknowledged, {} of them gone", counts.acknowledged, counts.lost))
        .evidence(format!(
            "{} without an answer, {} of them applied",
            counts.indeterminate_applied + counts.indeterminate_gone,
            counts.indeterminate_applied
        ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    /// A hundred writes, one every 100 ms, all acknowledged; the crash comes at 10 s.
    fn writes() -> Vec<Write> {
        let at = |sequence: u64| At(Duration::from_millis(sequence * 100));
        let write = |sequence| Write {
            sequence,
            intended: at(sequence),
            done: at(sequence),
            outcome: Outcome::Acknowledged,
            error: None,
        };
        (0..100).map(write).collect()
    }

    #[rstest]
    #[case::all_there(Sync::Always, 100, Verdict::Pass)]
    #[case::the_last_one_gone(Sync::Always, 99, Verdict::Fail)]
    #[case::two_seconds_gone(Sync::EverySecond, 80, Verdict::Pass)]
    #[case::more_gone(Sync::EverySecond, 79, Verdict::Fail)]
    #[case::everything_gone(Sync::EverySecond, 0, Verdict::Fail)]
    fn the_policy_says_what_may_be_gone(#[case] sync: Sync, #[case] kept: u64, #[case] verdict: Verdict) {
        let crash = At(Duration::from_secs(10));
        let judgement = brought_back(&writes(), &(0..kept).collect(), (crash, crash), sync);
        assert_eq!(judgement.verdict, verdict, "{judgement:?}");
    }

    #[test]
    fn without_a_write_nothing_is_shown() {
        let crash = (At::default(), At::default());
        assert_eq!(brought_back(&[], &BTreeSet::new(), crash, Sync::Always).verdict, Verdict::Unknown);
    }
}
