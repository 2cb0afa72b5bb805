//! A session: one process's part in a run. The run has a folder; its processes find each other there.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use lab_report::{RunId, Verdict};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineError};

/// Names the run that a process takes part in.
pub const RUN_VAR: &str = "LAB_RUN";
/// Seeds the run's random choices.
pub const SEED_VAR: &str = "LAB_SEED";
/// `1`: a step that fails leaves its topology up.
pub const KEEP_VAR: &str = "LAB_KEEP";

/// One process's part in a run.
#[derive(Debug, Clone)]
pub struct Session {
    /// The run.
    pub run: RunId,
    /// The server engine of its nodes.
    pub engine: Engine,
    /// Seeds every random choice.
    pub seed: u64,
    /// A step that fails leaves its topology up.
    pub keep: bool,
    reaper: PathBuf,
}

/// Something worth showing to whoever waits: one line of `progress.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The step and its case: `failover-crash`.
    pub step: String,
    /// What happens.
    pub news: News,
}

/// What happens in a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// It is doing this now.
    Doing(String),
    /// It judged a check.
    Check {
        /// Which.
        id: String,
        /// How it came out.
        verdict: Verdict,
    },
    /// It is over.
    Finished(Verdict),
    /// Its topology stays up; this is how to reach it.
    Kept(String),
}

impl Session {
    /// From the environment; `reaper` is the program that cleans up after this process if it is killed.
    ///
    /// # Errors
    /// `LAB_ENGINE` or `LAB_SEED` is no such thing.
    pub fn from_env(reaper: &Path) -> Result<Self, SessionError> {
        let run = std::env::var(RUN_VAR).ok().filter(|run| !run.is_empty()).map(RunId::from);
        let seed = match std::env::var(SEED_VAR).ok().filter(|seed| !seed.is_empty()) {
            Some(text) => text.parse().map_err(|_| SessionError::Seed(text))?,
            None => fastrand::u64(..=u64::from(u32::MAX)),
        };
        Ok(Self {
            run: run.unwrap_or_else(new_run_id),
            engine: Engine::select(None)?,
            seed,
            keep: std::env::var(KEEP_VAR).is_ok_and(|keep| keep == "1"),
            reaper: reaper.to_owned(),
        })
    }

    /// The program that cleans up after this process.
    pub fn reaper(&self) -> &Path {
        &self.reaper
    }

    /// The run's folder.
    pub fn dir(&self) -> PathBuf {
        runs_dir().join(self.run.as_str())
    }

    /// Tells whoever watches the run. A watcher is optional, so a failure to write is not an error.
    pub fn report(&self, step: &str, news: News) {
        let line =
            serde_json::to_string(&Progress { step: step.to_owned(), news }).expect("progress is plain data");
        let _ = fs::create_dir_all(self.dir());
        let file = fs::OpenOptions::new().create(true).append(true).open(self.dir().join("progress.jsonl"));
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The engine asked for is none.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The seed asked for is no number.
    #[error("`{SEED_VAR}={0}` is not a whole number")]
    Seed(String),
}

/// `<utc>-<id>`: sorts by time, and does not clash.
pub fn new_run_id() -> RunId {
    let utc = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let utc: String = utc.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    RunId::from(format!("{utc}-{:06x}", fastrand::u32(..1 << 24)))
}

/// Now, in RFC 3339 and UTC.
pub fn now_utc() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is at harness/lab")
}

/// Where runs leave their reports: `target/lab/runs`.
pub fn runs_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("lab/runs")
}
