//! What pipelining saves: the same commands in batches of several sizes, on one connection.
//!
//! `cargo bench --package lab-steps --bench pipelining --profile dev` prints one table. Rates of different
//! runs, or machines, are not to be compared; the ratios of one run are. Nothing is asserted.

#[path = "../lab/ground/bare.rs"]
mod bare;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use bare::with_group;
use failover_lab::{client::Client, replicated};

const COMMANDS: usize = 10_000;
const BATCHES: [usize; 4] = [1, 10, 100, 1000];
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let took = with_group(replicated(1), None, async |lab| {
        let client = Client::of_node(&lab.group.primary()).patient(Duration::from_secs(60));
        let mut took: [Vec<Duration>; BATCHES.len()] = Default::default();
        for _ in 0..ROUNDS {
            // By turns, so that a busy minute of the machine is in all of them.
            for (took, batch) in took.iter_mut().zip(BATCHES) {
                took.push(all_commands(&client, batch).await);
            }
        }
        took
    })
    .await;

    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<24} {:>3} {:>14} {:>12}", "GETs in a round trip", "n", "median, GET/s", "ratio to 1")?;
    let alone = median(&took[0]);
    for (batch, took) in BATCHES.iter().zip(&took) {
        let middle = median(took);
        let (rate, ratio) = (COMMANDS as f64 / middle.as_secs_f64(), alone.div_duration_f64(middle));
        writeln!(out, "{batch:<24} {ROUNDS:>3} {rate:>14.0} {ratio:>11.1}×")?;
    }
    Ok(())
}

async fn all_commands(client: &Client, batch: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..COMMANDS / batch {
        let mut pipeline = redis::pipe();
        for number in 0..batch {
            pipeline.get(number);
        }
        client.pipeline::<Vec<Option<u64>>>(&pipeline).await.expect("it is answered");
    }
    start.elapsed()
}

fn median(lengths: &[Duration]) -> Duration {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
