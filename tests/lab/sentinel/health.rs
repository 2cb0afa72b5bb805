use std::time::Duration;

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{Node, NodeError},
    environment::{Capability, Environment},
    info::{Connection, Info, MemoryReport, SlowCommand},
    sentinels,
    wait::{Seen, scheduling},
    writer::KEYS,
};
use lab_report::{
    Verdict,
    judge::{Judgement, Limits},
};

use crate::step::{Outcome, alike, step};

step!("sentinel", "health", sentinels(3).replicas(2), health, needs []);

const COUNT: usize = 500;
const SOON: Duration = Duration::from_secs(5);
/// A replica acknowledges this often (`replicationCron`).
const ACKNOWLEDGES: Duration = Duration::from_secs(1);
/// More than `MEMORY DOCTOR` wants to see before it judges, 5 MiB, in values of this many bytes.
const LARGE: usize = 128 << 10;
const LARGE_COUNT: usize = 64;
/// So many are on their way to the files at once.
const LARGE_TOGETHER: usize = 8;
/// Longer than the server's own threshold (`slowlog-log-slower-than`, 10 ms), also where Lua takes no more than
/// 3 ns a turn; counted, because in a script's time `TIME` may stand still (it does on valkey 8.1).
const SLOW: &str = "for turn = 1, 5000000 do end";
/// What `INFO persistence` says of a node that keeps a file, and could write it.
const WRITTEN: &str = "loading 0, aof_enabled 1, aof_last_write_status ok, aof_last_bgrewrite_status ok, \
    rdb_last_bgsave_status ok";

/// The commands of a health check say what they are trusted to say.
///
/// 1. `PING`: every node answers.
/// 2. `INFO replication`: every replica is online, its link is up, and it acknowledges once a second.
/// 3. `INFO persistence` and `CONFIG GET save`: nothing is loading, and AOF and RDB are on and were written well.
/// 4. `INFO memory`: within the limit.
/// 5. `CLIENT LIST` of the primary: the replicas that `INFO` lists and all sentinels are connected.
/// 6. `MEMORY DOCTOR`, once there is enough for it to judge: nothing to complain of.
/// 7. `DBSIZE` and `INFO keyspace`: every data node holds what was written.
/// 8. `SLOWLOG`: a command that took tens of milliseconds is in it.
async fn health(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Answers.
    let nodes = lab.deployment().data().iter().chain(lab.deployment().sentinels());
    let mut answers = Vec::new();
    for node in nodes {
        let answer = node.ask::<String>(&["PING"]).await.unwrap_or_else(|error| error.to_string());
        answers.push((node.id().to_string(), answer));
    }
    lab.check("health.answers", Judgement::equal("PONG", alike(answers)));

    // 2. Replication.
    let replicating = settled(lab, "every replica to acknowledge", || replicating(lab)).await?;
    lab.check("health.replication", replicating);

    // 3. Persistence.
    let persistent = persistent(lab).await?;
    lab.check("health.persistence", persistent);

    // 4. Memory.
    let memory = memory(lab).await?;
    lab.check("health.memory", Judgement::equal("within the limit", memory));

    // 5. Connections.
    let primary = lab.deployment().first_primary();
    let listed = primary.info().await?.replicas().len();
    let all = format!("{listed} replicas, {} sentinels", lab.promised((STEP.topology)()).sentinels);
    let clients = clients(primary).await?;
    lab.check("health.clients", Judgement::equal(all, clients));

    // 6. The doctor.
    let doctor = match lab.needs(Capability::FreshDeployment) {
        Ok(()) => {
            fill(lab).await?;
            settled(lab, "the doctor to find nothing", || examined(lab)).await?
        }
        // Somebody else's memory may be full: what is evicted from it does not come back.
        Err(missing) => match examined(lab).await? {
            unexamined if unexamined.verdict == Verdict::Unknown => {
                Judgement::skipped(unexamined.expected, &missing.capability.to_string())
            }
            examined => examined,
        },
    };
    lab.check("health.doctor", doctor);

    // 7. What was written.
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

    // 8. Slow commands.
    let slow = slow_commands(lab.deployment().first_primary()).await?;
    lab.check("health.slowlog", Judgement::equal("the slow script is listed", slow));
    Ok(())
}

