//! A graded checklist: items with their marks, then the groups that carry none.

use maud::{Markup, html};

use super::{anchor, mark};
use crate::{
    render::tally::records,
    report::{GradedChecklist, GradedItem, Report},
    verdict::Verdict,
};

pub(super) fn section(report: &Report, list: &GradedChecklist) -> Markup {
    html! {
        section.checklist {
            h2 { (list.title) span.total { (list.marks_awarded) "/" (list.marks_total) " marks" } }
            ol.items { @for entry in &list.items { (item(report, entry, true)) } }
            @for group in &list.groups {
                h3 { (group.title) (mark::verdict(group.verdict)) }
                ul.items { @for entry in &group.items { (item(report, entry, false)) } }
            }
        }
    }
}

fn item(report: &Report, item: &GradedItem, graded: bool) -> Markup {
    html! {
        li.item.(item.verdict.to_string()) {
            (mark::verdict(item.verdict))
            div.said {
                p.title { (item.title) }
                @if item.verdict == Verdict::Pass {
                    p.observed { (item.observed) }
                } @else {
                    dl.terms {
                        dt { "expected" } dd { (item.expected) }
                        dt { "observed" } dd { (item.observed) }
                        @if let Some(hint) = &item.hint { dt { "hint" } dd.hint { (hint) } }
                    }
                }
                p.proof {
                    @for (step, check) in records(report, item) {
                        a href=(format!("#{}", anchor(step, Some(check)))) {
                            (mark::shape(check.verdict)) (check.id) @if let Some(case) = &step.case { " (" (case) ")" }
                        } " "
                    }
                }
                @if !item.engine_tests.is_empty() {
                    p.proof { "the engine's own: " (item.engine_tests.join("; ")) }
                }
            }
            @if graded { span.marks { (item.marks_awarded) span.of { "/" (item.marks) } } }
        }
    }
}
