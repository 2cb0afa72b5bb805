//! The median of some runs, and where the median of all runs that could be made lies.
//!
//! By order statistics (the binomial method): of `n` runs, the number that come below the true median is binomial
//! with a probability of one half, whatever the figure's distribution is. So the true median lies between the `l`-th
//! and the `u`-th smallest with the probability `P(l ≤ B < u)`. The ranks are the innermost symmetric pair with 95 %
//! or more. Of fewer than six runs even the least and the greatest do not have that.

use std::cmp::Ordering;

/// What may remain on either side of an interval.
const TAIL: f64 = 0.025;

/// A figure of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// It is this.
    Exactly(f64),
    /// It is this or more: the run was over before it ended.
    AtLeast(f64),
}

impl Reading {
    /// The number, however it is meant.
    pub fn value(self) -> f64 {
        match self {
            Self::Exactly(value) | Self::AtLeast(value) => value,
        }
    }

    /// Whether the number is the figure, and no lower bound of it.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Exactly(_))
    }

    /// By number; of two equal ones that which may be more comes later.
    pub fn order(&self, other: &Self) -> Ordering {
        self.value().total_cmp(&other.value()).then(other.is_exact().cmp(&self.is_exact()))
    }

    /// Halfway between two.
    fn between(self, other: Self) -> Self {
        let middle = f64::midpoint(self.value(), other.value());
        match self.is_exact() && other.is_exact() {
            true => Self::Exactly(middle),
            false => Self::AtLeast(middle),
        }
    }
}

/// The median of some runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Of how many runs.
    pub n: usize,
    /// In the middle of them.
    pub median: Reading,
    /// Where the true median lies with 95 % confidence; none of fewer than six runs.
    pub interval: Option<Interval>,
}

/// From here to there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end. Even a lower bound of it is one.
    pub low: Reading,
    /// The upper end.
    pub high: Reading,
}

impl Estimate {
    /// Of the readings of some runs, in any order; none of none.
    pub fn of(readings: impl IntoIterator<Item = Reading>) -> Option<Self> {
        let mut readings: Vec<Reading> = readings.into_iter().collect();
        readings.sort_by(Reading::order);
        let n = readings.len();
        let (below, above) = (readings.get(n.checked_sub(1)? / 2)?, readings.get(n / 2)?);
        let interval =
            ranks(n).map(|(low, high)| Interval { low: readings[low - 1], high: readings[high - 1] });
        Some(Self { n, median: below.between(*above), interval })
    }

    /// Whether this is shown to be less than the other: both have intervals, and they do not overlap.
    pub fn is_shown_below(&self, other: &Self) -> bool {
        match (self.interval, other.interval) {
            (Some(own), Some(others)) => own.high.is_exact() && own.high.value() < others.low.value(),
            _ => false,
        }
    }
}

