//! How much a cluster of three carries, and a single server beside it, with pipelines of several depths.
//!
//! `cargo bench --package lab-steps --bench throughput --profile dev` prints one table: the same commands for both,
//! by turns, one by one and in batches, and the engine's own benchmark beside them. Figures of different runs, or
//! machines, are not to be compared; the ratios of one run are. Nothing is asserted. `cargo lab bench throughput` is
//! the same with an observer at work.

#[path = "../lab/ground/bare.rs"]
mod bare;

use std::io::Write;

use bare::with_group;
use lab_measure::bench::throughput::{measure, topology};

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let measured = with_group(topology(), None, async |lab| measure(&lab.group, ROUNDS).await).await;
    let measured = measured.unwrap_or_else(|error| panic!("{error}"));
    write!(std::io::stdout().lock(), "{}", measured.table())
}
