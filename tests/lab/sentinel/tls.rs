use std::sync::Arc;

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{FaultKind, Node},
    info::Connection,
    sentinels,
    wait::Seen,
};
use lab_report::judge::Judgement;

use super::{
    clocks,
    manual_failover::{some_writes, writes_reach},
    seen::{STAGE, happened, replaced, stage, successor},
};
use crate::{
    encryption::{answered, certificate_required, refused_in_plain, unknown_to},
    step::{Outcome, alike, step},
};

step!("sentinel", "tls", sentinels(3).replicas(2).tls(), tls);

/// Every link runs under TLS, and a failover works under it.
///
/// 1. A client that trusts the deployment's own authority is answered by every server.
/// 2. Without TLS nobody is, on any port that a server listens on.
/// 3. A client that trusts another authority refuses every server.
/// 4. A client that shows no certificate, or another authority's, is refused by every server.
/// 5. The replication links are made anew: they and the sentinels' end at ports that speak TLS only.
/// 6. The primary crashes: a replica is promoted in the usual time, and a client that writes follows.
async fn tls(lab: &mut Lab<Sentinels>) -> Outcome {
    let certificates = lab.deployment().certificates().ok_or("the deployment has no certificates")?;
    let (client, stranger) = (certificates.client(), certificates.stranger()?);
    let servers: Vec<Arc<Node>> =
        lab.deployment().data().iter().chain(lab.deployment().sentinels()).cloned().collect();

    // 1. Answered.
    lab.check("tls.answers", answered(&servers, &client).await);

    // 2. Without TLS.
    lab.check("tls.plaintext-refused", refused_in_plain(&servers).await?);

    // 3. Whom the client does not trust.
    lab.check("tls.authority-trusted", unknown_to(&stranger, &servers).await);

    // 4. Whom the servers do not trust.
    lab.check("tls.client-certificate", certificate_required(&servers, &stranger).await);

    // 5. Links.
    let links = links(lab).await?;
    lab.check("tls.links", links);

    // 6. Failover.
    let old = Arc::clone(lab.deployment().first_primary());
    let writer = lab.start_writing();
    some_writes(lab).await?;
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let promoted = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await;
    if let Err(why) = promoted {
        lab.check("tls.promoted", happened("promoted in time", Err(why)));
        return Ok(());
    }
    let election = replaced(lab, &old).await?;
    lab.check("tls.promoted", election.promotion(&clocks(&(STEP.topology)())));
    let new = successor(lab, &election)?;
    let followed = writes_reach(lab, &new).await;
    lab.check("tls.client-follows", happened("acknowledged by the new primary", followed));
    writer.stop().await;
    Ok(())
}

/// A link that is up may be older than the settings, so the replicas have to make theirs again.
async fn links(lab: &Lab<Sentinels>) -> Result<Judgement, StepError> {
    let (data, sentinels) = (lab.deployment().data(), lab.deployment().sentinels());
    let wanted = format!(
        "at the primary {} replicas and {} sentinels, at each sentinel 0 replicas and {} sentinels",
        data.len() - 1,
        sentinels.len(),
        sentinels.len() - 1
    );
    lab.doing("closing the replication links");
    lab.deployment().first_primary().ask::<redis::Value>(&["CLIENT", "KILL", "TYPE", "replica"]).await?;
    let made = lab.wait("every link to be there again", STAGE, async || match linked(lab).await {
        Ok(seen) if seen == wanted => Seen::Ready(()),
        Ok(seen) => Seen::NotYet(seen),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    let observed = made.await.map_or_else(|late| late.last_seen, |()| wanted.clone());
    Ok(Judgement::equal(wanted, observed))
}

async fn linked(lab: &Lab<Sentinels>) -> Result<String, StepError> {
    let primary = connected(lab.deployment().first_primary()).await?;
    let mut at_sentinels = Vec::new();
    for sentinel in lab.deployment().sentinels() {
        at_sentinels.push((sentinel.id().to_string(), connected(sentinel).await?));
    }
    Ok(format!("at the primary {primary}, at each sentinel {}", alike(at_sentinels)))
}

/// Replicas and sentinels among a server's clients, and whoever is connected to another port than the one
/// that speaks TLS (`laddr`).
async fn connected(node: &Node) -> Result<String, StepError> {
    let listed = Connection::listed(&node.ask::<String>(&["CLIENT", "LIST"]).await?);
    let replicas = listed.iter().filter(|client| client.is_replica()).count();
    let sentinels = listed.iter().filter(|client| client.is_sentinel()).count();
    let elsewhere = listed.iter().filter(|client| client.port != Some(node.port())).count();
    let elsewhere = if elsewhere > 0 { format!(" ({elsewhere} at another port)") } else { String::new() };
    Ok(format!("{replicas} replicas and {sentinels} sentinels{elsewhere}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
