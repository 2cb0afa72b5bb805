use failover_lab::{Clusters, Lab, client::Client, cluster, topology::clusters::Hash};
use lab_report::{Slot, judge::Judgement};
use redis::Pipeline;

use super::seen::{answer, at};
use crate::step::{Outcome, alike, step};

step!("cluster", "sharding", cluster(3).replicas(1), sharding);

/// Keys whose slots are known: the specification's own, and those of its tutorial.
const VECTORS: [(&str, u16); 4] = [("123456789", 12739), ("foo", 12182), ("bar", 5061), ("hello", 866)];
/// Keys with braces, what of them is hashed, and what is not: the specification goes through these.
const BRACES: [(&str, &str, &str); 6] = [
    ("{customer:123}:profile", "customer:123", "customer:123:profile"),
    ("{customer:123}:policies", "customer:123", "customer:123:policies"),
    ("foo{}{bar}", "foo{}{bar}", "bar"),
    ("foo{{bar}}zap", "{bar", "bar"),
    ("foo{bar}{zebra}", "bar", "zebra"),
    ("foo{bar", "foo{bar", "bar"),
];
const MANY: usize = 100_000;
/// In one round trip.
const BATCH: usize = 10_000;

/// Keys are divided over the shards by their slots, and tags keep together what belongs together.
///
/// 1. The slots of known keys, as every node and the application find them.
/// 2. Of a key with a tag, only the tag counts.
/// 3. A hundred thousand keys are spread evenly.
async fn sharding(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Known keys.
    let known = VECTORS.map(|(key, slot)| format!("{key} in {slot}")).join(", ");
    let mut found = Vec::new();
    for finder in finders(lab) {
        let mut told = Vec::new();
        for (key, _) in VECTORS {
            told.push(format!("{key} in {}", finder.slot(key).await));
        }
        found.push((finder.name, told.join(", ")));
    }
    lab.check("sharding.vectors", Judgement::equal(known, alike(found)));

    // 2. Tags.
    let known = BRACES.map(|(key, part, _)| format!("{key} by {part}")).join(", ");
    let mut found = Vec::new();
    for finder in finders(lab) {
        let mut told = Vec::new();
        for (key, part, other) in BRACES {
            let slot = finder.slot(key).await;
            let right = slot == finder.slot(part).await && slot != finder.slot(other).await;
            told.push(format!("{key} by {}", if right { part } else { "something else" }));
        }
        found.push((finder.name, told.join(", ")));
    }
    lab.check("sharding.tags", Judgement::equal(known, alike(found)));

    // 3. Many keys, each at its owner.
    let keys: Vec<String> = (0..MANY).map(|number| lab.application().key(number)).collect();
    lab.doing("writing 100000 keys");
    let mut counts = Vec::new();
    for primary in lab.deployment().primaries().to_vec() {
        let client = at(lab, &primary).patient(std::time::Duration::from_secs(20));
        let own: Vec<&String> = keys
            .iter()
            .filter(|key| lab.deployment().first_owner(Slot::of(key)).id() == primary.id())
            .collect();
        for batch in own.chunks(BATCH) {
            let mut pipeline = Pipeline::new();
            batch.iter().for_each(|key| {
                pipeline.cmd("SET").arg(*key).arg("x").ignore();
            });
            client.pipeline::<()>(&pipeline).await?;
        }
        counts.push((primary.id().to_string(), client.ask::<usize>(&["DBSIZE"]).await?));
    }
    let even = MANY as f64 / counts.len() as f64;
    let off = |count: usize| (count as f64 / even - 1.0) * 100.0;
    let worst =
        counts.iter().map(|(_, count)| off(*count)).max_by(|one, other| one.abs().total_cmp(&other.abs()));
    let worst = worst.ok_or("there are no shards")?;
    let spread = Judgement::of(
        worst.abs() <= 10.0,
        "every shard within 10 % of an even share",
        match worst.abs() <= 10.0 {
            true => "every shard within 10 % of an even share".to_owned(),
            false => format!("{worst:+.0} % of an even share"),
        },
    );
    let spread = counts
        .iter()
        .fold(spread, |spread, (shard, count)| spread.evidence(format!("{shard}: {count} keys")));
    lab.check("sharding.even", spread);
    Ok(())
}

/// Who finds the slots of keys: a node, or the application.
struct Finder {
    name: String,
    how: How,
}

enum How {
    Asked(Box<Client>),
    Computed(Hash),
}

impl Finder {
    async fn slot(&self, key: &str) -> String {
        match &self.how {
            How::Asked(client) => answer(client, &["CLUSTER", "KEYSLOT", key]).await,
            How::Computed(hash) => hash.slot(key).to_string(),
        }
    }
}

fn finders(lab: &Lab<Clusters>) -> Vec<Finder> {
    let nodes = lab.deployment().primaries().iter().chain(lab.deployment().replicas());
    let asked =
        nodes.map(|node| Finder { name: node.id().to_string(), how: How::Asked(Box::new(at(lab, node))) });
    let how = How::Computed(lab.application().hash);
    asked.chain([Finder { name: "the application".to_owned(), how }]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
