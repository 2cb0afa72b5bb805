//! What the manager, the sentinels and the fault injector said: numbers above the lanes, and the words beneath.

use std::time::Duration;

use maud::{Markup, html};

use super::{
    Canvas,
    view::{LEFT, RIGHT, View, WIDTH, px, width},
};
use crate::{
    evidence::{Event, Source, Timeline},
    render::{tally::plural, units},
};

/// More than this do not fit side by side.
const AT_MOST: usize = 40;
const APART: f64 = 18.0;
const LINE: f64 = 17.0;

/// An event with its number, its place in time, and its place in the row of numbers.
pub(super) struct Marked<'a> {
    number: usize,
    event: &'a Event,
    x: f64,
    badge: f64,
}

/// The events in the window, numbered, with their badges moved apart.
pub(super) fn marked<'a>(timeline: &'a Timeline, view: &View) -> Vec<Marked<'a>> {
    let mut shown: Vec<_> = told(timeline).filter(|event| view.shows(event.at)).take(AT_MOST).collect();
    shown.sort_by_key(|event| event.at);
    let places: Vec<_> = shown.iter().map(|event| view.x(event.at)).collect();
    let badges = spread(&places, APART, LEFT, RIGHT);
    let numbered = shown.into_iter().zip(places).zip(badges).enumerate();
    numbered.map(|(at, ((event, x), badge))| Marked { number: at + 1, event, x, badge }).collect()
}

fn told(timeline: &Timeline) -> impl Iterator<Item = &Event> {
    let tells = |source| matches!(source, Source::Manager | Source::Sentinel | Source::Fault);
    timeline.events.iter().filter(move |event| tells(event.source))
}

/// The places nearest to `wanted`, which ascend, that are `apart` from each other and within the edges.
fn spread(wanted: &[f64], apart: f64, left: f64, right: f64) -> Vec<f64> {
    // With the least distances taken off, the places only have to ascend: merge those that do not.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for (at, place) in wanted.iter().enumerate() {
        let mut group = (place - at as f64 * apart, 1);
        while let Some((sum, count)) =
            groups.pop_if(|(sum, count)| *sum / *count as f64 > group.0 / group.1 as f64)
        {
            group = (group.0 + sum, group.1 + count);
        }
        groups.push(group);
    }
    let last = right - apart * wanted.len().saturating_sub(1) as f64;
    let bases = groups.iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
    bases.enumerate().map(|(at, base)| base.clamp(left, last.max(left)) + at as f64 * apart).collect()
}

/// The row of numbers, each with a lead to its instant.
pub(super) fn badges(canvas: &mut Canvas, marked: &[Marked<'_>]) {
    if marked.is_empty() {
        return;
    }
    let y = canvas.y + 10.0;
    for mark in marked {
        let lead = format!("M{} {} L{} {}", px(mark.badge), px(y + 8.0), px(mark.x), px(y + 22.0));
        canvas.put(html! {
            path.lead d=(lead) {}
            (badge(mark, mark.badge, y))
        });
    }
    canvas.y = y + 22.0;
}

/// Round for the manager, square for a fault.
fn badge(mark: &Marked<'_>, x: f64, y: f64) -> Markup {
    html! {
        @if mark.event.source == Source::Fault {
            rect.badge-fault x=(px(x - 8.0)) y=(px(y - 8.0)) width="16" height="16" rx="2" {}
        } @else {
            circle.badge cx=(px(x)) cy=(px(y)) r="8" {}
        }
        text.number x=(px(x)) y=(px(y + 3.8)) text-anchor="middle" { (mark.number) }
    }
}

/// Each event's instant, down through the lanes.
pub(super) fn lines(marked: &[Marked<'_>], from: f64, until: f64) -> Markup {
    html! {
        @for mark in marked {
            line.line x1=(px(mark.x)) x2=(px(mark.x)) y1=(px(from + 32.0)) y2=(px(until + 4.0)) {}
        }
    }
}

/// Number, instant, time since the fault or request, and the words.
pub(super) fn legend(canvas: &mut Canvas, marked: &[Marked<'_>], timeline: &Timeline) {
    let zero = View::zero(timeline);
    let (number, instant, since) = (LEFT + 8.0, LEFT + 80.0, LEFT + 152.0);
    let words = if zero.is_some() { LEFT + 166.0 } else { instant + 14.0 };
    let columns = ((WIDTH - words) / width("n")) as usize;
    canvas.y += 6.0;
    for mark in marked {
        canvas.y += LINE;
        let y = canvas.y;
        let text = mark.event.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = units::wrap(&text, columns);
        canvas.put(html! {
            (badge(mark, number, y - 4.0))
            text x=(px(instant)) y=(px(y)) text-anchor="end" { (seconds(mark.event.at.0)) }
            @if let Some(after) = zero.filter(|zero| mark.event.at > *zero) {
                text.soft x=(px(since)) y=(px(y)) text-anchor="end" { "+" (seconds(mark.event.at.since(after))) }
            }
            @for (row, line) in lines.iter().enumerate() {
                text x=(px(words)) y=(px(y + row as f64 * LINE)) { (line) }
            }
        });
        canvas.y += LINE * lines.len().saturating_sub(1) as f64;
    }
    let rest = told(timeline).count() - marked.len();
    if rest > 0 {
        canvas.y += LINE;
        let note = format!("and {} outside the picture", plural(rest, "event"));
        canvas.put(html! { text.soft x=(px(words)) y=(px(canvas.y)) { (note) } });
    }
    canvas.y += 4.0;
}

/// To the hundredth, so that a column of them lines up.
fn seconds(length: Duration) -> String {
    format!("{:.2} s", length.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn badges_never_touch_nor_leave_the_picture(mut wanted in prop::collection::vec(LEFT..RIGHT, 0..AT_MOST)) {
            wanted.sort_by(f64::total_cmp);
            let places = spread(&wanted, APART, LEFT, RIGHT);
            prop_assert!(places.windows(2).all(|pair| pair[1] - pair[0] > APART - 0.001));
            prop_assert!(places.iter().all(|x| (LEFT - 0.001..=RIGHT + 0.001).contains(x)));
        }

        #[test]
        fn badges_with_room_stay_where_they_belong(gaps in prop::collection::vec(APART..APART * 2.0, 0..20)) {
            let wanted: Vec<_> = gaps.iter().scan(LEFT, |x, gap| { *x += gap; Some(*x) }).collect();
            let places = spread(&wanted, APART, LEFT, RIGHT);
            prop_assert!(wanted.iter().zip(&places).all(|(wanted, got)| (wanted - got).abs() < 0.001));
        }
    }
}
