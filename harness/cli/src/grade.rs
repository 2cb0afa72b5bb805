//! `cargo lab grade`: the lab's steps are the test suite's, so the test runner runs them; this prepares
//! the run, shows its progress, and turns its records into marks.

use std::{path::Path, process::ExitCode, time::Instant};

use clap::Args;
use failover_lab::{
    attach::survey,
    connect,
    docker::{Kept, Scope, host, remove, route, sweep_dead, this_machine},
    engine::{ENGINE_VARIABLE, Engine},
    environment::{Capability, Environment, Terms},
    image,
    session::{self, KEEP_VAR, RUN_VAR, SEED_VAR, TARGET_VAR, new_run_id, new_seed, now_utc},
};
use lab_report::{
    RunId,
    checklist::{Checklist, Step},
    evidence::At,
    report::Run,
};

use crate::{
    failure::Failure,
    progress::{Following, Spinner},
    runner::{self, Runner},
    runs::{self, Asked, Begun},
};

/// Run a checklist's steps and give marks.
#[derive(Args)]
pub(crate) struct Grade {
    /// The checklist, as in `cargo lab list`.
    #[arg(default_value = "q5")]
    checklist: String,
    /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
    #[arg(long)]
    engine: Option<String>,
    /// Seeds every random choice; without it, what LAB_SEED says, else a random one.
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the topology of a failed step up, and say how to reach it; `cargo lab reap` removes it.
    #[arg(long)]
    keep: bool,
    /// Only this step; can be given several times.
    #[arg(long = "step", value_name = "NAME")]
    steps: Vec<String>,
    /// Grade somebody else's deployment: `compose:<project>` or `redis://[user:password@]host:port[,host:port]`.
    /// LAB_ATTACH_PASSWORD and LAB_ATTACH_SENTINEL_PASSWORD say passwords that no command line shows.
    #[arg(long, value_name = "WHERE", conflicts_with_all = ["engine", "keep"])]
    attach: Option<String>,
    /// Let the steps write to it, make it fail over, and break it; everything is brought back as it was.
    #[arg(long, requires = "attach")]
    allow_faults: bool,
}

