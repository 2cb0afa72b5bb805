//! Whatever ends a lab's owner, nothing of the lab stays.
//!
//! The owner is a process of its own: `lab-victim`, in `victim.rs`.

/// Nothing but what somebody wanted to stay.
mod kept;
/// It is killed in the middle of a failover.
mod mid_failover;

use std::{
    os::unix::process::ExitStatusExt, panic::AssertUnwindSafe, path::Path, process::Stdio, time::Duration,
};

use failover_lab::{
    Lab, Plan,
    connect::connect,
    docker::{self, Kept, Leftovers, SLOT_VAR, Scope, find, remove, sweep_dead},
    environment::Environment,
    pulse::soundly,
    reaper::Reaper,
    session::{RUN_VAR, Session, new_run_id, runs_dir},
    wait::{self, Seen},
};
use futures_util::FutureExt;
use lab_report::{RunId, Verdict, checklist::Step, judge::Judgement};
use rstest::rstest;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{alone, sweeping};

pub(super) const REAPER: &str = env!("CARGO_BIN_EXE_lab-reaper");
/// A reaper that is gone before it could do anything.
pub(super) const NO_REAPER: &str = "true";
/// One that hands a deployment back first takes half a minute to end.
const ENDS: Duration = Duration::from_secs(60);
/// A boot, on a busy machine.
pub(super) const BOOT: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(15);
const PACE: Duration = Duration::from_millis(20);
/// What the container engine was asked for before its owner died is there within this.
const LATE: Duration = Duration::from_secs(2);
const SIGTERM: i32 = 15;

/// Longer than a second, which is a standstill.
const HELD: Duration = Duration::from_millis(1500);

/// A running `lab-victim`.
pub(super) struct Owner {
    run: RunId,
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

/// When it is ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Booting,
    Running,
}

impl Owner {
    /// Lends an owner to `body`; whatever that does, owner and lab are gone afterwards. Where the machine stood still
    /// meanwhile, that is done anew.
    async fn with_reaper(reaper: &str, body: impl AsyncFnMut(&mut Self)) {
        Self::in_environment(&Environment::Containers, reaper, body).await;
    }

    /// The same, with this to do.
    async fn told_to(what: &str, reaper: &str, body: impl AsyncFnMut(&mut Self)) {
        Self::told_to_in(&Environment::Containers, what, reaper, body).await;
    }

    /// The same, with a lab somewhere else.
    pub(super) async fn told_to_in(
        environment: &Environment,
        what: &str,
        reaper: &str,
        body: impl AsyncFnMut(&mut Self),
    ) {
        let command = || {
            let mut command = victim(reaper);
            command.arg(what);
            command
        };
        Self::started_by(command, environment, body).await;
    }

    /// The same, with a lab somewhere else.
    pub(super) async fn in_environment(
        environment: &Environment,
        reaper: &str,
        body: impl AsyncFnMut(&mut Self),
    ) {
        Self::started_by(|| victim(reaper), environment, body).await;
    }

    async fn started_by(
        command: impl Fn() -> Command,
        environment: &Environment,
        mut body: impl AsyncFnMut(&mut Self),
    ) {
        soundly(async || Self::lend(command(), environment, &mut body).await).await;
    }

    async fn lend(mut command: Command, environment: &Environment, body: impl AsyncFnOnce(&mut Self)) {
        let run = new_run_id();
        let mut process = command
            .env(RUN_VAR, run.as_str())
            // It is no test of nextest's.
            .env_remove(SLOT_VAR)
            .envs(environment.variables())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it is built beside the tests");
        let said = BufReader::new(process.stdout.take().expect("its output is a pipe")).lines();
        let mut owner = Self { run, process, said };
        let ended = AssertUnwindSafe(body(&mut owner)).catch_unwind().await;
        let _ = owner.process.kill().await;
        let api = connect().await.expect("the container engine answers");
        remove(&api, &Scope::Run(owner.run.clone().to_string())).await.expect("the rest can be removed");
        let _ = std::fs::remove_dir_all(runs_dir().join(owner.run.as_str()));
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    /// Waits until it is in the middle of something.
    pub(super) async fn is(&mut self, when: When) {
        match when {
            When::Running => assert_eq!(self.says().await.as_deref(), Some("running")),
            When::Booting => {
                self.has("a container", |left| !left.containers.is_empty()).await;
            }
        }
    }

    /// Its next line; none if it has ended.
    async fn says(&mut self) -> Option<String> {
        let line = tokio::time::timeout(wait::scaled(BOOT), self.said.next_line()).await;
        line.expect("it says something in time").expect("its output can be read")
    }

    /// As the shell's `kill` does.
    pub(super) async fn send(&self, signal: &str) {
        let pid = self.process.id().expect("it runs").to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "{signal} is sent");
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) {
        let ended = tokio::time::timeout(wait::scaled(ENDS), self.process.wait()).await;
        ended.expect("it ends in time").expect("it can be waited for");
    }

