//! The results as tables for other programs. No value has a comma or a quotation mark in it.

use std::collections::BTreeSet;

use crate::{
    experiment::{Experiment, Planned},
    results::{Results, Taken},
    statistics::{Estimate, Reading},
    summary::{Summary, summaries},
};

const CELL: &str = "topology,fault,client,profile,durability,variant";
/// Figures of which a median is given.
const FIGURES: [(&str, &str); 8] = [
    ("failed", "availability.failed"),
    ("indeterminate", "availability.indeterminate"),
    ("p50_ms", "availability.latency.p50"),
    ("p99_ms", "availability.latency.p99"),
    ("undisturbed_p50_ms", "undisturbed.latency.p50"),
    ("undisturbed_p99_ms", "undisturbed.latency.p99"),
    ("undisturbed_writes_per_s", "undisturbed.writes_per_s"),
    ("sent_late_p99_ms", "driver.send_error.p99"),
];

/// A line for each cell: medians, their intervals, and sums. A bound is a number with its own column.
pub fn cells(experiment: &Experiment, results: &Results) -> String {
    let names = FIGURES.map(|(name, _)| name).join(",");
    let mut text = format!(
        "{CELL},n,not_measured,downtime_ms,downtime_low_ms,downtime_high_ms,recovered,lost,runs_with_loss,lost_n,{names}\n"
    );
    for summary in summaries(experiment, &results.taken) {
        text.push_str(&line(&summary));
    }
    text
}

fn line(summary: &Summary<'_>) -> String {
    let downtime = summary.downtime();
    let end = |of: fn(crate::statistics::Interval) -> Reading| {
        downtime.and_then(|downtime| downtime.interval).map(|interval| of(interval).value())
    };
    let lost = summary.lost();
    let mut fields = vec![
        cell(summary.planned),
        summary.n().to_string(),
        summary.not_measured.len().to_string(),
        number(downtime.map(|downtime| downtime.median.value())),
        number(end(|interval| interval.low)),
        number(end(|interval| interval.high)),
        summary.recovered().to_string(),
        number(lost.map(|lost| lost.total as f64)),
        number(lost.map(|lost| lost.runs as f64)),
        number(lost.map(|lost| lost.n as f64)),
    ];
    let median = |figure| summary.figure(figure).map(|Estimate { median, .. }| median.value());
    fields.extend(FIGURES.map(|(_, figure)| number(median(figure))));
    fields.join(",") + "\n"
}

/// A line for each run that was measured, with all of its figures.
pub fn runs(experiment: &Experiment, results: &Results) -> String {
    let measured = || results.taken.iter().filter_map(|taken| Some((taken, taken.observed()?)));
    let names: BTreeSet<&str> =
        measured().flat_map(|(_, observed)| observed.figures.0.keys().map(String::as_str)).collect();
    let mut text = format!("{CELL},run,seed,engine,recovered");
    names.iter().for_each(|name| text.push_str(&format!(",{name}")));
    text.push('\n');
    for (taken, observed) in measured() {
        let Taken { cell: key, run, seed, engine, .. } = taken;
        let Some(planned) = experiment.cell(key) else { continue };
        text.push_str(&format!("{},{run},{seed},{engine},{}", cell(planned), observed.recovered));
        for name in &names {
            text.push_str(&format!(",{}", number(observed.figures.get(name))));
        }
        text.push('\n');
    }
    text
}

fn cell(planned: &Planned) -> String {
    let Planned { cell, variant, .. } = planned;
    let (profile, durability) = (&cell.profile.name, cell.load.durability);
    let variant = variant.as_deref().unwrap_or_default();
    format!("{},{},{},{profile},{durability},{variant}", cell.topology, cell.fault, cell.library)
}

/// To the microsecond, as it was measured; nothing where there is none.
fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| ((value * 1000.0).round() / 1000.0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples;

    #[test]
    fn every_line_has_as_many_fields_as_the_first() {
        let experiment = samples::durability();
        let results = samples::results(samples::taken(&experiment, |planned| {
            (planned.cell.load.durability.to_string() != "wait-1").then_some(700.0)
        }));
        for (text, lines) in
            [(cells(&experiment, &results), 1 + experiment.cells.len()), (runs(&experiment, &results), 0)]
        {
            let fields: BTreeSet<usize> = text.lines().map(|line| line.split(',').count()).collect();
            assert_eq!(fields.len(), 1, "{text}");
            assert!(lines == 0 || text.lines().count() == lines, "{text}");
        }
        let first = cells(&experiment, &results);
        assert!(first.contains("sentinel,crash,redis,hardened,none,,10,0,790,720,860,10,"), "{first}");
    }
}
