//! A primary that is cut off from the majority: until when it acknowledges, and what of that is lost.

use std::{collections::BTreeSet, time::Duration};

use super::{ClusterClocks, Judgement, Limits};
use crate::{
    evidence::{At, Outcome, Write},
    verdict::Verdict,
};

/// `clusterCron` runs ten times a second: once it asks, once it notices that nobody answers.
const CRON: Duration = Duration::from_millis(100);

/// When a primary was cut off together with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOff {
    /// The cut took effect after this.
    pub not_before: At,
    /// It had taken effect by this.
    pub in_effect: At,
}

impl CutOff {
    /// From the cut to the first write that is refused because the cluster is down.
    ///
    /// A primary stops when it can count on less than half of the primaries, itself included
    /// (`clusterUpdateState`). It gives another one up when a ping has not been answered for NT, and the ping
    /// may be due only NT / 2 after the last answer (`clusterCron`). `every` is what lies between two writes.
    pub fn refusal(&self, writes: &[Write], clocks: &ClusterClocks, every: Duration) -> Judgement {
        let limits = Limits {
            what: "refused",
            floor: clocks.node_timeout,
            ceiling: last_word(clocks),
            resolution: self.uncertainty() + every,
            formula: "NT … 1.5 × NT + 2 ticks of 0.1 s + scheduling, after the cut",
        };
        let refused = self.refused(writes);
        let judged = Judgement::within(limits, refused.map(|at| at.since(self.not_before)));
        let acknowledged = acknowledged(writes).filter(|write| write.intended >= self.in_effect).count();
        judged.evidence(format!("{acknowledged} acknowledged after the cut"))
    }

    /// When the primary first refused a write because the cluster is down.
    pub fn refused(&self, writes: &[Write]) -> Option<At> {
        let down = |write: &&Write| {
            write.intended >= self.not_before && write.error.as_deref() == Some("CLUSTERDOWN")
        };
        writes.iter().filter(down).map(|write| write.done).min()
    }

    /// Whether everything that was acknowledged and is not among `found` was acknowledged between the cut and
    /// the last moment at which the primary may have gone on. Unknown if nothing was lost.
    pub fn loss(&self, writes: &[Write], found: &BTreeSet<u64>, clocks: &ClusterClocks) -> Judgement {
        let formula = "1.5 × NT + 2 ticks of 0.1 s + scheduling, after the cut; none before it";
        self.loss_until(last_word(clocks), formula, writes, found)
    }

    /// The same where the primary goes on for as long as another setting lets it: `ceiling`, by `formula`.
    pub fn loss_until(
        &self,
        ceiling: Duration,
        formula: &'static str,
        writes: &[Write],
        found: &BTreeSet<u64>,
    ) -> Judgement {
        let what = "the last lost write";
        let limits = Limits { what, floor: Duration::ZERO, ceiling, resolution: self.uncertainty(), formula };
        let before = self.lost_before(writes, found).count();
        let last = lost(writes, found).map(|write| write.done).max();
        let judged = Judgement::within(limits, last.map(|last| last.since(self.not_before)));
        let judged = match (last, before) {
            (None, _) => Judgement::unknown(judged.expected, "nothing was lost"),
            (_, 0) => judged,
            _ => Judgement {
                verdict: Verdict::Fail,
                observed: "writes from before the cut are lost".to_owned(),
                ..judged
            },
        };
        let lost = lost(writes, found).count();
        judged.evidence(format!("{lost} lost, {before} of them acknowledged before the cut"))
    }

    /// Whether what was acknowledged before the cut is there. Unknown if nothing was.
    ///
    /// A primary sends a write to its replicas and the acknowledgement to the client in one pass over the clients
    /// that have something to get (`handleClientsWithPendingWrites`): it takes no longer than the process is kept
    /// waiting, `scheduling`, in the middle of it.
    pub fn kept_before(&self, writes: &[Write], found: &BTreeSet<u64>, scheduling: Duration) -> Judgement {
        let limits = Limits {
            what: "the first lost write before the cut",
            floor: Duration::ZERO,
            ceiling: scheduling,
            resolution: self.uncertainty(),
            formula: "a reply and the replication stream are sent one right after the other: scheduling",
        };
        let first = self.lost_before(writes, found).map(|write| write.done).min();
        let judged = Judgement::within(
            limits,
            Some(first.map_or(Duration::ZERO, |first| self.not_before.since(first))),
        );
        let before = acknowledged(writes).filter(|write| write.done < self.not_before).count();
        let lost = self.lost_before(writes, found).count();
        let judged = match before {
            0 => Judgement::unknown(judged.expected, "nothing was acknowledged before the cut"),
            _ => judged,
        };
        judged.evidence(format!("{before} acknowledged before the cut, {lost} of them lost"))
    }

