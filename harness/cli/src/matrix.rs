//! `cargo lab matrix`: a whole experiment, run by run, and the page that shows what it came to.

use std::{
    fs,
    io::{IsTerminal, stderr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use failover_lab::{
    connect,
    docker::{Kept, host, sweep_dead},
    engine::Engine,
    interrupt::interrupted,
    session::{Session, now_utc, seed_in_env},
};
use indicatif::{ProgressBar, ProgressStyle};
use lab_measure::{
    Experiment,
    cell::Load,
    experiment::{ExperimentError, Planned, reasons},
    page,
    results::{DOWNTIME, Journal, Opened, Outcome, Place, Results, ResultsError, Taken, take},
};
use lab_report::report::Host;

use crate::{failure::Failure, runs::target_dir};

/// What a run takes beyond its load where none has been measured yet: to boot, to settle, to read everything back, to
/// remove everything.
const OVERHEAD: Duration = Duration::from_secs(4);
/// When so many runs in a row were not measured, it is not the cells.
const IN_A_ROW: usize = 5;

/// Measure every cell of an experiment, and show what they came to on one page.
#[derive(Args)]
pub(crate) struct Matrix {
    /// The experiment, as in fixtures/experiments.
    file: PathBuf,
    /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
    #[arg(long)]
    engine: Option<String>,
    /// How often each cell is run; without it, what the experiment says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: Option<u32>,
    /// Seeds every random choice; without it, what LAB_SEED says, else that of the runs that there are, else a random
    /// one. Every run of a cell has the next.
    #[arg(long)]
    seed: Option<u64>,
    /// Make the page again from what was measured so far, and measure nothing.
    #[arg(long)]
    page_only: bool,
}

impl Matrix {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let engine = Engine::select(self.engine.as_deref())?;
        let mut experiment = Experiment::open(&self.file, &engine)?;
        experiment.runs = self.runs.unwrap_or(experiment.runs);
        let seed = self.seed.map_or_else(seed_in_env, |seed| Ok(Some(seed)))?;
        let folder = target_dir().join("lab/experiments");
        let place = Place { folder: &folder, engine: &engine, seed };
        if self.page_only {
            let results = Results::of(&experiment, &place)?;
            say_where(&write_page(&experiment, &results)?);
            return Ok(exit_code(&experiment, &results));
        }
        let mut session = session(&engine)?;
        let docker = connect::connect().await?;
        // What cannot be removed now is in nobody's way; `cargo lab reap` says what it is.
        let _ = sweep_dead(&docker, Kept::Stay).await?;
        let mut journal = Journal::open(&experiment, &place, &machine(&host(&docker).await), &now_utc())?;
        say_what(&experiment, &journal);
        let ended = measure_all(&experiment, &mut journal, &mut session).await;
        say_where(&write_page(&experiment, &journal.results)?);
        if let Ended::Stopped(why) = ended? {
            println!("{why}: the same command goes on from here");
        }
        Ok(exit_code(&experiment, &journal.results))
    }
}

fn session(engine: &Engine) -> Result<Session, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::missing(format!("no reaper: {error}"), "the program is needed a second time")
    })?;
    let mut session = Session::from_env(&program)?;
    session.engine = engine.clone();
    // One that is kept would be in the way of all that follow.
    session.keep = false;
    Ok(session)
}

/// How measuring came to its end.
enum Ended {
    /// There is nothing left to be measured.
    Done,
    /// Somebody stopped it, for this reason.
    Stopped(String),
}

async fn measure_all(
    experiment: &Experiment,
    journal: &mut Journal,
    session: &mut Session,
) -> Result<Ended, Failure> {
    let missing = journal.results.missing(experiment, experiment.runs);
    let bar = Bar::start(experiment, missing.len());
    let stop = interrupted();
    tokio::pin!(stop);
    let (mut round, mut in_vain) = (0, 0);
    for (done, (run, planned)) in missing.iter().enumerate() {
        if *run > round && round > 0 {
            write_page(experiment, &journal.results)?;
        }
        round = *run;
        bar.doing(missing.len() - done, overhead(experiment, &journal.results), *run, planned);
        session.seed = journal.results.seed.wrapping_add(u64::from(run - 1));
        let taking = take(session, planned, *run);
        tokio::pin!(taking);
        let stopped = tokio::select! {
            biased;
            why = &mut stop => {
                bar.say(&format!("{why}: tearing down"));
                Some(why)
            }
            taken = &mut taking => {
                in_vain = if taken.observed().is_some() { 0 } else { in_vain + 1 };
                bar.took(&taken);
                let why = not_measured(&taken);
                journal.add(taken)?;
                if in_vain == IN_A_ROW {
                    return Err(Failure::missing(
                        format!("{IN_A_ROW} runs in a row were not measured: {why}"),
                        "`cargo lab doctor` says what is missing; the same command goes on from here",
                    ));
                }
                None
            }
        };
        if let Some(why) = stopped {
            // The run has heard it, too. If it was over by then it counts; what was torn down does not.
            let taken = taking.await;
            if taken.observed().is_some() {
                journal.add(taken)?;
            }
            return Ok(Ended::Stopped(why));
        }
    }
    Ok(Ended::Done)
}

fn not_measured(taken: &Taken) -> String {
    match &taken.outcome {
        Outcome::Measured(_) => String::new(),
        Outcome::NotMeasured(why) => why.clone(),
    }
}

