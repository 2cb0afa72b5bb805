//! Figures as people read them.

use lab_history::Length;

use crate::statistics::{Estimate, Interval, Reading};

/// A length of time: `870 ms`, `1.32 s`.
pub(super) fn time(ms: f64) -> String {
    Length::from_micros((ms.max(0.0) * 1000.0).round() as u64).to_string()
}

/// A number without idle zeros, thousands apart: `12 345`, `2.5`.
pub(super) fn number(value: f64) -> String {
    let (whole, part) = (value.abs().trunc() as u64, value.abs().fract());
    let sign = if value < 0.0 { "−" } else { "" };
    match value.abs() {
        100.0.. => format!("{sign}{}", grouped(value.abs().round() as u64)),
        _ if part < 0.05 => format!("{sign}{whole}"),
        _ => format!("{sign}{:.1}", value.abs()),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A reading, said by `say`; a lower bound is said to be one.
pub(super) fn reading(reading: Reading, say: fn(f64) -> String) -> String {
    match reading {
        Reading::Exactly(value) => say(value),
        Reading::AtLeast(value) => format!("≥ {}", say(value)),
    }
}

/// An interval, said by `say`; why there is none, where there is none.
pub(super) fn interval(estimate: &Estimate, say: fn(f64) -> String) -> String {
    match estimate.interval {
        Some(Interval { low, high }) => format!("{} … {}", reading(low, say), reading(high, say)),
        None => "n < 6: none".to_owned(),
    }
}

/// A median with everything that belongs to it: `1.32 s (1.21 s … 1.51 s, n = 10)`.
pub(super) fn whole(estimate: &Estimate, say: fn(f64) -> String) -> String {
    format!("{} ({}, n = {})", reading(estimate.median, say), interval(estimate, say), estimate.n)
}

/// A place in a picture, to a tenth.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_no_more_digits_than_they_can_carry() {
        let shown = [0.0, 0.02, 0.5, 2.0, 12.34, 99.96, 1234.5, 1_234_567.0, -3.0].map(number);
        let expected =
            ["0", "0", "0.5", "2", "12.3", "100.0", "1\u{202f}235", "1\u{202f}234\u{202f}567", "−3"];
        assert_eq!(shown, expected);
        assert_eq!([0.87, 870.0, 1320.4].map(time), ["870 µs", "870 ms", "1.32 s"]);
    }

    #[test]
    fn a_median_is_said_with_its_interval_and_its_n() {
        let of = |count: u32, open: bool| {
            let reading =
                |n| if open { Reading::AtLeast(f64::from(n)) } else { Reading::Exactly(f64::from(n)) };
            Estimate::of((1..=count).map(reading)).unwrap()
        };
        assert_eq!(whole(&of(10, false), number), "5.5 (2 … 9, n = 10)");
        assert_eq!(whole(&of(3, false), number), "2 (n < 6: none, n = 3)");
        assert_eq!(whole(&of(7, true), number), "≥ 4 (≥ 1 … ≥ 7, n = 7)");
    }
}