    /// What there is of its lab.
    pub(super) async fn left(&self) -> Leftovers {
        left(&self.run).await
    }

    async fn has(&self, what: &str, wanted: impl Fn(&Leftovers) -> bool) {
        has(&self.run, what, wanted).await;
    }

    /// Nothing is left, and nothing comes late.
    pub(super) async fn has_nothing(&self) {
        has_nothing(&self.run).await;
    }
}

fn victim(reaper: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-victim"));
    command.arg(reaper);
    command
}

pub(super) async fn left(run: &RunId) -> Leftovers {
    let api = connect().await.expect("the container engine answers");
    find(&api, &Scope::Run(run.to_string())).await.expect("the container engine answers")
}

async fn has(run: &RunId, what: &str, wanted: impl Fn(&Leftovers) -> bool) {
    let seen = wait::until(what, SOON, PACE, async || match left(run).await {
        left if wanted(&left) => Seen::Ready(()),
        left => Seen::NotYet(format!("{:?}", left.names())),
    });
    seen.await.unwrap_or_else(|late| panic!("{late}"));
}

/// Nothing of a run is left, and nothing comes late.
pub(super) async fn has_nothing(run: &RunId) {
    has(run, "nothing", Leftovers::is_empty).await;
    wait::pass(LATE).await;
    assert_eq!(left(run).await.names(), Vec::<String>::new(), "what came late");
}

/// 1. The owner of a lab is killed, and has no time for anything.
/// 2. Its reaper notices, and removes the lab.
#[rstest]
#[case::booting(When::Booting)]
#[case::running(When::Running)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_of_a_killed_owner_is_reaped(#[case] when: When) {
    Owner::with_reaper(REAPER, async |owner| {
        // 1. Killed.
        owner.is(when).await;
        owner.process.kill().await.unwrap();

        // 2. Reaped.
        owner.has_nothing().await;
    })
    .await;
}

/// 1. The owner of a lab is told to stop.
/// 2. It tears the lab down itself, without a reaper, before it ends.
#[rstest]
#[case::terminated(When::Running, "TERM", "terminated (SIGTERM)")]
#[case::interrupted(When::Running, "INT", "interrupted (SIGINT)")]
#[case::hung_up(When::Running, "HUP", "hung up (SIGHUP)")]
#[case::terminated_at_boot(When::Booting, "TERM", "boot: terminated (SIGTERM)")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_told_to_stop_cleans_up(
    #[case] when: When,
    #[case] signal: &str,
    #[case] why: &str,
) {
    Owner::with_reaper(NO_REAPER, async |owner| {
        // 1. Told.
        owner.is(when).await;
        owner.send(signal).await;

        // 2. Torn down.
        assert_eq!(owner.says().await.as_deref(), Some(why));
        assert!(owner.process.wait().await.unwrap().success());
        assert_eq!(owner.left().await.names(), Vec::<String>::new());
        owner.has_nothing().await;
    })
    .await;
}

/// 1. Whoever started the owner of a lab is killed, and it hears nothing of that.
/// 2. It notices, and tears the lab down itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_whose_parent_is_gone_cleans_up() {
    let parent = || {
        let mut parent = Command::new("sh");
        parent.args(["-c", "\"$0\" \"$1\" & wait", env!("CARGO_BIN_EXE_lab-victim"), NO_REAPER]);
        parent
    };
    Owner::started_by(parent, &Environment::Containers, async |owner| {
        // 1. Killed.
        owner.is(When::Running).await;
        owner.process.kill().await.unwrap();

        // 2. Torn down.
        assert_eq!(owner.says().await.as_deref(), Some("whoever started this process is gone"));
        owner.has_nothing().await;
    })
    .await;
}

