//! Lanes of the nodes and of the endpoint names, and the fault windows behind them.

use std::time::Duration;

use maud::{Markup, html};

use super::{
    Canvas,
    view::{self, LEFT, RIGHT, View, px, width},
};
use crate::{
    evidence::{At, EndpointName, FaultWindow, Sample, Timeline},
    ids::NodeId,
    render::units,
    report::StepRecord,
};

const BAR: f64 = 17.0;
const RATE: f64 = 20.0;

/// What each fault was, where it begins; side by side as far as they fit, else in further rows.
pub(super) fn fault_labels(canvas: &mut Canvas, timeline: &Timeline, view: &View) {
    let mut rows: Vec<f64> = Vec::new();
    for fault in shown(timeline, view) {
        let text = format!("{} {}", fault.kind, fault.node);
        let x = (view.x(fault.from) + 4.0).min(super::WIDTH - width(&text) - 4.0);
        let row = rows.iter().position(|taken| *taken < x).unwrap_or(rows.len());
        rows.resize(rows.len().max(row + 1), 0.0);
        rows[row] = x + width(&text) + 8.0;
        let y = canvas.y + 11.0 + row as f64 * 15.0;
        canvas.put(html! { text.fault x=(px(x)) y=(px(y)) { (text) } });
    }
    canvas.y += rows.len() as f64 * 15.0;
}

fn shown<'a>(timeline: &'a Timeline, view: &'a View) -> impl Iterator<Item = &'a FaultWindow> {
    timeline.faults.iter().filter(|fault| view.overlaps(fault.from, fault.until))
}

/// Where a window lies: left edge and width.
fn span(view: &View, from: At, until: Option<At>) -> (f64, f64) {
    let left = view.x(from);
    let right = until.map_or(RIGHT, |until| view.x(until));
    (left, (right - left).max(1.0))
}

/// The fault windows, across all lanes.
pub(super) fn shades(timeline: &Timeline, view: &View, top: f64, bottom: f64) -> Markup {
    html! {
        @for fault in shown(timeline, view) {
            @let (x, width) = span(view, fault.from, fault.until);
            rect.shade x=(px(x)) y=(px(top)) width=(px(width)) height=(px(bottom - top)) {}
            line.shade-edge x1=(px(x)) x2=(px(x)) y1=(px(top)) y2=(px(bottom)) {}
            @if fault.until.is_some_and(|until| view.shows(until)) {
                @let end = px(x + width);
                line.shade-edge stroke-dasharray="4 3" x1=(end) x2=(end) y1=(px(top)) y2=(px(bottom)) {}
            }
        }
    }
}

/// One lane for each node: its role, and under it how many commands it processed.
pub(super) fn nodes(canvas: &mut Canvas, step: &StepRecord, view: &View) {
    let timeline = &step.timeline;
    let nodes = every_node(step);
    let rates: Vec<_> = nodes.iter().map(|node| rates(&timeline.samples, node, view)).collect();
    let peak = rates.iter().flatten().map(|rate| rate.per_second).fold(0.0, f64::max);
    for (node, rates) in nodes.iter().zip(rates) {
        canvas.y += 6.0;
        let y = canvas.y;
        canvas.label(y + BAR - 4.5, "head", node.as_str());
        let roles: Vec<_> = timeline.roles.iter().filter(|change| &change.node == *node).collect();
        for (at, change) in roles.iter().enumerate() {
            let word = view::role(change.role);
            let until = roles.get(at + 1).map(|next| next.at);
            let class = format!("on-{word}");
            segment(canvas, view, (change.at, until), word, &class, &[word.to_owned()]);
        }
        for fault in shown(timeline, view).filter(|fault| &fault.node == *node) {
            let (x, width) = span(view, fault.from, fault.until);
            canvas.put(
                html! { rect.hit x=(px(x)) y=(px(y - 1.0)) width=(px(width)) height=(px(BAR + 2.0)) {} },
            );
        }
        canvas.y += BAR;
        if !rates.is_empty() && peak > 0.0 {
            canvas.y += 3.0;
            spark(canvas, &rates, peak);
        }
    }
    canvas.y += 6.0;
}

