//! A bound as a bar from floor to ceiling, with the measured point on it and its formula beneath.

use maud::{Markup, html};

use crate::{evidence::At, render::units, report::Bound, verdict::Verdict};

/// How much of the picture lies beyond floor and ceiling, in parts of what lies between them.
const BEYOND: f64 = 0.3;

/// Places on the bar, in percent of its width; text keeps its size at any width.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(bound: &Bound) -> Self {
        let (floor, ceiling) = (bound.floor.millis(), bound.ceiling.millis());
        let between = (ceiling - floor).max(0.001);
        // Nothing can be shorter than nothing.
        Self { low: (floor - BEYOND * between).max(0.0), high: ceiling + BEYOND * between }
    }

    fn percent(&self, at: At) -> f64 {
        ((at.millis() - self.low) / (self.high - self.low) * 100.0).clamp(0.0, 100.0)
    }

    fn width(&self, length: At) -> f64 {
        length.millis() / (self.high - self.low) * 100.0
    }

    fn holds(&self, at: At) -> bool {
        (self.low..=self.high).contains(&at.millis())
    }
}

pub(super) fn figure(bound: &Bound, verdict: Verdict) -> Markup {
    let scale = Scale::of(bound);
    let (floor, ceiling) = (scale.percent(bound.floor), scale.percent(bound.ceiling));
    let (low, high) = (units::precise(bound.floor), units::precise(bound.ceiling));
    let measured = bound.measured.map_or("nothing measured".to_owned(), units::precise);
    html! {
        figure.bound {
            svg width="100%" height="58" role="img" aria-label=(format!("{measured}; floor {low}, ceiling {high}")) {
                line.outside x1="0" x2="100%" y1="30" y2="30" {}
                rect.between x=(pc(floor)) width=(pc(ceiling - floor)) y="25" height="10" {}
                line.edge x1=(pc(floor)) x2=(pc(floor)) y1="21" y2="39" {}
                line.edge x1=(pc(ceiling)) x2=(pc(ceiling)) y1="21" y2="39" {}
                text.soft x=(pc(floor)) y="53" text-anchor=(anchor(floor)) { "floor " (low) }
                text.soft x=(pc(ceiling)) y="53" text-anchor=(anchor(ceiling)) { "ceiling " (high) }
                @match bound.measured {
                    Some(at) => (point(&scale, at, bound.resolution, verdict)),
                    None => text.soft x=(pc((floor + ceiling) / 2.0)) y="14" text-anchor="middle" { "nothing measured" },
                }
            }
            figcaption { code { (bound.formula) } }
        }
    }
}

/// The measured point and how far off it can be; an arrow at the edge if it lies beyond.
fn point(scale: &Scale, at: At, resolution: At, verdict: Verdict) -> Markup {
    let x = scale.percent(at);
    let half = scale.width(resolution);
    let (from, until) = ((x - half).max(0.0), (x + half).min(100.0));
    html! {
        g.(verdict.to_string()) {
            line.whisker x1=(pc(from)) x2=(pc(until)) y1="30" y2="30" {}
            @if scale.holds(at) {
                circle.point cx=(pc(x)) cy="30" r="5" {}
            } @else {
                // A nested picture, because a path has no percentages.
                svg.arrow x=(pc(x)) y="22" width="14" height="16" overflow="visible" {
                    path.point d=(if x > 50.0 { "M-14 0L0 8L-14 16Z" } else { "M14 0L0 8L14 16Z" }) {}
                }
            }
            text.measured x=(pc(x)) y="14" text-anchor=(anchor(x)) {
                (units::precise(at)) tspan.soft { " ± " (units::precise(resolution)) }
            }
        }
    }
}

/// Texts near an edge grow inwards.
fn anchor(percent: f64) -> &'static str {
    match percent {
        ..12.0 => "start",
        ..85.0 => "middle",
        _ => "end",
    }
}

fn pc(percent: f64) -> String {
    format!("{percent:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(floor: f64, ceiling: f64) -> Bound {
        let [floor, ceiling, resolution] = [floor, ceiling, 50.0].map(At::from);
        Bound { formula: String::new(), floor, ceiling, measured: None, resolution }
    }

    #[test]
    fn floor_and_ceiling_stay_apart_however_close_they_are() {
        for (floor, ceiling) in [(0.0, 2000.0), (60_000.0, 61_000.0), (900.0, 6000.0)] {
            let scale = Scale::of(&bound(floor, ceiling));
            assert!(scale.percent(At::from(ceiling)) - scale.percent(At::from(floor)) > 60.0);
        }
    }

    #[test]
    fn a_point_far_off_is_held_at_the_edge_and_said_to_be_beyond() {
        let scale = Scale::of(&bound(1000.0, 2000.0));
        assert_eq!(scale.percent(At::from(90_000.0)), 100.0);
        assert!(!scale.holds(At::from(90_000.0)) && scale.holds(At::from(2100.0)));
    }
}
