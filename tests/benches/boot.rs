//! How long the lab's own waiting takes: a group's boot, a cluster's, and the observer's look at a role.
//!
//! `cargo bench --package lab-steps --bench boot --profile dev` prints one table. Figures of different runs, or
//! machines, are not to be compared; the ratio of two rows of one run is. Nothing is asserted.

#[path = "../lab/ground/bare.rs"]
mod bare;

use std::{
    io::Write,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bare::{Bare, with_group};
use failover_lab::{
    Replicated, cluster,
    cluster::ClusterGroup,
    docker::{Node, PORT},
    observer::Observer,
    replicated,
    topology::Boot,
    wait::{self, Seen},
};
use lab_report::evidence::Role;

const BOOTS: usize = 10;
const STOCK_BOOTS: usize = 3;
const CREATIONS: usize = 5;
const PROMOTIONS: usize = 10;
const SOON: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Replicas are to be two at a time, as in the steps.
    let lab = replicated(2);
    let stock = with_stock_settings(replicated(2));
    let (mut ours, mut defaults) = (Vec::new(), Vec::new());
    for round in 0..BOOTS {
        ours.push(boot(&lab).await);
        // In between, so that a busy minute of the machine is in both.
        if round < STOCK_BOOTS {
            defaults.push(boot(&stock).await);
        }
    }
    let (mut clusters, mut created) = (Vec::new(), Vec::new());
    for round in 0..BOOTS {
        clusters.push(with_group(cluster(3).replicas(1), None, async |lab| lab.boot.replication).await);
        if round < CREATIONS {
            created.push(with_group(cluster(3).replicas(1).unformed(), None, create).await);
        }
    }
    let seen = observer_latencies().await;

    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<48} {:>3} {:>10} {:>10} {:>10}  target", "milliseconds", "n", "median", "min", "max")?;
    let [equipped, answering] = both(&ours);
    row(&mut out, "servers answering to online, the lab's settings", &answering, "")?;
    row(&mut out, "hosts equipped to online, the lab's settings", &equipped, "median ≤ 60")?;
    let [equipped_stock, answering_stock] = both(&defaults);
    row(&mut out, "servers answering to online, redis.conf", &answering_stock, "")?;
    row(&mut out, "hosts equipped to online, redis.conf", &equipped_stock, "")?;
    row(&mut out, "promotion, from the server's log to observer", &seen, "median ≤ 20")?;
    ratio(&mut out, "ratio of the boots, from servers answering", &answering_stock, &answering, "≥ 50×")?;
    ratio(&mut out, "ratio of the boots, from hosts equipped", &equipped_stock, &equipped, "≥ 50×")?;
    row(&mut out, "servers answering to a cluster that stands", &clusters, "")?;
    row(&mut out, "the same by redis-cli --cluster create", &created, "")?;
    ratio(&mut out, "ratio of the two", &created, &clusters, "≥ 10×")
}

/// Makes a cluster of nodes that stand alone, the way everybody does it, of servers with the settings of the lab's own.
///
/// Those start with a longer node timeout than they have in the end, so that no busy machine makes them forget each
/// other. The lab's own boot loses nothing by that: its nodes know each other. `redis-cli` waits for what nodes tell
/// each other, and they ping each other the more seldom the longer it is (`clusterCron`: every NT / 2).
async fn create(lab: &Bare<ClusterGroup>) -> Duration {
    let timeout = lab.group.topology().node_timeout.as_millis().to_string();
    for node in lab.group.members() {
        let set = node.ask::<()>(&["CONFIG", "SET", "cluster-node-timeout", &timeout]).await;
        set.unwrap_or_else(|error| panic!("{error}"));
    }
    let begin = Instant::now();
    lab.group.create().await.unwrap_or_else(|error| panic!("{error}"));
    lab.group.stands().await.unwrap_or_else(|late| panic!("{late}"));
    begin.elapsed()
}

/// What the lab shortens, as `redis.conf` has it.
fn with_stock_settings(topology: Replicated) -> Replicated {
    topology.config("repl-diskless-sync", "yes").config("repl-diskless-sync-delay", "5").config("hz", "10")
}

async fn boot(topology: &Replicated) -> Boot {
    with_group(topology.clone(), None, async |lab| lab.boot).await
}

/// To every replica online and acknowledging, from two beginnings: the last host with all that its server needs, and
/// every server answering. What lies between is the start of a server. What comes before is in neither, the start of a
/// container and the command that equips it: a host counts as one that was made before.
fn both(boots: &[Boot]) -> [Vec<Duration>; 2] {
    let equipped = boots.iter().map(|boot| boot.servers + boot.replication).collect();
    let answering = boots.iter().map(|boot| boot.replication).collect();
    [equipped, answering]
}

