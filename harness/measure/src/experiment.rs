//! Experiments: which cells are to be compared, and how often each is run.
//!
//! An experiment is a file in `fixtures/experiments`: a load, and blocks, each of which is every combination of what
//! its lists name. What makes no sense is left out, and said to be.

mod form;
mod same;
mod sense;
pub(crate) mod shape;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use failover_lab::engine::Engine;
use lab_load::{Profile, workload::Consuming};
use serde_json::json;

pub use self::same::{not_exercised, settled};
use crate::cell::{Cell, Load, TopologyName};

/// Cells that are to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its name: the file's.
    pub name: String,
    /// What it is about, in a few words.
    pub title: String,
    /// What it is to answer.
    pub question: String,
    /// What is compared with what.
    pub compares: Compares,
    /// How often each cell is run.
    pub runs: u32,
    /// What every client asks for. Its durability is each cell's own.
    pub load: Load,
    /// What is measured, in the order in which it is.
    pub cells: Vec<Planned>,
    /// What is not, and why.
    pub left_out: Vec<LeftOut>,
}

/// A cell of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What tells it from all others: `sentinel/crash/redis/hardened/wait-1/min-replicas`.
    pub key: String,
    /// What is measured.
    pub cell: Cell,
    /// The name of the change to its topology, if there is one.
    pub variant: Option<String>,
}

/// A combination that is not measured.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// Which.
    pub planned: Planned,
    /// Why not.
    pub why: String,
    /// The cell that stands for it, where it is the same.
    pub same_as: Option<String>,
}

/// What an experiment compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compares {
    /// The profiles of a client, by its downtime.
    Profiles,
    /// Durabilities and changes to the topology, by what is lost, beside what they cost.
    Durability,
    /// Time-outs of detection, by the downtime, beside what follows from the servers' clocks.
    Detection,
}

impl Compares {
    const ALL: [Self; 3] = [Self::Profiles, Self::Durability, Self::Detection];
}

impl fmt::Display for Compares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Profiles => "profiles",
            Self::Durability => "durability",
            Self::Detection => "detection",
        })
    }
}

/// There is no such comparison.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no comparison of `{0}`; known are profiles, durability, detection")]
pub struct UnknownComparison(String);

impl FromStr for Compares {
    type Err = UnknownComparison;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|known| known.to_string() == text);
        found.ok_or_else(|| UnknownComparison(text.to_owned()))
    }
}

/// An experiment that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// There is no such file, or nobody may read it.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It says what makes no sense.
    #[error("{}:{line}: {what}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line at fault, from 1.
        line: usize,
        /// The setting, and what is wrong with it.
        what: String,
    },
}

impl Experiment {
    /// Reads an experiment from its file, for an engine: not every engine has everything.
    ///
    /// # Errors
    /// The file cannot be read, or names the first setting that makes no sense.
    pub fn open(file: &Path, engine: &Engine) -> Result<Self, ExperimentError> {
        let unreadable = |source| ExperimentError::Unreadable { file: file.to_owned(), source };
        let text = fs::read_to_string(file).map_err(unreadable)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text, engine).map_err(|Wrong { line, what }| ExperimentError::Malformed {
            file: file.to_owned(),
            line,
            what,
        })
    }

    pub(crate) fn parse(name: &str, text: &str, engine: &Engine) -> Result<Self, Wrong> {
        let form = form::Form::parse(text)?;
        let mut experiment = Self {
            name: name.to_owned(),
            title: form.title.clone(),
            question: form.question.clone(),
            compares: form.compares(text)?,
            runs: form.runs(text)?,
            load: form.load(text)?,
            cells: Vec::new(),
            left_out: Vec::new(),
        };
        for planned in form.cells(text, &experiment.load)? {
            match sense::senseless(&planned.cell, engine) {
                None => experiment.cells.push(planned),
                Some(why) => experiment.left_out.push(LeftOut { planned, why, same_as: None }),
            }
        }
        if form.leaves_out_what_is_identical(text)? {
            let (cells, same) = same::without_repetitions(experiment.cells);
            experiment.cells = cells;
            experiment.left_out.extend(same);
        }
        match experiment.cells.is_empty() {
            true => Err(Wrong { line: 1, what: "`block`: nothing is left to be measured".to_owned() }),
            false => Ok(experiment),
        }
    }

    /// How long so many runs of a cell take, if one takes this much longer than its load.
    pub fn takes(&self, runs: usize, overhead: Duration) -> Duration {
        (self.load.duration + overhead) * u32::try_from(runs).unwrap_or(u32::MAX)
    }

    /// The cell with this key.
    pub fn cell(&self, key: &str) -> Option<&Planned> {
        self.cells.iter().find(|planned| planned.key == key)
    }

    /// The topologies that it is about, in their order.
    pub fn topologies(&self) -> Vec<TopologyName> {
        let is_there = |name: &TopologyName| self.cells.iter().any(|planned| planned.cell.topology == *name);
        TopologyName::ALL.iter().copied().filter(is_there).collect()
    }
}

impl Planned {
    pub(crate) fn new(cell: Cell, variant: Option<String>) -> Self {
        let Cell { topology, fault, library, profile, load, .. } = &cell;
        let mut key = format!("{topology}/{fault}/{library}/{}/{}", profile.name, load.durability);
        if let Some(variant) = &variant {
            key = format!("{key}/{variant}");
        }
        Self { key, cell, variant }
    }

    /// Everything that its figures depend on: two runs are of the same cell if this is the same.
    pub fn settings(&self) -> serde_json::Value {
        let Cell { topology, changes, fault, library, profile, load } = &self.cell;
        // What is said about a profile changes nothing.
        let profile = Profile { about: String::new(), ..profile.clone() };
        json!({
            "key": self.key,
            "topology": topology.name(),
            "changes": changes,
            "fault": fault.name(),
            "client": library.name(),
            "profile": profile,
            "load": load_settings(load),
        })
    }
}

/// Each of them by name, so that one that is new is not forgotten here.
fn load_settings(load: &Load) -> serde_json::Value {
    let Load {
        sort,
        part,
        durability,
        rate,
        duration,
        deadline,
        keys,
        distribution,
        reads,
        value_size,
        consuming,
    } = load;
    let Consuming { channels, consumers, block, claim_every, look_every } = consuming;
    let time = |length: &Duration| format!("{length:?}");
    json!({
        "workload": sort.name(),
        "part": part.name(),
        "durability": durability.to_string(),
        "rate": rate,
        "duration": time(duration),
        "deadline": time(deadline),
        "keys": keys,
        "distribution": distribution.to_string(),
        "reads": reads,
        "value-size": value_size,
        "channels": channels,
        "consumers": consumers,
        "block": time(block),
        "claim-every": time(claim_every),
        "look-every": time(look_every),
    })
}

/// What is wrong with an experiment's text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    line: usize,
    what: String,
}

/// How many cells are left out for each reason.
pub fn reasons(left_out: &[LeftOut]) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for left_out in left_out {
        *reasons.entry(left_out.why.as_str()).or_default() += 1;
    }
    reasons
}

#[cfg(test)]
mod tests;
