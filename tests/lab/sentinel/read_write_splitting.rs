use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{Fault, FaultKind, Node},
    info::Calls,
    sentinels,
    splitter::Splitter,
    wait::{self, Seen},
};
use lab_report::{
    evidence::{At, Role},
    judge::{ClientClocks, Election, Judgement},
};

use super::seen::{STAGE, follows, replaced, successor};
use crate::step::{Outcome, step};

step!("sentinel", "read-write-splitting", deployment(), read_write_splitting);

const TIMES: u64 = 200;
/// For an operation. A server that is silent for as long is no busy one: of the many that are counted none is to go to
/// somebody else for that.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is written after the failover.
const AFTER: &str = "split:after";
/// `Lab::wait` asks this often.
const EVERY: Duration = Duration::from_millis(10);

/// The node that boots as primary is the nearest: once it is demoted, it is the preferred replica.
fn deployment() -> Sentinels {
    let nearest_first = ["lab-001", "lab-002", "lab-003"];
    sentinels(3).replicas(2).reading_from(&nearest_first).node_config("lab-002", "replica-priority", "50")
}

/// Writes go to the primary and reads to the preferred replica, or to who is left, also after a failover.
///
/// Who answered is what the servers counted, and not what the client says.
///
/// 1. Write and read: the primary carries out the writes, the preferred replica the reads.
/// 2. The preferred replica dies: the next one answers.
/// 3. That one dies as well: the primary answers.
/// 4. Both come back: the preferred one is read from again.
/// 5. The primary dies: the same client's writes are acknowledged by its successor.
/// 6. The demoted node, nearest of all, comes back and takes itself for the primary: it is read from once
///    it follows, and not before.
async fn read_write_splitting(lab: &mut Lab<Sentinels>) -> Outcome {
    let client = lab.splitter().patient(PATIENCE);
    let data = lab.deployment().data().to_vec();
    let [primary, preferred, next] = data.as_slice() else {
        return Err("the step needs two replicas".into());
    };

    // 1. Split.
    let written = write(lab, &client).await?;
    let expected = format!("{TIMES} carried out by {}, none refused", primary.id());
    lab.check("rw.writes", Judgement::equal(expected, written));
    replicated(lab, primary).await?;
    if !reads_are_answered_by(lab, &client, "rw.reads", preferred).await {
        return Ok(());
    }

    // 2. The next replica.
    let preferred_lost = lose(lab, preferred).await?;
    if !reads_are_answered_by(lab, &client, "rw.next-replica", next).await {
        return Ok(());
    }

    // 3. The primary.
    let next_lost = lose(lab, next).await?;
    reads_are_answered_by(lab, &client, "rw.primary-last", primary).await;

    // 4. Back to the preferred one.
    lab.heal(preferred_lost).await?;
    follows(lab, preferred, primary).await?;
    let back = lab.recorder().now();
    let took = read_from(lab, &client, preferred).await.map(|at| at.since(back));
    lab.check("rw.preferred-again", clocks().prefers_again(took));
    lab.heal(next_lost).await?;
    follows(lab, next, primary).await?;

    // 5. A failover.
    let lost = lose(lab, primary).await?;
    let acknowledged = acknowledged(lab, &client).await;
    let election = replaced(lab, primary).await?;
    let followed = writes_follow(lab, &election, acknowledged).await?;
    lab.check("rw.writes-follow", followed);

    // 6. The demoted node.
    lab.heal(lost).await?;
    let read = demoted(lab, &client, primary).await;
    lab.check("rw.demoted-not-read", read);
    Ok(())
}

fn clocks() -> ClientClocks {
    let sound = deployment();
    ClientClocks {
        believes: sound.application.believes,
        patience: PATIENCE,
        ping: sound.timers.ping,
        every: EVERY,
        scheduling: wait::scheduling(),
    }
}

/// Crashes a node, and waits until it is gone: a signal takes its time, and until then it answers.
async fn lose(lab: &Lab<Sentinels>, node: &Arc<Node>) -> Result<Fault, StepError> {
    let fault = lab.inject(FaultKind::Crash, node).await?;
    let gone = lab.wait("it to be gone", STAGE, async || match node.info().await {
        Ok(info) => Seen::NotYet(info.replication()),
        Err(_) => Seen::Ready(()),
    });
    gone.await?;
    Ok(fault)
}

/// The calls of a command at every data node that answers.
async fn calls(lab: &Lab<Sentinels>, command: &str) -> BTreeMap<String, Calls> {
    let mut calls = BTreeMap::new();
    for node in lab.deployment().data() {
        if let Ok(info) = node.counters().await {
            calls.insert(node.id().to_string(), info.calls(command));
        }
    }
    calls
}

/// Writes, and says what became of it in the servers' words. A replica carries out what its primary sends
/// it, and refuses what a client does.
async fn write(lab: &Lab<Sentinels>, client: &Splitter) -> Result<String, StepError> {
    lab.doing("writing");
    let before = calls(lab, "set").await;
    for number in 0..TIMES {
        client.write::<()>(&["SET", &key(number), "written"]).await?;
    }
    let after = calls(lab, "set").await;
    let primary = lab.deployment().first_primary().id();
    let at =
        |calls: &BTreeMap<String, Calls>| calls.get(primary.as_str()).map_or(0, |calls| calls.carried_out);
    let refused = |calls: &BTreeMap<String, Calls>| calls.values().map(|calls| calls.refused).sum::<u64>();
    let refused = match refused(&after) - refused(&before) {
        0 => "none".to_owned(),
        some => some.to_string(),
    };
    Ok(format!("{} carried out by {primary}, {refused} refused", at(&after) - at(&before)))
}

