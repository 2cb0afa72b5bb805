use failover_lab::{Lab, StepError, group::Condition, replicated};
use lab_report::{evidence::Role, judge::Judgement};

use crate::step::{Outcome, alike, step};

step!("q5", "replication-group", replicated(2), replication_group);

/// What is said of a node with which all is well.
const AVAILABLE: &str = "available";
/// What a node's container says of its zone.
pub(crate) const ZONE_LABEL: &str = "failover-lab.zone";

/// A primary and two replicas come up as one group.
///
/// 1. The control plane says that the group is available, with automatic failover and Multi-AZ; and so is each of its
///    nodes, where it says that it is.
/// 2. Every node runs the version that was asked for, and none is in cluster mode.
/// 3. One node says it is primary, two say they are replicas.
async fn replication_group(lab: &mut Lab) -> Outcome {
    // 1. What the control plane says.
    let group = lab.group().describe();
    lab.check("group.available", Judgement::equal("available", group.status.to_string()));
    let nodes = nodes(lab).await?;
    lab.check("group.nodes-available", Judgement::equal(AVAILABLE, nodes));
    let automatic = Judgement::equal("enabled", enabled(group.failover.is_automatic()));
    let multi_az = match lab.check("group.automatic-failover", automatic) {
        true => Judgement::equal("enabled", enabled(group.failover.is_across_zones())),
        false => Judgement::unknown("enabled", "without automatic failover there is no Multi-AZ"),
    };
    lab.check("group.multi-az", multi_az);

    // 2. What the nodes run.
    let (mut versions, mut clustered, mut roles) = (Vec::new(), Vec::new(), Vec::new());
    for node in lab.group().nodes() {
        let info = node.info().await?;
        versions.push(info.version().to_owned());
        clustered.push(info.get("cluster_enabled").unwrap_or("absent").to_owned());
        roles.push(info.role());
    }
    let right = versions.iter().all(|version| is_release_of(&group.engine_version, version));
    let observed = if right { "every node runs it".to_owned() } else { versions.join(", ") };
    let judgement = Judgement::of(right, "the version asked for", observed);
    let judgement =
        judgement.evidence(format!("asked for {}", group.engine_version)).evidence(versions.join(", "));
    lab.check("group.engine-version", judgement);
    let off = clustered.iter().all(|flag| flag == "0");
    let judgement = Judgement::of(off, "off on every node", if off { "off on every node" } else { "on" });
    let judgement = judgement.evidence(format!("cluster_enabled: {}", clustered.join(", ")));
    lab.check("group.cluster-mode-off", judgement);

    // 3. What the nodes say they are.
    let count = |role| roles.iter().filter(|seen| **seen == role).count();
    let observed = format!("{} primary, {} replicas", count(Role::Primary), count(Role::Replica));
    lab.check("group.members", Judgement::equal("1 primary, 2 replicas", observed));
    let boot = lab.boot();
    let note = "from every server answering to both replicas online and the stream's end acknowledged";
    lab.measure("replication boot", boot.replication.as_secs_f64() * 1000.0, "ms", note);
    Ok(())
}

/// How the nodes are: as the control plane finds them, as they answer, and in the zones that their containers name.
async fn nodes(lab: &Lab) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for member in lab.group().describe().members {
        let node = lab.group().node(&member.id)?;
        let condition = lab.group().condition(&member.id);
        let answer = node.ask::<String>(&["PING"]).await.unwrap_or_else(|error| error.to_string());
        let container = lab.docker().api().inspect_container(node.container(), None).await?;
        let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
        let zone = labels.get(ZONE_LABEL);
        let sound = condition == Some(Condition::Sound) && answer == "PONG" && zone == Some(&member.zone);
        let how = match sound {
            true => AVAILABLE.to_owned(),
            false => format!("found {condition:?}, says {answer}, in {}, labelled {zone:?}", member.zone),
        };
        seen.push((member.id.to_string(), how));
    }
    Ok(alike(seen))
}

/// `7.0.15` is a release of 7.0; `7.01` would be none.
fn is_release_of(asked: &str, running: &str) -> bool {
    running.strip_prefix(asked).is_some_and(|patch| patch.is_empty() || patch.starts_with('.'))
}

fn enabled(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