    /// Whether a primary goes on acknowledging from the cut to `until`: never is it longer than `ceiling` without.
    pub fn goes_on(
        &self,
        writes: &[Write],
        until: At,
        ceiling: Duration,
        formula: &'static str,
    ) -> Judgement {
        let limits = Limits {
            what: "the next acknowledgement",
            floor: Duration::ZERO,
            ceiling,
            resolution: Duration::ZERO,
            formula,
        };
        let after = acknowledged(writes).map(|write| write.done).filter(|done| *done > self.not_before);
        let mut moments: Vec<At> = after.filter(|done| *done < until).collect();
        moments.extend([self.not_before, until]);
        moments.sort();
        let longest = moments.windows(2).map(|pair| pair[1].since(pair[0])).max();
        let judged = Judgement::within(limits, longest);
        judged.evidence(format!("{} acknowledged after the cut", moments.len() - 2))
    }

    fn lost_before<'a>(
        &'a self,
        writes: &'a [Write],
        found: &'a BTreeSet<u64>,
    ) -> impl Iterator<Item = &'a Write> {
        lost(writes, found).filter(|write| write.done < self.not_before)
    }

    fn uncertainty(&self) -> Duration {
        self.in_effect.since(self.not_before)
    }
}

/// A primary that was cut off acknowledges for no longer than this.
fn last_word(clocks: &ClusterClocks) -> Duration {
    clocks.node_timeout * 3 / 2 + CRON * 2 + clocks.scheduling
}

fn lost<'a>(writes: &'a [Write], found: &'a BTreeSet<u64>) -> impl Iterator<Item = &'a Write> {
    acknowledged(writes).filter(|write| !found.contains(&write.sequence))
}

fn acknowledged(writes: &[Write]) -> impl Iterator<Item = &Write> {
    writes.iter().filter(|write| write.outcome == Outcome::Acknowledged)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::judge::ElectionDelay;

    const CLOCKS: ClusterClocks = ClusterClocks {
        node_timeout: Duration::from_secs(2),
        election_delay: ElectionDelay::Fixed,
        observe_every: Duration::ZERO,
        scheduling: Duration::ZERO,
    };
    const CUT: CutOff = CutOff { not_before: at(1000), in_effect: at(1000) };

    const fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    /// A write every 100 ms, acknowledged until `stop` and refused from then on.
    fn writes(stop: u64) -> Vec<Write> {
        let write = |sequence| {
            let stopped = sequence * 100 >= stop;
            Write {
                sequence,
                intended: at(sequence * 100),
                done: at(sequence * 100),
                outcome: if stopped { Outcome::Failed } else { Outcome::Acknowledged },
                error: stopped.then(|| "CLUSTERDOWN".to_owned()),
            }
        };
        (0..60).map(write).collect()
    }

    #[rstest]
    #[case::too_soon(2_900, Verdict::Fail)]
    #[case::at_the_floor(3_000, Verdict::Pass)]
    #[case::at_the_ceiling(4_200, Verdict::Pass)]
    #[case::too_late(4_300, Verdict::Fail)]
    #[case::never(6_000, Verdict::Fail)]
    fn a_refusal_has_its_bounds(#[case] stop: u64, #[case] verdict: Verdict) {
        assert_eq!(CUT.refusal(&writes(stop), &CLOCKS, Duration::ZERO).verdict, verdict);
    }

    #[rstest]
    #[case::nothing(60, 60, Verdict::Unknown)]
    #[case::after_the_cut(10, 42, Verdict::Pass)]
    #[case::before_the_cut(9, 42, Verdict::Fail)]
    #[case::too_late(10, 44, Verdict::Fail)]
    fn a_loss_has_its_window(#[case] first: u64, #[case] end: u64, #[case] verdict: Verdict) {
        let found = (0..60).filter(|sequence| !(first..end).contains(sequence)).collect();
        assert_eq!(CUT.loss(&writes(6_000), &found, &CLOCKS).verdict, verdict);
    }

    #[rstest]
    #[case::nothing(60, 60, Verdict::Pass)]
    #[case::after_the_cut(10, 60, Verdict::Pass)]
    #[case::in_the_middle_of_it(9, 60, Verdict::Pass)]
    #[case::long_before(8, 9, Verdict::Fail)]
    fn what_was_acknowledged_before_the_cut_is_kept(
        #[case] first: u64,
        #[case] end: u64,
        #[case] verdict: Verdict,
    ) {
        let found = (0..60).filter(|sequence| !(first..end).contains(sequence)).collect();
        let scheduling = Duration::from_millis(150);
        assert_eq!(CUT.kept_before(&writes(6_000), &found, scheduling).verdict, verdict);
    }

    #[test]
    fn where_nothing_was_acknowledged_nothing_was_kept() {
        let judged = CUT.kept_before(&writes(0), &BTreeSet::new(), Duration::ZERO);
        assert_eq!(judged.verdict, Verdict::Unknown);
    }

    #[rstest]
    #[case::to_the_end(6_000, Verdict::Pass)]
    #[case::but_for_the_last_moment(5_300, Verdict::Pass)]
    #[case::not_any_more(4_000, Verdict::Fail)]
    #[case::not_at_all(1_000, Verdict::Fail)]
    fn a_primary_goes_on_or_does_not(#[case] stop: u64, #[case] verdict: Verdict) {
        let judged = CUT.goes_on(&writes(stop), at(6_000), Duration::from_secs(1), "");
        assert_eq!(judged.verdict, verdict);
    }
}
