//! What clients are answered while nodes crash, one after another.

use std::time::Duration;

use super::{ClusterClocks, Judgement, Limits, seconds};

/// A crash of a shard's primary, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Requests to the shard that were not acknowledged.
    pub refused: usize,
    /// Elections that nobody won.
    pub failed: u64,
}

/// What became of all requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Availability {
    /// How many shards there are, all with the same load.
    pub shards: usize,
    /// Requests of all clients.
    pub requests: usize,
    /// Those of them that were acknowledged.
    pub acknowledged: usize,
    /// Between two requests of one client.
    pub every: Duration,
    /// A client gives a request up after this.
    pub patience: Duration,
    /// The crashes that cost a shard its primary.
    pub outages: Vec<Outage>,
}

impl Availability {
    /// The share of requests that were acknowledged, in per cent.
    pub fn percent(&self) -> f64 {
        100.0 * self.acknowledged as f64 / self.requests.max(1) as f64
    }

    /// How long a crash left its shard without an answer, on average; nothing if none did.
    pub fn mean(&self) -> Option<Duration> {
        let crashes = u32::try_from(self.outages.len()).ok().filter(|crashes| *crashes > 0)?;
        let all: Duration = self.outages.iter().map(|outage| self.length(outage)).sum();
        Some(all / crashes)
    }

    /// Every crash costs its shard what the nodes' clocks say. The one that is the furthest out of these bounds, or
    /// comes the nearest to leaving them, stands for all. What is left of all requests is told beside what was
    /// `promised`, in per cent: it depends on how often something crashes.
    pub fn of_clocks(&self, clocks: &ClusterClocks, promised: f64) -> Judgement {
        let bounded = self.outages.iter().map(|outage| (self.limits(outage, clocks), self.length(outage)));
        let worst = bounded.max_by(|one, other| excess(one).total_cmp(&excess(other)));
        let (Some((limits, length)), Some(mean)) = (worst, self.mean()) else {
            return Judgement::unknown(
                "a shard that loses its primary",
                "no primary was among those that crashed",
            );
        };
        let judged = Judgement::within(limits, Some(length));
        let observed = format!(
            "{} at worst: {:.2} % of requests were acknowledged, promised were {promised} %",
            judged.observed,
            self.percent()
        );
        // One shard's outage is this share of everybody's.
        let allowed = mean.div_f64(self.shards.max(1) as f64).div_f64(1.0 - promised / 100.0);
        Judgement { observed, ..judged }
            .evidence(format!("{} of {} requests were acknowledged", self.acknowledged, self.requests))
            .evidence(format!(
                "{} crashes cost a shard its primary, and {} of answers on average",
                self.outages.len(),
                seconds(mean)
            ))
            .evidence(format!(
                "with such an outage of one shard of {}, {promised} % allow one crash in {:.0} minutes",
                self.shards,
                allowed.as_secs_f64() / 60.0
            ))
    }

    /// How long a crash left its shard without an answer.
    fn length(&self, outage: &Outage) -> Duration {
        self.every * u32::try_from(outage.refused).unwrap_or(u32::MAX)
    }

    /// A request that is under way when the replica takes over may still be answered. Afterwards a client that
    /// tries the lost primary has to give up, and then to ask who has its slots.
    fn limits(&self, outage: &Outage, clocks: &ClusterClocks) -> Limits {
        Limits {
            what: "answered again",
            floor: clocks.soonest_promotion().saturating_sub(self.patience),
            ceiling: clocks.latest_promotion(outage.failed) + self.patience * 2,
            resolution: self.every,
            formula: "NT + delay − patience … 1.5 × NT + min(NT / 2, 1 s) + 2 × delay + 2 ticks of 0.1 s + (max(4 × NT, 4 s) + 2 × delay) per failed election + 2 × patience + scheduling",
        }
    }
}

/// By how many seconds a length is out of its limits; below zero where it is within them.
fn excess((limits, length): &(Limits, Duration)) -> f64 {
    let [floor, ceiling, length] = [limits.floor, limits.ceiling, *length].map(|length| length.as_secs_f64());
    (floor - length).max(length - ceiling)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{judge::ElectionDelay, verdict::Verdict};

    const CLOCKS: ClusterClocks = ClusterClocks {
        node_timeout: Duration::from_secs(1),
        election_delay: ElectionDelay::Fixed,
        observe_every: Duration::ZERO,
        scheduling: Duration::ZERO,
    };

    fn availability(refused: &[usize], failed: u64) -> Availability {
        Availability {
            shards: 3,
            requests: 30_000,
            acknowledged: 30_000 - refused.iter().sum::<usize>(),
            every: Duration::from_millis(5),
            patience: Duration::from_millis(250),
            outages: refused.iter().map(|&refused| Outage { refused, failed }).collect(),
        }
    }

    #[rstest]
    #[case::as_the_clocks_say(&[460, 500], 0, Verdict::Pass)]
    #[case::one_long_and_one_short(&[300, 700], 0, Verdict::Pass)]
    #[case::one_far_too_long_in_a_good_mean(&[460, 460, 460, 460, 1_000], 0, Verdict::Fail)]
    #[case::one_too_short_in_a_good_mean(&[460, 248, 460], 0, Verdict::Fail)]
    #[case::at_the_ceiling(&[741], 0, Verdict::Pass)]
    #[case::longer(&[742], 0, Verdict::Fail)]
    #[case::shorter_than_anybody_takes_over(&[248], 0, Verdict::Fail)]
    #[case::an_election_failed(&[1_700], 1, Verdict::Pass)]
    #[case::nothing_was_lost(&[], 0, Verdict::Unknown)]
    fn an_outage_is_as_long_as_a_failover(
        #[case] refused: &[usize],
        #[case] failed: u64,
        #[case] verdict: Verdict,
    ) {
        let judged = availability(refused, failed).of_clocks(&CLOCKS, 99.99);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }

    #[test]
    fn a_lost_election_pays_for_no_other_outage() {
        let of = |failed: [u64; 2]| {
            let mut both = availability(&[1_700, 460], 0);
            both.outages.iter_mut().zip(failed).for_each(|(outage, failed)| outage.failed = failed);
            both.of_clocks(&CLOCKS, 99.99)
        };
        assert_eq!(of([1, 0]).verdict, Verdict::Pass);
        let judged = of([0, 1]);
        assert_eq!(judged.verdict, Verdict::Fail);
        assert!(judged.observed.starts_with("8.50 s ± 5.0 ms at worst"), "{}", judged.observed);
    }

    #[test]
    fn what_was_promised_stands_beside_what_was_seen() {
        let judged = availability(&[500, 700], 0).of_clocks(&CLOCKS, 99.99);
        assert!(judged.observed.starts_with("3.50 s ± 5.0 ms at worst"), "{}", judged.observed);
        assert!(judged.observed.contains("96.00 % of requests"), "{}", judged.observed);
        assert!(judged.observed.contains("promised were 99.99 %"), "{}", judged.observed);
        assert!(judged.evidence[1].ends_with("3.00 s of answers on average"), "{:?}", judged.evidence);
        // 3 s of a third of the requests are a ten-thousandth of 10,000 s.
        assert!(judged.evidence[2].ends_with("one crash in 167 minutes"), "{:?}", judged.evidence);
    }
}
