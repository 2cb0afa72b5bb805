use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError, Topology,
    docker::{FaultKind, Node},
    prometheus::Prometheus,
    sentinels,
    wait::Seen,
};
use lab_report::{
    alerts::Firing,
    judge::{alone, alone_beyond, quiet},
};

use crate::step::{Outcome, step};

step!(
    "sentinel",
    "alerts",
    // A sixteenth of the memory and a fiftieth of the clients: what is a share stays one.
    sentinels(3).replicas(2).config("maxmemory", "32mb").config("maxclients", "200"),
    alerts
);

const MEMORY: u64 = 32 << 20;
const CLIENTS: u64 = 200;
/// Far above what any condition takes to show, or to go: a replica asks for its primary once a second, and a node of
/// a cluster is believed in again after twice the node timeout.
const STAGE: Duration = Duration::from_secs(20);
/// On Prometheus' clock: longer than any rule looks back, and than any condition has to hold.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// Each alert fires when its condition is true, and only then.
///
/// 1. While the deployment is sound, nothing fires.
/// 2. A replica crashes, and comes back.
/// 3. The primary's memory is filled to 80 % of its limit, and nothing fires; then to 92 %, short of evicting, and emptied.
/// 4. The replicas forget the primary's password and lose their links, and remember it.
/// 5. Clients take 85 % of what the primary allows, and nothing fires; then 93 %, and leave.
/// 6. Between two scrapes more clients come than it allows: the gauge never shows it, the counter does.
async fn alerts(lab: &mut Lab<Sentinels>) -> Outcome {
    let watched = lab.prometheus()?;
    let (primary, replicas) = lab
        .deployment()
        .data()
        .split_first()
        .map(|(first, rest)| (Arc::clone(first), rest.to_vec()))
        .ok_or("no nodes")?;

    // 1. Sound.
    if !lab.check("alerts.quiet", quiet(&watched.watch(QUIET).await)) {
        return Ok(());
    }

    // 2. Down.
    let last = replicas.last().ok_or("no replicas")?;
    let fault = lab.inject(FaultKind::Crash, last).await?;
    let during = fires(lab, &watched, "RedisDown").await;
    lab.heal(fault).await?;
    let after = stops(lab, &watched).await;
    lab.check("alerts.down", alone("RedisDown", &during, &after));
    replicas_are(lab, &primary, replicas.len()).await?;

    // 3. Memory.
    fill(lab, &primary, MEMORY * 80 / 100).await?;
    settles(lab, &primary, MEMORY * 83 / 100).await?;
    let below = watched.watch(QUIET).await;
    fill(lab, &primary, MEMORY * 92 / 100).await?;
    let during = fires(lab, &watched, "RedisMemoryNearlyFull").await;
    primary.ask::<()>(&["FLUSHALL"]).await?;
    let after = stops(lab, &watched).await;
    lab.check("alerts.memory", alone_beyond("RedisMemoryNearlyFull", &below, &during, &after));

    // 4. Replicas.
    cut(lab, &primary, &replicas).await?;
    let during = fires(lab, &watched, "RedisPrimaryWithoutReplicas").await;
    rejoin(lab, &primary, &replicas).await?;
    let after = stops(lab, &watched).await;
    lab.check("alerts.replicas", alone("RedisPrimaryWithoutReplicas", &during, &after));

    // 5. Clients.
    let mut clients = Vec::new();
    let usual = connected(&primary).await?;
    for _ in usual..CLIENTS * 85 / 100 {
        clients.push(primary.connect(STAGE).await?);
    }
    let below = watched.watch(QUIET).await;
    for _ in CLIENTS * 85 / 100..CLIENTS * 93 / 100 {
        clients.push(primary.connect(STAGE).await?);
    }
    let during = fires(lab, &watched, "RedisTooManyClients").await;
    drop(clients);
    let after = stops(lab, &watched).await;
    lab.check("alerts.clients", alone_beyond("RedisTooManyClients", &below, &during, &after));

    // 6. A burst.
    left(lab, &primary, usual).await?;
    let mut clients = Vec::new();
    for _ in 0..=CLIENTS {
        clients.push(primary.connect(STAGE).await);
    }
    if clients.iter().all(Result::is_ok) {
        return Err("the server turned nobody away".into());
    }
    drop(clients);
    left(lab, &primary, usual).await?;
    let during = fires(lab, &watched, "RedisRejectedConnections").await;
    let after = stops(lab, &watched).await;
    lab.check("alerts.rejected", alone("RedisRejectedConnections", &during, &after));
    Ok(())
}

