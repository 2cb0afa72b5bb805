use std::time::Duration;

use failover_lab::{
    Lab, StepError,
    client::Client,
    info::{Info, ReplicaLine},
    replicated,
    wait::Seen,
};
use lab_report::{evidence::Role, judge::Judgement};

use crate::step::{Outcome, step};

step!("q5", "replication-status", replicated(2), replication_status);

/// Replicas acknowledge once a second (`replicationCron`); twice that, and a busy machine's share.
const ACKNOWLEDGED: Duration = Duration::from_secs(3);
/// A replica connects at once, and tries again once a second (`replicationCron`).
const LISTED: Duration = Duration::from_millis(1500);
/// 1 MiB, the default of `repl-backlog-size`.
const BACKLOG: u64 = 1 << 20;

/// `INFO replication` tells how replication stands.
///
/// 1. The node behind the primary endpoint is a primary and lists two replicas, online.
/// 2. Its backlog is large enough for a short cut.
/// 3. Some writes make its offset larger, and every replica acknowledges more than it had before.
async fn replication_status(lab: &mut Lab) -> Outcome {
    let primary = lab.primary_client().patient(Duration::from_secs(1));

    // 1. Role and replicas.
    // A replica that has just been told whom to follow is listed within a second; what is judged is what is
    // there then.
    let listed = lab.wait("two replicas to be listed", LISTED, async || match replication(&primary).await {
        Ok(info) if info.replicas().len() == 2 => Seen::Ready(()),
        Ok(info) => Seen::NotYet(info.replication()),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    let _ = listed.await;
    let info = replication(&primary).await?;
    let role = info.get("role").unwrap_or("absent");
    if !lab.check("status.role", Judgement::equal("master", role).evidence(info.replication())) {
        return Ok(());
    }
    let connected = info.get("connected_slaves").unwrap_or("absent");
    lab.check("status.connected", Judgement::equal("2", connected).evidence(info.replication()));
    let states: Vec<String> = info.replicas().into_iter().map(|replica| replica.state).collect();
    let online = !states.is_empty() && states.iter().all(|state| state == "online");
    lab.check(
        "status.online",
        Judgement::of(online, "all online", if online { "all online".to_owned() } else { states.join(", ") }),
    );

    // 2. The backlog.
    let size: u64 = info.number("repl_backlog_size").unwrap_or(0);
    lab.check(
        "status.backlog",
        Judgement::of(size >= BACKLOG, "at least 1048576 bytes", format!("{size} bytes")),
    );

    // 3. Offsets increase.
    let before = replication(&primary).await?;
    for number in 0..100 {
        primary.ask::<()>(&["SET", &format!("offset:{number}"), "x"]).await?;
    }
    let end = replication(&primary).await?.offset();
    let increased =
        lab.wait("every online replica to acknowledge the stream's end", ACKNOWLEDGED, async || {
            match replication(&primary).await {
                Ok(now) => stands_still(&before, end, &now).map_or(Seen::Ready(()), Seen::NotYet),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
    let expected = "the primary's offset increases, and every online replica's with it";
    let observed = increased.await.map_or_else(|late| late.last_seen, |()| expected.to_owned());
    let judgement = Judgement::equal(expected, observed);
    lab.check("status.offsets", judgement.evidence(format!("from {} to {end}", before.replication())));
    Ok(())
}

/// Whose offset is not beyond what it was `before`, or a replica's not at the `end` of the stream; none if all are.
fn stands_still(before: &Info, end: u64, now: &Info) -> Option<String> {
    if now.role() != Role::Primary {
        return Some("it is no primary any more".to_owned());
    }
    if end <= before.offset() {
        return Some("the primary's own offset stands still".to_owned());
    }
    let online: Vec<ReplicaLine> = now.replicas().into_iter().filter(ReplicaLine::is_online).collect();
    if online.is_empty() {
        return Some("no replica is online".to_owned());
    }
    let earlier = before.replicas();
    let had = |replica: &ReplicaLine| {
        let same = earlier.iter().find(|line| line.ip == replica.ip);
        same.map_or(0, |line| line.offset)
    };
    online.iter().find_map(|replica| match replica.offset {
        offset if offset < end => Some(format!("a replica stays {} bytes behind", end - offset)),
        offset if offset <= had(replica) => Some("a replica's offset stands still".to_owned()),
        _ => None,
    })
}

async fn replication(client: &Client) -> Result<Info, StepError> {
    Ok(Info::parse(&client.ask::<String>(&["INFO", "replication"]).await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
