use std::collections::BTreeSet;

use failover_lab::{Lab, replicated};
use lab_report::judge::Judgement;

use crate::step::{Outcome, step};

step!("q5", "subnet-group", replicated(2), subnet_group);

/// The nodes live in more than one zone.
///
/// 1. The subnet group covers at least two zones.
/// 2. Primary and replicas use more than one of them.
async fn subnet_group(lab: &mut Lab) -> Outcome {
    // 1. The zones that there are.
    let group = lab.group().describe();
    let zones: BTreeSet<&String> = group.zones.iter().collect();
    let two = lab
        .check("zones.two", Judgement::of(zones.len() >= 2, "at least 2", format!("{} zones", zones.len())));

    // 2. The zones that are used.
    let used: BTreeSet<&String> = group.members.iter().map(|member| &member.zone).collect();
    let places: Vec<String> =
        group.members.iter().map(|member| format!("{} in {}", member.id, member.zone)).collect();
    let expected = "nodes in at least 2 zones";
    let judgement = match two {
        true => Judgement::of(used.len() >= 2, expected, places.join(", ")),
        false => Judgement::unknown(expected, "with one zone there is no choice"),
    };
    lab.check("zones.spread", judgement);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
