//! Somebody else's deployment: this project's own compose file, graded by the steps as it is, with faults,
//! and with something wrong on purpose.

use std::collections::{BTreeMap, BTreeSet};

use failover_lab::{
    attach::{AttachError, survey},
    docker::{Kept, Scope, find, route, sweep_dead},
    environment::{Environment, Terms},
    wait::Seen,
};
use lab_report::{Verdict, report::StepRecord};

use super::{
    cleaning_up::{NO_REAPER, Owner, REAPER, When},
    compose::{BOOT, Project, SENTINELS},
};
use crate::{
    broken::steps,
    step::{checklist, describe, session},
};

/// What can be seen without touching anything.
const SEEN: [&str; 11] = [
    "configured.data-nodes",
    "configured.sentinels",
    "discovery.clients",
    "discovery.primary",
    "discovery.quorum",
    "discovery.replicas",
    "discovery.sentinels",
    "health.answers",
    "health.clients",
    "health.memory",
    "health.persistence",
];
/// The steps that see it.
const LOOKING: [&str; 3] = ["discovery", "as-configured", "health"];
const DATA: [&str; 3] = ["redis-1", "redis-2", "redis-3"];
const NODES: [&str; 6] = ["redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"];

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Looking,
    Faults,
}

/// A deployment that is graded.
struct Attached<'a> {
    project: &'a Project,
    environment: Environment,
}

impl<'a> Attached<'a> {
    /// To the project's containers.
    fn to(project: &'a Project, allowed: Allowed) -> Self {
        Self::by(&format!("compose:{}", project.name), project, allowed)
    }

    /// To one of its servers: `21:26379` is the first sentinel, and names it.
    fn to_server(server: &str, project: &'a Project, allowed: Allowed) -> Self {
        Self::by(&format!("redis://{}.{server}", project.subnet), project, allowed)
    }

    fn by(spec: &str, project: &'a Project, allowed: Allowed) -> Self {
        let terms = Terms {
            user: None,
            password: Some(project.password.clone()),
            sentinel_password: Some(project.sentinel_password.clone()),
            allow_faults: allowed == Allowed::Faults,
        };
        Self { project, environment: Environment::attached(spec, terms).expect("it can be attached to") }
    }

    /// Runs these steps, or all of them, and says what became of each check; of several cases the worst.
    async fn graded(&self, only: &[&str]) -> Grades {
        let (list, mut grades) = (checklist("sentinel"), Grades::default());
        for step in steps("sentinel") {
            if !only.is_empty() && !only.contains(&step.id()) {
                continue;
            }
            let listed = list.step(&step.id().into()).expect("the checklist lists every step");
            for case in listed.runs() {
                let folder = format!("attached/{}/{}", self.project.name, listed.run_name(case));
                grades.add(step.run_in(&self.environment, case, folder).await);
            }
        }
        grades
    }

    /// Why it cannot be attached to.
    async fn refused(&self) -> AttachError {
        let addressing = route(&self.project.api).await.expect("the bridge can be looked at").addressing();
        let found = survey(&self.environment, Some((&self.project.api, addressing))).await;
        let error = found.expect_err("it cannot be attached to");
        assert!(!error.hint().is_empty());
        error
    }

    async fn is_whole(&self) {
        self.project.until("all sentinels to see all nodes", BOOT, || self.project.whole()).await;
    }

    /// When each container was last started: what was never stopped says the same as before.
    async fn starts(&self) -> Vec<String> {
        let mut starts = Vec::new();
        for node in NODES {
            let found = self.project.api.inspect_container(&self.project.container(node), None).await;
            let state = found.expect("it is there").state.expect("it has a state");
            assert_eq!((state.running, state.paused), (Some(true), Some(false)), "{node}");
            starts.push(state.started_at.unwrap_or_default());
        }
        starts
    }

