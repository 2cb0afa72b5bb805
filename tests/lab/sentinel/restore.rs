use std::{sync::Arc, time::Duration};

use failover_lab::{Lab, Sentinels, StepError, docker::FaultKind, sentinels, wait::Seen, writer::KEYS};
use lab_report::judge::Judgement;

use super::seen::{follows, happened, replaced, stage, successor};
use crate::step::{Outcome, step};

step!("sentinel", "restore", sentinels(3).replicas(2), restore, needs [Changes, Faults]);

const COUNT: usize = 100;
const SOON: Duration = Duration::from_secs(5);

/// The old primary comes back, gives up what it alone had, and follows the new one.
///
/// 1. Take the primary off the network; on its own console it still takes a write.
/// 2. The sentinels replace it; the new primary takes writes.
/// 3. Put it back: it is made a replica.
/// 4. What it alone had is gone, and it has what the new primary has.
async fn restore(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. Alone.
    let old = Arc::clone(lab.deployment().first_primary());
    let isolated = lab.inject(FaultKind::Isolate, &old).await?;
    let answer = old.console(&["SET", &key("alone"), "written in isolation"]).await?;
    if answer.trim() != "OK" {
        return Err(format!("the isolated primary did not take a write: {answer}").into());
    }

    // 2. Replaced.
    if let Err(why) = stage(lab, &old, "a replica to become primary", |election| election.new.is_some()).await
    {
        lab.check("restore.replica", happened("it follows the new primary", Err(why)));
        return Ok(());
    }
    let new = successor(lab, &replaced(lab, &old).await?)?;
    write_keys(lab).await?;

    // 3. Back.
    lab.heal(isolated).await?;
    let followed = follows(lab, &old, &new).await;
    if !lab.check("restore.replica", happened("it follows the new primary", followed)) {
        return Ok(());
    }

    // 4. What it has.
    let alone: Option<String> = old.ask(&["GET", &key("alone")]).await?;
    let kept = alone.map_or("gone", |_| "still there");
    lab.check("restore.discards", Judgement::equal("gone", kept));
    let wanted = format!("{COUNT} of {COUNT} keys");
    let same = lab.wait("the old primary to have the keys", SOON, async || {
        let mut there = 0;
        for number in 0..COUNT {
            match old.ask::<Option<usize>>(&["GET", &key(&format!("after:{number}"))]).await {
                Ok(value) => there += usize::from(value == Some(number)),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
        }
        match there {
            COUNT => Seen::Ready(()),
            some => Seen::NotYet(format!("{some} of {COUNT} keys")),
        }
    });
    let observed = same.await.map_or_else(|late| late.last_seen, |()| wanted.clone());
    lab.check("restore.resynced", Judgement::equal(wanted, observed));
    Ok(())
}

fn key(name: &str) -> String {
    format!("{KEYS}{name}")
}

async fn write_keys(lab: &Lab<Sentinels>) -> Result<(), StepError> {
    let client = lab.client().patient(Duration::from_secs(2));
    for number in 0..COUNT {
        client.ask::<()>(&["SET", &key(&format!("after:{number}")), &number.to_string()]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
