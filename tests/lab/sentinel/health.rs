use std::{collections::BTreeMap, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError, docker::Node, environment::Capability, sentinels, wait::Seen, writer::KEYS,
};
use lab_report::judge::Judgement;

use crate::step::{Outcome, alike, step};

step!("sentinel", "health", sentinels(3).replicas(2), health, needs []);

const COUNT: usize = 500;
const SOON: Duration = Duration::from_secs(5);
/// Longer than the server's own threshold (`slowlog-log-slower-than`, 10 ms), also where Lua takes no more than
/// 3 ns a turn; counted, because in a script's time `TIME` may stand still (it does on valkey 8.1).
const SLOW: &str = "for turn = 1, 5000000 do end";

/// The commands of a health check say what they are trusted to say.
///
/// 1. `PING`: every node answers.
/// 2. `INFO persistence`: nothing is loading, and the last writes of AOF and RDB went well.
/// 3. `INFO memory` and `MEMORY DOCTOR`: within the limit, and nothing to complain of.
/// 4. `CLIENT LIST` of the primary: its replicas and its sentinels are connected.
/// 5. `DBSIZE` and `INFO keyspace`: every data node holds what was written.
/// 6. `SLOWLOG`: a command that took tens of milliseconds is in it.
async fn health(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Answers.
    let nodes = lab.deployment().data().iter().chain(lab.deployment().sentinels());
    let mut answers = Vec::new();
    for node in nodes {
        let answer = node.ask::<String>(&["PING"]).await.unwrap_or_else(|error| error.to_string());
        answers.push((node.id().to_string(), answer));
    }
    lab.check("health.answers", Judgement::equal("PONG", alike(answers)));

    // 2. Persistence.
    let fields = [
        "loading",
        "aof_enabled",
        "aof_last_write_status",
        "aof_last_bgrewrite_status",
        "rdb_last_bgsave_status",
    ];
    let seen = of_data(lab, |info| {
        fields.map(|field| format!("{field} {}", info.get(field).unwrap_or("absent"))).join(", ")
    })
    .await?;
    let wanted = "loading 0, aof_enabled 1, aof_last_write_status ok, aof_last_bgrewrite_status ok, rdb_last_bgsave_status ok";
    lab.check("health.persistence", Judgement::equal(wanted, seen));

    // 3. Memory.
    let memory = memory(lab).await?;
    lab.check("health.memory", Judgement::equal("within the limit, nothing to complain of", memory));

    // 4. Connections.
    let promised = lab.promised((STEP.topology)());
    let all = format!("{} replicas, {} sentinels", promised.replicas, promised.sentinels);
    let clients = clients(lab.deployment().first_primary()).await?;
    lab.check("health.clients", Judgement::equal(all, clients));

    // 5. What was written.
    lab.needs(Capability::Changes)?;
    let before: usize = lab.deployment().first_primary().ask(&["DBSIZE"]).await?;
    let client = lab.client().patient(Duration::from_secs(2));
    for number in 0..COUNT {
        client.ask::<()>(&["SET", &format!("{KEYS}health:{number}"), &"x".repeat(100)]).await?;
    }
    let all = before + COUNT;
    let wanted = format!("{all} keys by DBSIZE, {all} by INFO");
    let counted = lab.wait("every node to hold the keys", SOON, async || match keys(lab).await {
        Ok(seen) if seen == wanted => Seen::Ready(()),
        Ok(seen) => Seen::NotYet(seen),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    let observed = counted.await.map_or_else(|late| late.last_seen, |()| wanted.clone());
    lab.check("health.keyspace", Judgement::equal(wanted, observed));

    // 6. Slow commands.
    let slow = slow_commands(lab.deployment().first_primary()).await?;
    lab.check("health.slowlog", Judgement::equal("the slow script is listed", slow));
    Ok(())
}

async fn of_data(
    lab: &Lab<Sentinels>,
    read: impl Fn(&failover_lab::info::Info) -> String,
) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for node in lab.deployment().data() {
        seen.push((node.id().to_string(), read(&node.info().await?)));
    }
    Ok(alike(seen))
}

async fn keys(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for node in lab.deployment().data() {
        let size: usize = node.ask(&["DBSIZE"]).await?;
        // `db0:keys=500,expires=0,avg_ttl=0`
        let info = node.info().await?;
        let listed =
            info.get("db0").and_then(|line| line.strip_prefix("keys=")?.split(',').next()).unwrap_or("0");
        seen.push((node.id().to_string(), format!("{size} keys by DBSIZE, {listed} by INFO")));
    }
    Ok(alike(seen))
}

async fn memory(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for node in lab.deployment().data() {
        let info = node.info().await?;
        let (used, most): (u64, u64) =
            (info.number("used_memory").unwrap_or(u64::MAX), info.number("maxmemory").unwrap_or(0));
        let within = if used <= most { "within the limit" } else { "over the limit" };
        let doctor: String = node.ask(&["MEMORY", "DOCTOR"]).await?;
        // It greets whoever is well, and whoever holds too little to be judged.
        let well =
            doctor.contains("can't find any memory issue") || doctor.contains("is empty or is using very");
        let complaint = if well { "nothing to complain of".to_owned() } else { doctor };
        seen.push((node.id().to_string(), format!("{within}, {complaint}")));
    }
    Ok(alike(seen))
}

/// Counts the connections of replicas (`flags=S`) and of sentinels (by the name that they set).
async fn clients(primary: &Node) -> Result<String, StepError> {
    let list: String = primary.ask(&["CLIENT", "LIST"]).await?;
    let connections: Vec<BTreeMap<&str, &str>> = list
        .lines()
        .map(|line| line.split(' ').filter_map(|field| field.split_once('=')).collect())
        .collect();
    let replicas = connections
        .iter()
        .filter(|client| client.get("flags").is_some_and(|flags| flags.contains('S')))
        .count();
    let named = |name: &str| name.starts_with("sentinel-") && name.ends_with("-cmd");
    let sentinels =
        connections.iter().filter(|client| client.get("name").is_some_and(|name| named(name))).count();
    Ok(format!("{replicas} replicas, {sentinels} sentinels"))
}

async fn slow_commands(primary: &Node) -> Result<String, StepError> {
    primary.ask_within::<()>(&["EVAL", SLOW, "0"], SOON).await?;
    let listed: Vec<redis::Value> = primary.ask(&["SLOWLOG", "GET", "10"]).await?;
    let ours = listed.iter().any(|entry| format!("{entry:?}").contains(SLOW));
    Ok(if ours { "the slow script is listed" } else { "it is not listed" }.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
