use std::time::{Duration, Instant};

use failover_lab::{Lab, Sentinels, StepError, client::Client, docker::Node, sentinels};
use lab_report::judge::{Counted, Judgement, round_trips, seconds};

use crate::step::{Outcome, step};

step!("sentinel", "pipelining", sentinels(3).replicas(2), pipelining);

const COMMANDS: u64 = 1000;

/// Pipelining saves round trips, and nothing else.
///
/// How much faster that is depends on the machine: a figure, and no claim. What holds on every machine is
/// what the server counts.
///
/// 1. Read a thousand keys one by one, and the same ones pipelined.
/// 2. Every answer is right, and in its place.
/// 3. The server carried out the same commands both times.
/// 4. For that it read from the client's socket a thousand times, and a few times.
async fn pipelining(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Both ways.
    let client = lab.client().patient(Duration::from_secs(10));
    let primary = lab.deployment().first_primary().clone();
    let batch = lab.deployment().topology().application.batch;
    let keys: Vec<String> = (0..COMMANDS).map(|number| format!("pipe:{number}")).collect();
    for (number, key) in keys.iter().enumerate() {
        client.ask::<()>(&["SET", key, &number.to_string()]).await?;
    }
    lab.doing("reading one by one");
    let one_by_one = Pass::of(&primary, async || one_by_one(&client, &keys).await).await?;
    lab.doing("reading in a pipeline");
    let pipelined = Pass::of(&primary, async || in_batches(&client, &keys, batch).await).await?;

    // 2. Answers.
    let expected = format!("{COMMANDS} right one by one, {COMMANDS} right pipelined");
    let observed = format!("{} right one by one, {} right pipelined", one_by_one.right(), pipelined.right());
    lab.check("pipe.answers", Judgement::equal(expected, observed));

    // 3. Work.
    let (single, few) = (one_by_one.after.since(one_by_one.before), pipelined.after.since(pipelined.before));
    let expected = format!("{COMMANDS} commands one by one, {COMMANDS} pipelined");
    let observed = format!("{} commands one by one, {} pipelined", single.commands, few.commands);
    lab.check("pipe.same-work", Judgement::equal(expected, observed));

    // 4. Round trips.
    lab.check("pipe.round-trips", round_trips(COMMANDS, single, few));
    let ratio = one_by_one.took.as_secs_f64() / pipelined.took.as_secs_f64();
    let note = format!("{} one by one, {} pipelined", seconds(one_by_one.took), seconds(pipelined.took));
    lab.measure("one by one against pipelined", ratio, "×", &note);
    Ok(())
}

/// The answers to all commands, and what the server counted before and after.
struct Pass {
    answers: Vec<Option<u64>>,
    took: Duration,
    before: Counted,
    after: Counted,
}

impl Pass {
    async fn of(
        server: &Node,
        ask: impl AsyncFnOnce() -> Result<Vec<Option<u64>>, StepError>,
    ) -> Result<Self, StepError> {
        let before = counted(server).await?;
        let start = Instant::now();
        let answers = ask().await?;
        let took = start.elapsed();
        Ok(Self { answers, took, before, after: counted(server).await? })
    }

    fn right(&self) -> usize {
        (0..).zip(&self.answers).filter(|(number, answer)| **answer == Some(*number)).count()
    }
}

async fn one_by_one(client: &Client, keys: &[String]) -> Result<Vec<Option<u64>>, StepError> {
    let mut answers = Vec::new();
    for key in keys {
        answers.push(client.ask(&["GET", key]).await?);
    }
    Ok(answers)
}

async fn in_batches(client: &Client, keys: &[String], batch: usize) -> Result<Vec<Option<u64>>, StepError> {
    let mut answers = Vec::new();
    for keys in keys.chunks(batch) {
        let mut pipeline = redis::pipe();
        keys.iter().for_each(|key| {
            pipeline.get(key);
        });
        answers.extend(client.pipeline::<Vec<Option<u64>>>(&pipeline).await?);
    }
    Ok(answers)
}

async fn counted(server: &Node) -> Result<Counted, StepError> {
    let info = server.counters().await?;
    let number = |field: &str| info.number(field).ok_or(format!("the server does not count {field}"));
    Ok(Counted {
        asked: info.calls("get").carried_out,
        commands: number("total_commands_processed")?,
        reads: number("total_reads_processed")?,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
