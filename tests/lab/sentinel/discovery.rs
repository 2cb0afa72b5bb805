use failover_lab::{Lab, Sentinels, docker::Node, sentinel::Flag, sentinels};
use lab_report::judge::Judgement;

use crate::step::{Outcome, alike, step};

step!("sentinel", "discovery", sentinels(3).replicas(2), discovery, needs []);

/// Every sentinel knows the whole deployment, though each was told of the primary only.
///
/// 1. `SENTINEL MASTER`: the primary, up.
/// 2. `SENTINEL REPLICAS`: both replicas, up, with their links.
/// 3. `SENTINEL SENTINELS`: the other two, up.
/// 4. `SENTINEL CKQUORUM`: enough of them to agree and to authorise.
/// 5. A client that asks any of them is sent to the primary.
async fn discovery(lab: &mut Lab<Sentinels>) -> Outcome {
    let sentinels = lab.deployment().sentinels().to_vec();
    let primary = lab.deployment().first_primary().clone();
    let name = lab.deployment().name().to_owned();
    let (mut masters, mut replicas, mut others, mut quorum, mut sent) =
        (vec![], vec![], vec![], vec![], vec![]);
    for sentinel in &sentinels {
        let of = |what: String| (sentinel.id().to_string(), what);
        let group = lab.deployment();
        let master = group.master(sentinel).await?;
        masters.push(of(if master.is_only(Flag::Primary) { "up" } else { "not up" }.to_owned()));
        let listed = group.replicas(sentinel).await?;
        let good =
            listed.iter().filter(|replica| replica.is_only(Flag::Replica) && replica.link_up()).count();
        replicas.push(of(format!("{} replicas, {good} up", listed.len())));
        let listed = group.others(sentinel).await?;
        let good = listed.iter().filter(|other| other.is_only(Flag::Sentinel)).count();
        others.push(of(format!("{} others, {good} up", listed.len())));
        // How many sentinels it counts is another claim's.
        let answer = ckquorum(sentinel, &name).await;
        quorum.push(of(answer.split_once("Sentinels. ").map_or(answer.clone(), |(_, rest)| rest.to_owned())));
        let answer = sentinel.ask::<(String, u16)>(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &name]).await;
        sent.push(of(match answer {
            Ok((address, port)) if primary.is_at(&address, port) => "the primary".to_owned(),
            Ok((address, port)) => format!("{address}:{port}"),
            Err(error) => error.to_string(),
        }));
    }

    // 1. to 4.
    let promised = lab.promised((STEP.topology)());
    let (all, rest) = (promised.replicas, promised.sentinels - 1);
    lab.check("discovery.primary", Judgement::equal("up", alike(masters)));
    lab.check("discovery.replicas", Judgement::equal(format!("{all} replicas, {all} up"), alike(replicas)));
    lab.check("discovery.sentinels", Judgement::equal(format!("{rest} others, {rest} up"), alike(others)));
    let enough = "Quorum and failover authorization can be reached";
    lab.check("discovery.quorum", Judgement::equal(enough, alike(quorum)));

    // 5. As a client sees it.
    lab.check("discovery.clients", Judgement::equal("the primary", alike(sent)));
    Ok(())
}

/// Its answer, or its error: both are what an operator reads.
pub(super) async fn ckquorum(sentinel: &Node, name: &str) -> String {
    match sentinel.ask::<String>(&["SENTINEL", "CKQUORUM", name]).await {
        Ok(answer) => answer,
        Err(failover_lab::docker::NodeError::Command { source, .. }) => {
            format!("{} {}", source.code().unwrap_or_default(), source.detail().unwrap_or_default())
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
