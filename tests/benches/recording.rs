//! How fast operations are sent with each of them on record, and how true to its schedule that is.
//!
//! `cargo bench --package lab-steps --bench recording` prints one table: the lab's pipelined sender with a full
//! history, the engine's own benchmark, and the plain `redis` crate, by turns; at half of the sender's rate how late
//! it is; and of a server that is held for a second, how many operations are seen to wait. Optimised, unlike the other
//! benches: in a dev build the `redis` crate is slower than it has to be, and the ratio to it no use. Figures of
//! different runs, or machines, are not to be compared; the ratios of one run are. Nothing is asserted.
//! `cargo lab bench recording` is the same with an observer at work.

#[path = "../lab/ground/bare.rs"]
mod bare;

use std::io::Write;

use bare::with_group;
use lab_measure::bench::recording::{measure, topology};

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let folder = std::env::temp_dir().join(format!("failover-lab-recording-{}", std::process::id()));
    let measured =
        with_group(topology(), None, async |lab| measure(&lab.group.primary(), &folder, ROUNDS).await).await;
    let _ = std::fs::remove_dir_all(&folder);
    let measured = measured.unwrap_or_else(|error| panic!("{error}"));
    write!(std::io::stdout().lock(), "{}", measured.table())
}
