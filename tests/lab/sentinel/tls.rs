use std::{collections::BTreeMap, sync::Arc};

use failover_lab::{
    Lab, Sentinels, StepError,
    certificates::Tls,
    docker::{Access, Attempt, FaultKind, Node},
    sentinels,
    wait::Seen,
};
use lab_report::judge::Judgement;

use super::{
    clocks,
    manual_failover::{some_writes, writes_reach},
    seen::{STAGE, happened, replaced, stage, successor},
};
use crate::step::{Outcome, alike, step};

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

    // 1. Answered.
    let answers = knock(lab, |_| client.clone()).await.into_iter().map(|(who, answer)| (who, said(answer)));
    lab.check("tls.answers", Judgement::equal("PONG", alike(answers.collect())));

    // 2. Without TLS.
    let plaintext = plaintext(lab).await?;
    lab.check("tls.plaintext-refused", plaintext);

    // 3. Whom the client does not trust.
    let refused = knock(lab, |_| stranger.clone()).await;
    lab.check("tls.authority-trusted", unknown_issuer(refused));

    // 4. Whom the servers do not trust.
    let without = knock(lab, |own| Tls { shows: None, ..own }).await;
    let with_another = knock(lab, |own| Tls { shows: stranger.shows.clone(), ..own }).await;
    lab.check("tls.client-certificate", certificate_required(without, with_another));

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

fn servers(lab: &Lab<Sentinels>) -> impl Iterator<Item = &Arc<Node>> {
    lab.deployment().data().iter().chain(lab.deployment().sentinels())
}

/// What every server says to a client that speaks TLS as `of` makes of the lab's own way.
async fn knock(lab: &Lab<Sentinels>, of: impl Fn(Tls) -> Tls) -> Vec<(String, Attempt)> {
    let mut seen = Vec::new();
    for node in servers(lab) {
        let own = node.access().clone();
        let access = Access { tls: own.tls.map(&of), ..own };
        seen.push((node.id().to_string(), node.knock(&access).await));
    }
    seen
}

fn said(attempt: Attempt) -> String {
    match attempt {
        Attempt::Answered(answer) => answer,
        Attempt::Refused(why) => why,
        Attempt::Silence => "silence".to_owned(),
    }
}

async fn plaintext(lab: &Lab<Sentinels>) -> Result<Judgement, StepError> {
    let (mut seen, mut evidence) = (Vec::new(), Vec::new());
    for node in servers(lab) {
        let tried = node.tried_in_plain().await?;
        let answering: Vec<_> = tried
            .iter()
            .filter(|(_, attempt)| matches!(attempt, Attempt::Answered(_)))
            .map(|(port, _)| port.to_string())
            .collect();
        let observed = match (tried.is_empty(), answering.is_empty()) {
            (true, _) => "no port is open".to_owned(),
            (false, true) => "no port answers".to_owned(),
            (false, false) => format!("port {} answers", answering.join(", ")),
        };
        seen.push((node.id().to_string(), observed));
        evidence.extend(
            tried.into_iter().map(|(port, attempt)| format!("{}, port {port}: {}", node.id(), said(attempt))),
        );
    }
    let judgement = Judgement::equal("no port answers", alike(seen));
    Ok(evidence.into_iter().fold(judgement, Judgement::evidence))
}

/// Every connection ended with the client's own verdict on the certificate that it was shown.
fn unknown_issuer(seen: Vec<(String, Attempt)>) -> Judgement {
    const REFUSES: &str = "the client refuses: the issuer is unknown";
    let seen = seen.into_iter().map(|(who, attempt)| match said(attempt) {
        why if why.contains("UnknownIssuer") => (who, REFUSES.to_owned()),
        other => (who, other),
    });
    Judgement::equal(REFUSES, alike(seen.collect()))
}

fn certificate_required(without: Vec<(String, Attempt)>, with: Vec<(String, Attempt)>) -> Judgement {
    let refused = |attempt: &Attempt| match attempt {
        Attempt::Refused(_) => "refused",
        Attempt::Answered(_) => "answered",
        Attempt::Silence => "silence",
    };
    let (mut seen, mut evidence) = (Vec::new(), Vec::new());
    for ((who, without), (_, with)) in without.into_iter().zip(with) {
        let observed = format!("without one {}, with another's {}", refused(&without), refused(&with));
        evidence.push(format!("{who}: without one: {}; with another's: {}", said(without), said(with)));
        seen.push((who, observed));
    }
    let judgement = Judgement::equal("without one refused, with another's refused", alike(seen));
    evidence.into_iter().fold(judgement, Judgement::evidence)
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
    let list: String = node.ask(&["CLIENT", "LIST"]).await?;
    let (port, mut replicas, mut sentinels, mut elsewhere) = (format!(":{}", node.port()), 0, 0, 0);
    for client in list.lines() {
        let fields: BTreeMap<&str, &str> =
            client.split(' ').filter_map(|field| field.split_once('=')).collect();
        let field = |name| fields.get(name).copied().unwrap_or_default();
        replicas += usize::from(field("flags").contains('S'));
        sentinels += usize::from(field("name").starts_with("sentinel-") && field("name").ends_with("-cmd"));
        elsewhere += usize::from(!field("laddr").ends_with(&port));
    }
    let elsewhere = if elsewhere > 0 { format!(" ({elsewhere} at another port)") } else { String::new() };
    Ok(format!("{replicas} replicas and {sentinels} sentinels{elsewhere}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
