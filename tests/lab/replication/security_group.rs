use failover_lab::{
    Lab,
    docker::{Attempt, Bystander, DockerError, Network, Node},
    replicated,
    topology::replicated::Ingress,
};
use futures_util::future::try_join_all;
use lab_report::judge::Judgement;

use crate::step::{Outcome, step};

step!("q5", "security-group", replicated(2), security_group);

/// The application's network gets in, a stranger does not.
///
/// 1. A client on the application's network pings every node.
/// 2. A client on another network, with the same tool, gets nothing from any of them.
async fn security_group(lab: &mut Lab) -> Outcome {
    let docker = lab.docker().clone();
    let outside = Network::create(&docker, &format!("{}-outside", lab.network().name())).await?;
    // What the group's ingress rules let in decides where each of the two finds itself.
    let inside = lab.network().clone();
    let (app_network, stranger_network) = match lab.group().topology().ingress {
        Ingress::AppOnly => (&inside, &outside),
        Ingress::Open => (&inside, &inside),
        Ingress::Closed => (&outside, &outside),
    };

    // 1. The application.
    let app = Bystander::join(&docker, app_network, "app").await?;
    let answers = ping_all(lab, &app).await?;
    let answered = answers.iter().filter(|answer| matches!(answer, Attempt::Answered(_))).count();
    let expected = format!("PONG from {} nodes", answers.len());
    let observed = format!("PONG from {answered} nodes");
    lab.check("network.app-reaches", Judgement::equal(expected, observed).evidence(format!("{answers:?}")));

    // 2. The stranger; his tool works, because he reaches himself with it.
    let stranger = Bystander::join(&docker, stranger_network, "stranger").await?;
    let answers = ping_all(lab, &stranger).await?;
    let answered = answers.iter().filter(|answer| matches!(answer, Attempt::Answered(_))).count();
    let works = stranger.tool_works().await?;
    let observed = format!("PONG from {answered} nodes");
    let judgement = match works {
        true => Judgement::equal("PONG from 0 nodes", observed).evidence(format!("{answers:?}")),
        false => Judgement::unknown("PONG from 0 nodes", "the stranger's own tool does not work"),
    };
    lab.check("network.outsider-refused", judgement);

    app.leave().await?;
    stranger.leave().await?;
    outside.remove(&docker).await?;
    Ok(())
}

async fn ping_all(lab: &Lab, from: &Bystander) -> Result<Vec<Attempt>, DockerError> {
    let nodes = lab.group().nodes();
    try_join_all(nodes.iter().map(|node| ping(from, node))).await
}

/// A way in is open when it answers three times running. Docker takes its isolation rules away and puts
/// them back whenever any network of the machine is made or removed, and one packet may slip through.
async fn ping(from: &Bystander, node: &Node) -> Result<Attempt, DockerError> {
    for _ in 0..2 {
        match from.ping(node).await? {
            Attempt::Answered(_) => {}
            other => return Ok(other),
        }
    }
    from.ping(node).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
