//! `cargo lab measure`: one client before one topology, and what one fault does to it.

use std::process::ExitCode;

use clap::Args;
use failover_lab::explain::chain;
use humantime::Duration;
use lab_history::judge::Verdict;
use lab_measure::{
    Measured,
    cell::{FaultName, Load},
    figures::UNHARMED,
    measure,
};

use crate::{
    failure::Failure,
    progress::Spinner,
    subject::{Subject, named},
};

/// Put a client under load, break something, and see what the client lost.
#[derive(Args)]
pub(crate) struct Measure {
    /// What happens to a primary: none, failover, crash, stop, hold, isolate, partition.
    #[arg(long, default_value = "crash")]
    fault: String,
    /// For how long the load runs.
    #[arg(long, default_value_t = Load::default().duration.into())]
    duration: Duration,
    #[command(flatten)]
    subject: Subject,
    /// How often. Every run has the next seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Print the figures as OpenMetrics text.
    #[arg(long)]
    openmetrics: bool,
}

impl Measure {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let cell = self.subject.cell(named::<FaultName>(&self.fault, "--fault")?, self.duration)?;
        let spinner = Spinner::start("preparing");
        let mut session = self.subject.session().await?;
        let seed = session.seed;
        let mut all = Vec::new();
        for run in 0..self.runs {
            session.seed = seed + u64::from(run);
            spinner.say(&format!("run {} of {}: {cell}", run + 1, self.runs));
            let measured = measure(&session, &cell, &format!("measure/{}", run + 1)).await;
            let measured = measured.map_err(|error| {
                Failure::missing(
                    format!("run {}: {}", run + 1, chain(error.as_ref())),
                    "`cargo lab doctor` says what is missing",
                )
            })?;
            all.push(measured);
        }
        spinner.finish(&format!("{cell}, on {}, seed {seed}", session.engine));
        if self.openmetrics {
            print!("{}", lab_measure::openmetrics::text(&cell, &all));
        } else {
            show(&all);
        }
        Ok(exit_code(&all))
    }
}

/// What somebody wants to know first.
const SHOWN: [(&str, &str, &str); 20] = [
    ("availability.downtime.max", "ms", "the client was down"),
    (UNHARMED, "ms", "and at shards that were sound"),
    ("operations.latency.p50.ms", "ms", "latency, p50"),
    ("operations.latency.p99.ms", "ms", "latency, p99"),
    ("availability.asked", "", "operations"),
    ("operations.failed.during.failover", "", "not done in time"),
    ("availability.failed", "", "certainly not done"),
    ("availability.indeterminate", "", "nobody knows"),
    ("registers.lost", "", "acknowledged writes lost"),
    ("sets.lost", "", "acknowledged elements lost"),
    ("registers.stale", "", "stale reads"),
    ("channels.missed", "", "acknowledged messages missed"),
    ("channels.duplicated", "", "messages received again"),
    ("channels.outage.max", "ms", "without messages, at most"),
    ("streams.lost", "", "acknowledged entries lost"),
    ("streams.redelivered", "", "delivered as new again"),
    ("streams.claimed", "", "taken over, or again"),
    ("streams.lag.ms", "ms", "until delivered, at most"),
    ("topology.refresh.count", "", "asked for the slots"),
    ("driver.send_error.p99", "ms", "sent late by, p99"),
];

/// The figures of each run, and where its history is.
pub(crate) fn show(all: &[Measured]) {
    for (name, unit, what) in SHOWN {
        let values: Vec<f64> = all.iter().filter_map(|run| run.figures.get(name)).collect();
        if values.is_empty() {
            continue;
        }
        let shown: Vec<String> = values.iter().map(|value| format!("{value:>10.1}")).collect();
        println!("{what:<28} {} {unit}", shown.join(" "));
    }
    if let Some(first) = all.first() {
        for (setting, why) in &first.settled.not_expressible {
            println!("not expressible: {setting}: {why}");
        }
    }
    for run in all {
        println!("{}  cargo lab check {}", worst(run), run.history.display());
    }
}

fn worst(run: &Measured) -> Verdict {
    measure::verdict(&run.judged)
}

/// By the worst verdict.
pub(crate) fn exit_code(all: &[Measured]) -> ExitCode {
    let verdicts: Vec<Verdict> = all.iter().map(worst).collect();
    match Verdict::worst(&verdicts) {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
        Verdict::Unknown(_) => ExitCode::from(2),
    }
}