/// From the server's own log line to the observer's note, on the wall clock.
///
/// The log is cut off at the millisecond: a figure is up to 1 ms too large.
async fn observer_latencies() -> Vec<Duration> {
    with_group(replicated(1), None, async |lab| {
        let mut observer = Observer::new(&lab.recorder, &lab.group.topology().monitor);
        lab.group.nodes().iter().for_each(|node| observer.watch(node));
        // The recorder's clock is monotonic: taken at one instant, the two clocks tell its zero.
        let now = lab.recorder.now();
        let zero = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970") - now.0;
        let (primary, replica) = (lab.group.primary(), lab.group.replicas().remove(0));
        let follow = ["REPLICAOF", &primary.address().to_string(), &PORT.to_string()];
        let mut latencies = Vec::new();
        for promotion in 1..=PROMOTIONS {
            noted(lab, &replica, Role::Replica, promotion).await;
            replica.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await.expect("it is promoted");
            let at = zero + noted(lab, &replica, Role::Primary, promotion).await;
            let logged = logged(&replica, promotion).await;
            // The log says the time of day.
            let at = Duration::from_nanos((at.as_nanos() % DAY.as_nanos()) as u64);
            latencies.push(at.checked_sub(logged).unwrap_or_else(|| at + DAY - logged));
            replica.ask::<()>(&follow).await.expect("it follows again");
        }
        latencies
    })
    .await
}

/// When the observer noted the node's role for the `nth` time, on the recorder's clock.
async fn noted(lab: &Bare, node: &Node, role: Role, nth: usize) -> Duration {
    let seen = wait::until("the observer to note the role", SOON, Duration::from_millis(5), async || {
        let changes = lab.recorder.timeline().roles;
        let mut of_role = changes.iter().filter(|change| &change.node == node.id() && change.role == role);
        match of_role.nth(nth - 1) {
            Some(change) => Seen::Ready(change.at.0),
            None => Seen::NotYet(format!("{changes:?}")),
        }
    });
    seen.await.unwrap_or_else(|late| panic!("{late}"))
}

/// When the server logged its `nth` promotion, as the time of day (UTC).
async fn logged(node: &Node, nth: usize) -> Duration {
    let line = wait::until("the server's line on it", SOON, Duration::from_millis(20), async || {
        let log = node.log_tail(1000).await;
        match log.lines().filter(|line| line.contains(" MODE enabled (user request")).nth(nth - 1) {
            Some(line) => Seen::Ready(line.to_owned()),
            None => Seen::NotYet(log),
        }
    });
    let line = line.await.unwrap_or_else(|late| panic!("{late}"));
    time_of_day(&line).unwrap_or_else(|| panic!("no time in `{line}`"))
}

/// Of `11:M 21 Nov 2026 02:17:40.164 * MASTER MODE enabled …`.
fn time_of_day(line: &str) -> Option<Duration> {
    let mut parts = line.split_whitespace().nth(4)?.split([':', '.']);
    let mut next = || parts.next()?.parse::<u64>().ok();
    let (hours, minutes, seconds, millis) = (next()?, next()?, next()?, next()?);
    Some(Duration::from_millis(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis))
}

fn row(out: &mut impl Write, what: &str, lengths: &[Duration], target: &str) -> std::io::Result<()> {
    let ms = |length: Option<&Duration>| length.map_or(0.0, Duration::as_secs_f64) * 1000.0;
    let (middle, least, most) = (median(lengths), lengths.iter().min(), lengths.iter().max());
    let (n, middle, least, most) = (lengths.len(), ms(Some(&middle)), ms(least), ms(most));
    writeln!(out, "{what:<48} {n:>3} {middle:>10.1} {least:>10.1} {most:>10.1}  {target}")
}

fn ratio(
    out: &mut impl Write,
    what: &str,
    slow: &[Duration],
    fast: &[Duration],
    target: &str,
) -> std::io::Result<()> {
    let ratio = median(slow).as_secs_f64() / median(fast).as_secs_f64();
    writeln!(out, "{what:<48} {:>3} {ratio:>9.0}× {:>10} {:>10}  {target}", "", "", "")
}

fn median(lengths: &[Duration]) -> Duration {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    match sorted.len() {
        0 => Duration::ZERO,
        n if n % 2 == 0 => (sorted[n / 2 - 1] + sorted[n / 2]) / 2,
        n => sorted[n / 2],
    }
}
