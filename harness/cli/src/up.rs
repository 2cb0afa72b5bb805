//! `cargo lab up`: a topology that stays, with endpoints on localhost for any client.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use failover_lab::{
    docker::{Docker, Kept, Labels, Network, sweep_dead},
    engine::Engine,
    front::Front,
    group::{ReplicationGroup, Retain},
    interrupt::interrupted,
    reaper::Reaper,
    record::Recorder,
    replicated,
    session::new_run_id,
};
use lab_report::{
    RunId,
    evidence::{EndpointName, Role},
};

use crate::{failure::Failure, progress::Spinner};

/// Begins the run's name, so that `cargo lab down` finds it.
pub(crate) const RUN_PREFIX: &str = "up-";

/// What can be booted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TopologyName {
    /// One primary and replicas, behind a primary and a reader endpoint.
    Replication,
}

/// Boot a topology and stay, with endpoints on localhost, until Ctrl-C.
#[derive(Args)]
pub(crate) struct Up {
    /// What to boot.
    topology: TopologyName,
    /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
    #[arg(long)]
    engine: Option<String>,
    /// Replicas beside the primary.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// The primary endpoint's port on localhost; any free one if not given.
    #[arg(long, default_value_t = 0)]
    primary_port: u16,
    /// The reader endpoint's port on localhost; any free one if not given.
    #[arg(long, default_value_t = 0)]
    reader_port: u16,
}

impl Up {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let TopologyName::Replication = self.topology;
        let engine = self.engine.clone();
        on_docker(engine.as_deref(), async |docker, spinner| self.boot_and_stay(docker, spinner).await).await
    }

    async fn boot_and_stay(&self, docker: &Docker, spinner: &Spinner) -> Result<(), Failure> {
        let stop = interrupted();
        tokio::pin!(stop);
        let group = tokio::select! {
            group = boot(self.replicas, docker, spinner) => group?,
            why = &mut stop => {
                say_stopped(&why);
                return Ok(());
            }
        };
        let outcome = tokio::select! {
            outcome = self.stay(&group) => outcome,
            why = &mut stop => {
                say_stopped(&why);
                Ok(())
            }
        };
        // Its manager first: it would bring back what is being removed. What this leaves, the teardown of
        // everything labelled gets.
        if let Err(error) = group.delete(Retain::Nothing).await {
            println!("deleting the group: {error}");
        }
        outcome
    }

    async fn stay(&self, group: &ReplicationGroup) -> Result<(), Failure> {
        let primary = front(group, EndpointName::Primary, self.primary_port).await?;
        let reader = front(group, EndpointName::Reader, self.reader_port).await?;
        println!("\nprimary endpoint  redis-cli -h 127.0.0.1 -p {}", primary.address().port());
        println!("reader endpoint   redis-cli -h 127.0.0.1 -p {}\n", reader.address().port());
        print_roles(group).await;
        println!(
            "\ntry: docker kill --signal USR1 {}    (crashes the primary's server)",
            group.primary().container()
        );
        println!("Ctrl-C, or `cargo lab down` elsewhere, removes everything\n");
        self.tell_events(group).await;
        Ok(())
    }

    /// Says what the control plane does, for ever.
    async fn tell_events(&self, group: &ReplicationGroup) {
        let mut told = 0;
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            ticks.tick().await;
            let events = group.events();
            for event in &events[told..] {
                println!("{:>8.1} s  {}", event.at.0.as_secs_f64(), event.message);
                if event.message.starts_with("Finished recovery") {
                    print_roles(group).await;
                }
            }
            told = events.len();
        }
    }
}

/// Lends containers of an engine to `body`, and removes everything when it ends.
pub(crate) async fn on_docker(
    engine: Option<&str>,
    body: impl AsyncFnOnce(&Docker, &Spinner) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let engine = Engine::select(engine)?;
    let labels = Labels::new(RunId::from(format!("{RUN_PREFIX}{}", new_run_id())));
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lab"));
    let reaper = Reaper::watch_over(&program, &labels.lab).map_err(|error| {
        Failure::missing(format!("no reaper: {error}"), "the program is needed a second time")
    })?;
    let spinner = Spinner::start("preparing");
    let docker = match Docker::prepare(engine, labels, &|line| spinner.say(line)).await {
        Ok(docker) => docker,
        Err(error) => {
            reaper.dismiss();
            return Err(error.into());
        }
    };
    let outcome = body(&docker, &spinner).await;
    docker.tear_down().await?;
    reaper.dismiss();
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn boot(replicas: u8, docker: &Docker, spinner: &Spinner) -> Result<ReplicationGroup, Failure> {
    // What cannot be removed now is in nobody's way; `cargo lab reap` says what it is.
    let _ = sweep_dead(docker.api(), Kept::Stay).await?;
    spinner.say("booting");
    let network = Network::create(docker, &docker.labels().lab).await?;
    let (topology, recorder) = (replicated(replicas), Recorder::default());
    let (group, boot) =
        ReplicationGroup::create("lab", &topology, docker, &network, &recorder).await.map_err(|error| {
            let hint = "`cargo lab doctor` says what is missing";
            Failure::missing(format!("the group did not boot: {error}"), hint)
        })?;
    spinner.finish(&format!(
        "{} is up: servers in {:.1} s, replication in {:.0} ms",
        docker.engine(),
        (boot.containers + boot.servers).as_secs_f64(),
        boot.replication.as_secs_f64() * 1000.0
    ));
    Ok(group)
}

pub(crate) fn say_stopped(why: &str) {
    println!("\n{why}: removing everything");
}

async fn front(group: &ReplicationGroup, endpoint: EndpointName, port: u16) -> Result<Front, Failure> {
    Front::listen(group.records(), endpoint, port).await.map_err(|error| {
        let what = format!("cannot listen on port {port} for the {endpoint:?} endpoint: {error}");
        Failure::usage(what, "leave the port away: any free one is taken")
    })
}

async fn print_roles(group: &ReplicationGroup) {
    println!("{:<10} {:<12} {:<10} {:<22} container", "node", "role", "zone", "reached at");
    for node in group.nodes() {
        let role = match node.info().await.map(|info| info.role()) {
            Ok(Role::Primary) => "primary",
            Ok(Role::Replica) => "replica",
            _ => "unreachable",
        };
        println!(
            "{:<10} {role:<12} {:<10} {:<22} {}",
            node.id(),
            node.zone(),
            node.reach(),
            node.container()
        );
    }
}
