use failover_lab::{Clusters, Lab, client::Client, cluster};
use lab_report::{Slot, judge::Judgement};

use super::seen::{answer, at};
use crate::step::{Outcome, step};

step!("cluster", "cross-slot", cluster(3).replicas(1), cross_slot);

/// Writes both of its keys.
const SCRIPT: &str = "redis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[2], '2') return 'OK'";

/// One command, one slot.
///
/// 1. Two keys of two slots: `CROSSSLOT` for several keys, a transaction and a script, though one node has both.
/// 2. Two keys with one tag: all of them work.
/// 3. A script may not touch what it was not given and another node has.
async fn cross_slot(lab: &mut Lab<Clusters>) -> Outcome {
    let application = lab.application().clone();

    // 1. Apart.
    let owner = lab.deployment().first_owner(Slot::of(&application.apart[0])).clone();
    let client = at(lab, &owner);
    let answers = tried(&client, &application.apart).await;
    let refused = "CROSSSLOT for MSET, MGET, EXEC, EVAL";
    lab.check(
        "crossslot.refused",
        Judgement::equal(refused, sorted(&answers)).evidence(format!("{answers:?}")),
    );

    // 2. Together.
    let owner = lab.deployment().first_owner(Slot::of(&application.together[0])).clone();
    let client = at(lab, &owner);
    let answers = tried(&client, &application.together).await;
    let served = "an answer for MSET, MGET, EXEC, EVAL";
    lab.check("crossslot.tags", Judgement::equal(served, sorted(&answers)).evidence(format!("{answers:?}")));

    // 3. Undeclared.
    let script = format!("return redis.call('GET', '{}')", application.undeclared);
    let answer = answer(&client, &["EVAL", &script, "1", &application.together[0]]).await;
    let stopped = "Script attempted to access";
    let observed = if answer.contains(stopped) { stopped } else { &answer };
    lab.check("crossslot.script", Judgement::equal(stopped, observed).evidence(answer.clone()));
    Ok(())
}

/// Everything that takes several keys, with these two.
async fn tried(client: &Client, [one, other]: &[String; 2]) -> Vec<(&'static str, String)> {
    let mset = answer(client, &["MSET", one, "1", other, "2"]).await;
    let mget = answer(client, &["MGET", one, other]).await;
    let mut exec = String::new();
    for command in [&["MULTI"][..], &["SET", one, "1"], &["SET", other, "2"], &["EXEC"]] {
        exec = answer(client, command).await;
    }
    let eval = answer(client, &["EVAL", SCRIPT, "2", one, other]).await;
    vec![("MSET", mset), ("MGET", mget), ("EXEC", exec), ("EVAL", eval)]
}

/// The commands that were refused, or those that were answered; each with its answer where they differ.
fn sorted(answers: &[(&'static str, String)]) -> String {
    let refused = |answer: &str| answer.contains("CROSSSLOT");
    let names = answers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match answers {
        all if all.iter().all(|(_, answer)| refused(answer)) => format!("CROSSSLOT for {names}"),
        all if all.iter().all(|(_, answer)| ["OK", "1, 2", "OK, OK"].contains(&answer.as_str())) => {
            format!("an answer for {names}")
        }
        all => all.iter().map(|(name, answer)| format!("{name}: {answer}")).collect::<Vec<_>>().join("; "),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
