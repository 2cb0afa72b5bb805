//! What the runs of an experiment came to, kept line by line, so that an experiment can be interrupted.
//!
//! A folder has the results of one experiment as it was when it began: of these cells, with this engine and this
//! seed. What is changed is another experiment, and has a folder of its own beside the first.

mod turn;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use failover_lab::{engine::Engine, session::new_seed};
use lab_history::judge::Judge;
use lab_load::workload::Sort;
use serde::{Deserialize, Serialize};

pub use self::turn::take;
use crate::{
    course::Course,
    experiment::{Experiment, Planned},
    figures::Figures,
};

/// The longest time in which something was wanted of the node that a fault hits, in milliseconds: of a cluster, the
/// keys of its shard. Of other topologies it is `availability.downtime.max`.
pub const DOWNTIME: &str = "outage.downtime";
/// From a fault to another node's being primary, in milliseconds.
pub const PROMOTED: &str = "outage.promoted";

/// One run of a cell: a line of `results.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The cell's key.
    pub cell: String,
    /// Which of its runs, from 1.
    pub run: u32,
    /// The seed of its random choices.
    pub seed: u64,
    /// The server engine.
    pub engine: String,
    /// When it began, as in RFC 3339, by the wall clock.
    pub began: String,
    /// How long it took, with everything before and after the load, in seconds.
    pub took_s: f64,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured(Box<Observed>),
    /// It was not, for this reason: the servers did not boot, the client did not connect, …
    NotMeasured(String),
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// By name; times in milliseconds, shares of one.
    pub figures: Figures,
    /// What each judge says: `pass`, `fail` or `unknown`.
    pub verdicts: BTreeMap<String, String>,
    /// Whether the client was served again before the load ended: else its downtime is a lower bound.
    pub recovered: bool,
    /// What its callers saw.
    pub course: Course,
    /// Where its history is.
    pub history: PathBuf,
}

impl Observed {
    /// Acknowledged operations of a workload that are gone in the end; none where nobody can know.
    pub fn lost(&self, sort: Sort) -> Option<f64> {
        let judge = match sort {
            Sort::Registers => Judge::Registers,
            Sort::Sets => Judge::Sets,
            Sort::Counters => Judge::Counters,
            Sort::PubSub | Sort::ShardedPubSub => Judge::Channels,
            Sort::Streams => Judge::Streams,
        };
        let verdict = self.verdicts.get(judge.name())?;
        self.figures.lost().filter(|_| verdict == "pass" || verdict == "fail")
    }
}

impl Taken {
    /// What was measured, if anything was.
    pub fn observed(&self) -> Option<&Observed> {
        match &self.outcome {
            Outcome::Measured(observed) => Some(observed),
            Outcome::NotMeasured(_) => None,
        }
    }
}

/// The results of an experiment, as they are in their folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Where they are.
    pub dir: PathBuf,
    /// The server engine.
    pub engine: String,
    /// The seed of the first run; each has the next.
    pub seed: u64,
    /// When the first run was to begin, as in RFC 3339.
    pub began: String,
    /// The machine, in words.
    pub machine: String,
    /// What was taken so far, in its order.
    pub taken: Vec<Taken>,
}

/// The results of an experiment, open to be added to. One process at a time has them open.
#[derive(Debug)]
pub struct Journal {
    /// What there is so far.
    pub results: Results,
    /// How they came to be opened.
    pub opened: Opened,
    file: File,
}

/// How results came to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// There were none.
    New,
    /// They go on.
    GoesOn,
    /// There were some, of the experiment as it was before it was changed: they are left as they are, here.
    Changed(PathBuf),
}

/// Results that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line means nothing.
    #[error("{}:{line}: {why}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line at fault, from 1.
        line: usize,
        /// What is wrong with it.
        why: serde_json::Error,
    },
    /// Another process is measuring.
    #[error("somebody else is adding to {}", .0.display())]
    Busy(PathBuf),
    /// Nothing was measured yet.
    #[error("nothing was measured of `{0}` as it is, with this engine and seed")]
    Nothing(String),
}

/// What a folder is of: `experiment.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Begun {
    /// The version of what the files of the folder mean.
    schema: u32,
    title: String,
    engine: String,
    seed: u64,
    began: String,
    machine: String,
    cells: Vec<serde_json::Value>,
}

impl Begun {
    const SCHEMA: u32 = 1;
    const FILE: &str = "experiment.json";

    fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(Self::FILE)).ok()?;
        serde_json::from_str(&text).ok().filter(|begun: &Self| begun.schema == Self::SCHEMA)
    }

    /// At once: of an experiment that was killed while it began there is nothing.
    fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain data");
        let draft = dir.join(".experiment.json");
        fs::create_dir_all(dir)?;
        fs::write(&draft, text)?;
        fs::rename(draft, dir.join(Self::FILE))
    }
}

/// Where experiments are kept, and on what.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The folder with a folder for each.
    pub folder: &'a Path,
    /// The server engine.
    pub engine: &'a Engine,
    /// The seed of the first run; any where it is none.
    pub seed: Option<u64>,
}

