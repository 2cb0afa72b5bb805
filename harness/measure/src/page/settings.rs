//! What became of the profiles' settings: what a client cannot be told, and what no run was long enough to show.

use std::collections::BTreeSet;

use lab_load::profile::Profile;
use maud::{Markup, html};

use super::words;
use crate::{
    cell::Cell,
    experiment::{Experiment, not_exercised, settled},
};

pub(super) fn section(experiment: &Experiment) -> Markup {
    let told = told(experiment);
    let mut named = BTreeSet::new();
    html! {
        section #settings {
            h2 { "The profiles, and what a client could not be told" }
            dl.meanings {
                @for Profile { name, about, .. } in told.iter().map(|cell| &cell.profile).filter(|profile| named.insert(profile.name.as_str())) {
                    dt { (name) } dd { (about) }
                }
            }
            p.legend { "A setting that is in a profile and not in this table is set, in the client's own words." }
            div.scroll tabindex="0" {
                table.wide {
                    thead { tr { th { "topology" } th { "client" } th { "profile" } th { "not expressible" } th { "not exercised" } } }
                    tbody { @for cell in &told { (row(cell)) } }
                }
            }
        }
    }
}

/// Every client with every profile, once: those that were left out because they are the same as another, too.
fn told(experiment: &Experiment) -> Vec<&Cell> {
    let same = experiment.left_out.iter().filter(|left_out| left_out.same_as.is_some());
    let all = experiment.cells.iter().chain(same.map(|left_out| &left_out.planned));
    let mut told: Vec<&Cell> = all.map(|planned| &planned.cell).collect();
    let who = |cell: &&Cell| (cell.topology, cell.library, cell.profile.name.clone());
    told.sort_by_key(who);
    told.dedup_by_key(|cell| who(cell));
    told
}

fn row(cell: &Cell) -> Markup {
    let not_expressible = settled(cell).not_expressible;
    let late = not_exercised(&cell.profile, cell.load.duration);
    html! {
        tr {
            td { (cell.topology) } td { (cell.library) } td { (cell.profile.name) }
            td {
                @if not_expressible.is_empty() { span.soft { "everything was set" } }
                @for (setting, why) in not_expressible { p { code { (setting) } " " span.soft { (why) } } }
            }
            td {
                @for (setting, every) in late { p { code { (setting) } " " span.soft { "comes due after " (words::time(every.as_secs_f64() * 1000.0)) } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples;

    /// What a client cannot be told is what makes two profiles the same to it: it is said of both.
    #[test]
    fn every_profile_is_there_whether_it_was_measured_or_left_out() {
        let experiment = samples::profiles();
        let told: Vec<String> = told(&experiment)
            .into_iter()
            .map(|cell| format!("{} {} {}", cell.topology, cell.library, cell.profile.name))
            .collect();
        let profiles = ["aggressive", "conservative", "hardened", "naive"];
        for profile in profiles {
            assert_eq!(
                told.iter().filter(|told| **told == format!("replication redis {profile}")).count(),
                1
            );
        }
        assert_eq!(told.len(), 3 * profiles.len(), "two clients before replication, one before a cluster");
        let page = section(&experiment).into_string();
        assert!(
            page.contains("<code>refresh-every</code>") && page.contains("there are no slots to ask for"),
            "{page}"
        );
        assert!(page.contains("comes due after 60.00 s"), "{page}");
    }
}