impl Grade {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let checklist = runs::checklist(&self.checklist)?;
        let asked = Asked { checklist, steps: self.steps.iter().map(|step| step.as_str().into()).collect() };
        let steps = asked.steps()?;
        let environment = self.environment(&asked.checklist)?;
        let engine = Engine::select(self.engine.as_deref())?;
        let seed = self.seed.map_or_else(session::seed_in_env, |seed| Ok(Some(seed)))?;
        let seed = seed.unwrap_or_else(new_seed);
        runner::present().await?;
        let rerun = self.rerun(&environment, &engine, seed);
        let (run, begin) = match environment {
            Environment::Containers => (begin_run(&engine, seed, rerun).await?, Instant::now()),
            _ => (attach_run(&environment, seed, rerun).await?, Instant::now()),
        };
        runner::build().await?;
        let mut begun = Begun { run, asked: vec![asked.named()] };
        let dir = begun.write()?;
        self.run_steps(&asked.checklist, &steps, &begun.run, &environment, &engine, &dir).await?;
        begun.run.duration = At(begin.elapsed());
        begun.write()?;
        let report = runs::write_report(&dir, begun)?;
        Ok(runs::show(&report, &dir))
    }

    fn environment(&self, checklist: &Checklist) -> Result<Environment, Failure> {
        let Some(spec) = &self.attach else { return Ok(Environment::Containers) };
        if checklist.lab != "sentinel" {
            return Err(Failure::usage(
                format!("the steps of checklist `{}` need a deployment of the lab's own", checklist.id),
                "`cargo lab grade sentinel --attach …` grades what its owner runs",
            ));
        }
        let terms = Terms { allow_faults: self.allow_faults, ..Terms::from_env()? };
        Ok(Environment::attached(spec, terms)?)
    }

    fn rerun(&self, environment: &Environment, engine: &Engine, seed: u64) -> String {
        let steps: String = self.steps.iter().map(|step| format!(" --step {step}")).collect();
        let on = match environment {
            Environment::Containers => format!("--engine {engine}"),
            _ if self.allow_faults => format!("--attach {environment} --allow-faults"),
            _ => format!("--attach {environment}"),
        };
        format!("cargo lab grade {} {on} --seed {seed}{steps}", self.checklist)
    }

    /// Runs the steps' tests and shows how they get on. What they found out is in their records.
    async fn run_steps(
        &self,
        checklist: &Checklist,
        asked: &[&Step],
        run: &Run,
        environment: &Environment,
        engine: &Engine,
        dir: &Path,
    ) -> Result<(), Failure> {
        let log = dir.join("nextest.log");
        let mut command = runner::command(checklist, asked, &log)?;
        if *environment != Environment::Containers {
            command.args(["--profile", "attached"]);
        }
        command
            .envs(environment.variables())
            .env(RUN_VAR, run.id.as_str())
            .env(ENGINE_VARIABLE, engine.to_string())
            .env(SEED_VAR, run.seed.to_string())
            .env(KEEP_VAR, if self.keep { "1" } else { "0" });
        let mut following = Following::new(dir, asked);
        let ended = Runner::start(command, &run.id)?.follow(&mut following).await;
        if *environment == Environment::Containers && !self.keep {
            clear(&run.id).await?;
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

/// Removes the hosts that the last steps left to the next ones. Their reapers are about to do it.
async fn clear(run: &RunId) -> Result<(), Failure> {
    let spinner = Spinner::start("tearing down");
    remove(&connect::connect().await?, &Scope::Run(run.to_string())).await?;
    spinner.finish("nothing is left");
    Ok(())
}

/// Sweeps what dead runs left, makes sure of the images, and names a new run.
async fn begin_run(engine: &Engine, seed: u64, rerun: String) -> Result<Run, Failure> {
    let spinner = Spinner::start("preparing");
    let api = connect::connect().await?;
    // Nobody waits for what cannot be removed now; but somebody should know.
    for failed in sweep_dead(&api, Kept::Stay).await?.failed {
        eprintln!("left by a dead run, and still there: {failed}");
    }
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

/// Looks at somebody else's deployment, says what will be done to it, and names a new run.
async fn attach_run(environment: &Environment, seed: u64, rerun: String) -> Result<Run, Failure> {
    let spinner = Spinner::start("looking");
    let (survey, host) = match environment {
        Environment::Endpoints { .. } => (survey(environment, None).await?, this_machine()),
        _ => {
            let api = connect::connect().await?;
            // A run that was killed may have left it broken: what it was before is what is graded.
            let swept = sweep_dead(&api, Kept::Stay).await?;
            for name in swept.removed.names() {
                eprintln!("left by a dead run, and removed: {name}");
            }
            for failed in swept.failed {
                eprintln!("left by a dead run, and still there: {failed}");
            }
            if environment.needs(Capability::Partitions).is_ok() {
                image::tools(&api, &|line| spinner.say(line)).await?;
            }
            let addressing = route(&api).await?.addressing();
            (survey(environment, Some((&api, addressing))).await?, host(&api).await)
        }
    };
    spinner.finish(survey.announcement(environment).trim_end());
    Ok(Run {
        id: new_run_id(),
        target: environment.to_string(),
        engine: survey.engine,
        image: survey.image,
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
    if session::run_in_env().is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let engine = Engine::select(None)?;
    let seed = session::seed_in_env()?.unwrap_or_else(new_seed);
    let rerun = format!("LAB_ENGINE={engine} LAB_SEED={seed} cargo nextest run --workspace");
    let run = begin_run(&engine, seed, rerun).await?;
    // Nobody tells a set-up script what was asked for. All of it, then: a report of this run that passes
    // has seen every step.
    let id = run.id.clone();
    Begun { run, asked: runs::everything()? }.write()?;
    // Only for tests: how nextest learns what a set-up script wants its tests to know.
    if let Ok(path) = std::env::var("NEXTEST_ENV") {
        let target = runs::target_dir();
        let lines = format!("{RUN_VAR}={id}\n{SEED_VAR}={seed}\n{TARGET_VAR}={}\n", target.display());
        std::fs::write(&path, lines)
            .map_err(|error| Failure::missing(format!("cannot write {path}: {error}"), "free some space"))?;
    }
    Ok(ExitCode::SUCCESS)
}
