//! What is measured, and on what: the options of every command that puts a client under load.

use std::{str::FromStr, time};

use clap::Args;
use failover_lab::{
    connect,
    docker::{Kept, sweep_dead},
    engine::Engine,
    session::{Session, new_seed, seed_in_env},
};
use humantime::Duration;
use lab_load::workload::Sort;
use lab_measure::{
    Cell,
    cell::{FaultName, Load, TopologyName},
    profiles,
};

use crate::{consumers::Consumers, failure::Failure};

// Without documentation: it would take the place of the command's.
#[derive(Args)]
pub(crate) struct Subject {
    /// What it runs on: replication, sentinel, cluster.
    #[arg(long, default_value = "replication")]
    topology: String,
    /// The client: redis, redis-manager, fred.
    #[arg(long, default_value = "redis")]
    client: String,
    /// Its settings, as in fixtures/profiles.
    #[arg(long, default_value = "hardened")]
    profile: String,
    /// What it asks for: registers, sets, counters, pubsub, sharded-pubsub, streams.
    #[arg(long, default_value = "registers")]
    workload: String,
    /// What a writer wants to hear: none, wait-1, wait-2, waitaof-0, waitaof-1.
    #[arg(long, default_value = "none")]
    durability: String,
    /// How operations are spread over the keys: uniform, zipf.
    #[arg(long, default_value = "uniform")]
    distribution: String,
    /// Operations a second.
    #[arg(long, default_value_t = Load::default().rate, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// After how long an operation is of no more use to whoever asked for it.
    #[arg(long, default_value_t = Load::default().deadline.into())]
    deadline: Duration,
    /// How many keys there are.
    #[arg(long, default_value_t = Load::default().keys, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keys: u32,
    /// The share of operations that read, from 0 to 1.
    #[arg(long, default_value_t = Load::default().reads)]
    reads: f64,
    /// The size of a value, in bytes.
    #[arg(long, default_value_t = Load::default().value_size)]
    value_size: usize,
    #[command(flatten)]
    consumers: Consumers,
    /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
    #[arg(long)]
    engine: Option<String>,
    /// Seeds every random choice; without it, what LAB_SEED says, else a random one.
    #[arg(long)]
    seed: Option<u64>,
}

impl Subject {
    /// The cell, under load for so long, with this fault.
    pub(crate) fn cell(&self, fault: FaultName, duration: Duration) -> Result<Cell, Failure> {
        if !(0.0..=1.0).contains(&self.reads) {
            return Err(Failure::usage(format!("{} is no share", self.reads), "give --reads from 0 to 1"));
        }
        let profile = profiles::profile(&self.profile)
            .map_err(|error| Failure::usage(error.to_string(), "they are in fixtures/profiles"))?;
        let sort: Sort = named(&self.workload, "--workload")?;
        let long_enough: time::Duration = duration.into();
        if long_enough < Load::SHORTEST {
            return Err(Failure::usage(
                format!("{duration} is too short for a fault to come and go"),
                format!("give --duration at least {:?}", Load::SHORTEST),
            ));
        }
        Ok(Cell {
            topology: named::<TopologyName>(&self.topology, "--topology")?,
            changes: toml::Table::new(),
            fault,
            library: named(&self.client, "--client")?,
            profile,
            load: Load {
                sort,
                part: self.consumers.part()?,
                durability: named(&self.durability, "--durability")?,
                rate: self.rate,
                duration: long_enough,
                deadline: self.deadline.into(),
                keys: self.keys,
                distribution: named(&self.distribution, "--distribution")?,
                reads: self.reads,
                value_size: self.value_size,
                consuming: self.consumers.consuming(),
            },
        })
    }

    /// A session with its engine and its seed.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        session(self.engine.as_deref(), self.seed).await
    }
}

/// A session of a command's own, with nothing in its way that dead runs left. Without an engine it has what LAB_ENGINE
/// says; without a seed what LAB_SEED says, else a random one.
pub(crate) async fn session(engine: Option<&str>, seed: Option<u64>) -> Result<Session, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::missing(format!("no reaper: {error}"), "the program is needed a second time")
    })?;
    let mut session = Session::from_env(&program)?;
    session.engine = Engine::select(engine)?;
    session.seed = seed.map_or_else(seed_in_env, |seed| Ok(Some(seed)))?.unwrap_or_else(new_seed);
    let docker = connect::connect().await?;
    // What cannot be removed now is in nobody's way; `cargo lab reap` says what it is.
    let _ = sweep_dead(&docker, Kept::Stay).await?;
    Ok(session)
}

/// What a text names.
pub(crate) fn named<T: FromStr<Err: std::fmt::Display>>(text: &str, option: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|error: T::Err| Failure::usage(error.to_string(), format!("{option} takes one of these")))
}
