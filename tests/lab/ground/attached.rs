//! Somebody else's deployment: this project's own compose file, graded by the steps as it is, with faults,
//! and with something wrong on purpose.

/// From the command line.
mod command;
/// With faults, and handed back.
mod faults;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use failover_lab::{
    attach::{AttachError, survey},
    docker::{Scope, find, route},
    environment::{Environment, Terms},
    session::runs_dir,
    wait::Seen,
};
use lab_report::{Verdict, report::StepRecord};

use super::compose::{BOOT, DATA, NODES, Project, SENTINELS};
use crate::{
    broken::steps,
    step::{checklist, describe, session},
};

/// What can be seen without touching anything.
const SEEN: [&str; 15] = [
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
    "health.replication",
    "security.no-password",
    "security.sentinel-password",
    "security.wrong-password",
];
/// The steps that see it.
const LOOKING: [&str; 4] = ["discovery", "as-configured", "health", "security"];

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

    /// Runs these steps, or all of them, and says what became of each check. No password is on record afterwards.
    async fn graded(&self, only: &[&str]) -> Grades {
        self.graded_where(|step, _| only.is_empty() || only.contains(&step)).await
    }

    /// The same of one case of a step.
    async fn graded_in(&self, wanted: &str, case: &str) -> Grades {
        self.graded_where(|step, of| step == wanted && of == Some(case)).await
    }

    async fn graded_where(&self, wanted: impl Fn(&str, Option<&str>) -> bool) -> Grades {
        let (list, mut grades) = (checklist("sentinel"), Grades::default());
        for step in steps("sentinel") {
            let listed = list.step(&step.id().into()).expect("the checklist lists every step");
            for case in listed.runs().into_iter().filter(|case| wanted(step.id(), *case)) {
                let folder = format!("attached/{}/{}", self.project.name, listed.run_name(case));
                grades.add(step.run_in(&self.environment, case, folder).await);
            }
        }
        // Now: the next grading writes over it.
        self.no_password_is_on_record();
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

    /// Waits until it is, and says where its primary is.
    async fn is_whole(&self) -> String {
        self.project.until("all sentinels to see all nodes", BOOT, || self.project.whole()).await
    }

    /// When each container was last started: what was never stopped says the same as before.
    async fn starts(&self) -> Vec<String> {
        let mut starts = Vec::new();
        for node in NODES {
            let found = self.project.inspect(node).await;
            let state = found.expect("it is there").state.expect("it has a state");
            assert_eq!((state.running, state.paused), (Some(true), Some(false)), "{node}");
            starts.push(state.started_at.unwrap_or_default());
        }
        starts
    }

    /// The same, and whom each sentinel names, since which epoch: where nothing failed over, that is as before, too.
    async fn stands(&self) -> Vec<String> {
        let mut stands = self.starts().await;
        for sentinel in SENTINELS {
            let primary = self.project.master(sentinel).await.expect("it answers");
            stands.push(format!("{sentinel}: {}, epoch {}", primary.address(), primary.epoch()));
        }
        stands
    }

    /// It is whole, everything runs, and nothing of the lab's is left.
    async fn is_handed_back(&self) {
        self.is_whole().await;
        self.starts().await;
        self.nothing_is_left().await;
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

    /// Neither password is in what a grading of it left for people to read.
    fn no_password_is_on_record(&self) {
        let runs = fs::read_dir(runs_dir()).expect("there are runs");
        let mut files = Vec::new();
        for run in runs.map(|run| run.expect("a readable folder").path()) {
            let folder = run.join("attached").join(&self.project.name);
            if folder.is_dir() {
                files.extend(files_in(&folder));
                files.push(run.join("progress.jsonl"));
            }
        }
        assert!(files.iter().any(|file| file.ends_with("record.json")), "nothing is on record");
        for file in files {
            let text = fs::read(&file).expect("a readable file");
            self.project.no_password_is_in(&file.display().to_string(), &String::from_utf8_lossy(&text));
        }
    }
}

/// Every file below a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// What became of each check.
#[derive(Default)]
struct Grades {
    /// By the run that judged it: `restore`, `sentinel-failover-crash`.
    runs: BTreeMap<String, BTreeMap<String, Verdict>>,
    /// Why a run did not end by itself.
    aborted: Vec<String>,
    story: Vec<String>,
}

impl Grades {
    fn add(&mut self, record: StepRecord) {
        let verdicts = record.checks.iter().map(|check| (check.id.to_string(), check.verdict));
        self.runs.insert(record.name(), verdicts.collect());
        let troubled = record.checks.iter().filter(|check| check.verdict != Verdict::Pass);
        self.story.extend(troubled.map(describe).chain(record.aborted.clone()));
        self.aborted.extend(record.aborted);
    }

    /// Every check; of several cases the worst.
    fn worst(&self) -> BTreeMap<&str, Verdict> {
        let mut worst = BTreeMap::new();
        for (id, verdict) in self.runs.values().flatten() {
            let of_all = worst.entry(id.as_str()).or_insert(*verdict);
            *of_all = (*of_all).max(*verdict);
        }
        worst
    }

    /// Which ones came out like this.
    fn with(&self, wanted: Verdict) -> BTreeSet<&str> {
        self.worst().into_iter().filter(|(_, verdict)| *verdict == wanted).map(|(id, _)| id).collect()
    }

    /// One run ended by itself, and its checks came out like this.
    fn came_out(&self, step: &str, case: Option<&str>, verdict: impl Fn(&str) -> Verdict) {
        let list = checklist("sentinel");
        let listed = list.step(&step.into()).expect("the checklist lists the step");
        let checks = listed.checks_of(case).map(|check| (check.id.to_string(), verdict(check.id.as_str())));
        let all: BTreeMap<String, Verdict> = checks.collect();
        let story = self.story.join("\n");
        assert_eq!(self.aborted, Vec::<String>::new(), "{story}");
        assert_eq!(self.runs.get(&listed.run_name(case)), Some(&all), "{story}");
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
/// 5. Somebody else's replica lets everybody in.
/// 6. Two sentinels are stopped: the last one knows them, and there is no quorum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_finds_what_is_wrong_and_changes_nothing() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Looking);
        attached.is_whole().await;
        let before = attached.stands().await;

        // 1. Sound.
        let grades = attached.graded(&[]).await;
        grades.lost_exactly(&[]);
        let skipped = grades.with(Verdict::Skipped).len();
        assert_eq!(skipped + SEEN.len(), grades.worst().len());
        assert_eq!(attached.stands().await, before);
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
        let denied = ["configured.data-nodes", "health.persistence"];
        grades.passed_all_but(&denied);
        assert!(grades.with(Verdict::Skipped).is_superset(&BTreeSet::from(denied)));
        assert_eq!(attached.stands().await, before);

        // 4. Three of three.
        project.set("quorum", "3").await;
        attached.graded(&LOOKING).await.lost_exactly(&["configured.sentinels"]);

        // 5. An open door.
        project.set("quorum", "2").await;
        for open in [["CONFIG", "SET", "protected-mode", "no"], ["ACL", "SETUSER", "default", "nopass"]] {
            project.ask::<String>("redis-3", &open).await.expect("the door is opened");
        }
        attached.graded(&LOOKING).await.lost_exactly(&["security.no-password"]);
        // It wrote that down nowhere.
        project.composed(&["restart", "--timeout", "1", "redis-3"]);
        attached.is_whole().await;

        // 6. One of three.
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
        let known = async || project.whole_with(1).await;
        project.until("every sentinel to see one replica, and the others", BOOT, known).await;
        let grades = attached.graded(&LOOKING).await;
        grades.lost_exactly(&["discovery.replicas", "health.replication"]);
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
