//! Replication lag, from marks of the lab's own: written at the primary, looked for at a replica.

use std::time::Duration;

use super::{Judgement, seconds};
use crate::verdict::Verdict;

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

/// What a primary carried out of a load, by its own count, while the lag of its replicas was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Commands of the load.
    pub commands: u64,
    /// For how long.
    pub length: Duration,
}

/// [`lag_within`] under a load of `rate` commands a second at every primary. Where one of them carried out less than
/// half of that, a short lag says nothing of a load, and the claim is *unknown*; a lag that is too long is too long.
pub fn lag_under_load(limit: Duration, rate: f64, replicas: &[Lags], primaries: &[Loaded]) -> Judgement {
    let judged = lag_within(limit, replicas);
    let least = primaries.iter().map(Loaded::rate).min_by(f64::total_cmp).unwrap_or_default();
    let told =
        format!("the load came to {least:.0} of {rate:.0} commands a second at the least busy primary");
    match judged.verdict {
        Verdict::Pass if least * 2.0 < rate => Judgement::unknown(judged.expected, told),
        _ => judged.evidence(told),
    }
}

/// The 99th percentile of the lag is under `limit` at every replica.
///
/// The measurement is as sharp as what the same marks show at the primary: of a lag over the limit by no more than that
/// nobody can tell whether it is the replica's or the machine's, and where the primary shows as much as the limit itself
/// nobody can tell anything. Both are *unknown*.
pub fn lag_within(limit: Duration, replicas: &[Lags]) -> Judgement {
    let expected = format!("p99 under {}", seconds(limit));
    let Some(worst) = replicas.iter().max_by_key(|lags| lags.p99().unwrap_or(Duration::MAX)) else {
        return Judgement::unknown(expected, "there is no replica");
    };
    let total = worst.total();
    let resolution = percentile(99, &worst.at_primary, total);
    let (Some(resolution), 1..) = (resolution, total) else {
        return Judgement::unknown(expected, "the marks were not seen at the primary itself");
    };
    if resolution >= limit {
        let why =
            format!("the machine stalls: the primary shows its own marks only after {}", seconds(resolution));
        return Judgement::unknown(expected, why);
    }
    let show = |lag: Option<Duration>| lag.map_or_else(|| "never seen".to_owned(), seconds);
    let p50 = show(percentile(50, &worst.at_replica, total));
    let observed = format!("p50 {p50}, p99 {} ± {}", show(worst.p99()), seconds(resolution));
    let most = show(worst.at_replica.iter().max().copied());
    let judged = match worst.p99() {
        Some(p99) if p99 >= limit && p99 < limit + resolution => {
            Judgement::unknown(expected, format!("{observed}: not sharp enough to tell"))
        }
        p99 => Judgement::of(p99.is_some_and(|p99| p99 < limit), expected, observed),
    };
    judged
        .evidence(format!(
            "the slowest of {} replicas: {total} marks, {} never seen, maximum {most}",
            replicas.len(),
            worst.missing
        ))
        .evidence("± is the p99 of the same marks at the primary, which has no lag")
}

impl Loaded {
    fn rate(&self) -> f64 {
        self.commands as f64 / self.length.as_secs_f64().max(f64::EPSILON)
    }
}

impl Lags {
    fn total(&self) -> usize {
        self.at_replica.len() + self.missing
    }

    fn p99(&self) -> Option<Duration> {
        percentile(99, &self.at_replica, self.total())
    }
}

