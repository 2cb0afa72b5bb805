use failover_lab::{Clusters, Lab, client::Client, cluster};
use lab_report::{Slot, judge::Judgement};

use super::seen::{answer, at, key_of};
use crate::step::{Outcome, step};

step!("cluster", "cross-slot", cluster(3).replicas(1), cross_slot);

/// Writes both of its keys.
const SCRIPT: &str = "redis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[2], '2') return 'OK'";

/// How a node begins to refuse a script that reaches for what it may not touch.
const STOPPED: &str = "Script attempted to access";

/// One command, one slot.
///
/// 1. Two keys of two slots: `CROSSSLOT` for several keys, a transaction and a script, though one node has both.
/// 2. Two keys with one tag: all of them work.
/// 3. A script may not touch what it was not given and another node has.
/// 4. What this node has in another slot it may not touch either, if its first line says what it is written in; a plain
///    `EVAL` may.
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
    let judgement = Judgement::equal(STOPPED, stopped_or(&answer));
    lab.check("crossslot.script", judgement.evidence(answer));

    // 4. On one node.
    let (plain, declared) = on_one_node(lab, &client).await;
    let right = format!("declared: {STOPPED}; plain: nothing");
    let observed = format!("declared: {}; plain: {}", stopped_or(&declared), stopped_or(&plain));
    lab.check("crossslot.one-node", Judgement::equal(right, observed).evidence(declared));
    Ok(())
}

fn stopped_or(answer: &str) -> &str {
    if answer.contains(STOPPED) { STOPPED } else { answer }
}

/// What comes of a script with a key of a customer's that reads one of another slot, which the same node has and nobody
/// wrote: of a plain one, and of one that declares itself.
///
/// A script without a first line of its own is one from before Redis 7.0, and may (`SCRIPT_FLAG_EVAL_COMPAT_MODE`).
/// All others keep to one slot, unless they say otherwise (`scriptVerifyClusterState`). So do all four engines.
async fn on_one_node(lab: &Lab<Clusters>, client: &Client) -> (String, String) {
    let (application, shares) = (lab.application(), lab.deployment().topology().shares());
    let given = &application.together[0];
    let shard = shares.iter().position(|share| share.contains(Slot::of(given)));
    let neighbour = key_of(lab, shard.expect("shares cover every slot"));
    let plain = format!("return redis.call('GET', '{neighbour}')");
    let declared = format!("{}\n{plain}", application.shebang);
    let plain = answer(client, &["EVAL", &plain, "1", given]).await;
    (plain, answer(client, &["EVAL", &declared, "1", given]).await)
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
