//! A run's folder: what it holds, and the views that are made of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use failover_lab::session::{self, root};
use lab_report::{
    StepId, Verdict,
    checklist::{Checklist, Step},
    evidence::At,
    grade::{grade, unreadable},
    render,
    report::{Report, Run, StepRecord},
};
use serde::{Deserialize, Serialize};

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

/// Every checklist, with all of its steps.
pub(crate) fn everything() -> Result<Vec<Named>, Failure> {
    let all = checklists();
    all.iter().map(|name| Ok(Asked { checklist: checklist(name)?, steps: Vec::new() }.named())).collect()
}

/// What a run was asked for: steps of a checklist; all of them if none is named.
pub(crate) struct Asked {
    pub(crate) checklist: Checklist,
    pub(crate) steps: Vec<StepId>,
}

impl Asked {
    /// The steps themselves.
    pub(crate) fn steps(&self) -> Result<Vec<&Step>, Failure> {
        if self.steps.is_empty() {
            return Ok(self.checklist.steps.iter().collect());
        }
        let find = |name: &StepId| {
            self.checklist.step(name).ok_or_else(|| {
                let known: Vec<&str> = self.checklist.steps.iter().map(|step| step.id.as_str()).collect();
                let what = format!("checklist `{}` has no step `{name}`", self.checklist.id);
                Failure::usage(what, format!("its steps are {}", known.join(", ")))
            })
        };
        self.steps.iter().map(find).collect()
    }

    /// As it is written down.
    pub(crate) fn named(&self) -> Named {
        Named { checklist: self.checklist.id.clone(), steps: self.steps.clone() }
    }
}

/// The same, by name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    checklist: String,
    steps: Vec<StepId>,
}

/// `run.json`: what a run is and was asked for. Written before it begins, so that one that dies can still be
/// reported, and told from one that did all it should; again at the end, with its duration.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) run: Run,
    pub(crate) asked: Vec<Named>,
}

impl Begun {
    /// Into the run's folder, which it returns.
    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let dir = runs_dir().join(self.run.id.as_str());
        let text = serde_json::to_string_pretty(self).expect("plain data");
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(dir.join("run.json"), text))
            .map_err(|error| cannot_write(&dir, &error))?;
        Ok(dir)
    }

    fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("run.json");
        let text = fs::read_to_string(&path).map_err(|_| no_run(dir))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} cannot be read: {error}", path.display()), "run the checklist again")
        })
    }
}

/// Where cargo builds: for a command that a person gave, a relative folder counts from theirs, as for cargo.
pub(crate) fn target_dir() -> PathBuf {
    session::target_dir(&std::env::current_dir().unwrap_or_else(|_| root().to_owned()))
}

fn runs_dir() -> PathBuf {
    session::runs_below(&target_dir())
}

/// The newest run; their names sort by time.
fn newest() -> Result<PathBuf, Failure> {
    let runs = fs::read_dir(runs_dir()).into_iter().flatten().flatten().map(|run| run.path());
    runs.filter(|run| run.join("run.json").is_file()).max().ok_or_else(|| no_run(&runs_dir()))
}

/// `target/lab/latest`, for whoever does not want to look a run up: the newest that has a report.
fn point_latest_at(dir: &Path) -> io::Result<()> {
    let latest = runs_dir().with_file_name("latest");
    let name = dir.file_name().expect("a run has a name");
    let newer = |there: &PathBuf| there.file_name() > Some(name);
    if latest.canonicalize().is_ok_and(|there| newer(&there)) {
        return Ok(());
    }
    // Renamed into place, so that there is always one.
    let fresh = latest.with_file_name(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(Path::new("runs").join(name), &fresh)?;
    fs::rename(fresh, latest)
}

/// The records that the steps of a run left. One that cannot be read is an unknown step: dropped, it would
/// let the rest pass without it.
fn records(dir: &Path, checklists: &[Checklist]) -> Vec<StepRecord> {
    let folders = fs::read_dir(dir.join("steps")).into_iter().flatten().flatten();
    let record = |folder: fs::DirEntry| {
        let text = match fs::read_to_string(folder.path().join("record.json")) {
            // It ended before it could write one: what was asked for tells that it is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.map_err(|error| error.to_string()),
        };
        let read = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        let name = folder.file_name().to_string_lossy().into_owned();
        Some(read.unwrap_or_else(|why| unreadable(checklists, &name, &why)))
    };
    folders.filter_map(record).collect()
}

/// Grades what a run left by what it was asked for, and writes every view of the report.
pub(crate) fn write_report(dir: &Path, begun: Begun) -> Result<Report, Failure> {
    let mut asked = Vec::new();
    for Named { checklist: name, steps } in begun.asked {
        asked.push(Asked { checklist: checklist(&name)?, steps });
    }
    let mut steps = Vec::new();
    for asked in &asked {
        steps.extend(asked.steps()?);
    }
    let checklists: Vec<Checklist> = asked.iter().map(|asked| asked.checklist.clone()).collect();
    let records = records(dir, &checklists);
    let mut run = begun.run;
    if run.duration == At::default() {
        run.duration = until_the_last(&run.started_at, &records);
    }
    let report = grade(run, &checklists, &steps, records);
    let views = [
        ("report.json", render::json::to_json(&report)),
        ("report.md", render::markdown::render(&report)),
        ("index.html", render::html::render(&report)),
    ];
    for (name, text) in views {
        fs::write(dir.join(name), text).map_err(|error| cannot_write(&dir.join(name), &error))?;
    }
    point_latest_at(dir).map_err(|error| cannot_write(dir, &error))?;
    Ok(report)
}

/// How long a run took of which nobody saw the end: until the last of its steps that did.
fn until_the_last(started_at: &str, records: &[StepRecord]) -> At {
    let Ok(start) = humantime::parse_rfc3339(started_at) else { return At::default() };
    let ended = |record: &StepRecord| {
        let began = humantime::parse_rfc3339(&record.started_at).ok()?;
        (began + record.duration.0).duration_since(start).ok()
    };
    At(records.iter().filter_map(ended).max().unwrap_or_default())
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
        None => newest()?,
    };
    let dir = dir.canonicalize().map_err(|_| no_run(&dir))?;
    let report = write_report(&dir, Begun::read(&dir)?)?;
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
