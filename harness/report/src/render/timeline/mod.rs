//! A failover as a picture: who was what, where the names pointed, and what became of the writes.
//!
//! One SVG with a common time axis. Its colours are CSS variables of the page around it, with light
//! ones to fall back on when it is opened by itself.

mod events;
mod lanes;
mod view;
mod writes;

use maud::{Markup, PreEscaped, html};

use crate::{
    evidence::{EndpointChange, RoleChange, Source, Timeline},
    render::units,
    report::StepRecord,
};
use view::{LEFT, RIGHT, View, WIDTH, px};

/// The step's timeline, or none when it has no change, fault, failover or write to show.
pub fn svg(step: &StepRecord) -> Option<String> {
    let timeline = &step.timeline;
    let told = timeline.events.iter().any(|event| matches!(event.source, Source::Manager | Source::Fault));
    let worth_it = told
        || !timeline.faults.is_empty()
        || !timeline.writes.is_empty()
        || changes(&timeline.roles).next().is_some()
        || moves(&timeline.endpoints).next().is_some();
    worth_it.then(|| draw(step).into_string())
}

/// Role changes without each node's first role, which it had from the start.
fn changes(roles: &[RoleChange]) -> impl Iterator<Item = &RoleChange> {
    roles
        .iter()
        .enumerate()
        .filter(|(at, role)| roles[..*at].iter().any(|r| r.node == role.node))
        .map(|(_, r)| r)
}

/// Endpoint changes without each name's first target.
fn moves(endpoints: &[EndpointChange]) -> impl Iterator<Item = &EndpointChange> {
    let known = |at: usize, name| endpoints[..at].iter().any(|e| e.endpoint == name);
    endpoints.iter().enumerate().filter(move |(at, e)| known(*at, e.endpoint)).map(|(_, e)| e)
}

/// A drawing that grows downwards; `y` is where the next part goes.
struct Canvas {
    y: f64,
    parts: Vec<Markup>,
}

impl Canvas {
    fn put(&mut self, part: Markup) {
        self.parts.push(part);
    }

    /// The name of what is drawn at height `y`, in the left margin; its end if there is no room for all.
    fn label(&mut self, y: f64, class: &str, text: &str) {
        let room = ((LEFT - 10.0) / view::width("n")) as usize;
        let over = text.chars().count().saturating_sub(room);
        let shown = match over {
            0 => text.to_owned(),
            _ => format!("…{}", text.chars().skip(over + 1).collect::<String>()),
        };
        self.put(html! {
            text.(class) x=(px(LEFT - 10.0)) y=(px(y)) text-anchor="end" {
                (shown) @if over > 0 { title { (text) } }
            }
        });
    }

    /// A figure for what is drawn at height `y`, in the right margin.
    fn figure(&mut self, y: f64, text: &str) {
        self.put(html! { text.soft x=(px(RIGHT + 8.0)) y=(px(y)) { (text) } });
    }
}

fn draw(step: &StepRecord) -> Markup {
    let view = View::of(&step.timeline);
    let marked = events::marked(&step.timeline, &view);
    let mut canvas = Canvas { y: 4.0, parts: Vec::new() };
    let top = canvas.y;
    lanes::fault_labels(&mut canvas, &step.timeline, &view);
    let lines_from = canvas.y;
    events::badges(&mut canvas, &marked);
    lanes::nodes(&mut canvas, step, &view);
    lanes::endpoints(&mut canvas, &step.timeline, &view);
    writes::lanes(&mut canvas, &step.timeline, &view);
    let bottom = canvas.y;
    axis(&mut canvas, &view);
    key(&mut canvas, &step.timeline, &view);
    events::legend(&mut canvas, &marked, &step.timeline);
    let height = canvas.y + 4.0;
    let name = format!("timeline of {}: {}", step.name(), summary(&step.timeline));
    html! {
        svg.timeline xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(name)
            viewBox=(format!("0 0 {WIDTH} {}", px(height))) {
            style { (PreEscaped(include_str!("style.css"))) }
            (lanes::shades(&step.timeline, &view, top, bottom))
            (events::lines(&marked, lines_from, bottom))
            @for part in &canvas.parts { (part) }
        }
    }
}

/// The picture in words, for those who cannot see it.
fn summary(timeline: &Timeline) -> String {
    let faults: Vec<_> = timeline
        .faults
        .iter()
        .map(|f| format!("{} of {} at {}", f.kind, f.node, units::precise(f.from)))
        .collect();
    let roles: Vec<_> = changes(&timeline.roles)
        .map(|change| format!("{} {} at {}", change.node, view::role(change.role), units::precise(change.at)))
        .collect();
    [faults, roles].concat().join(", ")
}

fn axis(canvas: &mut Canvas, view: &View) {
    let y = canvas.y + 4.0;
    canvas.put(html! { line.axis x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y)) y2=(px(y)) {} });
    for (seconds, label) in view.ticks() {
        let x = px(view.x_of(seconds));
        canvas.put(html! {
            line.axis x1=(x) x2=(x) y1=(px(y)) y2=(px(y + 4.0)) {}
            text.soft x=(x) y=(px(y + 17.0)) text-anchor="middle" { (label) }
        });
    }
    // Clear of a first instant that lies on the very edge.
    canvas.put(html! { text.soft x=(px(LEFT - 24.0)) y=(px(y + 17.0)) text-anchor="end" { "since start" } });
    canvas.y = y + 24.0;
}

/// What the shapes mean, only those that are drawn; and at the end of the row, or below it, what the window
/// leaves out.
fn key(canvas: &mut Canvas, timeline: &Timeline, view: &View) {
    let mut y = canvas.y + 10.0;
    let mut x = LEFT;
    let mut entry = |canvas: &mut Canvas, symbol: Markup, text: &str| {
        canvas.put(html! {
            g transform=(format!("translate({} {})", px(x), px(y))) {
                (symbol)
                text.soft x="22" y="0" { (text) }
            }
        });
        x += 22.0 + view::width(text) + 18.0;
    };
    for role in view::ROLES {
        if timeline.roles.iter().any(|change| change.role == role) {
            let word = view::role(role);
            let symbol = html! { rect.(word) x="0.5" y="-9.5" width="16" height="10" rx="2" {} };
            entry(canvas, symbol, word);
        }
    }
    for outcome in writes::OUTCOMES {
        if timeline.writes.iter().any(|write| write.outcome == outcome) {
            let symbol = html! { path.(writes::class(outcome)) d=(writes::symbol(outcome)) {} };
            entry(canvas, symbol, writes::word(outcome));
        }
    }
    if let Some(note) = view.note() {
        if x + view::width(&note) > RIGHT {
            y += 16.0;
        }
        canvas.put(html! { text.soft x=(px(RIGHT)) y=(px(y)) text-anchor="end" { (note) } });
    }
    canvas.y = y + 12.0;
}
