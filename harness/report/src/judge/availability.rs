//! What clients are answered while nodes crash, one after another.

use std::time::Duration;

use super::{ClusterClocks, Judgement, Limits};

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

    /// A crash costs its shard what the nodes' clocks say, on average. What that leaves of all requests is told
    /// beside what was `promised`, in per cent: it depends on how often something crashes.
    ///
    /// A request that is under way when the replica takes over may still be answered. Afterwards a client that
    /// tries the lost primary has to give up, and then to ask who has its slots.
    pub fn of_clocks(&self, clocks: &ClusterClocks, promised: f64) -> Judgement {
        let crashes = u32::try_from(self.outages.len()).unwrap_or(u32::MAX);
        if crashes == 0 {
            return Judgement::unknown(
                "a shard that loses its primary",
                "no primary was among those that crashed",
            );
        }
        let refused: usize = self.outages.iter().map(|outage| outage.refused).sum();
        let latest: Duration = self.outages.iter().map(|outage| clocks.latest_promotion(outage.failed)).sum();
        let outage = self.every * u32::try_from(refused).unwrap_or(u32::MAX) / crashes;
        let limits = Limits {
            what: "answered again",
            floor: clocks.soonest_promotion().saturating_sub(self.patience),
            ceiling: latest / crashes + self.patience * 2,
            resolution: self.every,
            formula: "NT + delay − patience … 1.5 × NT + min(NT / 2, 1 s) + 2 × delay + 2 ticks of 0.1 s + (max(4 × NT, 4 s) + 2 × delay) per failed election + 2 × patience + scheduling, a crash",
        };
        let judged = Judgement::within(limits, Some(outage));
        let observed = format!(
            "{} a crash: {:.2} % of requests were acknowledged, promised were {promised} %",
            judged.observed,
            self.percent()
        );
        // One shard's outage is this share of everybody's.
        let allowed = outage.div_f64(self.shards.max(1) as f64).div_f64(1.0 - promised / 100.0);
        Judgement { observed, ..judged }
            .evidence(format!("{} of {} requests were acknowledged", self.acknowledged, self.requests))
            .evidence(format!("{crashes} crashes cost a shard its primary"))
            .evidence(format!(
                "with such an outage of one shard of {}, {promised} % allow one crash in {:.0} minutes",
                self.shards,
                allowed.as_secs_f64() / 60.0
            ))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    const CLOCKS: ClusterClocks = ClusterClocks {
        node_timeout: Duration::from_secs(1),
        election_delay: Duration::from_millis(500),
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
    #[case::one_long_and_one_short(&[300, 800], 0, Verdict::Pass)]
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
    fn what_was_promised_stands_beside_what_was_seen() {
        let judged = availability(&[600], 0).of_clocks(&CLOCKS, 99.99);
        assert!(judged.observed.contains("98.00 % of requests"), "{}", judged.observed);
        assert!(judged.observed.contains("promised were 99.99 %"), "{}", judged.observed);
        // 3 s of a third of the requests are a ten-thousandth of 10,000 s.
        assert!(judged.evidence[2].ends_with("one crash in 167 minutes"), "{:?}", judged.evidence);
    }
}
