//! The open-loop writer: the longest time without an acknowledgement, latencies, and what went wrong.

use std::{collections::BTreeSet, time::Duration};

use maud::html;

use super::{
    Canvas,
    view::{LEFT, RIGHT, View, px, width},
};
use crate::{
    evidence::{At, Outcome, Timeline, Write},
    render::units,
};

/// The outcomes in the order of the lanes.
pub(super) const OUTCOMES: [Outcome; 3] = [Outcome::Acknowledged, Outcome::Failed, Outcome::Indeterminate];

const DECADE: f64 = 24.0;
const RUG: f64 = 12.0;

/// Latency of what was acknowledged, on a log scale; the rest as ticks in rows of their own.
pub(super) fn lanes(canvas: &mut Canvas, timeline: &Timeline, view: &View) {
    let shown: Vec<_> =
        timeline.writes.iter().filter(|write| view.overlaps(write.intended, Some(write.done))).collect();
    if shown.is_empty() {
        return;
    }
    canvas.y += 4.0;
    gap(canvas, timeline, view);
    latencies(canvas, &shown, view);
    for outcome in [Outcome::Failed, Outcome::Indeterminate] {
        rug(canvas, &shown, outcome, view);
    }
}

/// The longest time between two acknowledgements, if it stands out.
fn longest_gap(writes: &[Write]) -> Option<(At, At)> {
    let mut done: Vec<_> =
        writes.iter().filter(|w| w.outcome == Outcome::Acknowledged).map(|w| w.done).collect();
    done.sort();
    let mut gaps: Vec<_> = done.windows(2).map(|pair| (pair[1].since(pair[0]), pair[0], pair[1])).collect();
    gaps.sort();
    let usual = gaps.get(gaps.len() / 2)?.0;
    let (length, from, until) = *gaps.last()?;
    (length > Duration::from_millis(100) && length > usual * 5).then_some((from, until))
}

fn gap(canvas: &mut Canvas, timeline: &Timeline, view: &View) {
    let Some((from, until)) = longest_gap(&timeline.writes).filter(|gap| view.overlaps(gap.0, Some(gap.1)))
    else {
        return;
    };
    let (left, right, y) = (view.x(from), view.x(until), canvas.y + 9.0);
    let text = units::duration(until.since(from));
    let (inside, beside) = (right - left > width(&text) + 24.0, right + 6.0 + width(&text) < RIGHT + 60.0);
    let (x, anchor) = match (inside, beside) {
        (true, _) => ((left + right) / 2.0, "middle"),
        (false, true) => (right + 6.0, "start"),
        (false, false) => (left - 6.0, "end"),
    };
    let half = width(&text) / 2.0 + 5.0;
    let line = match inside {
        true => format!("M{} {y}H{}M{} {y}H{}", px(left), px(x - half), px(x + half), px(right)),
        false => format!("M{} {y}H{}", px(left), px(right)),
    };
    let ends = format!("M{} {}v8M{} {}v8", px(left), px(y - 4.0), px(right), px(y - 4.0));
    canvas.label(y + 4.0, "head", "no write acked");
    canvas.put(html! {
        path.gap d=(line) {}
        path.gap d=(ends) {}
        text.head x=(px(x)) y=(px(y + 4.0)) text-anchor=(anchor) { (text) }
    });
    canvas.y += 20.0;
}

