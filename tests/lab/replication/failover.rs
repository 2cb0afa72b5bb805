use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Lab, StepError,
    docker::{Fault, FaultKind, Node},
    group::{GroupEvent, NODE_GROUP},
    replicated,
    wait::{Seen, pass},
    writer,
};
use lab_report::{
    evidence::{EndpointName, Outcome as WriteOutcome, Write},
    judge::{Failover, Judgement, loss, seconds},
};
use rstest::rstest;

use crate::step::{Outcome, clocks, step};

step!("q5", "failover", replicated(2), failover);

/// A stage that takes longer than this did not happen. Far above every stage's bound, so that a slow
/// stage fails its bound and nothing else.
const STAGE: Duration = Duration::from_secs(9);
const KEYS: usize = 100;

/// The primary is lost and a replica takes over.
///
/// 1. Write data that at least one replica acknowledges; go on writing through the primary endpoint.
/// 2. Lose the primary: by request, by crash, by stop or by hold.
/// 3. Another node becomes primary, and the primary name moves to it.
/// 4. What the replicas had is there, and writes are acknowledged again.
/// 5. The old primary is back as a replica, two are online again, and the events say so in order.
/// 6. Each stage took as long as its clocks say.
async fn failover(lab: &mut Lab) -> Outcome {
    // 1. Data that a replica has, and a load.
    let old = lab.group().primary();
    write_acknowledged_data(lab, &old).await?;
    let writer = lab.start_writing();
    let moment = Duration::from_millis(lab.rng().u64(300..600));
    pass(moment).await;

    // 2. The loss.
    let fault = lose(lab, &old).await?;

    // 3. The successor and its name.
    let promoted =
        stage(lab, &old, "another node to become primary", |failover| failover.new.is_some()).await;
    if !lab.check("failover.promoted", happened("another node is primary", promoted)) {
        return Ok(());
    }
    let moved = stage(lab, &old, "the primary name to move", |failover| failover.repointed.is_some()).await;
    if !lab.check("failover.repointed", happened("the name moved to it", moved)) {
        return Ok(());
    }

    // 4. The data and the writes.
    let new = lab.group().primary();
    let kept = count_data(&new).await?;
    lab.check("failover.data-intact", Judgement::equal("100 of 100 keys", format!("{kept} of {KEYS} keys")));
    // Whether it came, and when, is judged below.
    let _ = stage(lab, &old, "a write to be acknowledged", |failover| failover.first_write.is_some()).await;

    // 5. Redundancy.
    let returned = wait_for_return(lab, &old, &new).await;
    if lab.check("failover.old-primary-returns", happened("it follows the new primary", returned)) {
        let redundant =
            stage(lab, &old, "two replicas to be online", |failover| failover.restored.is_some()).await;
        lab.check("failover.redundant", happened("two replicas are online", redundant));
        let expected = expected_events(lab.case(), &old, &new);
        let events = wait_for_events(lab, expected.len()).await;
        lab.check("failover.events", Judgement::equal(expected.join("; "), events.join("; ")));
    }
    let writes = writer.stop().await;
    let kept = report_loss(lab, &writes, &new).await?;
    if let Some(fault) = fault {
        fault.heal().await?;
    }

    // 6. The stages, against their clocks.
    judge_stages(lab, &old, &kept);
    Ok(())
}

async fn lose(lab: &Lab, primary: &Arc<Node>) -> Result<Option<Fault>, StepError> {
    let kind = match lab.case() {
        Some("crash") => FaultKind::Crash,
        Some("stop") => FaultKind::Stop,
        Some("hold") => FaultKind::Hold,
        _ => {
            lab.doing("asking for a failover of the node group");
            lab.group().test_failover(NODE_GROUP).await?;
            return Ok(None);
        }
    };
    Ok(Some(lab.inject(kind, primary).await?))
}

/// Waits until the timeline shows a stage; says what was last seen if it does not.
async fn stage(lab: &Lab, old: &Node, what: &str, reached: impl Fn(&Failover) -> bool) -> Result<(), String> {
    let look = || async {
        let failover = lab.recorder().look(|timeline| Failover::read(timeline, old.id()));
        match failover {
            Some(failover) if reached(&failover) => Seen::Ready(()),
            Some(failover) => {
                let named = lab.group().records().targets(EndpointName::Primary);
                Seen::NotYet(format!("primary is {:?}, and the name names {named:?}", failover.new))
            }
            None => Seen::NotYet("nothing began".to_owned()),
        }
    };
    lab.wait(what, STAGE, look).await.map_err(|late| format!("not within {STAGE:?}: {}", late.last_seen))
}

fn happened(expected: &str, result: Result<(), String>) -> Judgement {
    match result {
        Ok(()) => Judgement::of(true, expected, expected),
        Err(why) => Judgement::of(false, expected, why.split(':').next().unwrap_or_default()).evidence(why),
    }
}

