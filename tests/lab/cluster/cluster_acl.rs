use std::sync::Arc;

use failover_lab::{
    Clusters, Lab, StepError,
    client::Client,
    cluster,
    docker::Node,
    writer::{KEYS, Keys, Writer},
};
use lab_report::{Slot, judge::Judgement};

use super::{
    cluster_manual_failover::synchronised,
    seen::a_few_acknowledged,
    serial_failures::Replaced,
    slot_failover::{STAGE, acknowledged_since, keys},
};
use crate::{
    admission::{PATIENCE, answers, secrets_in, turned_away},
    step::{Outcome, alike, step},
};

step!("cluster", "cluster-acl", deployment(), cluster_acl);

pub(super) const APP: &str = "app";
const FOLLOWER: &str = "follower";
/// Who may do at a replica what is to be done at its primary is sent there.
const OWN_AND_OTHERS: &str =
    "at a primary its own: answered; another's: NOPERM, at a replica its own: MOVED; another's: NOPERM";

/// Every link under TLS, and two users beside the default one, each with what it needs: the application, which has
/// keys of one prefix and asks for the map of the slots; a replica.
///
/// Each of an application's connections is one to every primary, with a handshake: few, so that all of them together
/// keep nobody waiting.
pub(super) fn deployment() -> Clusters {
    let mut topology = cluster(3)
        .replicas(1)
        .tls()
        .user(APP, "resetchannels ~failover-lab:* +@read +@write +@connection -@dangerous +cluster|slots")
        .user(FOLLOWER, "resetchannels +ping +replconf +psync")
        .follows_as(FOLLOWER);
    topology.application.at_once = 4;
    topology
}

/// Nobody does more in a cluster than they may, also after a failover, and no password gets out.
///
/// 1. A stranger is turned away by every node: without a password, and with a wrong one.
/// 2. The application has its own keys and no others, and none of the dangerous commands, at every primary and every
///    replica but the one that is to take over: that one is looked at when it has.
/// 3. The replicas' user has neither keys nor settings, at any node.
/// 4. A primary crashes while the application writes: its replica takes over in the usual time.
/// 5. The application's writes go on there, and it may do as much as before.
/// 6. The old primary returns and follows, as the user that replicas are.
/// 7. No password is in any process list, in any log, or on record.
async fn cluster_acl(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Strangers.
    let nodes = lab.deployment().members().to_vec();
    let nameless = turned_away(&nodes, &["PING"]).await;
    let guessed = turned_away(&nodes, &["AUTH", APP, "a guess"]).await;
    let seen = format!("{nameless} without one, {guessed} with a wrong one");
    lab.check("acl.strangers", Judgement::equal("NOAUTH without one, WRONGPASS with a wrong one", seen));

    // 2. The application.
    let (primaries, replicas) = (lab.deployment().primaries().to_vec(), lab.deployment().replicas().to_vec());
    let of_shards = keys(lab);
    let at_primaries = allowed(lab, &primaries, &of_shards).await?;
    let at_replicas = allowed(lab, &replicas[1..], &of_shards[1..]).await?;
    let seen = format!("at a primary {}, at a replica {}", reached(&at_primaries), reached(&at_replicas));
    lab.check("acl.keys", Judgement::equal(OWN_AND_OTHERS, seen));
    let everywhere = at_primaries.iter().chain(&at_replicas);
    let commanded = everywhere.map(|(node, allowed)| (node.clone(), allowed.commands.clone()));
    lab.check("acl.commands", Judgement::equal("NOPERM", alike(commanded.collect())));

    // 3. Those who serve it.
    let mut served = Vec::new();
    for node in &nodes {
        served.push((node.id().to_string(), follower(lab, node).await?));
    }
    lab.check("acl.follower", Judgement::equal("NOPERM", alike(served)));

    // 4. to 6. A failover.
    fail_over(lab, &at_primaries[0].1).await?;

    // 7. Secrets.
    let processes = secrets_in(lab, &lab.process_lists().await?);
    lab.check("acl.processes", processes);
    let written = secrets_in(lab, &lab.written().await);
    lab.check("acl.written", written);
    Ok(())
}

