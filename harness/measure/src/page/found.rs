//! What an experiment shows: the recommendation, and its evidence.

use maud::{Markup, html};

use super::{table, words};
use crate::{
    cell::{FaultName, TopologyName},
    experiment::{Compares, Experiment, LeftOut, Planned},
    findings::{Entry, Evidence, Findings, Recommendation, compare},
    statistics::Estimate,
    summary::Summary,
};

/// What is compared with each other, and in what.
struct Contest<'a> {
    compares: Compares,
    summaries: Vec<&'a Summary<'a>>,
}

pub(super) fn section(experiment: &Experiment, topology: TopologyName, summaries: &[Summary<'_>]) -> Markup {
    let here = || summaries.iter().filter(|summary| summary.topology() == topology);
    let mut groups: Vec<String> = Vec::new();
    for summary in here() {
        let group = group(experiment.compares, summary.planned);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    html! {
        section.found {
            h2 { "What it shows on " (topology) }
            @for name in &groups {
                @let of_group = |summary: &&Summary<'_>| group(experiment.compares, summary.planned) == *name;
                @let contest = Contest { compares: experiment.compares, summaries: here().filter(of_group).collect() };
                (contest.shown(name, &experiment.left_out))
            }
        }
    }
}

/// Whose contenders are compared: those of one client.
fn group(compares: Compares, planned: &Planned) -> String {
    let library = planned.cell.library;
    match compares {
        Compares::Profiles => library.to_string(),
        Compares::Durability | Compares::Detection => format!("{library} {}", planned.cell.profile.name),
    }
}

/// What is compared with others.
pub(super) fn contender(compares: Compares, planned: &Planned) -> String {
    let varied = |name: String| match &planned.variant {
        Some(variant) => format!("{name}, {variant}"),
        None => name,
    };
    match compares {
        Compares::Profiles => varied(planned.cell.profile.name.clone()),
        Compares::Durability | Compares::Detection => varied(planned.cell.load.durability.to_string()),
    }
}

/// What contenders are compared in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Downtime,
    Lost,
}

impl Figure {
    fn of(self, summary: &Summary<'_>) -> Option<Estimate> {
        match self {
            Self::Downtime => summary.downtime(),
            Self::Lost => Some(summary.lost()?.estimate),
        }
    }

    fn say(self) -> fn(f64) -> String {
        match self {
            Self::Downtime => words::time,
            Self::Lost => words::number,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Downtime => "downtime",
            Self::Lost => "lost writes a run",
        }
    }
}

/// Under a fault, in a figure.
type Condition = (FaultName, Figure);

impl Contest<'_> {
    fn findings(&self) -> Findings<Condition> {
        let mut faults: Vec<FaultName> = Vec::new();
        for summary in &self.summaries {
            if !faults.contains(&summary.planned.cell.fault) {
                faults.push(summary.planned.cell.fault);
            }
        }
        let decisive = match self.compares {
            Compares::Durability => Figure::Lost,
            Compares::Profiles | Compares::Detection => Figure::Downtime,
        };
        let mut entries = Vec::new();
        let mut is_whole = true;
        for fault in faults {
            let (of_all, known) = self.entries(fault, decisive);
            entries.extend(of_all);
            is_whole &= known;
            // Whoever stays with a primary that nobody follows any more is never down, and loses everything.
            if decisive == Figure::Downtime && self.loses(fault) {
                let (of_all, known) = self.entries(fault, Figure::Lost);
                entries.extend(of_all);
                is_whole &= known;
            }
        }
        // One that could not be measured is one that is missing.
        match is_whole {
            true => compare(&entries),
            false => Findings { recommendation: Recommendation::TooLittle, ..compare(&entries) },
        }
    }

    /// What every contender came to under a fault, and whether that is known of each.
    fn entries(&self, fault: FaultName, figure: Figure) -> (Vec<Entry<Condition>>, bool) {
        let here = || self.under(fault);
        let entry = |summary: &&Summary<'_>| {
            let contender = contender(self.compares, summary.planned);
            Some(Entry { contender, condition: (fault, figure), estimate: figure.of(summary)? })
        };
        let entries: Vec<_> = here().filter_map(entry).collect();
        let is_whole = entries.len() == here().count();
        (entries, is_whole)
    }

    fn loses(&self, fault: FaultName) -> bool {
        self.under(fault).any(|summary| summary.lost().is_some_and(|lost| lost.total > 0))
    }

    fn under(&self, fault: FaultName) -> impl Iterator<Item = &&Summary<'_>> {
        self.summaries.iter().filter(move |summary| summary.planned.cell.fault == fault)
    }

    fn shown(&self, name: &str, left_out: &[LeftOut]) -> Markup {
        let Findings { recommendation, evidence } = self.findings();
        html! {
            article.finding {
                h3 { (name) }
                p.recommendation { (sentence(self.compares, &recommendation)) }
                @for (name, same) in self.stand_ins(left_out) {
                    p.soft { (name) " stands for " (same) " as well: to this client they are the same." }
                }
                div.scroll tabindex="0" {
                    table.wide {
                        thead { tr { th { "fault" } th { "figure" } th { "least" } th { "median" } th { "shown to be worse, and by how much" } th { "no difference shown" } } }
                        tbody { @for evidence in &evidence { (row(evidence)) } }
                    }
                }
            }
        }
    }

    /// Contenders that stand for others, which were left out, by name.
    fn stand_ins(&self, left_out: &[LeftOut]) -> Vec<(String, String)> {
        let mut stand_ins: Vec<(String, String)> = Vec::new();
        for summary in &self.summaries {
            let own = contender(self.compares, summary.planned);
            let is_same = |left_out: &&LeftOut| left_out.same_as.as_deref() == Some(&summary.planned.key);
            let others =
                left_out.iter().filter(is_same).map(|left_out| left_out.planned.cell.profile.name.as_str());
            let others = others.collect::<Vec<_>>().join(", ");
            let is_new = stand_ins.iter().all(|(name, _)| *name != own);
            if !others.is_empty() && is_new {
                stand_ins.push((own, others));
            }
        }
        stand_ins
    }
}