    /// No key of the lab's, and no note.
    async fn nothing_is_left(&self) {
        for node in DATA {
            let keys: Vec<String> = self.project.ask(node, &["KEYS", "*"]).await.expect("it answers");
            assert_eq!(keys, Vec::<String>::new(), "{node}");
        }
        let left = find(&self.project.api, &Scope::Run(session().run.to_string())).await;
        let notes: Vec<String> =
            left.expect("the container engine answers").volumes.into_iter().map(|v| v.name).collect();
        let ours = notes.iter().filter(|name| name.contains(&self.project.name));
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

/// What became of each check.
#[derive(Default)]
struct Grades {
    checks: BTreeMap<String, Verdict>,
    story: Vec<String>,
}

impl Grades {
    fn add(&mut self, record: StepRecord) {
        for check in &record.checks {
            let verdict = self.checks.entry(check.id.to_string()).or_insert(check.verdict);
            *verdict = check.verdict.max(*verdict);
        }
        let troubled = record.checks.iter().filter(|check| check.verdict != Verdict::Pass);
        self.story.extend(troubled.map(describe).chain(record.aborted));
    }

    /// Which ones came out like this.
    fn with(&self, wanted: Verdict) -> BTreeSet<&str> {
        let all = self.checks.iter().filter(|(_, verdict)| **verdict == wanted);
        all.map(|(id, _)| id.as_str()).collect()
    }

    /// These failed, and nothing else; whatever else can be seen passed.
    fn lost_exactly(&self, failed: &[&str]) {
        assert_eq!(self.with(Verdict::Fail), failed.iter().copied().collect(), "{}", self.story.join("\n"));
        self.passed_all_but(failed);
    }

    fn passed_all_but(&self, others: &[&str]) {
        let story = self.story.join("\n");
        assert_eq!(self.with(Verdict::Unknown), BTreeSet::new(), "unknown\n{story}");
        let rest = SEEN.into_iter().filter(|id| !others.contains(id)).collect();
        assert_eq!(self.with(Verdict::Pass), rest, "passed\n{story}");
    }
}

/// 1. Whoever only may look sees what can be seen, skips the rest, and changes nothing.
/// 2. So does who knows the address of one sentinel, or of one replica.
/// 3. A user who may not give every command skips what needs it.
/// 4. Quorum 3: the settings are not those of the table.
/// 5. Two sentinels are stopped: the last one knows them, and there is no quorum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_finds_what_is_wrong_and_changes_nothing() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Looking);
        attached.is_whole().await;
        let before = attached.starts().await;

        // 1. Sound.
        let grades = attached.graded(&[]).await;
        grades.lost_exactly(&[]);
        let skipped = grades.with(Verdict::Skipped).len();
        assert_eq!(skipped + SEEN.len(), grades.checks.len());
        assert_eq!(attached.starts().await, before);
        attached.nothing_is_left().await;

        // 2. From one server.
        for server in ["21:26379", "12:6379"] {
            let from_one = Attached::to_server(server, project, Allowed::Looking);
            from_one.graded(&LOOKING).await.lost_exactly(&[]);
        }

        // 3. A user without `CONFIG`.
        for node in DATA {
            let rules = ["ACL", "SETUSER", "looker", "on", ">looking", "~*", "&*", "+@all", "-config"];
            project.ask::<String>(node, &rules).await.expect("the user is made");
        }
        let by = format!("redis://looker:looking@{}.11:6379", project.subnet);
        let grades = Attached::by(&by, project, Allowed::Looking).graded(&LOOKING).await;
        grades.passed_all_but(&["configured.data-nodes"]);
        assert!(grades.with(Verdict::Skipped).contains("configured.data-nodes"));

        // 4. Three of three.
        for sentinel in SENTINELS {
            let set = project.ask::<String>(sentinel, &["SENTINEL", "SET", "lab", "quorum", "3"]).await;
            assert_eq!(set.as_deref(), Ok("OK"));
        }
        attached.graded(&LOOKING).await.lost_exactly(&["configured.sentinels"]);

        // 5. One of three.
        for sentinel in SENTINELS {
            project
                .ask::<String>(sentinel, &["SENTINEL", "SET", "lab", "quorum", "2"])
                .await
                .expect("it is set");
        }
        project.composed(&["stop", "--timeout", "1", "sentinel-2", "sentinel-3"]);
        let known = async || match project.others_down("sentinel-1").await {
            Ok(2) => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        };
        project.until("the last sentinel to know", BOOT, known).await;
        let grades = attached.graded(&LOOKING).await;
        grades.lost_exactly(&["discovery.quorum", "discovery.sentinels", "health.clients"]);
    })
    .await;
}

