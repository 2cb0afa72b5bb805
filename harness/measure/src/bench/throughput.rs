//! How much a cluster of three carries, and a single server beside it, with pipelines of several depths.
//!
//! The same commands for both, by turns, one by one and in batches; and the engines' own benchmark beside them, where
//! it is installed.

use std::{slice, sync::Arc};

use failover_lab::{
    Clusters, StepError, cluster,
    cluster::ClusterGroup,
    load::{Share, carry},
    session::Session,
    topology::clusters::Load,
};
use lab_report::{Slot, judge::Carried};

use super::{
    Table,
    theirs::{self, Asked},
};
use crate::servers::on_servers;

/// Commands in a round trip, and how many times every key is set.
const BATCHES: [(usize, usize); 3] = [(1, 2), (16, 10), (64, 10)];
/// As many clients as the engines' own benchmarks have, and as many for each of three servers as for the others.
const CONNECTIONS: usize = 48;

/// How much was carried, by depth.
#[derive(Debug, Clone, Default)]
pub struct Throughput {
    depths: Vec<(usize, Vec<Round>)>,
}

/// What the single server, and the cluster, made of one load.
#[derive(Debug, Clone)]
struct Round {
    single: Carried,
    cluster: Carried,
    /// Operations a second by the engines' own benchmark: of the single server, and of the cluster.
    theirs: (Option<f64>, Option<f64>),
}

/// What it is measured on. Without replicas on either side: they would want processors, too.
pub fn topology() -> Clusters {
    cluster(3).replicas(0).beside_a_single_one()
}

/// Measures on servers of its own.
///
/// # Errors
/// They did not boot, or did not do what they were told. Nothing is left running.
pub async fn throughput(session: &Session, rounds: usize) -> Result<Throughput, StepError> {
    let on = on_servers(session, topology(), "throughput", "bench", async |lab| {
        measure(lab.deployment(), rounds).await
    });
    Ok(on.await?.0)
}

/// Measures on [`topology`], so many times by turns.
///
/// # Errors
/// The servers did not do what they were told.
pub async fn measure(group: &ClusterGroup, rounds: usize) -> Result<Throughput, StepError> {
    let mut depths = Vec::new();
    for (batch, times) in BATCHES {
        let load = Load { batch, times, connections: CONNECTIONS, ..Load::default() };
        let (single, cluster) = shares(group, load.keys);
        let mut all = Vec::new();
        for _ in 0..rounds {
            // By turns, so that a busy minute of the machine is in all of them.
            let carried = (whole(&load, slice::from_ref(&single)).await?, whole(&load, &cluster).await?);
            let theirs = (
                theirs::rate(&single.0, asked(&load, false)).await?,
                theirs::rate(&cluster[0].0, asked(&load, true)).await?,
            );
            all.push(Round { single: carried.0, cluster: carried.1, theirs });
        }
        depths.push((batch, all));
    }
    Ok(Throughput { depths })
}

/// Has a load carried, all of it.
async fn whole(load: &Load, shares: &[Share]) -> Result<Carried, StepError> {
    let carried = carry(load, shares).await?;
    match carried.error {
        Some(error) => Err(format!("a server answered {error}").into()),
        None => Ok(carried),
    }
}

/// The same load, by the engines' own benchmark.
fn asked(load: &Load, cluster: bool) -> Asked {
    Asked {
        requests: (load.keys * load.times) as u64,
        keys: load.keys as u64,
        value_size: load.value,
        connections: load.connections,
        depth: u32::try_from(load.batch).unwrap_or(u32::MAX),
        cluster,
    }
}

/// The same keys, all at the single server, and each at the primary that has its slot.
fn shares(group: &ClusterGroup, keys: usize) -> (Share, Vec<Share>) {
    let application = &group.topology().application;
    let keys: Vec<String> = (0..keys).map(|number| application.key(number)).collect();
    let share = |(primary, slots): (&Arc<_>, lab_report::Slots)| {
        let own = keys.iter().filter(|key| slots.contains(Slot::of(key))).cloned();
        (Arc::clone(primary), own.collect())
    };
    let cluster = group.primaries().iter().zip(group.topology().shares()).map(share).collect();
    ((Arc::clone(&group.spares()[0]), keys.clone()), cluster)
}

impl Throughput {
    /// As a table.
    pub fn table(&self) -> Table {
        let mut table = Table::new("SETs of 100 bytes, 1000 a second");
        for (batch, rounds) in &self.depths {
            let figures =
                |figure: fn(&Round) -> Option<f64>| rounds.iter().filter_map(figure).collect::<Vec<_>>();
            let mut row = |what: &str, figure: fn(&Round) -> Option<f64>| {
                table.row(format!("{batch} to a round trip: {what}"), figures(figure));
            };
            row("a single server", |round| Some(round.single.rate() / 1000.0));
            row("the cluster", |round| Some(round.cluster.rate() / 1000.0));
            row("ratio of the two", |round| Some(round.cluster.rate() / round.single.rate()));
            row("ratio with a processor to each server", |round| {
                Some(round.cluster.capacity() / round.single.capacity())
            });
            row("a single server, by the engine's own benchmark", |round| Some(round.theirs.0? / 1000.0));
            row("the cluster, by the engine's own benchmark", |round| Some(round.theirs.1? / 1000.0));
            row("ratio of the two, by the engine's own benchmark", |round| {
                Some(round.theirs.1? / round.theirs.0?)
            });
            row("a single server, ours to the engine's own", |round| {
                Some(round.single.rate() / round.theirs.0?)
            });
        }
        table
    }
}