fn row(evidence: &Evidence<Condition>) -> Markup {
    let Evidence { condition: (fault, figure), best, worse, open } = evidence;
    let say = figure.say();
    html! {
        tr {
            td { (fault) }
            td { (figure.name()) }
            td { b { (best.contender) } }
            td.whole { (words::whole(&best.estimate, say)) }
            td {
                @if worse.is_empty() { span.soft { "none" } }
                @for entry in worse { p { (entry.contender) ": " (words::whole(&entry.estimate, say)) ", " (more(best, entry, say)) } }
            }
            td {
                @if open.is_empty() { span.soft { "none" } }
                @for entry in open { p { (entry.contender) ": " (words::whole(&entry.estimate, say)) } }
            }
        }
    }
}

/// By how much more: of medians, as a difference; as a lower bound where it is one.
fn more(best: &Entry<Condition>, worse: &Entry<Condition>, say: fn(f64) -> String) -> String {
    let (less, more) = (best.estimate.median, worse.estimate.median);
    let bound = if more.is_exact() { "" } else { "at least " };
    format!("{bound}{} more", say(more.value() - less.value()))
}

fn sentence(compares: Compares, recommendation: &Recommendation) -> Markup {
    let (least, figures) = match compares {
        Compares::Durability => ("loses least", "lost writes"),
        Compares::Profiles | Compares::Detection => ("is the best of them", "downtime or lost writes"),
    };
    html! {
        @match recommendation {
            Recommendation::Best(name) => {
                b { (name) } " " (least) ": in " (figures) " every other one is shown to be worse under a fault, and it is under none."
            },
            Recommendation::NoDifference(names) => {
                b { "No difference shown" } " that would decide between " (names.join("; ")) ": none of them is shown to be worse under any fault in " (figures) "."
            },
            Recommendation::Depends => {
                b { "It depends" } ": each is shown to be worse than another under a fault, in " (figures) "."
            },
            Recommendation::Alone => { "There is nothing to compare it with." },
            Recommendation::TooLittle => {
                b { "No recommendation" } ": that takes six runs of every cell of which all is known that is compared."
            },
        }
    }
}

