//! The window of time that is shown, and where an instant lies in it.

use crate::{
    evidence::{At, Outcome, Role, Source, Timeline},
    render::units,
};

/// The drawing's width; its unit is a pixel of a page 960 wide.
pub(super) const WIDTH: f64 = 960.0;
/// Where the lanes begin, after their names.
pub(super) const LEFT: f64 = 136.0;
/// Where the lanes end, before their figures.
pub(super) const RIGHT: f64 = 890.0;

/// The roles in the order of the key.
pub(super) const ROLES: [Role; 4] = [Role::Primary, Role::Replica, Role::Sentinel, Role::Unreachable];

/// Zooming has to save at least this part of the whole, or the whole is shown.
const WORTH_ZOOMING: f64 = 0.2;

/// The window, in seconds since the step began.
pub(super) struct View {
    pub(super) from: f64,
    pub(super) until: f64,
    whole: f64,
}

impl View {
    /// From a little before the first fault, or the first word of a failover, until a little after the
    /// last event; all of it when that is not much longer.
    pub(super) fn of(timeline: &Timeline) -> Self {
        let whole = end(timeline).max(0.001);
        let all = Self { from: 0.0, until: whole * 1.01, whole };
        let Some(start) = start(timeline) else { return all };
        let last = last_event(timeline, start);
        let margin = ((last - start) * 0.15).clamp(0.4, 5.0);
        let (from, until) = ((start - margin).max(0.0), (last + margin).min(all.until));
        match until - from < whole * (1.0 - WORTH_ZOOMING) {
            true => Self { from, until, whole },
            false => all,
        }
    }

    /// The first fault, or the request for a failover: what a reader counts from.
    pub(super) fn zero(timeline: &Timeline) -> Option<At> {
        timeline.faults.iter().map(|fault| fault.from).chain(timeline.marks.requested).min()
    }

    pub(super) fn x(&self, at: At) -> f64 {
        self.x_of(seconds(at))
    }

    /// Instants outside the window lie on its edge.
    pub(super) fn x_of(&self, seconds: f64) -> f64 {
        let part = (seconds - self.from) / (self.until - self.from);
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    pub(super) fn shows(&self, at: At) -> bool {
        (self.from..=self.until).contains(&seconds(at))
    }

    /// Whether any part of `from..until` is in the window.
    pub(super) fn overlaps(&self, from: At, until: Option<At>) -> bool {
        seconds(from) <= self.until && until.is_none_or(|until| seconds(until) >= self.from)
    }

    /// Round instants, about ten of them.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let steps =
            [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
        let length = self.until - self.from;
        let step = steps.into_iter().find(|step| length / step <= 11.0).unwrap_or(1800.0);
        let decimals = if step < 0.1 { 2 } else { usize::from(step < 1.0) };
        let first = (self.from / step).ceil() as u64;
        (first..)
            .map(|n| n as f64 * step)
            .take_while(|at| *at <= self.until)
            .map(|at| (at, format!("{at:.decimals$} s")))
            .collect()
    }

    /// What the zoom left out.
    pub(super) fn note(&self) -> Option<String> {
        let whole = units::wall(std::time::Duration::from_secs_f64(self.whole));
        let zoomed = self.from > 0.0 || self.until < self.whole;
        zoomed.then(|| format!("{:.1}–{:.1} s of {whole}", self.from, self.until))
    }
}

fn seconds(at: At) -> f64 {
    at.0.as_secs_f64()
}

fn start(timeline: &Timeline) -> Option<f64> {
    let failover =
        |text: &str| ["failover", "detect", "promot"].iter().any(|word| text.to_lowercase().contains(word));
    let zero = View::zero(timeline);
    let word =
        timeline.events.iter().find(|e| e.source == Source::Manager && failover(&e.text)).map(|e| e.at);
    let change = || super::changes(&timeline.roles).map(|change| change.at).min();
    [zero, word].into_iter().flatten().min().or_else(change).map(seconds)
}

fn last_event(timeline: &Timeline, start: f64) -> f64 {
    let told =
        timeline.events.iter().filter(|e| matches!(e.source, Source::Manager | Source::Fault)).map(|e| e.at);
    let troubled = timeline.writes.iter().filter(|write| write.outcome != Outcome::Acknowledged);
    let all = told
        .chain(timeline.roles.iter().map(|change| change.at))
        .chain(timeline.endpoints.iter().map(|change| change.at))
        .chain(timeline.faults.iter().flat_map(|fault| [Some(fault.from), fault.until]).flatten())
        .chain(troubled.map(|write| write.intended));
    all.map(seconds).fold(start, f64::max)
}

fn end(timeline: &Timeline) -> f64 {
    let all =
        timeline.events.iter().map(|event| event.at).chain(timeline.writes.iter().map(|write| write.done));
    let all = all.chain(timeline.samples.iter().map(|sample| sample.at));
    all.map(seconds).fold(last_event(timeline, 0.0), f64::max)
}

/// A coordinate, to a tenth of a pixel.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// A generous guess at a text's width; SVG cannot measure.
pub(super) fn width(text: &str) -> f64 {
    7.0 * textwrap::core::display_width(text) as f64
}

/// The role's word; also its class in the style sheet.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Replica => "replica",
        Role::Sentinel => "sentinel",
        Role::Unreachable => "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{FaultWindow, Write};

    fn writing_for(seconds: u64, fault: Option<f64>) -> Timeline {
        let write = |n: u64| Write {
            sequence: n,
            intended: At::from(n as f64 * 100.0),
            done: At::from(n as f64 * 100.0 + 1.0),
            outcome: Outcome::Acknowledged,
            error: None,
        };
        let fault = fault.map(|from| FaultWindow {
            kind: "crash".into(),
            node: "lab-001".into(),
            from: At::from(from),
            in_effect: At::from(from + 20.0),
            until: Some(At::from(from + 2000.0)),
        });
        Timeline {
            writes: (0..seconds * 10).map(write).collect(),
            faults: Vec::from_iter(fault),
            ..Timeline::default()
        }
    }

    #[test]
    fn a_long_step_is_cut_to_its_fault() {
        let view = View::of(&writing_for(60, Some(30_000.0)));
        assert!(view.from > 29.0 && view.from < 30.0, "{}", view.from);
        assert!(view.until > 32.0 && view.until < 33.0, "{}", view.until);
        assert_eq!(view.note().as_deref(), Some("29.6–32.4 s of 1 min"));
    }

    #[test]
    fn a_short_one_or_one_without_fault_is_shown_whole() {
        for view in [View::of(&writing_for(3, Some(500.0))), View::of(&writing_for(60, None))] {
            assert_eq!(view.note(), None);
        }
    }

    #[test]
    fn ticks_are_round_few_and_within() {
        for (from, until) in [(0.0, 0.3), (29.6, 32.4), (0.0, 61.0), (100.0, 4000.0)] {
            let ticks = View { from, until, whole: until }.ticks();
            assert!((3..=12).contains(&ticks.len()), "{from} {until}: {ticks:?}");
            assert!(ticks.iter().all(|(at, _)| (from..=until).contains(at)));
        }
    }
}