/// Nearest rank: the smallest value that `percent` of `total` do not exceed; none if it was not seen.
fn percentile(percent: usize, lags: &[Duration], total: usize) -> Option<Duration> {
    let mut sorted = lags.to_vec();
    sorted.sort_unstable();
    sorted.get((total * percent).div_ceil(100).max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    fn lags(at_replica: &[Duration], missing: usize) -> Lags {
        let at_primary = vec![Duration::from_millis(1); 100];
        Lags { at_replica: at_replica.to_vec(), at_primary, missing }
    }

    #[test]
    fn one_slow_mark_in_a_hundred_is_not_in_the_99th_percentile() {
        let mut seen = vec![Duration::from_millis(1); 99];
        seen.push(Duration::from_secs(1));
        assert_eq!(lag_within(LIMIT, &[lags(&seen, 0)]).verdict, Verdict::Pass);
        seen.push(Duration::from_secs(1));
        assert_eq!(lag_within(LIMIT, &[lags(&seen, 0)]).verdict, Verdict::Fail);
    }

    #[test]
    fn marks_that_never_arrived_count() {
        assert_eq!(lag_within(LIMIT, &[lags(&[Duration::from_millis(1); 50], 50)]).verdict, Verdict::Fail);
        assert_eq!(lag_within(LIMIT, &[lags(&[], 10)]).verdict, Verdict::Fail);
    }

    #[rstest]
    #[case::under_the_limit(99, 40, Verdict::Pass)]
    #[case::over_it_by_less_than_the_primary_shows(130, 40, Verdict::Unknown)]
    #[case::at_the_limit(100, 40, Verdict::Unknown)]
    #[case::over_it_by_more(140, 40, Verdict::Fail)]
    #[case::over_it_and_the_primary_shows_nothing(130, 1, Verdict::Fail)]
    fn the_limit_is_as_sharp_as_the_measurement(
        #[case] replica: u64,
        #[case] primary: u64,
        #[case] verdict: Verdict,
    ) {
        let stalled = |millis| vec![Duration::from_millis(millis); 100];
        let both = Lags { at_replica: stalled(replica), at_primary: stalled(primary), missing: 0 };
        assert_eq!(lag_within(LIMIT, &[both]).verdict, verdict);
    }

    #[test]
    fn a_machine_that_stalls_as_long_as_the_limit_tells_nothing() {
        let stalled = vec![Duration::from_millis(150); 100];
        let both = Lags { at_replica: stalled.clone(), at_primary: stalled, missing: 0 };
        assert_eq!(lag_within(LIMIT, std::slice::from_ref(&both)).verdict, Verdict::Unknown);
        let cut_off = Lags { at_primary: vec![Duration::ZERO; 50], ..both };
        assert_eq!(lag_within(LIMIT, &[cut_off]).verdict, Verdict::Unknown);
    }

    #[test]
    fn the_slowest_replica_decides() {
        let (quick, slow) = ([Duration::from_millis(1); 100], [Duration::from_millis(300); 100]);
        assert_eq!(lag_within(LIMIT, &[lags(&quick, 0), lags(&slow, 0)]).verdict, Verdict::Fail);
    }

    #[rstest]
    #[case::at_its_rate(&[10_000, 10_400], 1, Verdict::Pass)]
    #[case::at_half_of_it(&[5_000], 1, Verdict::Pass)]
    #[case::below_that_at_one(&[10_000, 4_990], 1, Verdict::Unknown)]
    #[case::without_any(&[0], 1, Verdict::Unknown)]
    #[case::that_nobody_counted(&[], 1, Verdict::Unknown)]
    #[case::too_long_though_there_was_little(&[0], 300, Verdict::Fail)]
    fn a_lag_under_load_needs_one(#[case] carried: &[u64], #[case] lag: u64, #[case] verdict: Verdict) {
        let measured = lags(&[Duration::from_millis(lag); 100], 0);
        let loaded = |commands: &u64| Loaded { commands: *commands, length: Duration::from_secs(2) };
        let primaries: Vec<Loaded> = carried.iter().map(loaded).collect();
        assert_eq!(lag_under_load(LIMIT, 5_000.0, &[measured], &primaries).verdict, verdict);
    }

    #[test]
    fn no_marks_no_verdict() {
        assert_eq!(lag_within(LIMIT, &[lags(&[], 0)]).verdict, Verdict::Unknown);
        assert_eq!(lag_within(LIMIT, &[]).verdict, Verdict::Unknown);
    }
}
