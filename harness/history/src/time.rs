//! Instants and lengths of time, in whole microseconds on the history's one clock.

use std::{fmt, ops::Add, time::Duration};

use serde::{Deserialize, Serialize};

/// An instant: microseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// Earlier than anything that happened, or at the same time.
    pub const BEGINNING: Self = Self(0);
    /// Later than anything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many microseconds after the run began.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the run began.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; nothing if it is not.
    pub const fn since(self, earlier: Self) -> Length {
        Length(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Length> for Moment {
    type Output = Self;

    fn add(self, length: Length) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000))
    }
}

/// A length of time in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Length(u64);

impl Length {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1000)
    }

    /// In microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }
}

impl From<Length> for Duration {
    fn from(length: Length) -> Self {
        Self::from_micros(length.0)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 as f64;
        f.pad(&match self.0 {
            0 => "0 ms".to_owned(),
            1..1_000 => format!("{micros:.0} µs"),
            1_000..99_950 => format!("{:.1} ms", micros / 1e3),
            99_950..999_500 => format!("{:.0} ms", micros / 1e3),
            _ => format!("{:.2} s", micros / 1e6),
        })
    }
}

/// How lengths of time are spread: percentiles by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Half of them are no longer than this.
    pub p50_us: Length,
    /// All but one in a hundred are no longer than this.
    pub p99_us: Length,
    /// The longest.
    pub max_us: Length,
}

impl Spread {
    /// Of `lengths` in any order, which this reorders; all zero of none.
    pub fn of(lengths: &mut [Length]) -> Self {
        let last = match lengths.len() {
            0 => return Self::default(),
            count => count - 1,
        };
        let mut rank = |percent: usize| {
            let nearest = (lengths.len() * percent).div_ceil(100).saturating_sub(1);
            *lengths.select_nth_unstable(nearest.min(last)).1
        };
        let (p50_us, p99_us, max_us) = (rank(50), rank(99), rank(100));
        Self { count: last as u64 + 1, p50_us, p99_us, max_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut lengths: Vec<_> = (1..=200).rev().map(Length::from_micros).collect();
        let spread = Spread::of(&mut lengths);
        assert_eq!(
            (spread.count, spread.p50_us.micros(), spread.p99_us.micros(), spread.max_us.micros()),
            (200, 100, 198, 200)
        );
        assert_eq!(Spread::of(&mut [Length::from_micros(7)]).p50_us, Length::from_micros(7));
        assert_eq!(Spread::of(&mut []), Spread::default());
    }

    #[test]
    fn lengths_read_as_people_say_them() {
        let shown = |micros| Length::from_micros(micros).to_string();
        assert_eq!(
            [0, 870, 12_400, 99_960, 870_000, 999_700, 1_320_000].map(shown),
            ["0 ms", "870 µs", "12.4 ms", "100 ms", "870 ms", "1.00 s", "1.32 s"]
        );
    }
}
