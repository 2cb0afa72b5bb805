//! A process that owns a lab and waits to be ended: the subject of `cleaning_up.rs`.
//!
//! `lab-victim <reaper>` says `running` when its step has begun, and at the end why it ended. One that is
//! attached to somebody else's deployment has taken the primary down before it says so.
//!
//! `lab-victim <reaper> <fate>` is a lab of `racks.rs`, `unharmed`, `paused` or `deleted`: it ends by itself.

use std::{error::Error, io::Write, path::Path};

use failover_lab::{
    Lab, Plan, Sentinels, StepError, Topology, docker::FaultKind, environment::Environment, group::Retain,
    replicated, sentinels, session::Session,
};
use lab_report::checklist::Step;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reaper = std::env::args_os().nth(1).ok_or("usage: lab-victim <reaper>")?;
    let mut session = Session::from_env(Path::new(&reaper))?;
    session.keep = false;
    if let Some(fate) = std::env::args().nth(2) {
        say(&look_around(&session, &fate).await?)?;
        return Ok(());
    }
    let aborted = match session.environment {
        Environment::Containers => {
            let topology = replicated(0).without_automatic_failover();
            wait_for_the_end(&session, topology, async |_| Ok(())).await
        }
        _ => {
            let act = async |lab: &mut Lab<Sentinels>| {
                let primary = lab.deployment().first_primary().clone();
                let _lost = lab.inject(FaultKind::Stop, &primary).await?;
                Ok(())
            };
            wait_for_the_end(&session, sentinels(3), act).await
        }
    };
    say(&aborted.unwrap_or_default())?;
    Ok(())
}

/// Says which host it is on, how many keys and servers it has seen, and leaves a key. A host that is left `paused`,
/// or is `deleted` with its network, is not as it was made.
async fn look_around(session: &Session, fate: &str) -> Result<String, Box<dyn Error>> {
    let step = step();
    let topology = replicated(0).without_automatic_failover();
    let plan = Plan { step: &step, case: None, topology, needs: &[], folder: "victim".into() };
    let mut seen = String::new();
    let record = Lab::run(session, plan, async |lab| {
        let node = lab.group().primary();
        let host = lab.docker().api().inspect_container(node.container(), None).await?.id.unwrap_or_default();
        let keys: u64 = node.ask(&["DBSIZE"]).await?;
        let servers = node.log().await.matches("Ready to accept connections").count();
        node.ask::<()>(&["SET", "left", "behind"]).await?;
        match fate {
            "paused" => drop(lab.inject(FaultKind::Hold, &node).await?),
            "deleted" => {
                lab.group().delete(Retain::Nothing).await?;
                lab.network().remove(lab.docker()).await?;
            }
            _ => {}
        }
        seen = format!("{host} {keys} keys, {servers} servers");
        Ok(())
    });
    match record.await.aborted {
        Some(why) => Err(why.into()),
        None => Ok(seen),
    }
}

fn step() -> Step {
    Step { id: "victim".into(), title: "Waits to be ended".into(), cases: Vec::new(), checks: Vec::new() }
}

async fn wait_for_the_end<T: Topology>(
    session: &Session,
    topology: T,
    act: impl AsyncFnOnce(&mut Lab<T>) -> Result<(), StepError>,
) -> Option<String> {
    let step = step();
    let plan = Plan { step: &step, case: None, topology, needs: &[], folder: "victim".into() };
    let record = Lab::run(session, plan, async |lab| {
        act(lab).await?;
        say("running")?;
        std::future::pending().await
    });
    record.await.aborted
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