/// Waits until every replica has what the primary has now: a read that comes sooner finds nothing.
async fn replicated(lab: &Lab<Sentinels>, primary: &Node) -> Result<(), StepError> {
    let end = primary.info().await?.offset();
    let wait = lab.wait("the replicas to have it all", STAGE, async || {
        for node in lab.deployment().data() {
            match node.info().await {
                Ok(info) if info.offset() >= end => {}
                Ok(info) => return Seen::NotYet(info.replication()),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
        }
        Seen::Ready(())
    });
    Ok(wait.await?)
}

/// Reads, and judges who answered by what the servers counted.
async fn reads_are_answered_by(
    lab: &mut Lab<Sentinels>,
    client: &Splitter,
    check: &str,
    node: &Node,
) -> bool {
    lab.doing("reading");
    let before = calls(lab, "get").await;
    let mut answered = 0;
    for number in 0..TIMES {
        let answer = client.read::<String>(&["GET", &key(number)]).await;
        answered += u64::from(answer.is_ok_and(|value| value == "written"));
    }
    let after = calls(lab, "get").await;
    let served: Vec<(&str, u64)> = after
        .iter()
        .map(|(node, calls)| {
            let before = before.get(node).copied().unwrap_or_default();
            (node.as_str(), calls.carried_out - before.carried_out)
        })
        .filter(|(_, reads)| *reads > 0)
        .collect();
    let by: Vec<&str> = served.iter().map(|(node, _)| *node).collect();
    let by = if by.is_empty() { "nobody".to_owned() } else { by.join(", ") };
    let expected = format!("{TIMES} answered, by {}", node.id());
    let judgement = Judgement::equal(expected, format!("{answered} answered, by {by}"));
    lab.check(check, judgement.evidence(format!("reads that the servers counted: {served:?}")))
}

/// Reads until a node that was started again has carried out a read; when that was.
async fn read_from(lab: &Lab<Sentinels>, client: &Splitter, node: &Node) -> Option<At> {
    let read = lab.wait("the preferred replica to be read from", STAGE, async || {
        let _ = client.read::<String>(&["GET", &key(0)]).await;
        match node.counters().await {
            Ok(info) if info.calls("get").carried_out > 0 => Seen::Ready(lab.recorder().now()),
            Ok(_) => Seen::NotYet("others are".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    read.await.ok()
}

/// Writes until one is acknowledged; when that was.
async fn acknowledged(lab: &Lab<Sentinels>, client: &Splitter) -> Option<At> {
    let written = lab.wait("a write to be acknowledged again", STAGE, async || {
        match client.write::<()>(&["SET", AFTER, "the failover"]).await {
            Ok(()) => Seen::Ready(lab.recorder().now()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    written.await.ok()
}

/// The write counts that the successor has.
async fn writes_follow(
    lab: &Lab<Sentinels>,
    election: &Election,
    acknowledged: Option<At>,
) -> Result<Judgement, StepError> {
    let named = election.last_named().ok_or("nobody names a successor")?;
    let there: bool = successor(lab, election)?.ask(&["EXISTS", AFTER]).await?;
    let took = acknowledged.filter(|_| there).map(|at| at.since(named));
    Ok(clocks().follows(took))
}

/// Reads until the demoted node has carried out a read, and counts those that it did while it was no
/// replica with its link up: role, link and count are of one answer.
async fn demoted(lab: &Lab<Sentinels>, client: &Splitter, node: &Arc<Node>) -> Judgement {
    let (too_early, looks) = (Cell::new(0), Cell::new(0));
    let read = lab.wait("the demoted node to be read from as a replica", STAGE, async || {
        let _ = client.read::<String>(&["GET", &key(0)]).await;
        let info = match node.counters().await {
            Ok(info) => info,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        let reads = info.calls("get").carried_out;
        match info.role() == Role::Replica && info.link_up() == Some(true) {
            true if reads > 0 => return Seen::Ready(()),
            true => {}
            false => {
                too_early.set(reads);
                looks.set(looks.get() + 1);
            }
        }
        Seen::NotYet(info.replication())
    });
    const EXPECTED: &str = "read from, and not before it follows";
    let judgement = match (read.await, too_early.get()) {
        (Ok(()), 0) if looks.get() == 0 => Judgement::unknown(EXPECTED, "it followed at the first look"),
        (Ok(()), 0) => Judgement::equal(EXPECTED, EXPECTED),
        (_, reads @ 1..) => Judgement::equal(EXPECTED, format!("{reads} reads before it follows")),
        (Err(late), 0) => Judgement::unknown(EXPECTED, "it was not read from").evidence(late.to_string()),
    };
    judgement.evidence(format!("{} looks at it before it followed", looks.get()))
}

fn key(number: u64) -> String {
    format!("split:{number}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
