//! A run's folder: what it holds, and the views that are made of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use failover_lab::session::{root, runs_dir};
use lab_report::{
    StepId, Verdict,
    checklist::{Checklist, Step},
    grade::grade,
    render,
    report::{Report, Run, StepRecord},
};

use crate::failure::Failure;

/// The checklist with this name.
pub(crate) fn checklist(name: &str) -> Result<Checklist, Failure> {
    let path = root().join("fixtures/checklists").join(format!("{name}.toml"));
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Checklist::parse(name, &text)?),
        Err(_) => {
            let known = checklists().join("`, `");
            Err(Failure::usage(format!("there is no checklist `{name}`"), format!("known are `{known}`")))
        }
    }
}

/// The names of all checklists.
pub(crate) fn checklists() -> Vec<String> {
    let entries = fs::read_dir(root().join("fixtures/checklists")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Writes down what a run is, before it begins: a run that dies can still be reported.
pub(crate) fn begin(run: &Run) -> Result<PathBuf, Failure> {
    let dir = runs_dir().join(run.id.as_str());
    let text = serde_json::to_string_pretty(run).expect("plain data");
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(dir.join("run.json"), text))
        .and_then(|()| point_latest_at(&dir))
        .map_err(|error| cannot_write(&dir, &error))?;
    Ok(dir)
}

/// `target/lab/latest`, for whoever does not want to look a run up.
fn point_latest_at(dir: &Path) -> io::Result<()> {
    let latest = runs_dir().with_file_name("latest");
    let name = dir.file_name().expect("a run has a name");
    // Renamed into place, so that there is always one.
    let fresh = latest.with_file_name(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(Path::new("runs").join(name), &fresh)?;
    fs::rename(fresh, latest)
}

/// The records that the steps of a run left.
fn records(dir: &Path) -> Vec<StepRecord> {
    let steps = fs::read_dir(dir.join("steps")).into_iter().flatten().flatten();
    steps
        .filter_map(|step| fs::read_to_string(step.path().join("record.json")).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect()
}

/// Grades what a run left, and writes every view of the report.
pub(crate) fn write_report(
    dir: &Path,
    run: Run,
    checklists: &[Checklist],
    asked: &[&Step],
) -> Result<Report, Failure> {
    let report = grade(run, checklists, asked, records(dir));
    let views = [
        ("report.json", render::json::to_json(&report)),
        ("report.md", render::markdown::render(&report)),
        ("index.html", render::html::render(&report)),
    ];
    for (name, text) in views {
        fs::write(dir.join(name), text).map_err(|error| cannot_write(&dir.join(name), &error))?;
    }
    Ok(report)
}

/// Shows a report on the terminal, and gives the exit code of its verdict.
pub(crate) fn show(report: &Report, dir: &Path) -> ExitCode {
    let colour = console::colors_enabled();
    println!("\n{}", render::terminal::checklist(report, colour).trim_end());
    println!("report: {}", dir.join("index.html").display());
    match report.verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
        Verdict::Unknown | Verdict::Skipped => ExitCode::from(2),
    }
}

/// `cargo lab report`: the views of a run, made again from its records.
pub(crate) fn report_again(name: Option<&str>) -> Result<ExitCode, Failure> {
    let dir = match name {
        Some(name) => runs_dir().join(name),
        None => runs_dir().with_file_name("latest"),
    };
    let dir = dir.canonicalize().map_err(|_| no_run(&dir))?;
    let text = fs::read_to_string(dir.join("run.json")).map_err(|_| no_run(&dir))?;
    let run: Run = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(
            format!("{} cannot be read: {error}", dir.join("run.json").display()),
            "run the checklist again",
        )
    })?;
    let left: Vec<StepId> = records(&dir).into_iter().map(|record| record.step).collect();
    let mut graded = Vec::new();
    for name in checklists() {
        let checklist = checklist(&name)?;
        if checklist.steps.iter().any(|step| left.contains(&step.id)) {
            graded.push(checklist);
        }
    }
    let report = write_report(&dir, run, &graded, &[])?;
    Ok(show(&report, &dir))
}

fn no_run(dir: &Path) -> Failure {
    let hint = format!("`cargo lab grade` makes one; those that there are lie in {}", runs_dir().display());
    Failure::usage(format!("there is no run in {}", dir.display()), hint)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::missing(
        format!("cannot write {}: {error}", path.display()),
        "free some space, or set CARGO_TARGET_DIR",
    )
}
