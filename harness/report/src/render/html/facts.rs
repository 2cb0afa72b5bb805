//! What ran, where, and how to run it again.

use maud::{Markup, html};

use crate::{render::units, report::Report};

pub(super) fn section(report: &Report) -> Markup {
    let run = &report.run;
    let host = &run.host;
    let machine = format!(
        "{}, {}, {} CPUs, {}, {}",
        host.os,
        host.arch,
        host.cpus,
        units::bytes(host.memory_bytes),
        host.container_engine
    );
    html! {
        section {
            h2 { "This run" }
            dl.facts {
                div { dt { "engine" } dd { (run.engine) " on " (run.target) } }
                div { dt { "started" } dd { (run.started_at) } }
                div { dt { "took" } dd { (units::wall(run.duration.0)) } }
                div { dt { "seed" } dd { (run.seed) } }
                div.wide { dt { "host" } dd { (machine) } }
                div.wide { dt { "image" } dd { (run.image.reference) ", " (run.image.origin) br; code { (run.image.digest) } } }
                div.wide { dt { "run it again" } dd { pre.command { (run.rerun) } } }
            }
        }
    }
}
