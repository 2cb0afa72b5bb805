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
/// Apart by more than the name's time to live, so that the last tries resolve again.
const APART: Duration = Duration::from_millis(50);

/// A client that caches the address stays lost, one that resolves again recovers.
///
/// 1. Two clients write through the primary endpoint; one keeps the address that it resolved.
/// 2. Crash the primary, and wait until it is back, as a replica.
/// 3. The first client is refused every time; the second writes.
async fn stale_address(lab: &mut Lab) -> Outcome {
    // 1. Two clients.
    let caching = lab.primary_client().caching_the_address(lab.group().records());
    let resolving = lab.primary_client();
    for client in [&caching, &resolving] {
        client.ask::<()>(&["SET", "before", "the failover"]).await?;
    }

    // 2. A failover, to its end.
    let old = lab.group().primary();
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let recovered = lab.wait("the old primary to be back", Duration::from_secs(12), async || {
        match lab.group().events().last() {
            Some(event) if event.message.starts_with("Finished recovery") => Seen::Ready(()),
            last => Seen::NotYet(format!("{last:?}")),
        }
    });
    recovered.await?;
    fault.heal().await?;

    // 3. Who writes again.
    let written = try_to_write(&caching).await;
    let observed = if written == 0 {
        "no write acknowledged".to_owned()
    } else {
        format!("{written} of {TRIES} acknowledged")
    };
    lab.check("stale.caching-fails", Judgement::equal("no write acknowledged", observed));
    let written = try_to_write(&resolving).await;
    let observed = if written > 0 { "it writes again" } else { "no write acknowledged" };
    lab.check("stale.resolving-recovers", Judgement::equal("it writes again", observed));
    Ok(())
}

async fn try_to_write(client: &Client) -> usize {
    let mut written = 0;
    for _ in 0..TRIES {
        written += usize::from(client.ask::<()>(&["SET", "after", "the failover"]).await.is_ok());
        pass(APART).await;
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
