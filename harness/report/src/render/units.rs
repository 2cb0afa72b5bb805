//! Lengths of time, sizes and figures as people read them.

use std::{borrow::Cow, time::Duration};

use textwrap::{Options, WordSeparator, WordSplitter};

use crate::evidence::At;

/// Three significant digits: `870 µs`, `12.4 ms`, `1.32 s`, `2 min 5 s`.
pub(crate) fn duration(length: Duration) -> String {
    let millis = length.as_secs_f64() * 1000.0;
    match millis {
        0.0 => "0 s".to_owned(),
        ..0.9995 => format!("{:.0} µs", millis * 1000.0),
        ..999.5 => format!("{} ms", three_digits(millis)),
        ..99_950.0 => format!("{} s", three_digits(millis / 1000.0)),
        _ => wall(length),
    }
}

/// To the second once there are ten of them: `42 s`, `2 min 5 s`.
pub(crate) fn wall(length: Duration) -> String {
    let seconds = length.as_secs_f64().round() as u64;
    match seconds {
        0..10 => duration(length),
        10..60 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// To the millisecond and without idle zeros, so that a miss by little still reads as one: `3.004 s`.
pub(crate) fn precise(at: At) -> String {
    match at.millis() {
        millis @ ..1000.0 => format!("{} ms", trimmed(millis, 1)),
        millis => format!("{} s", trimmed(millis / 1000.0, 3)),
    }
}

/// `7.6 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return format!("{} {unit}", trimmed(value, 1));
        }
        value /= 1024.0;
    }
    format!("{} GiB", trimmed(value, 1))
}

/// A bare figure: whole above a thousand, and never more digits than it can carry.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        1000.0.. => grouped(value.round() as i64),
        100.0.. => trimmed(value, 1),
        1.0.. => trimmed(value, 2),
        _ => trimmed(value, 4),
    }
}

/// Thousands apart by a thin space: `12 345`.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "−".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Lines of at most `columns`, broken at spaces: `lab-001` stays whole.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<Cow<'_, str>> {
    let options = Options::new(columns).word_separator(WordSeparator::AsciiSpace);
    textwrap::wrap(text, options.word_splitter(WordSplitter::NoHyphenation))
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_do_not_jump_at_a_unit_s_edge() {
        let shown = |micros| duration(Duration::from_micros(micros));
        assert_eq!(
            [999, 9_996, 99_960, 999_600, 1_320_000, 99_960_000, 125_000_000].map(shown),
            ["999 µs", "10.0 ms", "100 ms", "1.00 s", "1.32 s", "1 min 40 s", "2 min 5 s"]
        );
    }

    #[test]
    fn a_bound_missed_by_little_does_not_read_as_met() {
        assert_eq!(precise(At::from(3004.0)), "3.004 s");
        assert_eq!(precise(At::from(3000.0)), "3 s");
        assert_eq!(precise(At::from(0.0)), "0 ms");
    }

    #[test]
    fn figures_and_sizes() {
        assert_eq!(figure(1_234_567.8), "1\u{202f}234\u{202f}568");
        assert_eq!(figure(-0.25), "-0.25");
        assert_eq!(bytes(8_160_437_862), "7.6 GiB");
        assert_eq!(bytes(100), "100 B");
    }
}