/// A node that was to be a replica, and follows nobody: no sentinel ever hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_follows_nobody_is_missed() {
    Project::with_changes("{ redis-3: { command: [primary] } }", async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Looking);
        let known = async || match project.replicas_up().await {
            Ok(up) if up == [1, 1, 1] => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        };
        project.until("every sentinel to see one replica", BOOT, known).await;
        let grades = attached.graded(&LOOKING).await;
        grades.lost_exactly(&["discovery.replicas", "health.clients"]);
    })
    .await;
}

/// 1. Whoever may break it runs the steps with their faults, and all that was tested passed.
/// 2. Whoever only knows its addresses can still ask it for a failover.
/// 3. It is handed back whole: no key, no note, and everything runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_may_be_broken_is_handed_back_whole() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;

        // 1. Broken.
        let grades = attached.graded(&["health", "sentinel-failover", "restore", "manual-failover"]).await;
        let story = grades.story.join("\n");
        assert_eq!(grades.with(Verdict::Fail), BTreeSet::new(), "failed\n{story}");
        assert_eq!(grades.with(Verdict::Unknown), BTreeSet::new(), "unknown\n{story}");
        // The worst of the four cases, of which one needs partitions.
        let skipped = grades.with(Verdict::Skipped);
        assert!(skipped.iter().all(|id| id.starts_with("election.")), "skipped {skipped:?}\n{story}");

        // 2. From one server.
        let from_one = Attached::to_server("23:26379", project, Allowed::Faults);
        let grades = from_one.graded(&["sentinel-failover", "manual-failover"]).await;
        let passed = BTreeSet::from(["manual.client-follows", "manual.promoted"]);
        assert_eq!(grades.with(Verdict::Pass), passed, "{}", grades.story.join("\n"));

        // 3. Whole.
        attached.is_whole().await;
        attached.starts().await;
        attached.nothing_is_left().await;
    })
    .await;
}

/// 1. The primary is down when the process that took it down is ended: killed, or told to stop.
/// 2. Somebody starts it again: the reaper, the process itself, or the next sweep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_down_comes_back() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        for (reaper, signal) in [(REAPER, "KILL"), (NO_REAPER, "TERM"), (NO_REAPER, "KILL")] {
            attached.is_whole().await;
            let before = attached.starts().await;

            // 1. Down.
            Owner::in_environment(&attached.environment, reaper, async |owner| {
                owner.is(When::Running).await;
                owner.send(signal).await;
                owner.ended().await;
                if (reaper, signal) == (NO_REAPER, "KILL") {
                    assert_eq!(owner.left().await.volumes.len(), 1, "the note");
                    sweep_dead(&project.api, Kept::Stay).await.expect("the container engine answers");
                }

                // 2. Up.
                owner.has_nothing().await;
            })
            .await;
            let after = attached.starts().await;
            let started_again = after.iter().zip(&before).filter(|(after, before)| after != before).count();
            assert_eq!(started_again, 1, "{signal}: {before:?}, then {after:?}");
        }
    })
    .await;
}

/// 1. A password is wanted.
/// 2. There is a server, and no sentinel.
/// 3. Nothing runs any more.
/// 4. There is no such project.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_attached_to_is_named_with_a_hint() {
    Project::with(async |project| {
        let known = Attached::to(project, Allowed::Looking);
        let stranger = Environment::attached(&format!("compose:{}", project.name), Terms::default());
        let stranger = Attached { project, environment: stranger.expect("it names a project") };

        project.composed(&["up", "--detach", "redis-1"]);
        let answers = async || match project.ask::<String>("redis-1", &["PING"]).await {
            Ok(_) => Seen::Ready(()),
            Err(error) => Seen::NotYet(error),
        };
        project.until("the server to answer", BOOT, answers).await;
        // 1. to 4.
        assert!(matches!(stranger.refused().await, AttachError::Locked { who, .. } if who == "redis-1"));
        assert!(matches!(known.refused().await, AttachError::NoSentinel { there } if there == "redis-1"));
        project.composed(&["stop", "--timeout", "1"]);
        assert!(matches!(known.refused().await, AttachError::NothingRuns { .. }));
        project.composed(&["down", "--volumes"]);
        let gone = known.refused().await;
        assert!(
            matches!(&gone, AttachError::NoProject { project: name, .. } if *name == project.name),
            "{gone}"
        );
    })
    .await;
}
