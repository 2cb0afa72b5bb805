use failover_lab::{Lab, group::Retain, replicated};
use lab_report::{evidence::Role, judge::Judgement};

use crate::step::{Outcome, step};

step!("q5", "clean-up", replicated(2), clean_up);

/// Deleting the group leaves nothing, or exactly the primary.
///
/// 1. Delete the group and retain its primary: that one container is left, with its data.
/// 2. Delete that, too, and the network: nothing with the lab's label is left.
async fn clean_up(lab: &mut Lab) -> Outcome {
    // 1. The primary alone.
    let primary = lab.group().primary();
    primary.ask::<()>(&["SET", "kept", "with the primary"]).await?;
    lab.doing("deleting the group, retaining its primary");
    lab.group().delete(Retain::Primary).await?;
    let left = lab.docker().leftovers().await?;
    let names: Vec<&str> = left.containers.iter().map(|container| container.name.as_str()).collect();
    let value: Option<String> = primary.ask(&["GET", "kept"]).await?;
    let role = primary.info().await?.role();
    let exact = names == [primary.container()] && role == Role::Primary && value.is_some();
    let observed =
        if exact { "the primary, with its data".to_owned() } else { format!("{} containers", names.len()) };
    lab.check(
        "cleanup.retain-primary",
        Judgement::equal("the primary, with its data", observed).evidence(names.join(", ")),
    );

    // 2. Nothing.
    lab.doing("deleting everything");
    lab.group().delete(Retain::Nothing).await?;
    let mut left = lab.docker().leftovers().await?;
    if left.containers.is_empty() {
        lab.network().remove(lab.docker()).await?;
        left = lab.docker().leftovers().await?;
    }
    let observed = if left.is_empty() { "nothing".to_owned() } else { format!("{} things", left.len()) };
    lab.check(
        "cleanup.nothing-left",
        Judgement::equal("nothing", observed).evidence(left.names().join(", ")),
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