async fn write_acknowledged_data(lab: &Lab, primary: &Node) -> Result<(), StepError> {
    let client = lab.primary_client().patient(Duration::from_secs(2));
    for number in 0..KEYS {
        client.ask::<()>(&["SET", &format!("kept:{number}"), &number.to_string()]).await?;
    }
    // On the node itself: WAIT speaks of the writes of its own connection and the stream before them.
    primary.ask::<()>(&["SET", "kept:last", "x"]).await?;
    let replicas: usize = primary.ask(&["WAIT", "1", "900"]).await?;
    if replicas == 0 {
        return Err("no replica acknowledged the data, so nothing can be said about it".into());
    }
    Ok(())
}

async fn count_data(node: &Node) -> Result<usize, StepError> {
    let mut found = 0;
    for number in 0..KEYS {
        let value: Option<String> = node.ask(&["GET", &format!("kept:{number}")]).await?;
        found += usize::from(value == Some(number.to_string()));
    }
    Ok(found)
}

async fn wait_for_return(lab: &Lab, old: &Node, new: &Node) -> Result<(), String> {
    let wanted = new.address().to_string();
    let look = || async {
        match old.info().await {
            Ok(info) if info.get("master_host") == Some(&wanted) && info.link_up() == Some(true) => {
                Seen::Ready(())
            }
            Ok(info) => Seen::NotYet(info.replication()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    };
    let result = lab.wait("the old primary to follow the new one", STAGE, look).await;
    result.map_err(|late| format!("not within {STAGE:?}: {}", late.last_seen))
}

/// An event as a reader of the events sees it: whose it is, and its text.
fn told(event: &GroupEvent) -> String {
    format!("{}: {}", event.source(), event.message)
}

/// The documented texts; a failover that nobody asked for lacks the first.
fn expected_events(case: Option<&str>, old: &Node, new: &Node) -> Vec<String> {
    let (old, new) = (old.id(), new.id());
    let completed = format!("Failover from primary node {old} to replica node {new} completed");
    let all = [
        format!("replication-group: Test Failover API called for node group {NODE_GROUP}"),
        format!("cache-cluster: {completed}"),
        format!("replication-group: {completed}"),
        format!("cache-cluster: Recovering cache nodes {old}"),
        format!("cache-cluster: Finished recovery for cache nodes {old}"),
    ];
    all.into_iter().skip(usize::from(case != Some("test-failover"))).collect()
}

async fn wait_for_events(lab: &Lab, count: usize) -> Vec<String> {
    let messages = || -> Vec<String> { lab.group().events().iter().map(told).collect() };
    let look = || async {
        match messages().len() {
            there if there >= count => Seen::Ready(()),
            there => Seen::NotYet(format!("{there} of {count}")),
        }
    };
    // Late or missing events are for the check to say.
    let _ = lab.wait("the last event", Duration::from_secs(5), look).await;
    messages()
}

/// Acknowledged writes may be lost; what was lost is measured, never assumed.
async fn report_loss(lab: &mut Lab, writes: &[Write], new: &Node) -> Result<BTreeSet<u64>, StepError> {
    let found = writer::found(new, writes).await?;
    let loss = loss(writes, &found);
    let unanswered = writes.iter().filter(|write| write.outcome == WriteOutcome::Indeterminate).count();
    let note = format!(
        "of {} acknowledged; asynchronous replication may lose what no replica had; over {} of writes",
        loss.acknowledged,
        seconds(loss.window)
    );
    lab.measure("acknowledged writes lost", loss.lost as f64, "writes", &note);
    let note = format!("sent and not answered; {} of them turned out applied", loss.indeterminate_applied);
    lab.measure("indeterminate writes", unanswered as f64, "writes", &note);
    Ok(found)
}

fn judge_stages(lab: &mut Lab, old: &Node, kept: &BTreeSet<u64>) {
    let has = |sequence| kept.contains(&sequence);
    let Some(failover) = Failover::read_kept(&lab.timeline(), old.id(), has) else { return };
    let clocks = clocks();
    if lab.case() != Some("test-failover") {
        lab.check("timing.detected", failover.detection(&clocks));
    }
    lab.check("timing.promoted", failover.promotion(&clocks));
    lab.check("timing.repointed", failover.repointing(&clocks));
    lab.check("timing.first-write", failover.first_write(&clocks));
    if failover.restored.is_some() {
        lab.check("timing.redundancy", failover.redundancy(&clocks));
    }
    if let Some(downtime) = failover.downtime() {
        let note = "from the fault to the first write acknowledged again";
        lab.measure("downtime", downtime.as_secs_f64() * 1000.0, "ms", note);
    }
}

#[rstest]
#[case::test_failover("test-failover")]
#[case::crash("crash")]
#[case::stop("stop")]
#[case::hold("hold")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
