//! `cargo lab list` and `cargo lab doctor`: looking, without starting anything.

use std::process::ExitCode;

use failover_lab::{
    doctor::{State, examine},
    engine::Engine,
};

use crate::{failure::Failure, runs};

pub(crate) fn list() -> Result<ExitCode, Failure> {
    for name in runs::checklists() {
        let checklist = runs::checklist(&name)?;
        println!("{name}: {} ({} marks)", checklist.title, checklist.marks());
        for step in &checklist.steps {
            let cases =
                if step.cases.is_empty() { String::new() } else { format!(" ({})", step.cases.join(", ")) };
            println!("  {:<20} {}{cases}", step.id.as_str(), step.title);
        }
    }
    let engines: Vec<String> = Engine::all()?.iter().map(ToString::to_string).collect();
    println!("\nengines: {} (the first is the default)", engines.join(", "));
    println!("topologies of `cargo lab up`: replication");
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn doctor(engine: Option<&str>) -> Result<ExitCode, Failure> {
    let engine = Engine::select(engine)?;
    let findings = examine(&engine).await;
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    for finding in &findings {
        let mark = match finding.state {
            State::Ok => "✓ ok  ",
            State::Warn => "! warn",
            State::Fail => "✗ fail",
        };
        println!("{mark}  {:<width$}  {}", finding.name, finding.detail);
        if let Some(hint) = &finding.hint {
            println!("        {:<width$}  hint: {hint}", "");
        }
    }
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    Ok(if failed { ExitCode::from(Failure::MISSING) } else { ExitCode::SUCCESS })
}