fn latencies(canvas: &mut Canvas, writes: &[&Write], view: &View) {
    let acked: Vec<_> = writes.iter().filter(|write| write.outcome == Outcome::Acknowledged).collect();
    let millis = |write: &Write| (write.latency().as_secs_f64() * 1000.0).max(0.05);
    let (low, high) =
        acked.iter().map(|w| millis(w)).fold((f64::MAX, 0.0_f64), |(l, h), m| (l.min(m), h.max(m)));
    if acked.is_empty() {
        return;
    }
    let bottom = low.log10().floor() as i32;
    let top = (high.log10().ceil() as i32).max(bottom + 1);
    let y = |log: f64| canvas.y + 6.0 + (f64::from(top) - log) * DECADE;
    let grid: Vec<_> = (bottom..=top).map(|decade| (y(f64::from(decade)), decade)).collect();
    // Dots that would cover each other are drawn once.
    let dots: BTreeSet<_> = acked
        .iter()
        .filter(|write| view.shows(write.intended))
        .map(|w| ((view.x(w.intended) * 2.0).round() as i64, (y(millis(w).log10()) * 2.0).round() as i64))
        .collect();
    let dot = |(x, y): &(i64, i64)| format!("M{} {}h0", px(*x as f64 / 2.0), px(*y as f64 / 2.0));
    let path: String = dots.iter().map(dot).collect();
    let middle = (grid[0].0 + grid[grid.len() - 1].0) / 2.0;
    canvas.put(html! { text.head x="4" y=(px(middle + 4.0)) { "latency" } });
    for (y, decade) in &grid {
        let label = units::duration(Duration::from_secs_f64(10f64.powi(*decade) / 1000.0)).replace(".00", "");
        canvas.label(y + 4.0, "soft", &label.replace(".0", ""));
        canvas.put(html! { line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(*y)) y2=(px(*y)) {} });
    }
    canvas.figure(middle + 4.0, &format!("{} ok", units::grouped(acked.len() as i64)));
    canvas.put(html! { path.acknowledged d=(path) {} });
    canvas.y = grid[0].0 + 10.0;
}

/// One tick for each write of this outcome, where it was meant to be sent.
fn rug(canvas: &mut Canvas, writes: &[&Write], outcome: Outcome, view: &View) {
    let these: Vec<_> = writes.iter().filter(|write| write.outcome == outcome).collect();
    if these.is_empty() {
        return;
    }
    let y = canvas.y;
    let places: BTreeSet<_> =
        these.iter().map(|write| (view.x(write.intended) * 2.0).round() as i64).collect();
    let tick = |x: &i64| match outcome {
        Outcome::Indeterminate => format!("M{} {}v4m0 3v4", px(*x as f64 / 2.0), px(y + 1.0)),
        _ => format!("M{} {}v11", px(*x as f64 / 2.0), px(y + 1.0)),
    };
    let path: String = places.iter().map(tick).collect();
    canvas.label(y + 10.5, "head", word(outcome));
    canvas.figure(y + 10.5, &units::grouped(these.len() as i64));
    canvas.put(html! { path.(class(outcome)) d=(path) {} });
    canvas.y += RUG + 5.0;
}

/// The outcome's class in the style sheet.
pub(super) fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Acknowledged => "acknowledged",
        Outcome::Failed => "failed",
        Outcome::Indeterminate => "indeterminate",
    }
}

/// The outcome in words.
pub(super) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Acknowledged => "acknowledged",
        Outcome::Failed => "failed",
        Outcome::Indeterminate => "indeterminate",
    }
}

/// The outcome's shape, for the key.
pub(super) fn symbol(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Acknowledged => "M4 -4h0M10 -4h0",
        Outcome::Failed => "M4 -10v11M7 -10v11M10 -10v11",
        Outcome::Indeterminate => "M4 -10v4m0 3v4M7 -10v4m0 3v4M10 -10v4m0 3v4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(done: &[f64]) -> Vec<Write> {
        let write = |millis: &f64| Write {
            sequence: 0,
            intended: At::from(*millis),
            done: At::from(*millis),
            outcome: Outcome::Acknowledged,
            error: None,
        };
        done.iter().map(write).collect()
    }

    #[test]
    fn a_gap_is_measured_between_answers_whatever_their_order() {
        let writes = acknowledged(&[0.0, 10.0, 1530.0, 20.0, 30.0, 1520.0, 1540.0]);
        assert_eq!(longest_gap(&writes), Some((At::from(30.0), At::from(1520.0))));
    }

    #[test]
    fn a_steady_writer_has_no_gap() {
        assert_eq!(longest_gap(&acknowledged(&[0.0, 200.0, 400.0, 610.0])), None);
        assert_eq!(longest_gap(&acknowledged(&[0.0])), None);
    }
}
