//! What an experiment came to, on one page that needs nothing but itself; and as CSV for whoever wants to go on.
//!
//! Everything here is a pure function of an experiment and its results.

mod course;
mod csv;
mod detection;
mod found;
#[cfg(test)]
mod samples;
mod settings;
mod table;
mod words;

use lab_load::Schedule;
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use self::csv::{cells as cells_csv, runs as runs_csv};
use crate::{
    experiment::{Compares, Experiment},
    results::Results,
    summary::{Summary, summaries},
};

/// The names of the CSV files beside the page, which links to them: of the cells, and of their runs.
pub const CSV: [&str; 2] = ["cells.csv", "runs.csv"];

/// One look for all pages of the lab.
const LOOK: &str = include_str!("../../../report/src/render/html/style.css");
const STYLE: &str = include_str!("style.css");

/// The whole page.
pub fn render(experiment: &Experiment, results: &Results) -> String {
    let summaries = summaries(experiment, &results.taken);
    page(experiment, results, &summaries).into_string()
}

fn page(experiment: &Experiment, results: &Results, summaries: &[Summary<'_>]) -> Markup {
    let seconds = experiment.load.duration.as_secs_f64();
    let topologies = experiment.topologies();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Failover Lab: " (experiment.title) }
                style { (PreEscaped(LOOK)) (PreEscaped(STYLE)) }
            }
            body {
                (headline(experiment, summaries))
                main {
                    @for topology in &topologies {
                        @match experiment.compares {
                            Compares::Detection => (detection::section(*topology, summaries, &results.engine)),
                            Compares::Profiles | Compares::Durability => (found::section(experiment, *topology, summaries)),
                        }
                        @if experiment.compares == Compares::Durability { (found::costs(*topology, summaries)) }
                    }
                    @for topology in &topologies { (table::section(*topology, summaries)) }
                    @for topology in &topologies { (course::section(*topology, summaries, seconds)) }
                    (settings::section(experiment))
                    (not_measured(experiment, summaries))
                    (how(experiment, results))
                }
                footer {
                    "results.jsonl is the source of this page; "
                    @for name in CSV { a href=(name) { (name) } " " }
                    "are the same as tables."
                }
            }
        }
    }
}

fn headline(experiment: &Experiment, summaries: &[Summary<'_>]) -> Markup {
    let runs: Vec<usize> = summaries.iter().map(Summary::n).collect();
    let (least, most) = (runs.iter().min().unwrap_or(&0), runs.iter().max().unwrap_or(&0));
    html! {
        header {
            p.kicker { "Failover Lab · experiment " (experiment.name) }
            h1 { (experiment.title) }
            p { (experiment.question) }
            p.tally {
                (summaries.len()) " cells, " (runs.iter().sum::<usize>()) " runs: n = " (least)
                @if most > least { " … " (most) }
                " each"
                @if *least < usize::try_from(experiment.runs).unwrap_or(usize::MAX) { ", of " (experiment.runs) " that are asked for" }
            }
        }
    }
}

/// What is not on this page although it was named, and why.
fn not_measured(experiment: &Experiment, summaries: &[Summary<'_>]) -> Markup {
    let in_vain: Vec<&Summary<'_>> =
        summaries.iter().filter(|summary| !summary.not_measured.is_empty()).collect();
    html! {
        @if !experiment.left_out.is_empty() {
            section #left-out {
                h2 { "Left out" }
                ul.left-out {
                    @for left_out in &experiment.left_out { li { code { (left_out.planned.key) } " " span.soft { (left_out.why) } } }
                }
            }
        }
        @if !in_vain.is_empty() {
            section #not-measured {
                h2 { "Tried, and not measured" }
                ul.left-out {
                    @for summary in in_vain {
                        @for why in &summary.not_measured { li { code { (summary.planned.key) } " " span.soft { (why) } } }
                    }
                }
            }
        }
    }
}

