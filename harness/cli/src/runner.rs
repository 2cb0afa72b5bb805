//! The test runner, which runs the steps: cargo-nextest, as a process of its own.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
};

use failover_lab::{
    docker::Owner,
    interrupt::interrupted,
    reaper::Reaper,
    session::{TARGET_VAR, root},
};
use lab_report::{
    RunId,
    checklist::{Checklist, Step},
};
use tokio::process::{Child, Command};

use crate::{failure::Failure, progress::Following, runs};

/// Cargo's part of the command line: cargo tells its subcommands where it is.
fn nextest() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo and the steps start elsewhere than we did: what counts from here has to be absolute.
    command.current_dir(root()).env(TARGET_VAR, runs::target_dir());
    // What `cargo run` says of this program, a dependency's build script would take to be about itself: it would be
    // built anew, and all that depends on it, each time that one of the two commands follows the other.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(name)) {
        command.env_remove(name);
    }
    command.arg("nextest").stdin(Stdio::null());
    command
}

/// Whether cargo sets the variable for what it builds or runs, as what it knows of the package.
fn is_of_a_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Of the whole workspace, though the steps are one package: what the suite has built is not built anew, with the
/// features that one package happens to want.
fn run_steps() -> Command {
    let mut command = nextest();
    command.args(["run", "--workspace"]);
    command
}

/// Before anything that takes minutes or leaves a trace.
pub(crate) async fn present() -> Result<(), Failure> {
    let asked = nextest().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    match asked.map_err(|error| no_cargo(&error))? {
        status if status.success() => Ok(()),
        _ => Err(Failure::missing(
            "cargo-nextest is missing: it runs the steps",
            "`cargo install cargo-nextest --locked` installs it",
        )),
    }
}

/// Builds before the steps begin, with cargo's own progress.
pub(crate) async fn build() -> Result<(), Failure> {
    let status = run_steps().arg("--no-run").stdout(Stdio::null()).status().await;
    match status.map_err(|error| no_cargo(&error))? {
        status if status.success() => Ok(()),
        _ => Err(Failure::missing("the steps do not build", "the lines above say why")),
    }
}

fn no_cargo(error: &io::Error) -> Failure {
    Failure::missing(
        format!("cargo cannot be started: {error}"),
        "install Rust with rustup, and cargo-nextest",
    )
}

/// Steps are modules of the test binary: `failover` is `replication::failover::…`.
fn filter(checklist: &Checklist, asked: &[&Step]) -> String {
    let modules: Vec<String> = asked.iter().map(|step| step.id.as_str().replace('-', "_")).collect();
    format!("package(lab-steps) & test(/^{}::({})::/)", checklist.lab, modules.join("|"))
}

/// The command that runs these steps, and writes what it says into `log`.
pub(crate) fn command(checklist: &Checklist, asked: &[&Step], log: &Path) -> Result<Command, Failure> {
    let file = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = file.map_err(|error| {
        Failure::missing(format!("cannot write {}: {error}", log.display()), "free some space")
    })?;
    let mut command = run_steps();
    command
        .args(["--cargo-quiet", "--no-fail-fast", "--no-tests", "fail"])
        .args(["--filterset", &filter(checklist, asked)])
        // Whether a report reads as its snapshot is the suite's business, not the learner's.
        .env("INSTA_FORCE_PASS", "1")
        .env("INSTA_UPDATE", "no")
        .stdout(out)
        .stderr(err);
    Ok(command)
}

/// A runner at work.
pub(crate) struct Runner {
    process: Child,
    reaper: Option<Reaper>,
}

impl Runner {
    /// Starts the runner, in a process group of its own.
    ///
    /// A terminal's Ctrl-C goes to its whole foreground group. A runner that is in it and is told by us as
    /// well is told twice, and a second signal is nextest's word for killing the steps at once, before they
    /// have torn down.
    pub(crate) fn start(mut command: Command, run: &RunId) -> Result<Self, Failure> {
        let process = command.process_group(0).spawn().map_err(|error| no_cargo(&error))?;
        let reaper = watch_over(&process, run);
        Ok(Self { process, reaper })
    }

    /// Shows what happens until the runner ends; when this process is told to stop, tells the runner, once.
    pub(crate) async fn follow(mut self, following: &mut Following) -> io::Result<ExitStatus> {
        let ended = tokio::select! {
            ended = following.until_ended(&mut self.process) => ended,
            why = interrupted() => {
                following.say(&format!("{why}: tearing down"));
                self.terminate();
                following.until_ended(&mut self.process).await
            }
        };
        following.finish();
        if let Some(reaper) = self.reaper {
            reaper.dismiss();
        }
        ended
    }

    fn terminate(&self) {
        if let Some(pid) = self.process.id() {
            Owner::of_process(pid).terminate();
        }
    }
}

/// None only if this program cannot be started again; then the sweep at the next start is what is left.
fn watch_over(runner: &Child, run: &RunId) -> Option<Reaper> {
    let program = std::env::current_exe().ok()?;
    Reaper::watch_over_run(&program, run, &Owner::of_process(runner.id()?)).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command as Plain;

    use super::*;

    /// What a terminal sends to our group does not reach the runner; what we send reaches it once.
    #[tokio::test]
    async fn the_runner_is_out_of_the_terminals_reach_and_is_told_once() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'echo TERM; exit 0' TERM; echo ready; while :; do sleep 0.05; done"]);
        command.stdout(Stdio::piped());
        let process = command.process_group(0).spawn().unwrap();
        let mut runner = Runner { process, reaper: None };
        let mut said = tokio::io::BufReader::new(runner.process.stdout.take().unwrap());
        let mut lines = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut said, &mut lines).await.unwrap();

        let pid = runner.process.id().unwrap();
        let group = Plain::new("ps").args(["-o", "pgid=", "-p", &pid.to_string()]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&group.stdout).trim(), pid.to_string());
        runner.terminate();
        assert!(runner.process.wait().await.unwrap().success());
        tokio::io::AsyncReadExt::read_to_string(&mut said, &mut lines).await.unwrap();
        assert_eq!(lines, "ready\nTERM\n");
    }
}
