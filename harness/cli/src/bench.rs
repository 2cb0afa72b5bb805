//! `cargo lab bench`: what the servers carry, and what the instrument does, as ratios of figures of one run.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use failover_lab::{StepError, explain::chain};
use lab_measure::bench::{recording, throughput};

use crate::{failure::Failure, progress::Spinner, subject::session};

/// Measure speed: figures of one run, side by side.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
    /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
    #[arg(long, global = true)]
    engine: Option<String>,
    /// How often everything is measured, by turns.
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
}

#[derive(Subcommand)]
enum What {
    /// How much a cluster of three carries, and a single server, with pipelines of several depths.
    Throughput,
    /// How fast operations are sent with each of them on record, and how true to its schedule that is.
    Recording,
}

impl Bench {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let spinner = Spinner::start("preparing");
        let session = session(self.engine.as_deref(), None).await?;
        let rounds = usize::from(self.rounds);
        spinner.say("measuring: the machine should have nothing else to do");
        let table = match self.what {
            What::Throughput => throughput::throughput(&session, rounds).await.map_err(failed)?.table(),
            What::Recording => recording::recording(&session, rounds).await.map_err(failed)?.table(),
        };
        spinner.finish(&format!("{}, {rounds} rounds", session.engine));
        print!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

fn failed(error: StepError) -> Failure {
    Failure::missing(chain(error.as_ref()), "`cargo lab doctor` says what is missing")
}