fn every_node(step: &StepRecord) -> Vec<&NodeId> {
    let timeline = &step.timeline;
    let placed = step.nodes.iter().map(|node| &node.id);
    let mut nodes: Vec<&NodeId> = Vec::new();
    for node in timeline.nodes.iter().chain(placed).chain(timeline.roles.iter().map(|change| &change.node)) {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    nodes
}

/// A bar from one change to the next, with the first of `texts` that fits in it.
fn segment(
    canvas: &mut Canvas,
    view: &View,
    (from, until): (At, Option<At>),
    bar: &str,
    class: &str,
    texts: &[String],
) {
    if !view.overlaps(from, until) {
        return;
    }
    let (x, length) = span(view, from, until);
    let y = canvas.y;
    let text = texts.iter().find(|text| width(text) + 8.0 < length);
    canvas.put(html! {
        rect.(bar) x=(px(x + 0.5)) y=(px(y + 0.5)) width=(px((length - 1.5).max(0.5))) height=(px(BAR - 1.0)) rx="2" {
            @if let Some(full) = texts.first() { title { (full) } }
        }
        @if let Some(text) = text {
            text.(class) x=(px(x + 6.0)) y=(px(y + BAR - 4.5)) { (text) }
        }
    });
}

/// Commands per second between two samples.
struct Rate {
    from: f64,
    until: f64,
    per_second: f64,
}

/// None across a restart, which sets the counter back, nor across a silence.
fn rates(samples: &[Sample], node: &NodeId, view: &View) -> Vec<Rate> {
    let own: Vec<_> = samples.iter().filter(|sample| &sample.node == node).collect();
    let pairs = || own.windows(2).map(|pair| (pair[0], pair[1], pair[1].at.since(pair[0].at)));
    let mut lengths: Vec<_> = pairs().map(|(_, _, length)| length).collect();
    lengths.sort();
    let usual = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    pairs()
        .filter(|(a, b, length)| {
            let whole = b.commands >= a.commands && *length > Duration::ZERO && *length <= usual * 4;
            whole && view.overlaps(a.at, Some(b.at))
        })
        .map(|(a, b, length)| Rate {
            from: view.x(a.at),
            until: view.x(b.at),
            per_second: (b.commands - a.commands) as f64 / length.as_secs_f64(),
        })
        .collect()
}

/// All sparks share one scale, so that load can be seen to move from node to node.
fn spark(canvas: &mut Canvas, rates: &[Rate], peak: f64) {
    let base = canvas.y + RATE;
    let height = |rate: &Rate| base - rate.per_second / peak * (RATE - 2.0);
    let (mut area, mut line) = (String::new(), String::new());
    let mut end = f64::NAN;
    for rate in rates {
        let (from, until, y) = (px(rate.from), px(rate.until), px(height(rate)));
        area += &format!("M{from} {} V{y} H{until} V{} Z", px(base), px(base));
        let joined = (rate.from - end).abs() < 0.05;
        line += &if joined { format!("V{y}H{until}") } else { format!("M{from} {y}H{until}") };
        end = rate.until;
    }
    let own = rates.iter().map(|rate| rate.per_second).fold(0.0, f64::max);
    canvas.label(base - 3.0, "soft", "commands/s");
    canvas.figure(base - 3.0, &format!("≤ {}", units::grouped(own.round() as i64)));
    canvas.put(html! {
        path.rate d=(area) {}
        path.rate-line d=(line) {}
        line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(base)) y2=(px(base)) {}
    });
    canvas.y = base;
}

/// One lane for each endpoint name that has a target.
pub(super) fn endpoints(canvas: &mut Canvas, timeline: &Timeline, view: &View) {
    for (name, label) in
        [(EndpointName::Primary, "primary endpoint"), (EndpointName::Reader, "reader endpoint")]
    {
        let changes: Vec<_> = timeline.endpoints.iter().filter(|change| change.endpoint == name).collect();
        if changes.is_empty() {
            continue;
        }
        canvas.y += 6.0;
        canvas.label(canvas.y + BAR - 4.5, "head", label);
        for (at, change) in changes.iter().enumerate() {
            let until = changes.get(at + 1).map(|next| next.at);
            segment(canvas, view, (change.at, until), "target", "", &wordings(&change.targets));
        }
        canvas.y += BAR;
    }
    canvas.y += 6.0;
}

/// The targets at length and in short.
fn wordings(targets: &[NodeId]) -> Vec<String> {
    let names =
        |short: fn(&str) -> &str| targets.iter().map(|t| short(t.as_str())).collect::<Vec<_>>().join(", ");
    match targets {
        [] => vec!["nothing".to_owned(), "–".to_owned()],
        _ => vec![names(|id| id), names(|id| id.rsplit('-').next().unwrap_or(id))],
    }
}
