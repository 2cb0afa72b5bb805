use std::time::Duration;

use failover_lab::{
    Lab,
    client::Client,
    docker::FaultKind,
    replicated,
    wait::{Seen, pass},
};
use lab_report::judge::Judgement;

use crate::step::{Outcome, step};

step!("q5", "stale-address", replicated(2), stale_address);

const TRIES: usize = 10;
const ACKNOWLEDGED: &str = "acknowledged";
/// Ten tries take half a second: over before a dead primary is missed, and longer than the name's time to live.
const APART: Duration = Duration::from_millis(50);
/// More than an answer takes on a busy machine; nobody waits for a dead one, because its host resets connections.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client that caches the address stays lost, one that resolves again recovers.
///
/// 1. Two clients write through the primary endpoint; one keeps the address that it resolved.
/// 2. Crash the primary: nothing that the first client writes meanwhile is acknowledged. Wait until it is back, as a
///    replica.
/// 3. The first client gets through to it, and is refused every time; the second writes.
async fn stale_address(lab: &mut Lab) -> Outcome {
    // 1. Two clients.
    let client = || lab.primary_client().patient(PATIENCE);
    let caching = client().caching_the_address(lab.group().records());
    let resolving = client();
    for client in [&caching, &resolving] {
        client.ask::<()>(&["SET", "before", "the failover"]).await?;
    }

    // 2. A failover, to its end.
    let old = lab.group().primary();
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let meanwhile = try_to_write(&caching).await;
    let recovered = lab.wait("the old primary to be back", Duration::from_secs(12), async || {
        match lab.group().events().last() {
            Some(event) if event.message.starts_with("Finished recovery") => Seen::Ready(()),
            last => Seen::NotYet(format!("{last:?}")),
        }
    });
    recovered.await?;
    fault.heal().await?;

    // 3. Who writes again.
    let afterwards = try_to_write(&caching).await;
    let told = |acknowledged, refused| {
        format!("{acknowledged} acknowledged in the outage, {refused} refused with READONLY after it")
    };
    let observed = told(count(&meanwhile, ACKNOWLEDGED), count(&afterwards, "READONLY"));
    lab.check(
        "stale.caching-fails",
        Judgement::equal(told(0, TRIES), observed)
            .evidence(format!("in the outage: {}", meanwhile.join(", ")))
            .evidence(format!("after it: {}", afterwards.join(", "))),
    );
    let afterwards = try_to_write(&resolving).await;
    // One try may tell it that its connection has gone; the next one makes another, and resolves for that.
    let written = count(&afterwards[1..], ACKNOWLEDGED);
    let told = |written| format!("{written} of {} writes acknowledged", TRIES - 1);
    lab.check(
        "stale.resolving-recovers",
        Judgement::equal(told(TRIES - 1), told(written)).evidence(afterwards.join(", ")),
    );
    Ok(())
}

/// What came of each try: that it was acknowledged, or the class of its error.
async fn try_to_write(client: &Client) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..TRIES {
        let answer = client.ask::<()>(&["SET", "after", "the failover"]).await;
        answers.push(answer.map_or_else(|error| error.class(), |()| ACKNOWLEDGED.to_owned()));
        pass(APART).await;
    }
    answers
}

fn count(answers: &[String], wanted: &str) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
