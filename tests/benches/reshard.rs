//! How fast slots move: by the lab's own resharding, and by `redis-cli --cluster reshard` as it comes.
//!
//! `cargo bench --package lab-steps --bench reshard --profile dev` prints one table: the same slots, with the same
//! keys in them, go from one node to another and back, by turns. Figures of different runs, or machines, are not
//! to be compared; the ratio of one run is. Nothing is asserted.

#[path = "../lab/ground/bare.rs"]
mod bare;

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use bare::{Bare, with_group};
use failover_lab::{
    client::Client,
    cluster,
    cluster::{ClusterGroup, Lane},
    docker::Node,
};
use lab_report::Slot;

/// The first slots of the first node: not all of its own, or it would follow whoever has them.
const SLOTS: u16 = 5000;
const KEYS: usize = 100_000;
const VALUE: usize = 100;
const ROUNDS: usize = 5;
/// In one round trip.
const BATCH: usize = 10_000;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (theirs, ours) = with_group(cluster(3).replicas(1), None, async |lab| {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        let (here, there) = (&lab.group.primaries()[0], &lab.group.primaries()[1]);
        fill(here).await;
        for _ in 0..ROUNDS {
            theirs.push(by_redis_cli(lab, here, there).await);
            ours.push(by_the_lab(lab, there, here).await);
            moved(lab, here).await;
        }
        (theirs, ours)
    })
    .await;

    let mut out = std::io::stdout().lock();
    writeln!(out, "{SLOTS} slots with {KEYS} keys of {VALUE} bytes, moved to another node and back")?;
    writeln!(out, "{:<40} {:>3} {:>9} {:>9} {:>9}", "seconds", "n", "median", "min", "max")?;
    row(&mut out, "redis-cli --cluster reshard", &theirs)?;
    row(&mut out, "the lab's own", &ours)?;
    let ratio = median(&theirs).div_duration_f64(median(&ours));
    writeln!(out, "{:<40} {:>3} {ratio:>8.1}× {:>19}  ≥ 3×", "ratio of the two", "", "")
}

/// Writes keys that are in the slots that move.
async fn fill(node: &Node) {
    let client = Client::of_node(node).patient(Duration::from_secs(60));
    let keys =
        (0..).map(|number: usize| format!("key:{number}")).filter(|key| Slot::of(key).number() < SLOTS);
    let keys: Vec<String> = keys.take(KEYS).collect();
    for batch in keys.chunks(BATCH) {
        let mut pipeline = redis::pipe();
        for key in batch {
            pipeline.set(key, "x".repeat(VALUE)).ignore();
        }
        client.pipeline::<()>(&pipeline).await.expect("they are written");
    }
}

async fn by_redis_cli(lab: &Bare<ClusterGroup>, from: &Arc<Node>, to: &Arc<Node>) -> Duration {
    let known = format!("{}:{}", from.address(), from.port());
    let slots = SLOTS.to_string();
    let (source, target) = (lab.group.name_of(from), lab.group.name_of(to));
    let what = ["--cluster", "reshard", &known, "--cluster-from", source, "--cluster-to", target];
    let command = [&what[..], &["--cluster-slots", &slots, "--cluster-yes"]].concat();
    let begin = Instant::now();
    let printed = from.console(&command).await.unwrap_or_else(|error| panic!("{error}"));
    let took = begin.elapsed();
    assert_eq!(owned(lab, to).await, 5462 + usize::from(SLOTS), "{printed}");
    took
}

async fn by_the_lab(lab: &Bare<ClusterGroup>, from: &Arc<Node>, to: &Arc<Node>) -> Duration {
    let slots = Slot::all().take(usize::from(SLOTS)).collect();
    let lane = Lane { from: Arc::clone(from), to: Arc::clone(to), slots };
    let begin = Instant::now();
    lab.group.reshard(&[lane], |_| ()).await.unwrap_or_else(|error| panic!("{error}"));
    let took = begin.elapsed();
    assert_eq!(owned(lab, to).await, 5461);
    took
}

/// Everything is back, and everybody knows: `redis-cli` refuses a cluster that does not agree.
async fn moved(lab: &Bare<ClusterGroup>, here: &Node) {
    lab.group.stands().await.unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(here.ask::<usize>(&["DBSIZE"]).await.expect("it answers"), KEYS);
}

/// How many slots a node has, as it says itself.
async fn owned(lab: &Bare<ClusterGroup>, node: &Node) -> usize {
    let view = lab.group.view(node).await.unwrap_or_else(|error| panic!("{error}"));
    view.myself().map_or(0, |myself| myself.slots.len())
}

fn row(out: &mut impl Write, what: &str, lengths: &[Duration]) -> std::io::Result<()> {
    let [middle, least, most] = [
        median(lengths),
        lengths.iter().min().copied().unwrap_or_default(),
        lengths.iter().max().copied().unwrap_or_default(),
    ]
    .map(|length| length.as_secs_f64());
    writeln!(out, "{what:<40} {:>3} {middle:>9.2} {least:>9.2} {most:>9.2}", lengths.len())
}

fn median(lengths: &[Duration]) -> Duration {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
