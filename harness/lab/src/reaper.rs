//! The reaper: a small process that outlives the one it watches, and cleans up after it.
//!
//! It holds the reading end of a pipe. When the other end closes without a word (its owner was killed,
//! crashed, or lost its terminal), everything with the owner's label goes.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    time::Duration,
};

use lab_report::RunId;
use tokio::io::AsyncReadExt;

use crate::{
    connect,
    docker::{Owner, Scope, remove},
    wait::{self, Seen},
};

/// Said by an owner that cleaned up itself, or wants things kept.
const DISMISSED: &str = "dismissed";
/// A runner that is told to end gives its tests ten seconds (nextest's grace period), and they tear down.
const RUNNER_ENDS: Duration = Duration::from_secs(15);
/// How often a reaper looks whether a process lives.
const GLANCE: Duration = Duration::from_millis(100);
/// A container that was asked for before the owner died is there within a second or two.
const LOOKS: usize = 3;
/// A container engine that is restarted, or upgraded, answers again within this.
const ENGINE_RETURNS: Duration = Duration::from_secs(300);

/// A reaper that watches this process.
#[derive(Debug)]
pub struct Reaper {
    pipe: ChildStdin,
    process: Child,
}

impl Reaper {
    /// Starts `program`, which has to call [`main`], on a lab's label.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn watch_over(program: &Path, lab: &str) -> std::io::Result<Self> {
        Self::start(program, &["reaper", "lab", lab])
    }

    /// The same for a whole run: ends `runner`, then removes what its labs left.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn watch_over_run(program: &Path, run: &RunId, runner: &Owner) -> std::io::Result<Self> {
        Self::start(program, &["reaper", "run", run.as_str(), &runner.to_string()])
    }

    /// The same for what outlives this process, and ends with another.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(crate) fn watch_over_rack(program: &Path, lab: &str, owner: &Owner) -> std::io::Result<()> {
        let words = ["reaper", "rack", lab, &owner.to_string()];
        command(program, &words).stdin(Stdio::null()).spawn().map(drop)
    }

    fn start(program: &Path, words: &[&str]) -> std::io::Result<Self> {
        let mut process = command(program, words).stdin(Stdio::piped()).spawn()?;
        let pipe = process.stdin.take().expect("its standard input is a pipe");
        Ok(Self { pipe, process })
    }

    /// There is nothing left to clean up, or it is to stay.
    pub fn dismiss(mut self) {
        use std::io::Write as _;
        let _ = self.pipe.write_all(DISMISSED.as_bytes());
        drop(self.pipe);
        let _ = self.process.wait();
    }
}

fn command(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    // Of its own group: what ends the owner's group does not end the reaper.
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

/// The reaper process, given the words after its program's name: waits for its owner's end, then removes
/// what was left.
pub fn main(words: &[String]) -> ExitCode {
    let (scope, after) = match words {
        [verb, kind, lab] if verb == "reaper" && kind == "lab" => (Scope::Lab(lab.clone()), After::Silence),
        [verb, kind, run, runner] if verb == "reaper" && kind == "run" => {
            (Scope::Run(run.clone()), After::SilenceAnd(Owner::parse(runner)))
        }
        [verb, kind, lab, owner] if verb == "reaper" && kind == "rack" => match Owner::parse(owner) {
            Some(owner) => (Scope::Lab(lab.clone()), After::TheEndOf(owner)),
            None => return ExitCode::from(64),
        },
        _ => return ExitCode::from(64),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    runtime.block_on(reap(scope, after))
}

/// When to begin.
enum After {
    /// The pipe was closed.
    Silence,
    /// The same; and the runner, where its label can be read, is ended first.
    SilenceAnd(Option<Owner>),
    /// This process has ended.
    TheEndOf(Owner),
}

async fn reap(scope: Scope, after: After) -> ExitCode {
    ignore_signals();
    match after {
        After::TheEndOf(owner) => {
            while owner.may_be_alive() {
                wait::pass(GLANCE).await;
            }
        }
        After::Silence if dismissed().await => return ExitCode::SUCCESS,
        After::SilenceAnd(_) if dismissed().await => return ExitCode::SUCCESS,
        After::Silence | After::SilenceAnd(None) => {}
        After::SilenceAnd(Some(runner)) => {
            runner.terminate();
            let _ = wait::until("the runner to end", RUNNER_ENDS, GLANCE, || async {
                if runner.may_be_alive() { Seen::NotYet("running".to_owned()) } else { Seen::Ready(()) }
            })
            .await;
        }
    }
    // What was being started when the owner died may appear a moment later: look again.
    for _ in 0..LOOKS {
        if !removed(&scope).await {
            return ExitCode::FAILURE;
        }
        wait::pass(Duration::from_secs(1)).await;
    }
    if removed(&scope).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits for the owner's last word, or its end without one.
async fn dismissed() -> bool {
    let mut said = String::new();
    // A pipe that cannot be read any more is closed as well.
    let _ = tokio::io::stdin().read_to_string(&mut said).await;
    said == DISMISSED
}

/// Nobody comes after the reaper but the next sweep: a container engine that is busy, or is being started
/// again, is waited for.
async fn removed(scope: &Scope) -> bool {
    wait::until("everything to be gone", ENGINE_RETURNS, Duration::from_secs(1), async || {
        let api = match connect::connect().await {
            Ok(api) => api,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        match remove(&api, scope).await {
            Ok(_) => Seen::Ready(()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await
    .is_ok()
}

/// Whoever interrupts the owner does not mean the reaper.
fn ignore_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        if let Ok(mut signal) = signal(kind) {
            tokio::spawn(async move { while signal.recv().await.is_some() {} });
        }
    }
}
