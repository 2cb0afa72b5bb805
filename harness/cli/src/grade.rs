//! `cargo lab grade`: the lab's steps are the test suite's, so the test runner runs them; this prepares
//! the run, shows its progress, and turns its records into marks.

use std::{
    fs::File,
    io,
    path::Path,
    process::{ExitCode, Stdio},
    time::Instant,
};

use clap::Args;
use failover_lab::{
    connect,
    docker::{Kept, Owner, host, sweep_dead},
    engine::{ENGINE_VARIABLE, Engine},
    image,
    interrupt::interrupted,
    reaper::Reaper,
    session::{KEEP_VAR, RUN_VAR, SEED_VAR, new_run_id, now_utc},
};
use lab_report::{
    checklist::{Checklist, Step},
    evidence::At,
    report::Run,
};
use tokio::process::{Child, Command};

use crate::{
    failure::Failure,
    progress::{Following, Spinner},
    runs,
};

/// Run a checklist's steps and give marks.
#[derive(Args)]
pub(crate) struct Grade {
    /// The checklist, as in `cargo lab list`.
    #[arg(default_value = "q5")]
    checklist: String,
    /// The server engine, as in `cargo lab list`.
    #[arg(long, env = "LAB_ENGINE")]
    engine: Option<String>,
    /// Seeds every random choice; a random one if not given.
    #[arg(long, env = "LAB_SEED")]
    seed: Option<u64>,
    /// Leave the topology of a failed step up, and say how to reach it.
    #[arg(long)]
    keep: bool,
    /// Only this step; can be given several times.
    #[arg(long = "step", value_name = "NAME")]
    steps: Vec<String>,
}

impl Grade {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let checklist = runs::checklist(&self.checklist)?;
        let asked = self.asked(&checklist)?;
        let engine = Engine::select(self.engine.as_deref())?;
        let seed = self.seed.unwrap_or_else(start_seed);
        let rerun = self.rerun(&engine, seed);
        let (mut run, begin) = (begin_run(&engine, seed, rerun).await?, Instant::now());
        let dir = runs::begin(&run)?;
        build().await?;
        self.run_steps(&checklist, &asked, &run, &engine, &dir).await?;
        run.duration = At(begin.elapsed());
        let report = runs::write_report(&dir, run, std::slice::from_ref(&checklist), &asked)?;
        Ok(runs::show(&report, &dir))
    }

    fn asked<'a>(&self, checklist: &'a Checklist) -> Result<Vec<&'a Step>, Failure> {
        if self.steps.is_empty() {
            return Ok(checklist.steps.iter().collect());
        }
        let find = |name: &String| {
            checklist.steps.iter().find(|step| step.id.as_str() == name).ok_or_else(|| {
                let known: Vec<&str> = checklist.steps.iter().map(|step| step.id.as_str()).collect();
                let what = format!("checklist `{}` has no step `{name}`", checklist.id);
                Failure::usage(what, format!("its steps are {}", known.join(", ")))
            })
        };
        self.steps.iter().map(find).collect()
    }

    fn rerun(&self, engine: &Engine, seed: u64) -> String {
        let steps: String = self.steps.iter().map(|step| format!(" --step {step}")).collect();
        format!("cargo lab grade {} --engine {engine} --seed {seed}{steps}", self.checklist)
    }

    /// Runs the steps' tests and shows how they get on. What they found out is in their records.
    async fn run_steps(
        &self,
        checklist: &Checklist,
        asked: &[&Step],
        run: &Run,
        engine: &Engine,
        dir: &Path,
    ) -> Result<(), Failure> {
        let log = dir.join("nextest.log");
        let file = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = file.map_err(|error| {
            Failure::missing(format!("cannot write {}: {error}", log.display()), "free some space")
        })?;
        let mut nextest = nextest()
            .args(["--no-fail-fast", "--no-tests", "fail", "--filterset", &filter(checklist, asked)])
            .env(RUN_VAR, run.id.as_str())
            .env(ENGINE_VARIABLE, engine.to_string())
            .env(SEED_VAR, run.seed.to_string())
            .env(KEEP_VAR, if self.keep { "1" } else { "0" })
            // Whether a report reads as its snapshot is the suite's business, not the learner's.
            .env("INSTA_FORCE_PASS", "1")
            .env("INSTA_UPDATE", "no")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| no_nextest(&error))?;
        let reaper = watch_over(&nextest, run);
        let mut following = Following::new(dir, asked);
        let ended = tokio::select! {
            ended = following.until_ended(&mut nextest) => ended,
            why = interrupted() => {
                following.say(&format!("{why}: tearing down"));
                terminate(&nextest);
                nextest.wait().await
            }
        };
        following.finish();
        if let Some(reaper) = reaper {
            reaper.dismiss();
        }
        match ended {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::missing(
                format!("the test runner was lost: {error}"),
                format!("see {}", log.display()),
            )),
        }
    }
}