impl Journal {
    /// Opens the results of an experiment to go on with them, or begins them. `machine` says where, and `now` when.
    ///
    /// # Errors
    /// A file cannot be read or written, or another process has them open.
    pub fn open(
        experiment: &Experiment,
        place: &Place<'_>,
        machine: &str,
        now: &str,
    ) -> Result<Self, ResultsError> {
        let folders = folders(experiment, place);
        if let Some(dir) = folders.iter().rfind(|dir| is_of(dir, experiment, place)) {
            return Self::in_folder(dir, Opened::GoesOn);
        }
        let opened = folders.last().map_or(Opened::New, |last| Opened::Changed(last.clone()));
        let dir = free(experiment, place);
        let begun = Begun {
            schema: Begun::SCHEMA,
            title: experiment.title.clone(),
            engine: place.engine.to_string(),
            seed: place.seed.unwrap_or_else(new_seed),
            began: now.to_owned(),
            machine: machine.to_owned(),
            cells: settings(experiment),
        };
        begun.write(&dir).map_err(|source| ResultsError::File { file: dir.clone(), source })?;
        Self::in_folder(&dir, opened)
    }

    fn in_folder(dir: &Path, opened: Opened) -> Result<Self, ResultsError> {
        let path = dir.join(Results::FILE);
        let failed = |source| ResultsError::File { file: path.clone(), source };
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ResultsError::Busy(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let (results, whole) = Results::read(dir)?;
        // What follows the last whole line was being written when its process was killed.
        file.set_len(whole).map_err(failed)?;
        Ok(Self { results, opened, file })
    }

    /// Adds a run. It is in the file when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, taken: Taken) -> Result<(), ResultsError> {
        let mut line = serde_json::to_string(&taken).expect("plain data");
        line.push('\n');
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.flush());
        let file = self.results.dir.join(Results::FILE);
        written.map_err(|source| ResultsError::File { file, source })?;
        self.results.taken.push(taken);
        Ok(())
    }
}

impl Results {
    const FILE: &str = "results.jsonl";

    /// The results of an experiment as they are, whoever is adding to them.
    ///
    /// # Errors
    /// There are none, or a file cannot be read.
    pub fn of(experiment: &Experiment, place: &Place<'_>) -> Result<Self, ResultsError> {
        let folders = folders(experiment, place);
        match folders.iter().rfind(|dir| is_of(dir, experiment, place)) {
            Some(dir) => Self::read(dir).map(|(results, _)| results),
            None => Err(ResultsError::Nothing(experiment.name.clone())),
        }
    }

    /// The results in a folder, and the length of the whole lines that they were read from.
    fn read(dir: &Path) -> Result<(Self, u64), ResultsError> {
        let path = dir.join(Self::FILE);
        let failed = |source| ResultsError::File { file: path.clone(), source };
        let begun = Begun::read(dir).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes.map_err(failed)?,
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut taken = Vec::new();
        for (line, text) in (1..).zip(text[..whole].split_inclusive(|byte| *byte == b'\n')) {
            let malformed = |why| ResultsError::Malformed { file: path.clone(), line, why };
            taken.push(serde_json::from_slice(text).map_err(malformed)?);
        }
        let Begun { engine, seed, began, machine, .. } = begun;
        Ok((Self { dir: dir.to_owned(), engine, seed, began, machine, taken }, whole as u64))
    }

    /// The runs that are still to be taken, if each cell is to have so many: the first of every cell, then the
    /// second, so that a slow hour of the machine is in all of them. What was not measured is tried again.
    pub fn missing<'a>(&self, experiment: &'a Experiment, runs: u32) -> Vec<(u32, &'a Planned)> {
        let is_there = |run: u32, planned: &Planned| {
            let is_it = |taken: &&Taken| taken.cell == planned.key && taken.run == run;
            self.taken.iter().filter(is_it).any(|taken| taken.observed().is_some())
        };
        let all = (1..=runs).flat_map(|run| experiment.cells.iter().map(move |planned| (run, planned)));
        all.filter(|(run, planned)| !is_there(*run, planned)).collect()
    }

    /// What a run takes beyond its load, by those that were measured; none if none was.
    pub fn overhead(&self, experiment: &Experiment) -> Option<Duration> {
        let load = experiment.load.duration.as_secs_f64();
        let beyond = self.taken.iter().filter(|taken| taken.observed().is_some());
        let beyond: Vec<f64> = beyond.map(|taken| (taken.took_s - load).max(0.0)).collect();
        let mean = beyond.iter().sum::<f64>() / beyond.len() as f64;
        Duration::try_from_secs_f64(mean).ok().filter(|_| !beyond.is_empty())
    }
}

fn settings(experiment: &Experiment) -> Vec<serde_json::Value> {
    experiment.cells.iter().map(Planned::settings).collect()
}

/// `profiles`, `profiles-2`, … as far as there are any.
fn folders(experiment: &Experiment, place: &Place<'_>) -> Vec<PathBuf> {
    numbered(experiment, place).take_while(|dir| dir.join(Begun::FILE).is_file()).collect()
}

fn numbered(experiment: &Experiment, place: &Place<'_>) -> impl Iterator<Item = PathBuf> {
    let first = place.folder.join(&experiment.name);
    let further = (2..).map({
        let (folder, name) = (place.folder.to_owned(), experiment.name.clone());
        move |number| folder.join(format!("{name}-{number}"))
    });
    std::iter::once(first).chain(further)
}

/// The first that holds no results.
fn free(experiment: &Experiment, place: &Place<'_>) -> PathBuf {
    let mut folders = numbered(experiment, place);
    folders.find(|dir| !dir.join(Begun::FILE).is_file()).expect("numbers do not end")
}

fn is_of(dir: &Path, experiment: &Experiment, place: &Place<'_>) -> bool {
    Begun::read(dir).is_some_and(|begun| {
        begun.engine == place.engine.to_string()
            && place.seed.is_none_or(|seed| begun.seed == seed)
            && begun.cells == settings(experiment)
    })
}

#[cfg(test)]
mod tests;
