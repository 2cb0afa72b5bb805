//! A session: one process's part in a run. The run has a folder; its processes find each other there.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use lab_report::{RunId, Verdict};
use serde::{Deserialize, Serialize};

use crate::{
    docker::Addressing,
    engine::{Engine, EngineError},
    environment::{Environment, EnvironmentError},
    setting::{self, SettingError},
    wait,
};

/// Names the run that a process takes part in.
pub const RUN_VAR: &str = "LAB_RUN";
/// Seeds the run's random choices.
pub const SEED_VAR: &str = "LAB_SEED";
/// `1`: a step that fails leaves its topology up.
pub const KEEP_VAR: &str = "LAB_KEEP";
/// Cargo's own: where it builds.
pub const TARGET_VAR: &str = "CARGO_TARGET_DIR";

/// One process's part in a run.
#[derive(Debug, Clone)]
pub struct Session {
    /// The run.
    pub run: RunId,
    /// Where its nodes come from.
    pub environment: Environment,
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
    /// A variable of the lab's has a value that means nothing.
    pub fn from_env(reaper: &Path) -> Result<Self, SessionError> {
        // Every wait of the session is stretched by it: this is the one place that can still say no.
        wait::time_scale()?;
        Addressing::from_env()?;
        Ok(Self {
            run: run_in_env().unwrap_or_else(new_run_id),
            environment: Environment::from_env()?,
            engine: Engine::select(None)?,
            seed: seed_in_env()?.unwrap_or_else(new_seed),
            keep: setting::switch(KEEP_VAR)?,
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

    /// What whoever watches the run is told, one [`Progress`] a line.
    pub fn progress_file(&self) -> PathBuf {
        self.dir().join("progress.jsonl")
    }

    /// Tells whoever watches the run. A watcher is optional, so a failure to write is not an error.
    pub fn report(&self, step: &str, news: News) {
        let line =
            serde_json::to_string(&Progress { step: step.to_owned(), news }).expect("progress is plain data");
        let _ = fs::create_dir_all(self.dir());
        let file = fs::OpenOptions::new().create(true).append(true).open(self.progress_file());
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
    /// What to attach to makes no sense.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// Another variable means nothing.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// The run that [`RUN_VAR`] names.
pub fn run_in_env() -> Option<RunId> {
    setting::text(RUN_VAR).map(RunId::from)
}

/// The seed that [`SEED_VAR`] gives.
///
/// # Errors
/// It is no whole number.
pub fn seed_in_env() -> Result<Option<u64>, SettingError> {
    setting::value(SEED_VAR, "a whole number")
}

/// Random enough for a seed that is always printed, and short enough to be typed again.
pub fn new_seed() -> u64 {
    fastrand::u64(..=u64::from(u32::MAX))
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

/// Where runs leave their reports: `target/lab/runs`, the same for every process of a run.
///
/// A relative [`TARGET_VAR`] counts from the workspace: a test's working directory is its package's, which
/// is not where cargo was called. Whoever was called by a person resolves it as cargo does, with
/// [`target_dir`], and hands it on.
pub fn runs_dir() -> PathBuf {
    runs_below(&target_dir(root()))
}

/// The folder of the runs in a target folder.
pub fn runs_below(target: &Path) -> PathBuf {
    target.join("lab/runs")
}

/// Where cargo builds, absolute: a relative [`TARGET_VAR`] counts from `base`.
pub fn target_dir(base: &Path) -> PathBuf {
    resolve(base, setting::path(TARGET_VAR))
}

fn resolve(base: &Path, target: Option<PathBuf>) -> PathBuf {
    target.map_or_else(|| root().join("target"), |target| base.join(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_target_folder_counts_from_its_base() {
        let base = Path::new("/base");
        let resolved = |target: Option<&str>| resolve(base, target.map(PathBuf::from));
        assert_eq!(resolved(Some("out")), Path::new("/base/out"));
        assert_eq!(resolved(Some("/elsewhere")), Path::new("/elsewhere"));
        assert_eq!(resolved(None), root().join("target"));
    }
}
