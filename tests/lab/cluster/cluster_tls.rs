use std::sync::Arc;

use failover_lab::{
    Clusters, Lab, StepError,
    client::Client,
    cluster::{ClusterClient, Lane, View},
    docker::{Attempt, Node, ping_buses},
};
use lab_report::{
    Slot,
    judge::{Judgement, Redirection, met},
};

use super::{
    cluster_acl::{APP, deployment},
    cluster_creation::agreement,
    redirections::begin,
    seen::{outcome, redirected_so_far},
};
use crate::{
    admission::PATIENCE,
    encryption::{answered, certificate_required, refused_in_plain, said, unknown_to},
    step::{Outcome, alike, step},
};

step!("cluster", "cluster-tls", deployment().unformed(), cluster_tls);

/// Two of the application's keys, in one slot: one is there before the slot moves, one is written on its way.
const BEFORE: &str = "failover-lab:{policy}:before";
const MEANWHILE: &str = "failover-lab:{policy}:meanwhile";

/// A cluster is made of nodes that speak TLS and ask for a password, every link of it does so, and a client that is
/// sent around in it arrives.
///
/// 1. `redis-cli --tls --cluster create`: every node takes the cluster to be whole, and all see the same.
/// 2. A client that trusts the cluster's own authority is answered by every node.
/// 3. Without TLS nobody is, on any port that a node listens on.
/// 4. A client that trusts another authority refuses every node.
/// 5. A client that shows no certificate, or another authority's, is refused by every node.
/// 6. Every node is linked to every other, and every replica has its primary's data.
/// 7. No node's bus answers what its nodes send each other when that comes without TLS.
/// 8. A slot moves while the application uses it, as its own user: it is sent after its keys.
async fn cluster_tls(lab: &mut Lab<Clusters>) -> Outcome {
    let certificates = lab.deployment().certificates().ok_or("the cluster has no certificates")?;
    let (client, stranger) = (certificates.client(), certificates.stranger()?);
    let nodes = lab.deployment().members().to_vec();

    // 1. Made.
    lab.doing("redis-cli --tls --cluster create");
    let printed = lab.deployment().create().await?;
    let agreed = agreement(lab).await;
    let seen = agreed.as_ref().map_or_else(|late| late.clone(), |_| "the same, and whole".to_owned());
    let agree = Judgement::equal("the same, and whole", seen);
    if !lab.check("tls.created", agree.evidence(printed.lines().last().unwrap_or_default())) {
        return Ok(());
    }
    let view = agreed?;

    // 2. Answered.
    lab.check("tls.answers", answered(&nodes, &client).await);

    // 3. Without TLS.
    lab.check("tls.plaintext-refused", refused_in_plain(&nodes).await?);

    // 4. Whom the client does not trust.
    lab.check("tls.authority-trusted", unknown_to(&stranger, &nodes).await);

    // 5. Whom the servers do not trust.
    lab.check("tls.client-certificate", certificate_required(&nodes, &stranger).await);

    // 6. Links.
    let linked = "every node to every other, and every replica to its primary";
    let stands = lab.deployment().stands().await;
    let observed = stands.map_or_else(|late| late.last_seen, |()| linked.to_owned());
    lab.check("tls.links", Judgement::equal(linked, observed));

    // 7. The bus. A node that does not encrypt it sends keys to others without TLS as well, and in vain.
    let bus = bus_in_plain(lab, &nodes).await?;
    if !lab.check("tls.bus", bus) {
        return Ok(());
    }

    // 8. Sent around.
    let redirected = redirected(lab, &view).await?;
    lab.check("tls.redirected", redirected);
    Ok(())
}

/// What comes of a ping of the bus's own without TLS, at every node.
async fn bus_in_plain(lab: &Lab<Clusters>, nodes: &[Arc<Node>]) -> Result<Judgement, StepError> {
    let attempts = ping_buses(lab.docker(), &*nodes[0], nodes).await?;
    let (mut seen, mut evidence) = (Vec::new(), Vec::new());
    for (node, attempt) in nodes.iter().zip(attempts) {
        let answers = matches!(attempt, Attempt::Answered(_));
        seen.push((node.id().to_string(), if answers { "answers" } else { "does not answer" }.to_owned()));
        evidence.push(format!("{}: {}", node.id(), said(attempt)));
    }
    let judgement = Judgement::equal("does not answer", alike(seen));
    Ok(evidence.into_iter().fold(judgement, Judgement::evidence))
}

/// How an application fares that knows where a slot was when the slot moves: what its owner says to those who ask it,
/// the calls that were not answered, and what the application itself was told.
async fn redirected(lab: &Lab<Clusters>, view: &View) -> Result<Judgement, StepError> {
    let cluster = lab.deployment();
    let slot = Slot::of(BEFORE);
    let owner = view.owner(slot).ok_or("nobody has the slot")?;
    let other = view.shards().find(|other| other.id != owner.id).ok_or("there is one shard")?;
    let node = |id: &str| cluster.named(id).cloned().ok_or_else(|| format!("{id} is no node"));
    let (from, to) = (node(&owner.id)?, node(&other.id)?);
    let app = cluster.client_as(APP).await?;
    let at_owner = Client::of_node_as(&from, &cluster.access(APP)?).patient(PATIENCE);

    let mut failed = call(&app, &["SET", BEFORE, "x"]).await;
    begin(lab, slot, &from, &to).await?;
    let on_its_way = outcome(&at_owner, &["GET", MEANWHILE]).await;
    let before = redirected_so_far(lab).await?;
    failed.extend(call(&app, &["SET", MEANWHILE, "x"]).await);
    failed.extend(call(&app, &["GET", BEFORE]).await);
    lab.doing("moving the slot");
    cluster.reshard(&[Lane { from, to, slots: vec![slot] }], |_| ()).await?;
    failed.extend(call(&app, &["GET", BEFORE]).await);
    failed.extend(call(&app, &["GET", MEANWHILE]).await);
    let told = redirected_so_far(lab).await?.since(before);
    let arrived = outcome(&at_owner, &["GET", MEANWHILE]).await;

    let fared = if failed.is_empty() { "every call is answered".to_owned() } else { failed.join(", ") };
    let observed = format!("told {on_its_way}, then {arrived}; {fared}");
    let judgement = Judgement::equal("told ASK, then MOVED; every call is answered", observed);
    Ok(met(judgement, told, &[Redirection::Ask, Redirection::Moved]))
}

/// What is wrong with the answer to a call about a key that is there, or is to be.
async fn call(app: &ClusterClient, command: &[&str]) -> Vec<String> {
    let wrong = match app.ask::<Option<String>>(command).await {
        Ok(Some(_)) => return Vec::new(),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    };
    vec![format!("{}: {wrong}", command.join(" "))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
