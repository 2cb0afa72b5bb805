//! Replication lag, from marks of the lab's own: written at the primary, looked for at a replica.

use std::time::Duration;

use super::{Judgement, seconds};

/// How long marks took from their acknowledgement to the first read that saw them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lags {
    /// At a replica.
    pub at_replica: Vec<Duration>,
    /// At the primary itself, looked for in the same way at the same time: it has every mark that it
    /// acknowledged, so this is what the method, and a machine that stalls, add to the lag.
    pub at_primary: Vec<Duration>,
    /// Marks that no read at the replica ever saw: they count as over any limit.
    pub missing: usize,
}

/// The 99th percentile of the lag at the replica is under `limit`, give or take what the same marks show
/// at the primary.
pub fn lag_within(limit: Duration, lags: &Lags) -> Judgement {
    let expected = format!("p99 under {}", seconds(limit));
    let Lags { at_replica, at_primary, missing } = lags;
    let total = at_replica.len() + missing;
    let resolution = percentile(99, at_primary, at_primary.len());
    let (Some(resolution), 1..) = (resolution, total) else {
        return Judgement::unknown(expected, "no mark was written");
    };
    let show = |lag: Option<Duration>| lag.map_or_else(|| "never seen".to_owned(), seconds);
    let p99 = percentile(99, at_replica, total);
    let p50 = show(percentile(50, at_replica, total));
    let observed = format!("p50 {p50}, p99 {} ± {}", show(p99), seconds(resolution));
    Judgement::of(p99.is_some_and(|p99| p99 < limit + resolution), expected, observed)
        .evidence(format!(
            "{total} marks, {missing} never seen, maximum {}",
            show(at_replica.iter().max().copied())
        ))
        .evidence("± is the p99 of the same marks at the primary, which has no lag")
}

/// Nearest rank: the smallest value that `percent` of `total` do not exceed; none if it was not seen.
fn percentile(percent: usize, lags: &[Duration], total: usize) -> Option<Duration> {
    let mut sorted = lags.to_vec();
    sorted.sort_unstable();
    sorted.get((total * percent).div_ceil(100).max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    const LIMIT: Duration = Duration::from_millis(100);

    fn lags(at_replica: &[Duration], missing: usize) -> Lags {
        let at_primary = vec![Duration::from_millis(1); 100];
        Lags { at_replica: at_replica.to_vec(), at_primary, missing }
    }

    #[test]
    fn one_slow_mark_in_a_hundred_is_not_in_the_99th_percentile() {
        let mut seen = vec![Duration::from_millis(1); 99];
        seen.push(Duration::from_secs(1));
        assert_eq!(lag_within(LIMIT, &lags(&seen, 0)).verdict, Verdict::Pass);
        seen.push(Duration::from_secs(1));
        assert_eq!(lag_within(LIMIT, &lags(&seen, 0)).verdict, Verdict::Fail);
    }

    #[test]
    fn marks_that_never_arrived_count() {
        assert_eq!(lag_within(LIMIT, &lags(&[Duration::from_millis(1); 50], 50)).verdict, Verdict::Fail);
        assert_eq!(lag_within(LIMIT, &lags(&[], 10)).verdict, Verdict::Fail);
    }

    #[test]
    fn what_the_primary_shows_as_well_is_no_lag() {
        let stalled = vec![Duration::from_millis(150); 100];
        let both = Lags { at_replica: stalled.clone(), at_primary: stalled, missing: 0 };
        assert_eq!(lag_within(LIMIT, &both).verdict, Verdict::Pass);
        assert_eq!(
            lag_within(LIMIT, &Lags { at_primary: vec![Duration::ZERO; 100], ..both }).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn no_marks_no_verdict() {
        assert_eq!(lag_within(LIMIT, &lags(&[], 0)).verdict, Verdict::Unknown);
        assert_eq!(lag_within(LIMIT, &Lags::default()).verdict, Verdict::Unknown);
    }
}
