//! The report as one page that needs nothing but itself: no script, no font, no request.

mod bound;
mod checklist;
mod facts;
mod mark;
mod steps;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    render::tally::{Tally, marks, troubled},
    report::{CheckRecord, Report, StepRecord},
    verdict::Verdict,
};

/// The whole page.
pub fn render(report: &Report) -> String {
    page(report).into_string()
}

fn page(report: &Report) -> Markup {
    let (won, of) = marks(report);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Failover Lab: " (report.verdict) ", " (won) "/" (of) " marks" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (mark::shapes())
                (headline(report))
                main {
                    (attention(report))
                    (facts::section(report))
                    @for list in &report.checklists { (checklist::section(report, list)) }
                    (overview(report))
                    @for step in &report.steps { (steps::section(step)) }
                }
                footer { "report.json, schema version " (report.schema_version) ", is the source of this page." }
            }
        }
    }
}

fn headline(report: &Report) -> Markup {
    let (won, of) = marks(report);
    html! {
        header {
            p.kicker { "Failover Lab" @for list in &report.checklists { " · " (list.title) } " · " (report.run.id) }
            h1 {
                (mark::verdict(report.verdict))
                span.marks { (won) span.of { "/" (of) } " marks" }
            }
            p.tally { (Tally::of(report)) }
        }
    }
}

/// What did not pass, first of all: the reader may have been woken up by it.
fn attention(report: &Report) -> Markup {
    let (skipped, troubled): (Vec<_>, Vec<_>) =
        troubled(report).into_iter().partition(|(_, check)| check.verdict == Verdict::Skipped);
    html! {
        @if !troubled.is_empty() || !skipped.is_empty() {
            section.attention {
                h2 { "What did not pass" }
                ul {
                    @for (step, check) in troubled {
                        li {
                            (mark::verdict(check.verdict)) " "
                            a href=(format!("#{}", anchor(step, Some(check)))) { (check.claim) }
                            @if let Some(case) = &step.case { span.case { (case) } }
                            p { (check.observed) }
                            p.hint { b { "hint" } " " (check.hint) }
                        }
                    }
                    @for (why, checks) in by_reason(skipped) { li { (left_out(why, &checks)) } }
                }
            }
        }
    }
}

/// Checks of a step that say the same.
fn by_reason<'a>(
    skipped: Vec<(&'a StepRecord, &'a CheckRecord)>,
) -> BTreeMap<&'a str, Vec<(&'a StepRecord, &'a CheckRecord)>> {
    let mut reasons: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (step, check) in skipped {
        reasons.entry(&check.observed).or_default().push((step, check));
    }
    reasons
}

/// What could not be exercised, for one reason: many, where somebody else's deployment was graded, and no trouble.
fn left_out(why: &str, checks: &[(&StepRecord, &CheckRecord)]) -> Markup {
    html! {
        (mark::verdict(Verdict::Skipped)) " "
        details {
            summary { (checks.len()) @if checks.len() == 1 { " check " } @else { " checks " } (why) }
            ul {
                @for (step, check) in checks {
                    li {
                        a href=(format!("#{}", anchor(step, Some(check)))) { (check.claim) }
                        @if let Some(case) = &step.case { span.case { (case) } }
                    }
                }
            }
        }
    }
}

/// Every step in a line, every check as a mark.
fn overview(report: &Report) -> Markup {
    html! {
        @if !report.steps.is_empty() {
            section {
                h2 #steps { "Steps" }
                ol.overview {
                    @for step in &report.steps {
                        li {
                            (mark::verdict(step.verdict))
                            a href=(format!("#{}", anchor(step, None))) { (step.title) }
                            span.case { @if let Some(case) = &step.case { (case) } }
                            span.marks {
                                @for check in &step.checks {
                                    a href=(format!("#{}", anchor(step, Some(check)))) title=(format!("{}: {}", check.verdict, check.claim)) {
                                        (mark::shape(check.verdict))
                                    }
                                }
                            }
                            span.took { (crate::render::units::wall(step.duration.0)) }
                        }
                    }
                }
            }
        }
    }
}

/// The place of a step, or of a check in it, on the page.
fn anchor(step: &StepRecord, check: Option<&CheckRecord>) -> String {
    let name = match check {
        Some(check) => format!("{}--{}", step.name(), check.id),
        None => step.name(),
    };
    name.chars().map(|c| if c.is_alphanumeric() || "-._".contains(c) { c } else { '-' }).collect()
}