fn overhead(experiment: &Experiment, results: &Results) -> Duration {
    results.overhead(experiment).unwrap_or(OVERHEAD)
}

/// Says what is to be done, and how long that takes, before it begins.
fn say_what(experiment: &Experiment, journal: &Journal) {
    let (cells, runs, results) = (experiment.cells.len(), experiment.runs, &journal.results);
    if let Opened::Changed(before) = &journal.opened {
        println!(
            "`{}` is not what was measured in {}: it begins anew, and that stays as it is",
            experiment.name,
            before.display()
        );
    }
    let missing = results.missing(experiment, runs).len();
    let all = cells * runs as usize;
    println!(
        "{}: {cells} cells × {runs} runs on {}, seed {}",
        experiment.title, results.engine, results.seed
    );
    for (why, count) in reasons(&experiment.left_out) {
        println!("left out: {count} × {why}");
    }
    if missing < all {
        println!("{} of {all} runs are there already, in {}", all - missing, results.dir.display());
    }
    let left = experiment.takes(missing, overhead(experiment, results));
    println!("{missing} runs take about {}; Ctrl-C stops, and the same command goes on", about(left));
    if results.overhead(experiment).is_none() && runs > 1 {
        println!("`--runs` gives fewer; of fewer than six there are no intervals");
    }
}

/// The folder's page and tables, made from what there is; the page's path.
fn write_page(experiment: &Experiment, results: &Results) -> Result<PathBuf, Failure> {
    let [cells, runs] = page::CSV;
    let files = [
        ("index.html", page::render(experiment, results)),
        (cells, page::cells_csv(experiment, results)),
        (runs, page::runs_csv(experiment, results)),
    ];
    for (name, text) in files {
        let path = results.dir.join(name);
        fs::write(&path, text).map_err(|error| {
            Failure::missing(format!("cannot write {}: {error}", path.display()), "free some space")
        })?;
    }
    Ok(results.dir.join("index.html"))
}

fn say_where(page: &Path) {
    println!("page: {}", page.display());
}

/// Whether every cell has as many runs as are asked for.
fn exit_code(experiment: &Experiment, results: &Results) -> ExitCode {
    match results.missing(experiment, experiment.runs).is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(2),
    }
}

fn machine(host: &Host) -> String {
    let memory = host.memory_bytes as f64 / f64::from(1 << 30);
    let Host { os, arch, cpus, container_engine, .. } = host;
    format!("{os}, {arch}, {cpus} CPUs, {memory:.1} GiB, {container_engine}")
}

/// How far it is: a bar on a terminal, lines elsewhere.
struct Bar {
    bar: ProgressBar,
    load: Load,
}

impl Bar {
    fn start(experiment: &Experiment, runs: usize) -> Self {
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {msg}").expect("a constant template");
        let bar = ProgressBar::new(runs as u64).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, load: experiment.load.clone() }
    }

    fn doing(&self, left: usize, overhead: Duration, run: u32, planned: &Planned) {
        let left = (self.load.duration + overhead) * u32::try_from(left).unwrap_or(u32::MAX);
        self.bar.set_message(format!("about {} left: run {run} of {}", about(left), planned.key));
    }

    fn took(&self, taken: &Taken) {
        self.bar.inc(1);
        let Taken { cell, run, outcome, .. } = taken;
        match outcome {
            Outcome::NotMeasured(why) => self.say(&format!("? {cell}, run {run}: not measured: {why}")),
            Outcome::Measured(observed) => {
                let bound = if observed.recovered { "" } else { "at least " };
                let downtime = observed.figures.get(DOWNTIME).unwrap_or_default() / 1000.0;
                let lost =
                    observed.lost(self.load.sort).map_or("unknown".to_owned(), |lost| lost.to_string());
                self.say(&format!("✓ {cell}, run {run}: down for {bound}{downtime:.2} s, lost {lost}"));
            }
        }
    }

    fn say(&self, line: &str) {
        match stderr().is_terminal() {
            true => self.bar.println(line),
            false => eprintln!("{line}"),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `5 h 50 min`, `12 min`, `40 s`.
fn about(length: Duration) -> String {
    let minutes = (length.as_secs() + 30) / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0..2) => format!("{} s", length.as_secs()),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

impl From<ExperimentError> for Failure {
    fn from(error: ExperimentError) -> Self {
        Self::usage(error.to_string(), "fixtures/experiments has some that are sound; nothing was started")
    }
}

impl From<ResultsError> for Failure {
    fn from(error: ResultsError) -> Self {
        match &error {
            ResultsError::Nothing(_) => {
                Self::usage(error.to_string(), "leave --page-only away to measure it")
            }
            ResultsError::Busy(_) => Self::usage(error.to_string(), "wait for it, or end it"),
            ResultsError::File { .. } => {
                Self::missing(error.to_string(), "free some space, or set CARGO_TARGET_DIR")
            }
            ResultsError::Malformed { .. } => {
                Self::usage(error.to_string(), "remove the line: its run is made again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_as_coarsely_as_it_is_known() {
        let shown = |seconds| about(Duration::from_secs(seconds));
        assert_eq!([40, 89, 720, 3600, 21_010].map(shown), ["40 s", "89 s", "12 min", "1 h", "5 h 50 min"]);
    }
}