/// How it was measured, and what the words mean.
fn how(experiment: &Experiment, results: &Results) -> Markup {
    let load = &experiment.load;
    let Schedule { rate, duration } = load.schedule();
    html! {
        section #how {
            h2 { "How it was measured" }
            dl.facts {
                div { dt { "engine" } dd { (results.engine) } }
                div { dt { "began" } dd { (results.began) } }
                div { dt { "seed" } dd { (results.seed) ", and the next for each further run" } }
                div.wide { dt { "machine" } dd { (results.machine) } }
                div.wide {
                    dt { "load" }
                    dd {
                        (load.sort) ": " (rate) " operations a second for " (words::time(duration.as_secs_f64() * 1000.0)) ", on a fixed schedule that no stall slows; "
                        (words::number(load.reads * 100.0)) " % reads, " (load.keys) " keys, " (load.distribution) ", values of " (load.value_size) " bytes; "
                        "an operation is given up " (words::time(load.deadline.as_secs_f64() * 1000.0)) " after it was meant to begin"
                    }
                }
            }
            dl.meanings {
                dt { "downtime" }
                dd { "The longest time in which something was wanted of the node that the fault hits and nothing of it was done; of a cluster, of the keys of its shard: the other shards are served meanwhile. “≥”: the client was not served again before the load ended. Who stays with a primary that nobody follows any more is not down, and loses what it writes there: read it beside the lost writes." }
                dt { "median, 95 % interval" }
                dd { "By order statistics (binomial): of ten runs from the second to the ninth. Of fewer than six runs there is none. A difference is claimed only where two intervals do not overlap." }
                dt { "back" } dd { "Runs in which the client was served again before the load ended." }
                dt { "lost writes" } dd { "Acknowledged, and gone in the end: all runs together, and in how many. Of registers only the last acknowledged write of each key can be seen to be gone; of sets, each." }
                dt { "failed, nobody knows" } dd { "Operations of a run that were certainly not done, and those of which nobody can know: medians." }
                dt { "p99" } dd { "Of all that was done in a run, from the intended time: median." }
                dt { "sent late" } dd { "The lab's own error, from an operation's intended time to its being handed to the client: the median of the runs' p99. A figure that is no greater than this says nothing." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(experiment: &Experiment) -> String {
        let taken = samples::taken(experiment, |_| Some(900.0));
        render(experiment, &samples::results(taken))
    }

    #[test]
    fn every_cell_has_its_row_and_its_picture() {
        for experiment in [samples::profiles(), samples::durability(), samples::detection()] {
            let page = page(&experiment);
            for planned in &experiment.cells {
                for mark in
                    [format!("data-cell=\"{}\"", planned.key), format!("data-course=\"{}\"", planned.key)]
                {
                    assert_eq!(page.matches(&mark).count(), 1, "{mark}");
                }
            }
            for left_out in &experiment.left_out {
                assert!(
                    page.contains(&left_out.planned.key) && page.contains(&left_out.why),
                    "{}",
                    left_out.why
                );
            }
            let cells = experiment.cells.len();
            assert!(page.contains(&format!("{cells} cells, {} runs: n = 10 each", cells * 10)), "{cells}");
        }
    }

    /// Every element that is opened is closed, in its turn.
    #[test]
    fn the_page_is_well_formed() {
        let page = page(&samples::profiles());
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let name = tag.split_whitespace().next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "</{name}>"),
                None if name.starts_with('!') || ["meta", "br"].contains(&name) => {}
                None => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }

    #[test]
    fn the_page_needs_nothing_but_itself_and_text_stays_text() {
        let mut experiment = samples::profiles();
        experiment.title = "<script>1</script>".to_owned();
        let page = page(&experiment);
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("http"), "{page}");
    }

    #[test]
    fn what_was_tried_in_vain_is_said() {
        let experiment = samples::profiles();
        let mut taken = samples::taken(&experiment, |_| Some(900.0));
        taken[0].outcome = crate::results::Outcome::NotMeasured("boot: no address left".to_owned());
        let page = render(&experiment, &samples::results(taken));
        assert!(page.contains("Tried, and not measured") && page.contains("boot: no address left"));
        assert!(page.contains("n = 9 … 10 each, of 10 that are asked for"), "{page}");
    }
}
