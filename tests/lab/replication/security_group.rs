use failover_lab::{
    Lab,
    docker::{Attempt, Bystander, DockerError, Network, Node},
    group::Rules,
    replicated,
};
use futures_util::future::try_join_all;
use lab_report::judge::Judgement;

use crate::step::{Outcome, step};

step!("q5", "security-group", replicated(2), security_group);

/// Attempts that have to agree, and how often they may be made again.
const AGREE: usize = 3;
const ROUNDS: usize = 3;

/// The application's network gets in, a stranger does not.
///
/// 1. A client on the application's network pings every node.
/// 2. A client on another network, with the same tool, gets nothing from any of them.
async fn security_group(lab: &mut Lab) -> Outcome {
    let docker = lab.docker().clone();
    let outside = Network::create(&docker, &format!("{}-outside", lab.network().name())).await?;
    let app = Bystander::join(&docker, lab.network(), "app").await?;
    let stranger = Bystander::join(&docker, &outside, "stranger").await?;
    let rules = lab.group().enforce(&app, &outside).await?;

    // 1. The application.
    let tried = ping_all(lab, &rules, &app).await?;
    lab.check("network.app-reaches", tried.judge(tried.nodes));

    // 2. The stranger; his tool works, because he reaches himself with it.
    let tried = ping_all(lab, &rules, &stranger).await?;
    let judgement = match stranger.tool_works().await? {
        true => tried.judge(0),
        false => Judgement::unknown("PONG from 0 nodes", "the stranger's own tool does not work"),
    };
    lab.check("network.outsider-refused", judgement);

    rules.lift().await?;
    app.leave().await?;
    stranger.leave().await?;
    outside.remove(&docker).await?;
    Ok(())
}

/// What trying every node came to.
struct Tried {
    nodes: usize,
    open: usize,
    undecided: usize,
    attempts: Vec<String>,
}

async fn ping_all(lab: &Lab, rules: &Rules, from: &Bystander) -> Result<Tried, DockerError> {
    let nodes = lab.group().nodes();
    let all = try_join_all(nodes.iter().map(|node| ping(from, node, rules))).await?;
    Ok(Tried {
        nodes: nodes.len(),
        open: all.iter().filter(|(open, _)| *open == Some(true)).count(),
        undecided: all.iter().filter(|(open, _)| open.is_none()).count(),
        attempts: nodes
            .iter()
            .zip(&all)
            .map(|(node, (_, attempts))| format!("{}: {attempts:?}", node.id()))
            .collect(),
    })
}

/// Three attempts that agree say whether a way in is open; nothing does if none of three rounds agrees.
/// Docker takes its isolation rules away and puts them back whenever any network of the machine is made
/// or removed, and one packet may slip through.
async fn ping(
    from: &Bystander,
    node: &Node,
    rules: &Rules,
) -> Result<(Option<bool>, Vec<Attempt>), DockerError> {
    let mut attempts = Vec::new();
    for _ in 0..ROUNDS {
        let mut answered = 0;
        for _ in 0..AGREE {
            let attempt = knock(from, node, rules).await?;
            answered += usize::from(matches!(attempt, Attempt::Answered(_)));
            attempts.push(attempt);
        }
        if answered == 0 || answered == AGREE {
            return Ok((Some(answered == AGREE), attempts));
        }
    }
    Ok((None, attempts))
}

/// Tries one address of the node's after the other, until one answers.
async fn knock(from: &Bystander, node: &Node, rules: &Rules) -> Result<Attempt, DockerError> {
    let mut last = Attempt::Silence;
    for address in rules.addresses(node) {
        last = from.ping_at(node, address).await?;
        if matches!(last, Attempt::Answered(_)) {
            break;
        }
    }
    Ok(last)
}

impl Tried {
    fn judge(&self, expected: usize) -> Judgement {
        let expected = format!("PONG from {expected} nodes");
        let judgement = match self.undecided {
            0 => Judgement::equal(expected, format!("PONG from {} nodes", self.open)),
            some => Judgement::unknown(expected, format!("{some} nodes answer now and then")),
        };
        self.attempts.iter().fold(judgement, Judgement::evidence)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