/// Random enough for a seed that is always printed.
fn start_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| u64::from(now.subsec_nanos()))
}

/// Sweeps what dead runs left, makes sure of the images, and names a new run.
async fn begin_run(engine: &Engine, seed: u64, rerun: String) -> Result<Run, Failure> {
    let spinner = Spinner::start("preparing");
    let api = connect::connect().await?;
    sweep_dead(&api, Kept::Stay).await?;
    let image = image::ensure(&api, engine, &|line| spinner.say(line)).await?;
    image::tools(&api, &|line| spinner.say(line)).await?;
    let host = host(&api).await;
    spinner.finish(&format!("{engine}: {} ({})", image.reference, image.origin));
    Ok(Run {
        id: new_run_id(),
        target: "docker".to_owned(),
        engine: engine.to_string(),
        image,
        seed,
        rerun,
        started_at: now_utc(),
        duration: At::default(),
        host,
    })
}

/// What the suite's set-up script runs: the same preparation, handed on to every test.
pub(crate) async fn prepare() -> Result<ExitCode, Failure> {
    // A run that `cargo lab grade` began is prepared already.
    if std::env::var(RUN_VAR).is_ok_and(|run| !run.is_empty()) {
        return Ok(ExitCode::SUCCESS);
    }
    let engine = Engine::select(None)?;
    let seed = match std::env::var(SEED_VAR) {
        Ok(text) => text
            .parse()
            .map_err(|_| Failure::usage(format!("{SEED_VAR}={text} is no whole number"), "leave it unset"))?,
        Err(_) => start_seed(),
    };
    let rerun = format!("LAB_ENGINE={engine} LAB_SEED={seed} cargo nextest run --workspace");
    let run = begin_run(&engine, seed, rerun).await?;
    runs::begin(&run)?;
    // Only for tests: how nextest learns what a set-up script wants its tests to know.
    if let Ok(path) = std::env::var("NEXTEST_ENV") {
        let lines = format!("{RUN_VAR}={}\n{SEED_VAR}={seed}\n", run.id);
        std::fs::write(&path, lines)
            .map_err(|error| Failure::missing(format!("cannot write {path}: {error}"), "free some space"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds before the steps begin, with cargo's own progress.
async fn build() -> Result<(), Failure> {
    let status = nextest().arg("--no-run").stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::missing(
            "the steps do not build, or cargo-nextest is missing",
            "the lines above say why; `cargo install cargo-nextest --locked` installs the runner",
        )),
        Err(error) => Err(no_nextest(&error)),
    }
}

fn nextest() -> Command {
    // Cargo tells its subcommands where it is.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(failover_lab::session::root());
    command.args(["nextest", "run", "--package", "lab-steps", "--cargo-quiet"]);
    command
}

fn no_nextest(error: &io::Error) -> Failure {
    Failure::missing(
        format!("cargo cannot be started: {error}"),
        "install Rust with rustup, and cargo-nextest",
    )
}

/// Steps are modules of the test binary: `failover` is `replication::failover::…`.
fn filter(checklist: &Checklist, asked: &[&Step]) -> String {
    let modules: Vec<String> = asked.iter().map(|step| step.id.as_str().replace('-', "_")).collect();
    format!("test(/^{}::({})::/)", checklist.lab, modules.join("|"))
}

/// None only if this program cannot be started again; then the sweep at the next start is what is left.
fn watch_over(nextest: &Child, run: &Run) -> Option<Reaper> {
    let program = std::env::current_exe().ok()?;
    Reaper::watch_over_run(&program, &run.id, &Owner::of_process(nextest.id()?)).ok()
}

fn terminate(nextest: &Child) {
    if let Some(pid) = nextest.id() {
        Owner::of_process(pid).terminate();
    }
}
