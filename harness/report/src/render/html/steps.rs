//! A step: its picture, its claims, its figures.

use maud::{Markup, PreEscaped, html};

use super::{anchor, bound, mark};
use crate::{
    evidence::Role,
    render::{timeline, units},
    report::{CheckRecord, Measurement, StepRecord},
    verdict::Verdict,
};

pub(super) fn section(step: &StepRecord) -> Markup {
    html! {
        section.step id=(anchor(step, None)) {
            h2 { (mark::verdict(step.verdict)) (step.title) @if let Some(case) = &step.case { span.case { (case) } } }
            (facts(step))
            @if let Some(why) = &step.aborted { p.aborted { b { "Ended early: " } (why) } }
            @if let Some(svg) = timeline::svg(step) {
                figure { div.scroll tabindex="0" { (PreEscaped(svg)) } }
            }
            @for record in &step.checks { (check(step, record)) }
            @if !step.measurements.is_empty() { (measurements(&step.measurements)) }
        }
    }
}

fn facts(step: &StepRecord) -> Markup {
    html! {
        p.facts-line {
            code { (step.name()) } " · " (units::wall(step.duration.0))
            @for node in &step.nodes {
                " · " (node.id) " " span.soft { (role(node.role)) " in " (node.zone) }
            }
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Replica => "replica",
        Role::Sentinel => "sentinel",
        Role::Unreachable => "unreachable",
    }
}

fn check(step: &StepRecord, check: &CheckRecord) -> Markup {
    let passed = check.verdict == Verdict::Pass;
    html! {
        article.check.(check.verdict.to_string()) id=(anchor(step, Some(check))) {
            h3 { (mark::verdict(check.verdict)) span.claim { (check.claim) } code.id { (check.id) } }
            dl.terms {
                dt { "expected" } dd { (check.expected) }
                dt { "observed" } dd { (check.observed) }
                @if !passed { dt { "hint" } dd.hint { (check.hint) } }
            }
            @if let Some(bound) = &check.bound { (bound::figure(bound, check.verdict)) }
            @if !check.evidence.is_empty() {
                details open[!passed] {
                    summary { "evidence (" (check.evidence.len()) ")" }
                    pre { @for line in &check.evidence { (line) "\n" } }
                }
            }
        }
    }
}

fn measurements(figures: &[Measurement]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Measured, and not judged" }
                tbody {
                    @for figure in figures {
                        tr {
                            th scope="row" { (figure.name) }
                            td.value { (units::figure(figure.value)) "\u{a0}" (figure.unit) }
                            td.note { (figure.note) }
                        }
                    }
                }
            }
        }
    }
}
