//! A table of all cells on a topology, the shortest downtime first.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::words;
use crate::{
    cell::TopologyName,
    experiment::Planned,
    statistics::{Estimate, Reading},
    summary::{Lost, Summary},
};

/// A second is in the middle of what downtimes are: the scale is logarithmic, from a millisecond to a minute.
const SCALE: (f64, f64) = (1.0, 60_000.0);

/// What tells cells apart beside the fault, the client and its profile.
struct Columns {
    durability: bool,
    variant: bool,
}

impl Columns {
    fn of(summaries: &[&Summary<'_>]) -> Self {
        let differ = |what: fn(&Planned) -> String| {
            summaries.iter().map(|summary| what(summary.planned)).collect::<BTreeSet<_>>().len() > 1
        };
        Self {
            durability: differ(|planned| planned.cell.load.durability.to_string()),
            variant: differ(|planned| planned.variant.clone().unwrap_or_default()),
        }
    }
}

pub(super) fn section(topology: TopologyName, summaries: &[Summary<'_>]) -> Markup {
    let rows = sorted(summaries.iter().filter(|summary| summary.topology() == topology));
    let columns = Columns::of(&rows);
    html! {
        section id=(format!("table-{topology}")) {
            h2 { "All cells on " (topology) }
            div.scroll tabindex="0" {
                table.wide.cells {
                    thead {
                        tr {
                            th { "fault" } th { "client" } th { "profile" }
                            @if columns.durability { th { "durability" } }
                            @if columns.variant { th { "change" } }
                            th.value { "downtime" }
                            th.value { "95 % interval" }
                            th.spread-head { (ticks()) }
                            th.value { "back" }
                            th.value { "lost writes" }
                            th.value { "failed" }
                            th.value { "nobody knows" }
                            th.value { "p99" }
                            th.value { "sent late" }
                            th.value { "n" }
                        }
                    }
                    tbody { @for summary in &rows { (row(&columns, summary)) } }
                }
            }
        }
    }
}

/// By median downtime; what was not measured comes last.
pub(super) fn sorted<'a, 'b: 'a>(summaries: impl Iterator<Item = &'a Summary<'b>>) -> Vec<&'a Summary<'b>> {
    let mut rows: Vec<_> = summaries.map(|summary| (summary.downtime(), summary)).collect();
    rows.sort_by(|(one, _), (other, _)| match (one, other) {
        (Some(one), Some(other)) => one.median.order(&other.median),
        (one, other) => one.is_none().cmp(&other.is_none()),
    });
    rows.into_iter().map(|(_, summary)| summary).collect()
}

fn row(columns: &Columns, summary: &Summary<'_>) -> Markup {
    let Planned { key, cell, variant } = summary.planned;
    let downtime = summary.downtime();
    html! {
        tr id=(format!("cell-{}", key.replace('/', "-"))) data-cell=(key) {
            td { (cell.fault) } td { (cell.library) } td { (cell.profile.name) }
            @if columns.durability { td { (cell.load.durability) } }
            @if columns.variant { td { (variant.as_deref().unwrap_or("")) } }
            @match &downtime {
                Some(downtime) => {
                    td.value { (words::reading(downtime.median, words::time)) }
                    td.range { (words::interval(downtime, words::time)) }
                    td.spread-cell { (spread(downtime, summary)) }
                    td.value { (summary.recovered()) span.soft { "/" (summary.n()) } }
                    td.value { (lost(summary.lost())) }
                    td.value { (median(summary, "availability.failed", words::number)) }
                    td.value { (median(summary, "availability.indeterminate", words::number)) }
                    td.value { (median(summary, "availability.latency.p99", words::time)) }
                    td.value { (median(summary, "driver.send_error.p99", words::time)) }
                }
                None => td.soft colspan="9" { "nothing was measured" },
            }
            td.value { (summary.n()) @if !summary.not_measured.is_empty() { span.soft { " (+" (summary.not_measured.len()) " not measured)" } } }
        }
    }
}

fn median(summary: &Summary<'_>, figure: &str, say: fn(f64) -> String) -> String {
    summary.figure(figure).map_or_else(|| "–".to_owned(), |estimate| words::reading(estimate.median, say))
}

/// All that was lost, and in how many runs: of few runs with great losses a median shows nothing.
pub(super) fn lost(lost: Option<Lost>) -> Markup {
    html! {
        @match lost {
            None => span.soft { "unknown" },
            Some(Lost { total: 0, n, .. }) => { "0" span.soft { " in " (n) } },
            Some(Lost { total, runs, n, .. }) => {
                (words::number(total as f64)) span.soft { " in " (runs) " of " (n) }
            },
        }
    }
}

/// The median, its interval and every run, on a logarithmic scale.
fn spread(downtime: &Estimate, summary: &Summary<'_>) -> Markup {
    let whole = words::whole(downtime, words::time);
    let y = "10";
    html! {
        svg.spread width="100%" height="20" role="img" aria-label=(whole) {
            @if let Some(interval) = downtime.interval {
                line.interval x1=(place(interval.low)) x2=(place(interval.high)) y1=(y) y2=(y) {}
            }
            @for run in summary.downtimes() { circle.run cx=(place(run)) cy=(y) r="2" {} }
            line.median x1=(place(downtime.median)) x2=(place(downtime.median)) y1="3" y2="17" {}
        }
    }
}

fn ticks() -> Markup {
    html! {
        svg.spread width="100%" height="20" aria-hidden="true" {
            @for (ms, label) in [(10.0, "10 ms"), (1_000.0, "1 s")] {
                text x=(place(Reading::Exactly(ms))) y="14" text-anchor="middle" { (label) }
            }
        }
    }
}

/// In percent of the width, with room for a point at either end.
fn place(reading: Reading) -> String {
    let (low, high) = SCALE;
    let share = (reading.value().clamp(low, high) / low).ln() / (high / low).ln();
    format!("{:.1}%", 2.0 + share * 96.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples;

    #[test]
    fn the_shortest_downtime_comes_first_and_what_was_not_measured_last() {
        let experiment = samples::profiles();
        let taken = samples::taken(&experiment, |planned| match planned.cell.profile.name.as_str() {
            "naive" => Some(9000.0),
            "hardened" => Some(700.0),
            _ => None,
        });
        let summaries = crate::summary::summaries(&experiment, &taken);
        let names: Vec<&str> = sorted(summaries.iter())
            .into_iter()
            .map(|summary| summary.planned.cell.profile.name.as_str())
            .collect();
        assert!(
            names.is_sorted_by_key(|name| ["hardened", "naive", "aggressive"].iter().position(|n| n == name))
        );
        let table = section(TopologyName::Replication, &summaries).into_string();
        let (hardened, naive) =
            (table.find("<td>hardened</td>").unwrap(), table.find("<td>naive</td>").unwrap());
        assert!(hardened < naive, "{table}");
        assert!(table.contains("nothing was measured"));
    }

    #[test]
    fn a_longer_downtime_is_further_to_the_right_and_none_is_off_the_scale() {
        let place = |ms| place(Reading::Exactly(ms)).trim_end_matches('%').parse::<f64>().unwrap();
        assert!(place(0.1) >= 0.0 && place(1e9) <= 100.0);
        assert!(place(10.0) < place(100.0) && place(100.0) < place(16_000.0));
    }
}
