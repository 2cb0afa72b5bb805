//! A process that owns a lab and waits to be ended: the subject of `cleaning_up.rs`.
//!
//! `lab-victim <reaper>` says `running` when its step has begun, and at the end why it ended.

use std::{error::Error, io::Write, path::Path};

use failover_lab::{Lab, Plan, replicated, session::Session};
use lab_report::checklist::Step;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reaper = std::env::args_os().nth(1).ok_or("usage: lab-victim <reaper>")?;
    let mut session = Session::from_env(Path::new(&reaper))?;
    session.keep = false;
    let step = Step {
        id: "victim".into(),
        title: "Waits to be ended".into(),
        cases: Vec::new(),
        checks: Vec::new(),
    };
    let topology = replicated(0).without_automatic_failover();
    let plan = Plan { step: &step, case: None, topology, folder: "victim".into() };
    let record = Lab::run(&session, plan, async |_| {
        say("running")?;
        std::future::pending().await
    })
    .await;
    say(&record.aborted.unwrap_or_default())?;
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
