//! The report as Markdown, for a pull request or a terminal pager.

use std::fmt::Write;

use crate::{
    render::{
        tally::{Tally, marks},
        units,
    },
    report::{Bound, CheckRecord, GradedChecklist, GradedItem, Report, StepRecord},
    verdict::Verdict,
};

/// Verdict and marks, the checklists, every check of every step, and how to run it again.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    write(&mut out, report).expect("a string takes every write");
    out
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let (won, of) = marks(report);
    let run = &report.run;
    writeln!(out, "# Failover Lab: {}, {won}/{of} marks\n", shown(report.verdict))?;
    writeln!(out, "{}, in {}.\n", Tally::of(report), units::wall(run.duration.0))?;
    let host = &run.host;
    let memory = units::bytes(host.memory_bytes);
    // GitHub's tables end a cell at a bar even within code.
    let digest = code(&run.image.digest).replace('|', "\\|");
    writeln!(out, "| | |\n| --- | --- |")?;
    writeln!(out, "| Run | {}, started {} |", text(run.id.as_str()), text(&run.started_at))?;
    writeln!(out, "| Engine | {} on {} |", text(&run.engine), text(&run.target))?;
    writeln!(out, "| Image | {} {digest}, {} |", text(&run.image.reference), text(&run.image.origin))?;
    let (os, arch, engine) = (text(&host.os), text(&host.arch), text(&host.container_engine));
    writeln!(out, "| Host | {os}, {arch}, {} CPUs, {memory}, {engine} |", host.cpus)?;
    writeln!(out, "| Seed | {} |\n", run.seed)?;
    writeln!(out, "Run it again:\n\n{}", fenced("sh", &run.rerun))?;
    for list in &report.checklists {
        checklist(out, list)?;
    }
    if !report.steps.is_empty() {
        writeln!(out, "## Steps\n")?;
    }
    for step in &report.steps {
        self::step(out, step)?;
    }
    Ok(())
}

fn checklist(out: &mut String, list: &GradedChecklist) -> std::fmt::Result {
    writeln!(out, "## {}: {}/{} marks\n", text(&list.title), list.marks_awarded, list.marks_total)?;
    if !list.items.is_empty() {
        writeln!(out, "| Verdict | Task | Marks | Expected | Observed |\n| --- | --- | ---: | --- | --- |")?;
    }
    for item in &list.items {
        let marks = format!("{}/{}", item.marks_awarded, item.marks);
        let (title, expected) = (text(&item.title), text(&item.expected));
        writeln!(out, "| {} | {title} | {marks} | {expected} | {} |", shown(item.verdict), observed(item))?;
    }
    for group in &list.groups {
        writeln!(out, "\n### {}: {}\n", text(&group.title), shown(group.verdict))?;
        for item in &group.items {
            writeln!(out, "- {} **{}**: {}", shown(item.verdict), text(&item.title), observed(item))?;
        }
    }
    writeln!(out)
}

fn observed(item: &GradedItem) -> String {
    match &item.hint {
        Some(hint) => format!("{} _Hint: {}_", text(&item.observed), text(hint)),
        None => text(&item.observed),
    }
}

fn step(out: &mut String, step: &StepRecord) -> std::fmt::Result {
    let case = step.case.as_ref().map_or(String::new(), |case| format!(" ({})", text(case)));
    writeln!(out, "### {}{case}: {}\n", text(&step.title), shown(step.verdict))?;
    let nodes: Vec<_> = step.nodes.iter().map(|node| format!("{} in {}", node.id, node.zone)).collect();
    let facts = [code(&step.name()), units::wall(step.duration.0), text(&nodes.join(", "))];
    writeln!(out, "{}\n", facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join(" · "))?;
    if let Some(why) = &step.aborted {
        writeln!(out, "**Ended early:** {}\n", text(why))?;
    }
    for check in &step.checks {
        self::check(out, check)?;
    }
    if !step.measurements.is_empty() {
        writeln!(out, "\n| Measured | Value | What it means |\n| --- | ---: | --- |")?;
    }
    for figure in &step.measurements {
        let value = format!("{} {}", units::figure(figure.value), text(&figure.unit));
        writeln!(out, "| {} | {value} | {} |", text(&figure.name), text(&figure.note))?;
    }
    writeln!(out)
}

fn check(out: &mut String, check: &CheckRecord) -> std::fmt::Result {
    writeln!(out, "- {} **{}** {}", shown(check.verdict), text(&check.claim), code(check.id.as_str()))?;
    writeln!(out, "  - expected: {}", text(&check.expected))?;
    writeln!(out, "  - observed: {}", text(&check.observed))?;
    if let Some(bound) = &check.bound {
        writeln!(out, "  - bound: {}", self::bound(bound))?;
    }
    if check.verdict != Verdict::Pass {
        writeln!(out, "  - hint: {}", text(&check.hint))?;
    }
    if !check.evidence.is_empty() {
        let block = fenced("", &check.evidence.join("\n"));
        writeln!(out, "\n{}", block.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(())
}

fn bound(bound: &Bound) -> String {
    let measured = bound.measured.map_or("nothing measured".to_owned(), |at| {
        format!("measured {} ± {}", units::precise(at), units::precise(bound.resolution))
    });
    let (floor, ceiling) = (units::precise(bound.floor), units::precise(bound.ceiling));
    format!("{measured}, between {floor} and {ceiling}, because {}", code(&bound.formula))
}

/// Mark and word, so that neither has to be known by heart.
fn shown(verdict: Verdict) -> String {
    format!("{} {verdict}", verdict.mark())
}

/// On one line, with everything that Markdown or HTML would act on made harmless.
fn text(raw: &str) -> String {
    let line = one_line(raw);
    let mut out = String::with_capacity(line.len());
    let mut before = ' ';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let within_word = before.is_alphanumeric() && chars.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '_' if within_word => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => out.extend(['\\', c]),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

/// A code span.
fn code(raw: &str) -> String {
    let line = one_line(raw);
    match longest_run(&line) {
        0 if line.is_empty() => line,
        0 => format!("`{line}`"),
        run => format!("{0} {line} {0}", "`".repeat(run + 1)),
    }
}

fn fenced(language: &str, raw: &str) -> String {
    let fence = "`".repeat((longest_run(raw) + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", raw.trim_end())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn one_line(raw: &str) -> String {
    raw.split_whitespace().collect::<Vec<_>>().join(" ")
}
