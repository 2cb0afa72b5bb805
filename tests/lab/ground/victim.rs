//! A process that owns a lab and waits to be ended: the subject of `cleaning_up.rs`.
//!
//! `lab-victim <reaper>` says `running` when its step has begun, and at the end why it ended. One that is
//! attached to somebody else's deployment has taken the primary down before it says so.
//!
//! `lab-victim <reaper> cut-off` has cut that primary off from all others instead.
//!
//! `lab-victim <reaper> failing-over` says it when its group's primary has crashed and the manager has noticed: from
//! then on somebody is promoted, and the old primary brought back.
//!
//! `lab-victim <reaper> kept` is a step that goes wrong, and whose servers are to stay.
//!
//! `lab-victim <reaper> <fate>` is a lab of `racks.rs`, `unharmed`, `paused` or `deleted`: it ends by itself.

use std::{error::Error, io::Write, path::Path, time::Duration};

use failover_lab::{
    Lab, Plan, Sentinels, StepError, Topology,
    docker::{FaultKind, Node, Side, Split},
    environment::Environment,
    group::{Condition, Retain},
    replicated, sentinels,
    session::Session,
    wait::{self, Seen},
};
use lab_report::checklist::Step;

/// A manager finds a primary dead 1.6 s after its crash at the latest, as its clocks are.
const NOTICED: Duration = Duration::from_secs(10);
/// What a server logs when it is up.
const READY: &str = "Ready to accept connections";
/// For a line to get from a server to its container's log.
const IN_THE_LOG: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reaper = std::env::args_os().nth(1).ok_or("usage: lab-victim <reaper>")?;
    let mut session = Session::from_env(Path::new(&reaper))?;
    session.keep = false;
    let fate = std::env::args().nth(2);
    let aborted = match (&session.environment, fate.as_deref()) {
        (Environment::Containers, None) => {
            let topology = replicated(0).without_automatic_failover();
            wait_for_the_end(&session, topology, async |_| Ok(())).await
        }
        (Environment::Containers, Some("kept")) => {
            session.keep = true;
            wait_for_the_end(&session, replicated(1), async |_| Err("it goes wrong".into())).await
        }
        (Environment::Containers, Some("failing-over")) => {
            wait_for_the_end(&session, replicated(2), fail_over).await
        }
        (_, Some("cut-off")) => wait_for_the_end(&session, sentinels(3), cut_off).await,
        (_, Some(fate)) => {
            say(&look_around(&session, fate).await?)?;
            return Ok(());
        }
        (_, None) => {
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

/// Cuts the primary off from all other nodes.
async fn cut_off(lab: &mut Lab<Sentinels>) -> Result<(), StepError> {
    let (data, sentinels) = (lab.deployment().data(), lab.deployment().sentinels());
    let others = Side::from(&data[1..]).and(sentinels);
    let _cut = lab.partition(&Split::between(&data[0], others)).await?;
    Ok(())
}

/// Crashes the primary, and goes on when its manager has noticed.
async fn fail_over(lab: &mut Lab) -> Result<(), StepError> {
    let group = lab.group();
    let primary = group.primary();
    let _lost = lab.inject(FaultKind::Crash, &primary).await?;
    let noticed =
        lab.wait("the manager to find it dead", NOTICED, async || match group.condition(primary.id()) {
            Some(Condition::Sound) => Seen::NotYet("it counts as sound".to_owned()),
            _ => Seen::Ready(()),
        });
    Ok(noticed.await?)
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
        let servers = servers_logged(&node).await?;
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

/// How many servers the node's log tells of. A line takes its time to get there, and this server's is the last.
async fn servers_logged(node: &Node) -> Result<usize, StepError> {
    let pid: u32 = node.info().await?.number("process_id").ok_or("a server has a process id")?;
    let log =
        wait::until("its server's line in the log", IN_THE_LOG, Duration::from_millis(20), async || {
            let log = node.log().await;
            let own = |line: &str| line.starts_with(&format!("{pid}:M ")) && line.contains(READY);
            if log.lines().any(own) { Seen::Ready(log) } else { Seen::NotYet(log) }
        });
    Ok(log.await?.matches(READY).count())
}

fn step() -> Step {
    Step { id: "victim".into(), title: "Waits to be ended".into(), cases: Vec::new(), checks: Vec::new() }
}

async fn wait_for_the_end<T: Topology>(
    session: &Session,
    topology: T,
    act: impl AsyncFn(&mut Lab<T>) -> Result<(), StepError>,
) -> Option<String> {
    let step = step();
    let plan = Plan { step: &step, case: None, topology, needs: &[], folder: "victim".into() };
    let record = Lab::run_on_a_sound_machine(session, plan, async |lab| {
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