/// What fires at each scrape until `alert` does, or for as long as it may take, and a while longer: whatever
/// comes with it has its time, too.
pub(crate) async fn fires<T: Topology>(lab: &Lab<T>, watched: &Prometheus, alert: &str) -> Vec<Firing> {
    lab.doing(&format!("waiting for {alert} to fire"));
    let mut seen = Vec::new();
    let wanted = |firing: &Firing| firing.iter().any(|(name, _)| name == alert);
    if watched.until(alert, STAGE, &mut seen, wanted).await.is_ok() {
        seen.extend(watched.watch(Duration::from_secs(120)).await);
    }
    seen
}

/// What fires at each scrape until nothing does, or for as long as it may take.
pub(crate) async fn stops<T: Topology>(lab: &Lab<T>, watched: &Prometheus) -> Vec<Firing> {
    lab.doing("waiting for nothing to fire");
    let mut seen = Vec::new();
    let _ = watched.until("nothing to fire", STAGE, &mut seen, Firing::is_empty).await;
    seen
}

/// Fills the primary until it says that it uses `bytes`, without what is on its way to the replicas or to its
/// file: that is memory, too, and is gone a moment later (`freeMemoryGetNotCountedMemory` in evict.c).
async fn fill(lab: &Lab<Sentinels>, primary: &Node, bytes: u64) -> Outcome {
    let replicas = u64::from(lab.deployment().topology().replicas);
    lab.doing("filling the primary's memory");
    let value = "x".repeat(256 << 10);
    for number in 0.. {
        let info = primary.info().await?;
        let of = |field| info.number::<u64>(field).ok_or_else(|| format!("INFO memory has no {field}"));
        if of("used_memory")? >= bytes + of("mem_not_counted_for_evict")? {
            break;
        }
        primary.ask::<()>(&["SET", &format!("filling:{bytes}:{number}"), &value]).await?;
        let have: u64 = primary.ask_within(&["WAIT", &replicas.to_string(), "5000"], STAGE).await?;
        if have < replicas {
            return Err(format!("{have} of {replicas} replicas have what was written").into());
        }
    }
    Ok(())
}

/// Waits until the primary says that it uses no more than `bytes`, all counted.
async fn settles(lab: &Lab<Sentinels>, primary: &Node, bytes: u64) -> Outcome {
    let look = || async {
        match primary.info().await {
            Ok(info) => match info.number::<u64>("used_memory") {
                Some(used) if used <= bytes => Seen::Ready(()),
                used => Seen::NotYet(format!("{used:?}")),
            },
            Err(error) => Seen::NotYet(error.to_string()),
        }
    };
    Ok(lab.wait("what is on its way to have arrived", STAGE, look).await?)
}

/// Takes the replicas from their primary, with everybody up and in reach: a password that is not the
/// primary's any more, and a link that has to be made again.
async fn cut(lab: &Lab<Sentinels>, primary: &Node, replicas: &[Arc<Node>]) -> Outcome {
    lab.doing("changing the replicas' password");
    for replica in replicas {
        replica.ask::<()>(&["CONFIG", "SET", "masterauth", "forgotten"]).await?;
    }
    primary.ask::<redis::Value>(&["CLIENT", "KILL", "TYPE", "replica"]).await?;
    replicas_are(lab, primary, 0).await
}

/// Gives them the primary's password again.
async fn rejoin(lab: &Lab<Sentinels>, primary: &Node, replicas: &[Arc<Node>]) -> Outcome {
    let password = primary.access().password.clone().ok_or("there is no password")?;
    for replica in replicas {
        replica.ask::<()>(&["CONFIG", "SET", "masterauth", password.reveal()]).await?;
    }
    replicas_are(lab, primary, replicas.len()).await
}

/// Waits until the primary has so many replicas, and each of them has all of its data.
async fn replicas_are(lab: &Lab<Sentinels>, primary: &Node, count: usize) -> Outcome {
    let look = || async {
        let info = match primary.info().await {
            Ok(info) => info,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        let replicas = info.replicas();
        match replicas.len() == count && replicas.iter().all(|replica| replica.state == "online") {
            true => Seen::Ready(()),
            false => Seen::NotYet(info.replication()),
        }
    };
    Ok(lab.wait(&format!("the primary to have {count} replicas"), STAGE, look).await?)
}

async fn connected(node: &Node) -> Result<u64, StepError> {
    Ok(node.info().await?.number("connected_clients").ok_or("no such field")?)
}

/// Waits until the server has noticed that its clients left.
async fn left(lab: &Lab<Sentinels>, node: &Node, usual: u64) -> Outcome {
    // Whoever observes may have made a connection anew.
    let few = usual + 5;
    let look = || async {
        match connected(node).await {
            Ok(count) if count <= few => Seen::Ready(()),
            Ok(count) => Seen::NotYet(format!("{count} clients")),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    };
    Ok(lab.wait("the clients to be gone", STAGE, look).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
