use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::ClusterClient,
    docker::{FaultKind, Node},
    insurance::{Book, Customer, Kind, Records, Totals},
    wait::Seen,
};
use futures_util::{StreamExt, stream};
use lab_report::judge::{Judgement, balanced};

use crate::step::{Outcome, step};

step!("cluster", "insurance-data", cluster(3).replicas(1), insurance_data);

/// Far above what an election and a synchronisation take.
const STAGE: Duration = Duration::from_secs(20);
/// Customers that are written or read at once.
const AT_ONCE: usize = 16;

/// An insurer's customers, each with policies and claims that belong together, and what is left of them after a
/// failover.
///
/// 1. Store each customer in one transaction, under keys with the customer's tag.
/// 2. The primaries list the customers that they have: a third each.
/// 3. All customers, policies and claims are read, several keys at once: number, sums and texts are what was stored.
/// 4. A primary dies once its replica has everything: they are the same.
async fn insurance_data(lab: &mut Lab<Clusters>) -> Outcome {
    // 1. Store.
    let customers = Book::of_the_lab().draw(lab.rng());
    let client = lab.deployment().client().await?;
    lab.doing("storing customers");
    let store = |customer| store(lab, &client, customer);
    let stored: Vec<Result<(), String>> =
        stream::iter(&customers).map(store).buffer_unordered(AT_ONCE).collect().await;
    let refused: Vec<&String> = stored.iter().filter_map(|one| one.as_ref().err()).collect();
    let of = |count: usize| format!("{count} of {} customers", customers.len());
    let judged = Judgement::equal(of(customers.len()), of(customers.len() - refused.len()));
    let judged = refused.first().map_or(judged.clone(), |why| judged.evidence((*why).clone()));
    if !lab.check("insurance.stored", judged) {
        return Ok(());
    }

    // 2. Spread.
    let spread = spread(lab).await?;
    lab.check("insurance.spread", spread);

    // 3. Read.
    let expected: Totals = customers.iter().map(Customer::totals).sum();
    let read = read_back(lab, &client, &customers).await?;
    if !lab.check("insurance.totals", agree(expected, read)) {
        return Ok(());
    }

    // 4. After a failover.
    let (old, heir) =
        (Arc::clone(&lab.deployment().primaries()[0]), Arc::clone(&lab.deployment().replicas()[0]));
    let written = old.info().await?.offset();
    lab.wait("the replica to have everything", STAGE, async || match heir.info().await {
        Ok(info) if info.offset() >= written => Seen::Ready(()),
        Ok(info) => Seen::NotYet(format!("it has {} of {written} bytes", info.offset())),
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await?;
    let _lost = lab.inject(FaultKind::Crash, &old).await?;
    let share = lab.deployment().topology().shares()[0].clone();
    lab.wait("its replica to take over", STAGE, async || match lab.deployment().view(&heir).await {
        Ok(view) if view.myself().is_some_and(|myself| myself.slots == share) => Seen::Ready(()),
        Ok(_) => Seen::NotYet("it owns nothing".to_owned()),
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await?;
    let read = lab.wait("everything to be readable again", STAGE, async || {
        read_back(lab, &client, &customers)
            .await
            .map_or_else(|error| Seen::NotYet(error.to_string()), Seen::Ready)
    });
    let read = read.await?;
    lab.check("insurance.after-failover", agree(expected, read));
    Ok(())
}

/// What was read of all customers.
#[derive(Default)]
struct Read {
    totals: Totals,
    /// Customers of whom something else was read than was stored.
    others: usize,
}

fn agree(expected: Totals, read: Read) -> Judgement {
    let same = "what was stored";
    let seen = match read {
        Read { totals, others: 0 } if totals == expected => same.to_owned(),
        Read { others, .. } => format!("something else of {others} customers"),
    };
    let judged = Judgement::equal(same, seen).evidence(format!("stored: {expected}"));
    judged.evidence(format!("read: {}", read.totals))
}

/// The keys that list a customer's policies, and claims.
fn lists(tag: &str) -> [String; 2] {
    [format!("{tag}:policies"), format!("{tag}:claims")]
}

/// One transaction, all of whose keys have the customer's tag.
async fn store(lab: &Lab<Clusters>, client: &ClusterClient, customer: &Customer) -> Result<(), String> {
    let tag = lab.application().customer(customer.number);
    let [policies, claims] = lists(&tag);
    let command = |words: [&str; 3]| words.map(str::to_owned).to_vec();
    let mut commands = Vec::new();
    for (key, text) in &customer.records(&tag) {
        commands.push(command(["SET", key, text]));
        match Kind::of(&tag, key) {
            Some(Kind::Policy) => commands.push(command(["SADD", &policies, key])),
            Some(Kind::Claim) => commands.push(command(["SADD", &claims, key])),
            Some(Kind::Profile) | None => {}
        }
    }
    client.transaction(&commands).await.map_err(|error| error.to_string())
}

/// What the cluster has of all customers.
async fn read_back(
    lab: &Lab<Clusters>,
    client: &ClusterClient,
    customers: &[Customer],
) -> Result<Read, StepError> {
    let of = |customer: &Customer| {
        let tag = lab.application().customer(customer.number);
        let stored = customer.records(&tag);
        async move {
            let read = records(client, &tag).await?;
            Ok(Read { totals: Totals::of(&tag, &read), others: usize::from(read != stored) })
        }
    };
    let all: Vec<Result<Read, redis::RedisError>> =
        stream::iter(customers).map(of).buffer_unordered(AT_ONCE).collect().await;
    let mut sum = Read::default();
    for one in all {
        let Read { totals, others } = one?;
        sum = Read { totals: sum.totals + totals, others: sum.others + others };
    }
    Ok(sum)
}

/// What the cluster has of one customer: first which policies and claims it lists, then all of them and the profile.
/// Several keys with each command.
async fn records(client: &ClusterClient, tag: &str) -> Result<Records, redis::RedisError> {
    let [policies, claims] = lists(tag);
    let mut keys: Vec<String> = client.ask(&["SUNION", &policies, &claims]).await?;
    keys.push(format!("{tag}:profile"));
    let words: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let read: Vec<Option<String>> = client.ask(&words).await?;
    Ok(keys.into_iter().zip(read).filter_map(|(key, text)| Some((key, text?))).collect())
}

/// Whether every primary has its part of the customers, by what it lists itself.
async fn spread(lab: &Lab<Clusters>) -> Result<Judgement, StepError> {
    let profiles = format!("{}:profile", lab.application().customer.replace('#', "*"));
    let mut parts = Vec::new();
    for primary in lab.deployment().primaries() {
        parts.push((primary.id().clone(), listed(primary, &profiles).await?));
    }
    Ok(balanced(&parts, "customers", 10.0))
}

/// How many keys of this form a node has. `SCAN` may name one twice.
async fn listed(node: &Node, pattern: &str) -> Result<u64, StepError> {
    let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
    loop {
        let (next, keys): (String, Vec<String>) =
            node.ask(&["SCAN", &cursor, "MATCH", pattern, "COUNT", "1000"]).await?;
        found.extend(keys);
        if next == "0" {
            return Ok(found.len() as u64);
        }
        cursor = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
