//! Experiments and results that are made up.

use std::{collections::BTreeMap, path::PathBuf};

use failover_lab::engine::Engine;

use crate::{
    course::{Bin, Course, FaultWindow, Latency},
    experiment::{Experiment, Planned},
    figures::Figures,
    results::{DOWNTIME, Observed, Outcome, PROMOTED, Results, Taken},
};

fn experiment(name: &str, text: &str) -> Experiment {
    let engine = Engine::select(Some("redis:7.0")).expect("the fixture has it");
    Experiment::parse(name, text, &engine).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

pub(super) fn profiles() -> Experiment {
    experiment(
        "profiles",
        r#"
        title = "Profiles"
        question = "Which?"
        compares = "profiles"
        identical = "leave-out"
        [[block]]
        topologies = ["replication", "cluster"]
        faults = ["crash", "hold"]
        clients = ["redis", "redis-manager"]
        profiles = ["naive", "hardened", "aggressive", "conservative"]
        "#,
    )
}

pub(super) fn durability() -> Experiment {
    experiment(
        "durability",
        r#"
        title = "Durability"
        question = "What is lost?"
        compares = "durability"
        load = { workload = "sets" }
        [[block]]
        topologies = ["sentinel"]
        faults = ["crash"]
        clients = ["redis"]
        profiles = ["hardened"]
        durabilities = ["none", "wait-1", "waitaof-1"]
        [[block]]
        topologies = ["sentinel"]
        faults = ["crash"]
        clients = ["redis"]
        profiles = ["hardened"]
        variants = [{ name = "min-replicas", changes = { config = { "min-replicas-to-write" = "1" } } }]
        "#,
    )
}

pub(super) fn detection() -> Experiment {
    experiment(
        "detection",
        r#"
        title = "Detection"
        question = "How long?"
        compares = "detection"
        [[block]]
        topologies = ["cluster"]
        faults = ["crash"]
        clients = ["redis"]
        profiles = ["hardened"]
        variants = [
            { name = "2s", changes = { node_timeout = "2s" } },
            { name = "5s", changes = { node_timeout = "5s" } },
        ]
        [[block]]
        topologies = ["sentinel"]
        faults = ["crash"]
        clients = ["redis"]
        profiles = ["hardened"]
        variants = [
            { name = "2s", changes = { down_after = "2s" } },
            { name = "5s", changes = { down_after = "5s" } },
        ]
        "#,
    )
}

/// Ten runs of each cell for which there is a downtime: as long, and 20 ms longer each.
pub(super) fn taken(experiment: &Experiment, downtime: impl Fn(&Planned) -> Option<f64>) -> Vec<Taken> {
    let cells = experiment.cells.iter().filter_map(|planned| Some((planned, downtime(planned)?)));
    let runs = |(planned, downtime): (&Planned, f64)| {
        let key = planned.key.clone();
        let sort = planned.cell.load.sort.name();
        (1..=10)
            .map(move |run| one(&key, run, sort, downtime + f64::from(run - 1) * 20.0))
            .collect::<Vec<_>>()
    };
    cells.flat_map(runs).collect()
}

fn one(key: &str, run: u32, sort: &str, downtime: f64) -> Taken {
    let figures = [
        (DOWNTIME, downtime),
        (PROMOTED, downtime * 0.6),
        ("availability.failed", 3.0),
        ("availability.indeterminate", 5.0),
        ("availability.latency.p50", 1.0),
        ("availability.latency.p99", 40.0),
        ("undisturbed.latency.p50", 2.0),
        ("undisturbed.latency.p99", 4.0),
        ("undisturbed.writes_per_s", 500.0),
        ("undisturbed.done", 1.0),
    ];
    let mut figures: BTreeMap<String, f64> = figures.map(|(name, value)| (name.to_owned(), value)).into();
    figures.insert(format!("{sort}.lost"), f64::from(run % 2));
    let fault = FaultWindow {
        kind: "crash".to_owned(),
        from_ms: 2_000.0,
        in_effect_ms: 2_010.0,
        healed_ms: Some(13_000.0),
        promoted_ms: Some(2_000.0 + downtime * 0.6),
    };
    let bin = |number: u32| match (20..29).contains(&number) {
        true => Bin { asked: 20, in_time: 0, latency: None },
        false => Bin { asked: 20, in_time: 20, latency: Some(Latency { p50: 1.0, p99: 3.0, max: 4.0 }) },
    };
    let observed = Observed {
        figures: Figures(figures),
        verdicts: [(sort.to_owned(), "fail".to_owned())].into(),
        recovered: true,
        course: Course { fault: Some(fault), bins: (0..160).map(bin).collect() },
        history: PathBuf::from("history.bin"),
    };
    Taken {
        cell: key.to_owned(),
        run,
        seed: u64::from(run),
        engine: "redis:7.0".to_owned(),
        began: "2026-01-01T00:00:00Z".to_owned(),
        took_s: 22.0,
        outcome: Outcome::Measured(Box::new(observed)),
    }
}

pub(super) fn results(taken: Vec<Taken>) -> Results {
    Results {
        dir: PathBuf::from("experiments/x"),
        engine: "redis:7.0".to_owned(),
        seed: 7,
        began: "2026-01-01T00:00:00Z".to_owned(),
        machine: "two processors".to_owned(),
        taken,
    }
}