/// What the application may do at each of `nodes`, with keys of their shards.
async fn allowed(
    lab: &Lab<Clusters>,
    nodes: &[Arc<Node>],
    of_shards: &[(Slot, Keys)],
) -> Result<Vec<(String, Allowed)>, StepError> {
    let mut allowed = Vec::new();
    for (node, (_, keys)) in nodes.iter().zip(of_shards) {
        allowed.push((node.id().to_string(), Allowed::at(lab, node, keys).await?));
    }
    Ok(allowed)
}

/// What it may do with keys, where that is the same at all nodes; each by name where it is not.
fn reached(allowed: &[(String, Allowed)]) -> String {
    alike(allowed.iter().map(|(node, allowed)| (node.clone(), allowed.keys.clone())).collect())
}

/// What the application may do at a node.
struct Allowed {
    /// With its own keys, and with another's.
    keys: String,
    /// Of what is dangerous.
    commands: String,
}

impl Allowed {
    /// Tries all of it.
    async fn at(lab: &Lab<Clusters>, node: &Node, keys: &Keys) -> Result<Self, StepError> {
        let app = Client::of_node_as(node, &lab.deployment().access(APP)?).patient(PATIENCE);
        // Far from what a writer gets to.
        let own = keys.key(u64::MAX);
        let another = own.replacen(KEYS, "other:", 1);
        let own = answers(&app, &[&["SET", &own, "x"], &["GET", &own]]).await;
        let others = answers(&app, &[&["SET", &another, "x"], &["GET", &another]]).await;
        let dangerous: [&[&str]; 4] = [
            &["FLUSHALL"],
            &["FLUSHDB"],
            &["CONFIG", "GET", "maxmemory"],
            // Where it is allowed it is a mistake, and nothing comes of it: permission is asked for before.
            &["CLUSTER", "FAILOVER", "PERHAPS"],
        ];
        let commands = answers(&app, &dangerous).await;
        Ok(Self { keys: format!("its own: {own}; another's: {others}"), commands })
    }

    fn in_words(&self) -> String {
        format!("keys: {}; dangerous commands: {}", self.keys, self.commands)
    }
}

/// What the replicas' user gets for what is not theirs.
async fn follower(lab: &Lab<Clusters>, node: &Node) -> Result<String, StepError> {
    let client = Client::of_node_as(node, &lab.deployment().access(FOLLOWER)?).patient(PATIENCE);
    let own = keys(lab)[0].1.key(u64::MAX);
    let reaching: [&[&str]; 3] = [&["GET", &own], &["SET", &own, "y"], &["CONFIG", "GET", "requirepass"]];
    Ok(answers(&client, &reaching).await)
}

/// Crashes the first primary while the application writes, and brings it back. What the application might do there
/// `before` is what it may do at its successor.
async fn fail_over(lab: &mut Lab<Clusters>, before: &Allowed) -> Outcome {
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let (_, keys) = keys(lab).swap_remove(0);
    lab.doing("writing to the first shard, as the application's user");
    let client = lab.deployment().client_as(APP).await?;
    let writer = Writer::start_at(client, lab.recorder(), keys.clone(), true);
    a_few_acknowledged(lab).await?;

    // 4. In time.
    let lost = Replaced::wait(lab, &old, &heir).await?;
    if lab.check("acl.promoted", lost.judged) {
        let millis = lost.took.as_secs_f64() * 1000.0;
        lab.measure("promotion", millis, "ms", "from the crash to the replica being primary");
    }

    // 5. As before.
    let goes_on = "its writes are acknowledged by the new primary";
    let acknowledged = acknowledged_since(lab, &heir, &keys, |write| write.done).await;
    let observed = acknowledged.map_or_else(|why| why, |()| goes_on.to_owned());
    writer.abandon();
    if lab.check("acl.client-follows", Judgement::equal(goes_on, observed)) {
        let now = Allowed::at(lab, &heir, &keys).await?;
        lab.check("acl.at-the-heir", Judgement::equal(before.in_words(), now.in_words()));
    }

    // 6. Followed.
    lab.heal(lost.fault).await?;
    let follows = "it follows the new primary, and is synchronised";
    let seen = lab.wait("the old primary to follow", STAGE, async || synchronised(lab, &old, &heir).await);
    let observed = seen.await.map_or_else(|late| late.last_seen, |()| follows.to_owned());
    lab.check("acl.followed", Judgement::equal(follows, observed));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
