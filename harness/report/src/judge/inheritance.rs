//! What the new primary of a shard has of what the shard had.

use std::{collections::BTreeSet, time::Duration};

use super::{Judgement, Limits, Loss, SlotFailover, loss, loss::LAG};
use crate::{
    evidence::{At, Outcome, Write},
    verdict::Verdict,
};

/// What becomes of what a primary has sent, and its replica has not read yet, when the primary is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It may be dropped: the primary's process dies, and its connections with it.
    Dropped,
    /// It arrives: the primary falls silent, and what it had sent is the network's.
    Delivered,
}

/// What a shard had that has lost its primary, and what of that the new one has.
#[derive(Debug, Clone, Copy)]
pub struct Inheritance<'a> {
    /// Keys that the replica had before the fault, from before the writes …
    pub had: usize,
    /// … and how many of them are there.
    pub has: usize,
    /// What was written, until after the promotion.
    pub writes: &'a [Write],
    /// The sequence numbers of those that are there.
    pub found: &'a BTreeSet<u64>,
}

impl Inheritance<'_> {
    /// Whether everything is there but what had been acknowledged in the instant of the fault. Unknown where there was
    /// nothing to keep.
    ///
    /// A primary sends a write to its replica and the acknowledgement to the client in one pass over the clients that
    /// have something to get (`handleClientsWithPendingWrites`), which takes no longer than the process is kept waiting
    /// in the middle of it, `scheduling`. Once it is lost it acknowledges nothing: no client is on its side.
    pub fn kept(&self, failover: &SlotFailover, sent: Sent, scheduling: Duration) -> Judgement {
        let (ceiling, formula) = match sent {
            Sent::Dropped => (LAG + scheduling, "replication lag of 100 ms + scheduling, from the fault"),
            Sent::Delivered => (
                scheduling,
                "a reply and the replication stream are sent one right after the other: scheduling, from the fault",
            ),
        };
        let limits = Limits {
            what: "what was lost had been acknowledged",
            floor: Duration::ZERO,
            ceiling,
            resolution: failover.uncertainty,
            formula,
        };
        let judged = Judgement::within(limits, Some(self.reach(failover.began)));
        let Self { had, has, .. } = *self;
        let judged = match self.acknowledged_before(failover.began).min(had) {
            _ if has < had => Judgement {
                verdict: Verdict::Fail,
                observed: format!("{} of {had} keys from long before the fault are gone", had - has),
                ..judged
            },
            0 => Judgement::unknown(judged.expected, "there was nothing to keep"),
            _ => judged,
        };
        let Loss { acknowledged, lost, .. } = loss(self.writes, self.found);
        judged
            .evidence(format!("{has} of {had} keys from long before the fault"))
            .evidence(format!("{lost} of {acknowledged} acknowledged writes are lost"))
    }

    /// How far from the fault, before or after it, a lost write was acknowledged at most; zero if none was lost.
    fn reach(&self, began: At) -> Duration {
        let lost = acknowledged(self.writes).filter(|write| !self.found.contains(&write.sequence));
        lost.map(|write| write.done.0.abs_diff(began.0)).max().unwrap_or_default()
    }

    fn acknowledged_before(&self, began: At) -> usize {
        acknowledged(self.writes).filter(|write| write.done < began).count()
    }
}

fn acknowledged(writes: &[Write]) -> impl Iterator<Item = &Write> {
    writes.iter().filter(|write| write.outcome == Outcome::Acknowledged)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SCHEDULING: Duration = Duration::from_millis(300);

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    /// A write every 10 ms for 4 s, all of them acknowledged. The fault is at 1 s, and took up to 50 ms.
    fn judged(has: usize, lost: std::ops::Range<u64>, sent: Sent) -> Judgement {
        let failover = SlotFailover {
            began: at(1_000),
            uncertainty: Duration::from_millis(50),
            new: None,
            promoted: None,
        };
        let write = |sequence| Write {
            sequence,
            intended: at(sequence * 10),
            done: at(sequence * 10),
            outcome: Outcome::Acknowledged,
            error: None,
        };
        let writes: Vec<Write> = (0..400).map(write).collect();
        let found = (0..400).filter(|sequence| !lost.contains(sequence)).collect();
        Inheritance { had: 100, has, writes: &writes, found: &found }.kept(&failover, sent, SCHEDULING)
    }

    #[rstest]
    #[case::nothing(400..401, Sent::Delivered, Verdict::Pass)]
    #[case::in_the_last_instant(65..100, Sent::Delivered, Verdict::Pass)]
    #[case::while_it_took_effect(100..105, Sent::Delivered, Verdict::Pass)]
    #[case::before_that(64..100, Sent::Delivered, Verdict::Fail)]
    #[case::which_a_process_that_dies_may_lose(64..100, Sent::Dropped, Verdict::Pass)]
    #[case::as_far_as_its_replica_may_be_behind(55..100, Sent::Dropped, Verdict::Pass)]
    #[case::further_back(54..55, Sent::Dropped, Verdict::Fail)]
    #[case::at_the_new_primary(390..391, Sent::Dropped, Verdict::Fail)]
    fn what_is_lost_is_the_last_instants(
        #[case] lost: std::ops::Range<u64>,
        #[case] sent: Sent,
        #[case] verdict: Verdict,
    ) {
        let judged = judged(100, lost, sent);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }

    #[test]
    fn a_key_from_long_ago_is_no_instants_loss() {
        assert_eq!(judged(99, 400..401, Sent::Dropped).verdict, Verdict::Fail);
    }

    #[test]
    fn who_had_nothing_kept_nothing() {
        let failover =
            SlotFailover { began: at(1_000), uncertainty: Duration::ZERO, new: None, promoted: None };
        let nothing = Inheritance { had: 100, has: 100, writes: &[], found: &BTreeSet::new() };
        assert_eq!(nothing.kept(&failover, Sent::Dropped, SCHEDULING).verdict, Verdict::Unknown);
    }
}