/// What durability costs, beside what it saves, the cheapest first.
pub(super) fn costs(topology: TopologyName, summaries: &[Summary<'_>]) -> Markup {
    let mut rows: Vec<_> = summaries.iter().filter(|summary| summary.topology() == topology).collect();
    let cost =
        |summary: &Summary<'_>| summary.figure("undisturbed.latency.p50").map(|p50| p50.median.value());
    rows.sort_by(|one, other| {
        cost(one).unwrap_or(f64::INFINITY).total_cmp(&cost(other).unwrap_or(f64::INFINITY))
    });
    let figure = |summary: &Summary<'_>, name: &str, say: fn(f64) -> String| match summary.figure(name) {
        Some(estimate) => words::whole(&estimate, say),
        None => "–".to_owned(),
    };
    html! {
        section {
            h2 { "What durability costs on " (topology) }
            p.legend {
                "Of writes that were over before the fault began, at the experiment's rate. One writer that waits for each answer before it sends the "
                "next comes to so many a second as follow from how long the client took for each."
            }
            div.scroll tabindex="0" {
                table.wide {
                    thead { tr { th { "durability" } th { "fault" } th { "client" } th { "p50" } th { "p99" } th { "one writer, a second" } th { "done" } th { "lost writes" } } }
                    tbody {
                        @for summary in rows {
                            tr {
                                td { (contender(Compares::Durability, summary.planned)) }
                                td { (summary.planned.cell.fault) }
                                td { (group(Compares::Durability, summary.planned)) }
                                td.whole { (figure(summary, "undisturbed.latency.p50", words::time)) }
                                td.whole { (figure(summary, "undisturbed.latency.p99", words::time)) }
                                td.whole { (figure(summary, "undisturbed.writes_per_s", words::number)) }
                                td.whole { (figure(summary, "undisturbed.done", |share| format!("{:.1} %", (share * 1000.0).floor() / 10.0))) }
                                td { (table::lost(summary.lost())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{page::samples, results::Outcome, summary::summaries};

    #[test]
    fn what_is_shown_is_claimed_with_its_evidence() {
        let experiment = samples::profiles();
        let taken = samples::taken(&experiment, |planned| {
            Some(if planned.cell.profile.name == "hardened" { 700.0 } else { 9000.0 })
        });
        let page =
            section(&experiment, TopologyName::Replication, &summaries(&experiment, &taken)).into_string();
        assert!(page.contains("<b>hardened</b> is the best of them"), "{page}");
        assert!(page.contains("naive: 9.09 s (9.02 s … 9.16 s, n = 10), 8.30 s more"), "{page}");
    }

    #[test]
    fn intervals_that_overlap_give_no_recommendation() {
        let experiment = samples::profiles();
        let taken = samples::taken(&experiment, |planned| {
            Some(if planned.cell.profile.name == "hardened" { 700.0 } else { 705.0 })
        });
        let page =
            section(&experiment, TopologyName::Replication, &summaries(&experiment, &taken)).into_string();
        assert!(page.contains("<b>No difference shown</b>"), "{page}");
        assert!(!page.contains("is the best of them") && !page.contains(" more"), "{page}");
    }

    /// Naive is never down: it stays where it is, and loses what it writes there.
    #[test]
    fn whoever_is_never_down_and_loses_everything_is_not_recommended() {
        let experiment = samples::profiles();
        let is_naive = |planned: &Planned| planned.cell.profile.name == "naive";
        let mut taken =
            samples::taken(&experiment, |planned| Some(if is_naive(planned) { 20.0 } else { 900.0 }));
        for taken in &mut taken {
            let lost = if is_naive(experiment.cell(&taken.cell).unwrap()) { 1900.0 } else { 3.0 };
            let Outcome::Measured(observed) = &mut taken.outcome else { continue };
            observed.figures.0.insert("registers.lost".to_owned(), lost);
        }
        let page =
            section(&experiment, TopologyName::Replication, &summaries(&experiment, &taken)).into_string();
        assert!(page.contains("<b>It depends</b>") && !page.contains("is the best of them"), "{page}");
        assert!(
            page.contains("naive: 1\u{202f}900 (1\u{202f}900 … 1\u{202f}900, n = 10), 1\u{202f}897 more"),
            "{page}"
        );
    }

    #[test]
    fn a_cell_that_was_not_measured_leaves_nothing_to_be_recommended() {
        let experiment = samples::profiles();
        let taken = samples::taken(&experiment, |planned| match planned.cell.profile.name.as_str() {
            "hardened" => Some(700.0),
            "naive" => Some(9000.0),
            _ => None,
        });
        let page =
            section(&experiment, TopologyName::Replication, &summaries(&experiment, &taken)).into_string();
        assert!(page.contains("<b>No recommendation</b>"), "{page}");
    }

    #[test]
    fn durability_is_compared_by_what_is_lost_and_shown_beside_what_it_costs() {
        let experiment = samples::durability();
        let taken = samples::taken(&experiment, |_| Some(1000.0));
        let summaries = summaries(&experiment, &taken);
        let page = section(&experiment, TopologyName::Sentinel, &summaries).into_string();
        assert!(page.contains("wait-1") && page.contains("lost writes a run"), "{page}");
        let costs = costs(TopologyName::Sentinel, &summaries).into_string();
        assert!(costs.contains("2.0 ms (2.0 ms … 2.0 ms, n = 10)"), "{costs}");
    }
}
