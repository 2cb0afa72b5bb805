use std::time::Duration;

use failover_lab::{Lab, StepError, client::Client, info::Info, replicated, wait::Seen};
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
/// 3. After some writes every replica has acknowledged the new end of the stream.
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

    // 3. Offsets follow.
    for number in 0..100 {
        primary.ask::<()>(&["SET", &format!("offset:{number}"), "x"]).await?;
    }
    let end = replication(&primary).await?.offset();
    let followed =
        lab.wait("every online replica to acknowledge the stream's end", ACKNOWLEDGED, async || {
            match replication(&primary).await {
                Ok(info) if info.role() != Role::Primary => {
                    Seen::NotYet("it is no primary any more".to_owned())
                }
                Ok(info) => {
                    let mut online = info.replicas().into_iter().filter(|replica| replica.state == "online");
                    let online: Vec<_> = online.by_ref().collect();
                    if online.is_empty() {
                        return Seen::NotYet("no replica is online".to_owned());
                    }
                    match online.iter().find(|replica| replica.offset < end) {
                        None => Seen::Ready(()),
                        Some(behind) => {
                            Seen::NotYet(format!("a replica stays {} bytes behind", end - behind.offset))
                        }
                    }
                }
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
    let expected = "every online replica reaches the stream's end";
    let observed = followed.await.map_or_else(|late| late.last_seen, |()| expected.to_owned());
    lab.check("status.offsets", Judgement::equal(expected, observed));
    Ok(())
}

async fn replication(client: &Client) -> Result<Info, StepError> {
    Ok(Info::parse(&client.ask::<String>(&["INFO", "replication"]).await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