/// 1. A runner's lab has lost its owner, and had no reaper of its own.
/// 2. Whoever started the runner is gone without a word: the runner is told to end, and nothing of its run is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_labs_of_a_runner_that_nobody_waits_for_are_reaped() {
    Owner::with_reaper(NO_REAPER, async |owner| {
        // 1. Lost.
        let mut runner = Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
        let label = docker::Owner::of_process(runner.id().expect("it runs"));
        let reaper = Reaper::watch_over_run(Path::new(REAPER), &owner.run, &label).unwrap();
        owner.is(When::Running).await;
        owner.process.kill().await.unwrap();

        // 2. Reaped.
        drop(reaper);
        let ended = tokio::time::timeout(wait::scaled(ENDS), runner.wait()).await;
        let status = ended.expect("it ends in time").expect("it can be waited for");
        assert_eq!(status.signal(), Some(SIGTERM));
        owner.has_nothing().await;
    })
    .await;
}

/// 1. The owner of a lab is held for longer than any machine is busy.
/// 2. What it had begun was no experiment: it is torn down, and begun anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_machine_stood_still_a_step_begins_anew() {
    Owner::with_reaper(NO_REAPER, async |owner| {
        // 1. Held.
        owner.is(When::Running).await;
        let spoiled = owner.left().await.names();
        owner.send("STOP").await;
        wait::pass(HELD).await;
        owner.send("CONT").await;

        // 2. Anew.
        owner.is(When::Running).await;
        let again = owner.left().await.names();
        assert!(
            !again.is_empty() && again.iter().all(|name| !spoiled.contains(name)),
            "{spoiled:?}, {again:?}"
        );
        owner.send("TERM").await;
        assert_eq!(owner.says().await.as_deref(), Some("terminated (SIGTERM)"));
        owner.has_nothing().await;
    })
    .await;
}

/// 1. Two owners run; one is killed, and its reaper was killed before.
/// 2. What it left stays, until somebody sweeps.
/// 3. Then it is gone, and the live one's lab is as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeping_removes_what_the_dead_left_and_nothing_of_the_living() {
    Owner::with_reaper(NO_REAPER, async |dead| {
        Owner::with_reaper(REAPER, async |alive| {
            // 1. One is killed.
            dead.is(When::Running).await;
            alive.is(When::Running).await;
            let _turn = sweeping::turn().await;
            dead.process.kill().await.unwrap();

            // 2. Left.
            let theirs = alive.left().await;
            assert_eq!((theirs.containers.len(), theirs.networks.len()), (1, 1));
            assert_eq!(dead.left().await.len(), theirs.len());

            // 3. Swept.
            sweep_dead(&connect().await.unwrap(), Kept::Stay).await.unwrap();
            dead.has("nothing", Leftovers::is_empty).await;
            assert_eq!(alive.left().await, theirs);
        })
        .await;
    })
    .await;
}

const PANICS: &str = r#"
id = "panics"
title = "A step that does not end well"
[[check]]
id = "ground.before"
claim = "what was judged before stands"
hint = "none"
[[check]]
id = "ground.after"
claim = "what was not is unknown"
hint = "none"
"#;

/// 1. A step judges one of its checks, and panics.
/// 2. Its record has that check, says that the other is unknown, and why.
/// 3. Nothing of its lab is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_panics_is_torn_down_and_put_on_record() {
    let step: Step = toml::from_str(PANICS).unwrap();
    let mut session = Session::from_env(Path::new(REAPER)).unwrap();
    (session.run, session.keep) = (new_run_id(), false);
    let plan = Plan { step: &step, case: None, topology: alone(), needs: &[], folder: "ground".to_owned() };

    // 1. Panics.
    let mut lab_of_the_step = None;
    let record = Lab::run(&session, plan, async |lab| {
        lab_of_the_step = Some(lab.docker().clone());
        lab.check("ground.before", Judgement::equal("so", "so"));
        panic!("the step has a mistake")
    })
    .await;

    // 2. On record.
    let checks: Vec<_> = record.checks.iter().map(|check| (check.id.as_str(), check.verdict)).collect();
    assert_eq!(checks, [("ground.before", Verdict::Pass), ("ground.after", Verdict::Unknown)]);
    assert_eq!(record.verdict, Verdict::Unknown);
    assert_eq!(record.aborted.as_deref(), Some("panicked: the step has a mistake"));
    let on_disk = std::fs::read_to_string(session.dir().join("ground/record.json")).unwrap();
    assert!(on_disk.contains("panicked: the step has a mistake"));
    std::fs::remove_dir_all(session.dir()).unwrap();

    // 3. Torn down.
    let docker = lab_of_the_step.expect("the step has run");
    assert_eq!(docker.leftovers().await.unwrap().names(), Vec::<String>::new());
}
