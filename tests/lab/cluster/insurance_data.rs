use std::{sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, StepError, cluster,
    cluster::ClusterClient,
    docker::FaultKind,
    insurance::{Book, Cents, Customer, Totals},
    wait::Seen,
};
use futures_util::{StreamExt, stream};
use lab_report::{Slot, judge::Judgement};

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
/// 2. The customers are spread over the shards.
/// 3. What all of them pay and claim, read several keys at once, is what was stored.
/// 4. A primary dies once its replica has everything: the totals are the same.
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
    lab.check("insurance.spread", spread(lab, &customers));

    // 3. The totals.
    let expected: Totals = customers.iter().map(Customer::totals).sum();
    let observed = totals(lab, &client, &customers).await?;
    if !lab.check("insurance.totals", agree(expected, observed)) {
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
    let observed = lab.wait("the totals to be readable again", STAGE, async || {
        totals(lab, &client, &customers)
            .await
            .map_or_else(|error| Seen::NotYet(error.to_string()), Seen::Ready)
    });
    let observed = observed.await?;
    lab.check("insurance.after-failover", agree(expected, observed));
    Ok(())
}

fn agree(expected: Totals, observed: Totals) -> Judgement {
    let same = "what was stored";
    let seen = if expected == observed { same } else { "something else" };
    Judgement::equal(same, seen).evidence(format!("stored: {expected}")).evidence(format!("read: {observed}"))
}

/// One transaction, all of whose keys have the customer's tag.
async fn store(lab: &Lab<Clusters>, client: &ClusterClient, customer: &Customer) -> Result<(), String> {
    let tag = lab.application().customer(customer.number);
    let text = |word: &str| word.to_owned();
    let mut commands = vec![vec![text("SET"), format!("{tag}:profile"), customer.name.clone()]];
    for (number, policy) in customer.policies.iter().enumerate() {
        let key = format!("{tag}:policy:{number}");
        let Cents(premium) = policy.premium;
        commands.push(vec![
            text("HSET"),
            key.clone(),
            text("product"),
            policy.product.clone(),
            text("premium"),
            premium.to_string(),
        ]);
        commands.push(vec![text("SADD"), format!("{tag}:policies"), key]);
        commands.push(vec![text("INCRBY"), format!("{tag}:premiums"), premium.to_string()]);
        for Cents(claim) in &policy.claims {
            commands.push(vec![text("RPUSH"), format!("{tag}:claims"), claim.to_string()]);
            commands.push(vec![text("INCRBY"), format!("{tag}:claimed"), claim.to_string()]);
        }
    }
    client.transaction(&commands).await.map_err(|error| error.to_string())
}

/// What the cluster says that all customers come to: several keys of each with one command.
async fn totals(
    lab: &Lab<Clusters>,
    client: &ClusterClient,
    customers: &[Customer],
) -> Result<Totals, StepError> {
    let of = |customer: &Customer| {
        let tag = lab.application().customer(customer.number);
        async move {
            let amounts = [format!("{tag}:premiums"), format!("{tag}:claimed")];
            let amounts: Vec<Option<u64>> = client.ask(&["MGET", &amounts[0], &amounts[1]]).await?;
            let policies: u64 = client.ask(&["SCARD", &format!("{tag}:policies")]).await?;
            let amount = |index: usize| Cents(amounts.get(index).copied().flatten().unwrap_or(0));
            Ok(Totals { policies, premiums: amount(0), claimed: amount(1) })
        }
    };
    let all: Vec<Result<Totals, redis::RedisError>> =
        stream::iter(customers).map(of).buffer_unordered(AT_ONCE).collect().await;
    Ok(all.into_iter().sum::<Result<Totals, _>>()?)
}

/// Whether every shard has its part of the customers.
fn spread(lab: &Lab<Clusters>, customers: &[Customer]) -> Judgement {
    let shares = lab.deployment().topology().shares();
    let slots: Vec<Slot> =
        customers.iter().map(|customer| Slot::of(&lab.application().customer(customer.number))).collect();
    let counts: Vec<usize> =
        shares.iter().map(|share| slots.iter().filter(|slot| share.contains(**slot)).count()).collect();
    let even = customers.len() as f64 / shares.len() as f64;
    let holds = counts.iter().all(|count| (*count as f64 / even - 1.0).abs() <= 0.1);
    let expected = "every shard within 10 % of an even share";
    let observed = if holds { expected } else { "shards of very different sizes" };
    Judgement::of(holds, expected, observed).evidence(format!("customers of each shard: {counts:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
