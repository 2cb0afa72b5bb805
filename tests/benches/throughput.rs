//! How much a cluster of three carries, and a single server beside it.
//!
//! `cargo bench --package lab-steps --bench throughput --profile dev` prints one table: the same commands for both,
//! by turns, one by one and in batches. Figures of different runs, or machines, are not to be compared; the ratios
//! of one run are. Nothing is asserted.

#[path = "../lab/ground/bare.rs"]
mod bare;

use std::{io::Write, slice, sync::Arc};

use bare::{Bare, with_group};
use failover_lab::{
    cluster,
    cluster::ClusterGroup,
    load::{Share, carry},
    topology::clusters::Load,
};
use lab_report::{Slot, judge::Carried};

const ROUNDS: usize = 5;
/// Commands in a round trip, and how many times every key is set.
const BATCHES: [(usize, usize); 3] = [(1, 2), (16, 10), (64, 10)];
/// As many clients as the engines' own benchmarks have, and as many for each of three servers as for the others.
const CONNECTIONS: usize = 48;

/// What the single server, and the cluster, made of one load.
type Round = (Carried, Carried);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Without replicas on either side: they would want processors, too.
    let measured = with_group(cluster(3).replicas(0).beside_a_single_one(), None, async |lab| {
        let mut measured = Vec::new();
        for (batch, times) in BATCHES {
            let load = Load { batch, times, connections: CONNECTIONS, ..Load::default() };
            measured.push((batch, rounds(lab, &load).await));
        }
        measured
    })
    .await;

    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<44} {:>3} {:>9} {:>9} {:>9}",
        "SETs of 100 bytes, 1000 a second", "n", "median", "min", "max"
    )?;
    for (batch, rounds) in &measured {
        let mut row = |what: &str, figure: fn(&Round) -> f64, unit: f64| {
            row(&mut out, what, rounds.iter().map(|round| figure(round) / unit).collect())
        };
        row(&format!("a single server, {batch} to a round trip"), |(single, _)| single.rate(), 1000.0)?;
        row(&format!("the cluster, {batch} to a round trip"), |(_, cluster)| cluster.rate(), 1000.0)?;
        row("ratio of the two", |(single, cluster)| cluster.rate() / single.rate(), 1.0)?;
        row(
            "the same, a processor to each server",
            |(single, cluster)| cluster.capacity() / single.capacity(),
            1.0,
        )?;
    }
    Ok(())
}

async fn rounds(lab: &Bare<ClusterGroup>, load: &Load) -> Vec<Round> {
    let (single, cluster) = shares(lab, load.keys);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // By turns, so that a busy minute of the machine is in both.
        let single = carry(load, slice::from_ref(&single)).await.unwrap_or_else(|error| panic!("{error}"));
        let cluster = carry(load, &cluster).await.unwrap_or_else(|error| panic!("{error}"));
        rounds.push((single, cluster));
    }
    rounds
}

/// The same keys, all at the single server, and each at the primary that has its slot.
fn shares(lab: &Bare<ClusterGroup>, keys: usize) -> (Share, Vec<Share>) {
    let application = &lab.group.topology().application;
    let keys: Vec<String> = (0..keys).map(|number| application.key(number)).collect();
    let share = |(primary, slots): (&Arc<_>, lab_report::Slots)| {
        let own = keys.iter().filter(|key| slots.contains(Slot::of(key))).cloned();
        (Arc::clone(primary), own.collect())
    };
    let cluster = lab.group.primaries().iter().zip(lab.group.topology().shares()).map(share).collect();
    ((Arc::clone(&lab.group.spares()[0]), keys.clone()), cluster)
}

fn row(out: &mut impl Write, what: &str, mut figures: Vec<f64>) -> std::io::Result<()> {
    figures.sort_by(f64::total_cmp);
    let [middle, least, most] = [figures.len() / 2, 0, figures.len() - 1].map(|index| figures[index]);
    writeln!(out, "{what:<44} {:>3} {middle:>9.2} {least:>9.2} {most:>9.2}", figures.len())
}
