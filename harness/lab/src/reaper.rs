//! The reaper: a small process that outlives the one it watches, and cleans up after it.
//!
//! It holds the reading end of a pipe. When the other end closes without a word (its owner was killed,
//! crashed, or lost its terminal), everything with the owner's label goes.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
};

use tokio::io::AsyncReadExt;

use crate::{
    connect,
    docker::{Scope, remove},
};

/// Said by an owner that cleaned up itself, or wants things kept.
const DISMISSED: &str = "dismissed";

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
        let mut process = Command::new(program)
            .args(["reaper", lab])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Of its own group: what ends the owner's group does not end the reaper.
            .process_group(0)
            .spawn()?;
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

/// The reaper process: waits for its owner's end, then removes what the lab left.
pub fn main(lab: String) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    runtime.block_on(async {
        ignore_signals();
        let mut said = String::new();
        // A pipe that cannot be read any more is closed as well.
        let _ = tokio::io::stdin().read_to_string(&mut said).await;
        if said == DISMISSED {
            return ExitCode::SUCCESS;
        }
        let Ok(api) = connect::connect().await else { return ExitCode::FAILURE };
        // What was being started when the owner died may appear a moment later: look twice.
        for _ in 0..2 {
            if remove(&api, &Scope::Lab(lab.clone())).await.is_err() {
                return ExitCode::FAILURE;
            }
            crate::wait::pass(std::time::Duration::from_secs(1)).await;
        }
        match remove(&api, &Scope::Lab(lab)).await {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    })
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