/// What is judged as soon as it is as it should be, or when it has had the time for that.
async fn settled<F: Future<Output = Result<Judgement, StepError>>>(
    lab: &Lab<Sentinels>,
    what: &str,
    judged: impl Fn() -> F,
) -> Result<Judgement, StepError> {
    let sound = lab.wait(what, SOON, || async {
        match judged().await {
            Ok(judgement) if judgement.verdict == Verdict::Pass => Seen::Ready(judgement),
            Ok(judgement) => Seen::NotYet(judgement.observed),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    match sound.await {
        Ok(judgement) => Ok(judgement),
        Err(_) => judged().await,
    }
}

/// The replicas as their primary lists them, and their links as they see those themselves.
async fn replicating(lab: &Lab<Sentinels>) -> Result<Judgement, StepError> {
    let (primary, others) = lab.deployment().data().split_first().ok_or("there are no data nodes")?;
    let info = primary.info().await?;
    let mut up = 0;
    for node in others {
        up += usize::from(node.info().await?.link_up() == Some(true));
    }
    let promised = lab.promised((STEP.topology)()).replicas;
    let wanted = format!("{promised} replicas, {promised} online, {promised} links up");
    let listed = info.replicas();
    let online = listed.iter().filter(|replica| replica.is_online()).count();
    let seen = format!("{} replicas, {online} online, {up} links up", listed.len());
    let limits = Limits {
        what: "each acknowledged",
        floor: Duration::ZERO,
        ceiling: ACKNOWLEDGES + scheduling(),
        // `lag` is the difference of two clocks that show whole seconds.
        resolution: Duration::from_secs(1),
        formula: "1 s (replicationCron) + scheduling",
    };
    let silence = listed.iter().map(|replica| Duration::from_secs(replica.lag)).max();
    let heard = Judgement::within(limits, silence);
    let judged = Judgement {
        verdict: heard.verdict.max(Verdict::of(seen == wanted)),
        expected: format!("{wanted}; {}", heard.expected),
        observed: format!("{seen}; {}", heard.observed),
        ..heard
    };
    Ok(judged.evidence(info.replication()))
}

/// What was written, and when it will be again: that the last snapshot went well is said where there is none, too.
async fn persistent(lab: &Lab<Sentinels>) -> Result<Judgement, StepError> {
    let fields = [
        "loading",
        "aof_enabled",
        "aof_last_write_status",
        "aof_last_bgrewrite_status",
        "rdb_last_bgsave_status",
    ];
    let written = of_data(lab, |info| {
        fields.map(|field| format!("{field} {}", info.get(field).unwrap_or("absent"))).join(", ")
    })
    .await?;
    let wanted = format!("{WRITTEN}, save points");
    match save_points(lab).await {
        Ok(points) => Ok(Judgement::equal(wanted, format!("{written}, {points}"))),
        Err(error) if denied(lab, &error) => Ok(match written == WRITTEN {
            true => Judgement::skipped(wanted, "permission for CONFIG GET save"),
            false => Judgement::equal(wanted, written),
        }),
        Err(error) => Err(error.into()),
    }
}

async fn save_points(lab: &Lab<Sentinels>) -> Result<String, NodeError> {
    let mut seen = Vec::new();
    for node in lab.deployment().data() {
        let answer: Vec<String> = node.ask(&["CONFIG", "GET", "save"]).await?;
        let any = answer.get(1).is_some_and(|points| !points.is_empty());
        seen.push((node.id().to_string(), if any { "save points" } else { "no save points" }.to_owned()));
    }
    Ok(alike(seen))
}

/// Whoever owns a deployment may not let everybody ask for its settings.
fn denied(lab: &Lab<Sentinels>, error: &NodeError) -> bool {
    match (lab.environment(), error) {
        (Environment::Containers, _) => false,
        (_, NodeError::Command { source, .. }) => {
            let unknown = source.detail().is_some_and(|text| text.starts_with("unknown command"));
            unknown || source.code() == Some("NOPERM")
        }
        _ => false,
    }
}

async fn of_data(lab: &Lab<Sentinels>, read: impl Fn(&Info) -> String) -> Result<String, StepError> {
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
    of_data(lab, |info| {
        let (used, most): (u64, u64) =
            (info.number("used_memory").unwrap_or(u64::MAX), info.number("maxmemory").unwrap_or(0));
        let told = if used <= most { "within the limit" } else { "over the limit" };
        told.to_owned()
    })
    .await
}

/// Counts the connections of replicas and of sentinels.
async fn clients(primary: &Node) -> Result<String, StepError> {
    let listed = Connection::listed(&primary.ask::<String>(&["CLIENT", "LIST"]).await?);
    let replicas = listed.iter().filter(|client| client.is_replica()).count();
    let sentinels = listed.iter().filter(|client| client.is_sentinel()).count();
    Ok(format!("{replicas} replicas, {sentinels} sentinels"))
}

/// Writes what the doctor wants to see, each value when the replicas have the last one, and a few when the last few are
/// in the files: what waits for that is memory, too, and would be a peak that it complains of.
async fn fill(lab: &Lab<Sentinels>) -> Outcome {
    let primary = lab.deployment().first_primary();
    let listed = primary.info().await?.replicas();
    let online = listed.iter().filter(|replica| replica.is_online()).count().to_string();
    lab.doing("writing enough for the doctor to judge");
    let value = "x".repeat(LARGE);
    for number in 0..LARGE_COUNT {
        primary.ask::<()>(&["SET", &format!("{KEYS}health:large:{number}"), &value]).await?;
        primary.ask_within::<u64>(&["WAIT", &online, "1000"], SOON).await?;
        if (number + 1) % LARGE_TOGETHER == 0 {
            lab.wait("the files to have it", SOON, || filed(lab)).await?;
        }
    }
    Ok(())
}

/// Whether every data node's file has what the node was given. While the disk is busy with what it has, what comes after
/// that waits for two seconds (`flushAppendOnlyFile`).
async fn filed(lab: &Lab<Sentinels>) -> Seen<()> {
    for node in lab.deployment().data() {
        match node.info().await.map(|info| info.number("aof_buffer_length").unwrap_or(0)) {
            Ok(0_u64) => {}
            Ok(bytes) => return Seen::NotYet(format!("{bytes} bytes wait for it at {}", node.id())),
            Err(error) => return Seen::NotYet(error.to_string()),
        }
    }
    Seen::Ready(())
}

/// What `MEMORY DOCTOR` of every data node says; unknown where it holds too little to say anything.
async fn examined(lab: &Lab<Sentinels>) -> Result<Judgement, StepError> {
    let (mut seen, mut verdicts) = (Vec::new(), Vec::new());
    for node in lab.deployment().data() {
        let report = MemoryReport::parse(&node.ask::<String>(&["MEMORY", "DOCTOR"]).await?);
        let report = report.beside_the_program(&node.info().await?);
        verdicts.push(match report {
            MemoryReport::Sound => Verdict::Pass,
            MemoryReport::TooSmall => Verdict::Unknown,
            MemoryReport::Issues(_) => Verdict::Fail,
        });
        seen.push((node.id().to_string(), report.to_string()));
    }
    let verdict = Verdict::worst(verdicts);
    Ok(Judgement { verdict, ..Judgement::equal(MemoryReport::Sound.to_string(), alike(seen)) })
}

async fn slow_commands(primary: &Node) -> Result<String, StepError> {
    primary.ask_within::<()>(&["EVAL", SLOW, "0"], SOON).await?;
    let listed: Vec<_> = primary.ask(&["SLOWLOG", "GET", "10"]).await?;
    let ours = listed.into_iter().map(SlowCommand::of).any(|slow| slow.words == ["EVAL", SLOW, "0"]);
    Ok(if ours { "the slow script is listed" } else { "it is not listed" }.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
