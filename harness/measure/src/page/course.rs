//! Latency over time: one small picture for each cell, all of them to the same scale.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{
    table,
    words::{self, px},
};
use crate::{
    cell::TopologyName,
    course::{Bin, Course, FaultWindow, Latency},
    experiment::Planned,
    summary::Summary,
};

const WIDTH: f64 = 260.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 254.0;
/// Latency: a decade each from 0.1 ms to 10 s.
const TOP: f64 = 8.0;
const BOTTOM: f64 = 88.0;
const DECADES: [(f64, &str); 3] = [(1.0, "1 ms"), (100.0, "100 ms"), (10_000.0, "10 s")];
const SCALE: (f64, f64) = (0.1, 10_000.0);
/// Below it, the share that was not served.
const SHARE: (f64, f64) = (92.0, 106.0);
const HEIGHT: f64 = 122.0;

pub(super) fn section(topology: TopologyName, summaries: &[Summary<'_>], seconds: f64) -> Markup {
    let cells = summaries.iter().filter(|summary| summary.topology() == topology);
    html! {
        section {
            h2 { "Latency over time on " (topology) }
            p.legend {
                "Of each cell the run with the median downtime, in bins of 100 ms by the intended time: "
                svg.key width="18" height="10" aria-hidden="true" { line.p50 x1="0" x2="18" y1="5" y2="5" {} } " p50, "
                svg.key width="18" height="10" aria-hidden="true" { line.p99 x1="0" x2="18" y1="5" y2="5" {} } " p99, "
                svg.key width="18" height="10" aria-hidden="true" { rect.unserved width="18" height="10" {} }
                " the share that was not done in time. Shaded: the fault, from its injection until it was healed; dashed: another node is primary."
            }
            div.multiples {
                @for summary in table::sorted(cells) { (figure(summary, seconds)) }
            }
        }
    }
}

fn figure(summary: &Summary<'_>, seconds: f64) -> Markup {
    let name = label(summary.planned);
    html! {
        figure.course data-course=(summary.planned.key) {
            figcaption {
                b { (name) }
                @if let Some(downtime) = summary.downtime() { " " span.soft { (words::reading(downtime.median, words::time)) ", n = " (downtime.n) } }
            }
            @match summary.typical() {
                Some(run) => (picture(&name, &run.course, seconds)),
                None => p.soft { "nothing was measured" },
            }
        }
    }
}

/// What tells a cell from the others on its topology.
pub(super) fn label(planned: &Planned) -> String {
    let Planned { cell, variant, .. } = planned;
    let mut label = format!("{}, {} {}", cell.fault, cell.library, cell.profile.name);
    if cell.load.durability != lab_load::workload::Durability::None {
        label = format!("{label}, {}", cell.load.durability);
    }
    match variant {
        Some(variant) => format!("{label}, {variant}"),
        None => label,
    }
}

fn picture(name: &str, course: &Course, seconds: f64) -> Markup {
    let x = |ms: f64| LEFT + (ms / 1000.0 / seconds).clamp(0.0, 1.0) * (RIGHT - LEFT);
    html! {
        svg viewBox=(format!("0 0 {} {}", px(WIDTH), px(HEIGHT))) role="img" aria-label=(format!("latency over time: {name}")) {
            @if let Some(fault) = &course.fault { (window(fault, &x, seconds)) }
            @for (ms, text) in DECADES {
                line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y(ms))) y2=(px(y(ms))) {}
                text x=(px(LEFT - 3.0)) y=(px(y(ms) + 3.0)) text-anchor="end" { (text) }
            }
            path.p99 d=(line(&course.bins, &x, |latency| latency.p99)) {}
            path.p50 d=(line(&course.bins, &x, |latency| latency.p50)) {}
            path.unserved d=(unserved(&course.bins, &x)) {}
            line.axis x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(SHARE.1)) y2=(px(SHARE.1)) {}
            @for second in ticks(seconds) {
                @let at = x(second * 1000.0);
                // A label at the edge grows inwards.
                text x=(px(at)) y=(px(HEIGHT - 5.0)) text-anchor=(if at > RIGHT - 10.0 { "end" } else { "middle" }) { (words::number(second)) " s" }
            }
        }
    }
}

