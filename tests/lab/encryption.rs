//! What the steps of encryption try at every server's door.

use std::{collections::BTreeSet, sync::Arc};

use failover_lab::{
    StepError,
    certificates::Tls,
    docker::{Access, Attempt, Node},
};
use lab_report::judge::Judgement;

use crate::step::alike;

/// Every one of `nodes` answers a client that speaks TLS like this.
pub(crate) async fn answered(nodes: &[Arc<Node>], client: &Tls) -> Judgement {
    let answers = knock(nodes, |_| client.clone()).await.into_iter().map(|(who, answer)| (who, said(answer)));
    Judgement::equal("PONG", alike(answers.collect()))
}

/// None of `nodes` answers without TLS, on any port that it listens on.
pub(crate) async fn refused_in_plain(nodes: &[Arc<Node>]) -> Result<Judgement, StepError> {
    let (mut seen, mut evidence) = (Vec::new(), Vec::new());
    for node in nodes {
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

/// Every connection of a stranger ends with its own verdict on the certificate that it was shown.
pub(crate) async fn unknown_to(stranger: &Tls, nodes: &[Arc<Node>]) -> Judgement {
    const REFUSES: &str = "the client refuses: the issuer is unknown";
    let refused = knock(nodes, |_| stranger.clone()).await;
    let seen = refused.into_iter().map(|(who, attempt)| match said(attempt) {
        why if why.contains("UnknownIssuer") => (who, REFUSES.to_owned()),
        other => (who, other),
    });
    Judgement::equal(REFUSES, alike(seen.collect()))
}

/// A client that shows no certificate, or a stranger's, is refused by every one of `nodes`.
pub(crate) async fn certificate_required(nodes: &[Arc<Node>], stranger: &Tls) -> Judgement {
    let without = knock(nodes, |own| Tls { shows: None, ..own }).await;
    let with_another = knock(nodes, |own| Tls { shows: stranger.shows.clone(), ..own }).await;
    let refused = |attempt: &Attempt| match attempt {
        Attempt::Refused(_) => "refused",
        Attempt::Answered(_) => "answered",
        Attempt::Silence => "silence",
    };
    let (mut seen, mut evidence) = (Vec::new(), Vec::new());
    for ((who, without), (_, with)) in without.into_iter().zip(with_another) {
        let observed = format!("without one {}, with another's {}", refused(&without), refused(&with));
        evidence.push(format!("{who}: without one: {}; with another's: {}", said(without), said(with)));
        seen.push((who, observed));
    }
    let judgement = Judgement::equal("without one refused, with another's refused", alike(seen));
    evidence.into_iter().fold(judgement, Judgement::evidence)
}

/// What every server says to a client that speaks TLS as `of` makes of the lab's own way.
async fn knock(nodes: &[Arc<Node>], of: impl Fn(Tls) -> Tls) -> Vec<(String, Attempt)> {
    let mut seen = Vec::new();
    for node in nodes {
        let own = node.access().clone();
        let access = Access { tls: own.tls.map(&of), ..own };
        seen.push((node.id().to_string(), node.knock(&access).await));
    }
    seen
}

/// An attempt in words.
pub(crate) fn said(attempt: Attempt) -> String {
    match attempt {
        Attempt::Answered(answer) => answer,
        // A client may say it on several lines, and more than once.
        Attempt::Refused(why) => {
            let lines: BTreeSet<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            lines.into_iter().collect::<Vec<_>>().join("; ")
        }
        Attempt::Silence => "silence".to_owned(),
    }
}
