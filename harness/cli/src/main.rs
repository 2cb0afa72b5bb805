//! `cargo lab`: run, grade and look after the labs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its terminal")]

mod aws;
mod bench;
mod chaos;
mod check;
mod consumers;
mod failure;
mod grade;
mod look;
mod matrix;
mod measure;
mod progress;
mod runner;
mod runs;
mod subject;
mod tidy;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use failover_lab::{docker::Addressing, wait};

use crate::failure::Failure;

/// Run, grade and look after the labs.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a checklist's steps and give marks.
    Grade(grade::Grade),
    /// List checklists, their steps, and engines.
    List,
    /// See whether this machine can run the labs.
    Doctor {
        /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
        #[arg(long)]
        engine: Option<String>,
    },
    /// Boot a topology and stay, with endpoints on localhost, until Ctrl-C.
    Up(up::Up),
    /// Serve ElastiCache's API on localhost, over real nodes, until Ctrl-C.
    Aws(aws::Aws),
    /// End every `cargo lab up` and `cargo lab aws`, and remove what was kept.
    Down,
    /// Remove whatever dead runs left.
    Reap,
    /// Make the views of a run again, from its records.
    Report {
        /// The run's folder below `target/lab/runs`; the newest if not given.
        run: Option<String>,
    },
    /// Put a client under load, break something, and see what the client lost.
    Measure(measure::Measure),
    /// Measure every cell of an experiment, and show what they came to on one page.
    Matrix(matrix::Matrix),
    /// Put a client under load while random faults happen, and see what each of them cost.
    Chaos(chaos::Chaos),
    /// Measure speed: figures of one run, side by side.
    Bench(bench::Bench),
    /// Judge the history of a run: what was lost, what was stale, for how long nothing was served.
    Check(check::Check),
    /// Make the images and begin a run: what the test suite does first.
    #[command(hide = true)]
    Prepare,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "reaper") {
        return failover_lab::reaper::main(&words);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(Failure::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(Failure::missing(format!("no runtime: {error}"), "free some threads or memory")),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("{failure}");
        failure.exit_code()
    })
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    // Here, because no wait can say so: the steps would find out one by one.
    wait::time_scale()?;
    Addressing::from_env()?;
    match command {
        Command::Grade(grade) => grade.run().await,
        Command::List => look::list(),
        Command::Doctor { engine } => look::doctor(engine.as_deref()).await,
        Command::Up(up) => up.run().await,
        Command::Aws(aws) => aws.run().await,
        Command::Down => tidy::down().await,
        Command::Reap => tidy::reap().await,
        Command::Report { run } => runs::report_again(run.as_deref()),
        Command::Measure(measure) => measure.run().await,
        Command::Matrix(matrix) => matrix.run().await,
        Command::Chaos(chaos) => chaos.run().await,
        Command::Bench(bench) => bench.run().await,
        Command::Check(check) => check.run(),
        Command::Prepare => grade::prepare().await,
    }
}
