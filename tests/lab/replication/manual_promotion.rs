use std::time::Duration;

use failover_lab::{
    Lab,
    docker::{FaultKind, Node},
    replicated,
    wait::{Seen, pass},
};
use lab_report::{
    NodeId,
    evidence::{At, EndpointName, Role},
    judge::Judgement,
};

use crate::step::{Outcome, clocks, step};

step!("q5", "manual-promotion", replicated(2).without_automatic_failover(), manual_promotion);

/// Without automatic failover nobody is promoted until somebody promotes.
///
/// 1. Crash the primary, and wait until the control plane holds it dead.
/// 2. Wait three times as long as a promotion may take: nobody is promoted.
/// 3. Promote the last replica by hand: it becomes primary, and the name moves to it.
async fn manual_promotion(lab: &mut Lab) -> Outcome {
    // 1. A dead primary.
    let old = lab.group().primary();
    let chosen = lab.group().replicas().pop().ok_or("the step needs a replica")?;
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let detected = lab.wait("the control plane to notice", Duration::from_secs(5), async || {
        match lab.recorder().look(|timeline| timeline.marks.detected) {
            Some(_) => Seen::Ready(()),
            None => Seen::NotYet("nothing noticed".to_owned()),
        }
    });
    detected.await?;

    // 2. Nobody. The bound of a promotion after detection: one round of offsets, and what observing costs.
    let clocks = clocks();
    let since = lab.recorder().now();
    pass(3 * (clocks.probe_timeout + clocks.observe_every + clocks.scheduling)).await;
    lab.check("manual.nobody-promoted", nobody_promoted(lab, &old, since));

    // 3. By hand.
    let answer = match lab.group().promote(chosen.id()).await {
        Ok(()) => "promoted".to_owned(),
        Err(error) => error.to_string(),
    };
    let role = chosen.info().await?.role();
    let named = lab.group().records().targets(EndpointName::Primary);
    let done = role == Role::Primary && named == [chosen.id().clone()];
    let observed = if done { "primary, and named".to_owned() } else { format!("{role:?}: {answer}") };
    lab.check(
        "manual.promotes",
        Judgement::equal("primary, and named", observed).evidence(format!("the name points at {named:?}")),
    );
    fault.heal().await?;
    Ok(())
}

/// From what the observer saw of the others all the while; unknown where one of them gave no answer at the
/// end. (One that was promoted stays so: a moment's silence hides nothing.)
fn nobody_promoted(lab: &Lab, old: &Node, since: At) -> Judgement {
    let timeline = lab.timeline();
    let others: Vec<_> = timeline.nodes.iter().filter(|node| *node != old.id()).collect();
    let expected = "no other node was primary";
    let seen = |node: &NodeId| {
        let mut roles = timeline.roles.iter().filter(|change| &change.node == node);
        let before = roles.clone().rfind(|change| change.at <= since).map(|change| change.role);
        let during: Vec<Role> =
            roles.by_ref().filter(|change| change.at > since).map(|change| change.role).collect();
        before.into_iter().chain(during).collect::<Vec<_>>()
    };
    let promoted = others.iter().find(|node| seen(node).contains(&Role::Primary));
    let silent = others.iter().find(|node| matches!(seen(node).last(), None | Some(Role::Unreachable)));
    match (promoted, silent) {
        (Some(node), _) => Judgement::of(false, expected, format!("{node} was primary")),
        (None, Some(node)) => Judgement::unknown(expected, format!("{node} did not always answer")),
        (None, None) => Judgement::of(true, expected, expected),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
