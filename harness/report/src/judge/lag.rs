//! Replication lag, from marks of the lab's own: written at the primary, looked for at a replica.

use std::time::Duration;

use super::{Judgement, seconds};

/// The 99th percentile of `lags` is under `limit`.
///
/// A mark's lag runs from its acknowledgement to the first read that sees it, so it is too long by up to
/// one read, never too short. `missing` marks were never seen: they count as over any limit.
pub fn lag_within(limit: Duration, lags: &[Duration], missing: usize) -> Judgement {
    let expected = format!("p99 under {}", seconds(limit));
    if lags.is_empty() && missing == 0 {
        return Judgement::unknown(expected, "no mark was written");
    }
    let mut sorted = lags.to_vec();
    sorted.sort_unstable();
    let total = sorted.len() + missing;
    // Nearest rank: the smallest value that 99 % of the marks do not exceed.
    let percentile = |percent: usize| sorted.get((total * percent).div_ceil(100).max(1) - 1).copied();
    let show = |lag: Option<Duration>| lag.map_or_else(|| "never seen".to_owned(), seconds);
    let p99 = percentile(99);
    let observed = format!("p50 {}, p99 {}", show(percentile(50)), show(p99));
    Judgement::of(p99.is_some_and(|p99| p99 < limit), expected, observed)
        .evidence(format!("{total} marks, {missing} never seen, maximum {}", show(sorted.last().copied())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    const LIMIT: Duration = Duration::from_millis(100);

    #[test]
    fn one_slow_mark_in_a_hundred_is_not_in_the_99th_percentile() {
        let mut lags = vec![Duration::from_millis(1); 99];
        lags.push(Duration::from_secs(1));
        assert_eq!(lag_within(LIMIT, &lags, 0).verdict, Verdict::Pass);
        lags.push(Duration::from_secs(1));
        assert_eq!(lag_within(LIMIT, &lags, 0).verdict, Verdict::Fail);
    }

    #[test]
    fn marks_that_never_arrived_count() {
        assert_eq!(lag_within(LIMIT, &[Duration::from_millis(1); 50], 50).verdict, Verdict::Fail);
        assert_eq!(lag_within(LIMIT, &[], 10).verdict, Verdict::Fail);
    }

    #[test]
    fn no_marks_no_verdict() {
        assert_eq!(lag_within(LIMIT, &[], 0).verdict, Verdict::Unknown);
    }
}