/// The ranks, from 1, of the ordered readings that are the ends of a 95 % interval of the median; none of fewer than
/// six.
pub fn ranks(n: usize) -> Option<(usize, usize)> {
    let count = n as f64;
    // In logarithms: one half to the power of some thousands is nothing to a floating-point number.
    let mut term = -count * std::f64::consts::LN_2;
    let (mut below, mut low) = (0.0, 0);
    loop {
        below += term.exp();
        if below > TAIL || low >= n / 2 {
            break;
        }
        let k = low as f64;
        term += ((count - k) / (k + 1.0)).ln();
        low += 1;
    }
    (low > 0).then_some((low, n + 1 - low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// P(l ≤ B < u) of a fair binomial, in whole numbers: (ways within, of all).
    fn coverage(n: usize, (low, high): (usize, usize)) -> (u128, u128) {
        let mut row = vec![1_u128];
        for _ in 0..n {
            let inner = row.windows(2).map(|pair| pair[0] + pair[1]);
            row = std::iter::once(1).chain(inner).chain([1]).collect();
        }
        (row[low..high].iter().sum(), 1 << n)
    }

    fn covers(n: usize, ranks: (usize, usize)) -> bool {
        let (within, all) = coverage(n, ranks);
        within * 20 >= all * 19
    }

    fn exactly(values: &[f64]) -> Option<Estimate> {
        Estimate::of(values.iter().copied().map(Reading::Exactly))
    }

    #[test]
    fn of_ten_runs_it_is_the_second_and_the_ninth() {
        assert_eq!(ranks(10), Some((2, 9)));
        assert_eq!(coverage(10, (2, 9)), (1002, 1024));
    }

    #[test]
    fn of_fewer_than_six_runs_there_is_none() {
        assert_eq!((0..6).filter_map(ranks).count(), 0);
        assert_eq!(ranks(6), Some((1, 6)));
        let five = exactly(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((five.median, five.interval), (Reading::Exactly(3.0), None));
        assert_eq!(exactly(&[]), None);
    }

    #[test]
    fn the_ranks_cover_what_they_say_and_narrower_ones_do_not() {
        for n in 6..=100 {
            let (low, high) = ranks(n).unwrap();
            assert!(covers(n, (low, high)), "{n}");
            assert!(low + 1 >= high - 1 || !covers(n, (low + 1, high - 1)), "{n}");
        }
    }

    #[test]
    fn thousands_of_runs_are_no_trouble() {
        // Of many, the normal approximation is good: n / 2 − 0.98 √n.
        let (low, high) = ranks(10_000).unwrap();
        assert!((4900..=4904).contains(&low), "{low}");
        assert_eq!(low + high, 10_001);
    }

    #[test]
    fn what_was_not_seen_to_end_is_a_lower_bound_and_of_equals_the_last() {
        let ended = [1.0, 2.0, 3.0, 4.0].map(Reading::Exactly);
        let cut_off = [4.0, 9.0, 9.0].map(Reading::AtLeast);
        let estimate = Estimate::of(ended.into_iter().chain(cut_off)).unwrap();
        assert_eq!(estimate.median, Reading::Exactly(4.0));
        assert_eq!(estimate.interval.unwrap().high, Reading::AtLeast(9.0));
        let even = Estimate::of([Reading::Exactly(1.0), Reading::AtLeast(2.0)]).unwrap();
        assert_eq!(even.median, Reading::AtLeast(1.5));
    }

    #[test]
    fn less_is_shown_only_where_the_intervals_are_apart() {
        let run = |from: f64| (0..10).map(|n| from + f64::from(n)).collect::<Vec<_>>();
        let (low, next, high) =
            (exactly(&run(0.0)).unwrap(), exactly(&run(7.0)).unwrap(), exactly(&run(20.0)).unwrap());
        assert!(low.is_shown_below(&high) && next.is_shown_below(&high));
        assert!(!low.is_shown_below(&next), "1 to 8, and 8 to 15");
        assert!(!high.is_shown_below(&low));
        let few = exactly(&[0.0, 0.0]).unwrap();
        assert!(!few.is_shown_below(&high), "nothing is known of it");
        let open = Estimate::of(run(0.0).into_iter().map(Reading::AtLeast)).unwrap();
        assert!(!open.is_shown_below(&high), "it may be more");
        assert!(low.is_shown_below(&Estimate::of(run(20.0).into_iter().map(Reading::AtLeast)).unwrap()));
    }

    proptest! {
        #[test]
        fn the_interval_contains_the_median(values in prop::collection::vec(-1e9..1e9_f64, 6..60)) {
            let Estimate { median, interval, .. } = exactly(&values).unwrap();
            let Interval { low, high } = interval.unwrap();
            prop_assert!(low.value() <= median.value() && median.value() <= high.value());
            let below = values.iter().filter(|value| **value < median.value()).count();
            let above = values.iter().filter(|value| **value > median.value()).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
        }

        #[test]
        fn the_order_of_the_runs_does_not_matter(
            (values, shuffled) in prop::collection::vec((0.0..1e6_f64, any::<bool>()), 0..40)
                .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        ) {
            let estimate = |values: Vec<(f64, bool)>| Estimate::of(values.into_iter().map(|(value, exact)| match exact {
                true => Reading::Exactly(value),
                false => Reading::AtLeast(value),
            }));
            prop_assert_eq!(estimate(values), estimate(shuffled));
        }
    }
}