/// From the injection to the healing; to the end of what needed none and of what was not healed.
fn window(fault: &FaultWindow, x: &impl Fn(f64) -> f64, seconds: f64) -> Markup {
    let is_lasting = fault.kind != "failover";
    let until = fault.healed_ms.unwrap_or(if is_lasting { seconds * 1000.0 } else { fault.in_effect_ms });
    let (from, until) = (x(fault.from_ms), x(until));
    html! {
        rect.shade x=(px(from)) width=(px((until - from).max(1.0))) y=(px(TOP)) height=(px(SHARE.1 - TOP)) {
            title { (fault.kind) " from " (words::time(fault.from_ms)) }
        }
        line.shade-edge x1=(px(from)) x2=(px(from)) y1=(px(TOP)) y2=(px(SHARE.1)) {}
        @if let Some(promoted) = fault.promoted_ms {
            line.promoted x1=(px(x(promoted))) x2=(px(x(promoted))) y1=(px(TOP)) y2=(px(SHARE.1)) {}
        }
    }
}

fn y(ms: f64) -> f64 {
    let (low, high) = SCALE;
    let share = (ms.clamp(low, high) / low).ln() / (high / low).ln();
    BOTTOM - share * (BOTTOM - TOP)
}

/// A line through the bins in which anything was done, broken where nothing was.
fn line(bins: &[Bin], x: &impl Fn(f64) -> f64, figure: fn(Latency) -> f64) -> String {
    let (mut path, mut pen_is_down) = (String::new(), false);
    for (number, bin) in bins.iter().enumerate() {
        let Some(latency) = bin.latency else {
            pen_is_down = false;
            continue;
        };
        let (x, y) = (px(x(number as f64 * 100.0 + 50.0)), px(y(figure(latency))));
        let word = if pen_is_down { 'L' } else { 'M' };
        write!(path, "{word}{x} {y}").expect("a string takes everything");
        if !pen_is_down {
            // A bin that stands alone is a point: seen only with a length.
            path.push_str("h.5");
        }
        pen_is_down = true;
    }
    path
}

/// Bars from the top: of each bin the share that was not done in time.
fn unserved(bins: &[Bin], x: &impl Fn(f64) -> f64) -> String {
    let (top, bottom) = SHARE;
    let mut path = String::new();
    for (number, bin) in bins.iter().enumerate() {
        let Some(missed) = bin.served().map(|served| 1.0 - served).filter(|missed| *missed > 0.0) else {
            continue;
        };
        let (from, until) = (x(number as f64 * 100.0), x(number as f64 * 100.0 + 100.0));
        let height = px(missed * (bottom - top));
        write!(path, "M{} {}v-{height}H{}v{height}z", px(from), px(bottom), px(until))
            .expect("a string takes everything");
    }
    path
}

/// Some four of them.
fn ticks(seconds: f64) -> impl Iterator<Item = f64> {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0].into_iter().find(|step| seconds / step <= 5.0);
    let step = step.unwrap_or(seconds);
    (0..=5).map(move |tick| f64::from(tick) * step).take_while(move |at| *at <= seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(in_time: u32, p50: Option<f64>) -> Bin {
        Bin { asked: 10, in_time, latency: p50.map(|p50| Latency { p50, p99: p50, max: p50 }) }
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_done() {
        let bins = [bin(10, Some(1.0)), bin(10, Some(1.0)), bin(0, None), bin(5, Some(100.0))];
        let x = |ms: f64| ms / 10.0;
        assert_eq!(line(&bins, &x, |latency| latency.p50), "M5 72h.5L15 72M35 40h.5");
        assert_eq!(unserved(&bins, &x), "M20 106v-14H30v14zM30 106v-7H40v7z");
    }

    #[test]
    fn ticks_are_few_and_within() {
        for seconds in [9.0, 14.0, 16.0, 24.0, 120.0, 3600.0] {
            let ticks: Vec<f64> = ticks(seconds).collect();
            assert!((2..=6).contains(&ticks.len()) && ticks.iter().all(|tick| *tick <= seconds), "{ticks:?}");
        }
    }
}
