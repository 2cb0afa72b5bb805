//! How a step is declared, run on a sound set-up, and held against its snapshot.

use std::{fs, path::Path, pin::Pin, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Plan, Replicated, StepError, Topology, client,
    docker::{FaultKind, Node, Side, Split},
    environment::{Capability, Environment},
    observer,
    session::{Session, root},
    wait::{self, Seen},
    writer::Writer,
};
use lab_report::{
    StepId, Verdict,
    checklist::Checklist,
    evidence::Announcement,
    judge::Clocks,
    report::{CheckRecord, Measurement, StepRecord},
};

/// What a step's body returns: early, when it cannot go on.
pub(crate) type Outcome = Result<(), StepError>;

/// A step's body.
pub(crate) type Body<T> = for<'a> fn(&'a mut Lab<T>) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A step of a lab: its name in the checklist, what it runs on, and what it does.
pub(crate) struct Step<T: Topology> {
    pub(crate) checklist: &'static str,
    pub(crate) id: &'static str,
    pub(crate) topology: fn() -> T,
    /// What it needs of its environment from the start.
    pub(crate) needs: &'static [Capability],
    pub(crate) body: Body<T>,
}

/// Declares the step of a module: its checklist, its name, its topology, and the function that is its body.
///
/// It needs a deployment of its own, unless it says what else it `needs` to run on somebody else's.
macro_rules! step {
    // The client lab has steps on each kind of topology.
    ("client" on $kind:ty, $id:literal, $topology:expr, $body:ident) => {
        crate::step::step!($kind, "client", $id, $topology, $body, [FreshDeployment]);
    };
    ($checklist:tt, $id:literal, $topology:expr, $body:ident) => {
        crate::step::step!($checklist, $id, $topology, $body, needs [FreshDeployment]);
    };
    ("q5", $id:literal, $topology:expr, $body:ident, needs $needs:tt) => {
        crate::step::step!(failover_lab::Replicated, "q5", $id, $topology, $body, $needs);
    };
    ("sentinel", $id:literal, $topology:expr, $body:ident, needs $needs:tt) => {
        crate::step::step!(failover_lab::Sentinels, "sentinel", $id, $topology, $body, $needs);
    };
    ("cluster", $id:literal, $topology:expr, $body:ident, needs $needs:tt) => {
        crate::step::step!(failover_lab::Clusters, "cluster", $id, $topology, $body, $needs);
    };
    ($kind:ty, $checklist:literal, $id:literal, $topology:expr, $body:ident, [$($needed:ident),*]) => {
        pub(crate) const STEP: crate::step::Step<$kind> = crate::step::Step {
            checklist: $checklist,
            id: $id,
            topology: || $topology,
            needs: &[$(failover_lab::environment::Capability::$needed),*],
            body: |lab| Box::pin($body(lab)),
        };
    };
}
pub(crate) use step;

/// A step of whatever lab.
pub(crate) trait AnyStep: Sync {
    /// Its name in the checklist.
    fn id(&self) -> &'static str;

    /// Runs it with `changes` to its own topology, and returns what it put on record, in `folder`.
    fn run_changed<'a>(
        &'a self,
        case: Option<&'a str>,
        changes: &'a toml::Table,
        folder: String,
    ) -> Pin<Box<dyn Future<Output = StepRecord> + 'a>>;

    /// Runs it in another environment, and returns what it put on record, in `folder`.
    fn run_in<'a>(
        &'a self,
        environment: &'a Environment,
        case: Option<&'a str>,
        folder: String,
    ) -> Pin<Box<dyn Future<Output = StepRecord> + 'a>>;
}

impl<T: Topology> AnyStep for Step<T> {
    fn id(&self) -> &'static str {
        self.id
    }

    fn run_changed<'a>(
        &'a self,
        case: Option<&'a str>,
        changes: &'a toml::Table,
        folder: String,
    ) -> Pin<Box<dyn Future<Output = StepRecord> + 'a>> {
        let topology = (self.topology)().with_changes(changes).unwrap_or_else(|error| panic!("{error}"));
        Box::pin(async move { self.run(&session(), case, topology, folder).await })
    }

    fn run_in<'a>(
        &'a self,
        environment: &'a Environment,
        case: Option<&'a str>,
        folder: String,
    ) -> Pin<Box<dyn Future<Output = StepRecord> + 'a>> {
        Box::pin(async move {
            let mut session = session();
            session.environment = environment.clone();
            self.run(&session, case, (self.topology)(), folder).await
        })
    }
}

impl<T: Topology> Step<T> {
    /// Runs the step on its own topology: every check passes, and the report reads as its snapshot does.
    pub(crate) async fn passes(&self, case: Option<&str>) {
        self.passes_with(case, lab_report::normalise::step).await;
    }

    /// The same where what was said is somebody else's business: the checks and the roles read as the snapshot does.
    pub(crate) async fn passes_in_the_end(&self, case: Option<&str>) {
        self.passes_with(case, lab_report::normalise::outcome).await;
    }

    /// The same where chance decides what happens: only the checks read as the snapshot does.
    pub(crate) async fn passes_by_chance(&self, case: Option<&str>) {
        self.passes_with(case, lab_report::normalise::checks).await;
    }

    async fn passes_with(&self, case: Option<&str>, normalised: fn(&StepRecord) -> serde_json::Value) {
        let name = case.map_or(self.id.to_owned(), |case| format!("{}-{case}", self.id));
        let record = self.run(&session(), case, (self.topology)(), format!("steps/{name}")).await;
        assert_passed(&record);
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_json_snapshot!(name, normalised(&record));
        });
    }

    /// Runs the step on any topology and returns what it put on record, in `folder` of the run.
    async fn run(&self, session: &Session, case: Option<&str>, topology: T, folder: String) -> StepRecord {
        let checklist = checklist(self.checklist);
        let step = checklist.step(&StepId::from(self.id)).expect("the checklist lists the step");
        let plan = Plan { step, case, topology, needs: self.needs, folder };
        Lab::run_on_a_sound_machine(session, plan, async |lab| (self.body)(lab).await).await
    }
}

/// This process's part in the run.
pub(crate) fn session() -> Session {
    Session::from_env(Path::new(env!("CARGO_BIN_EXE_lab-reaper"))).unwrap_or_else(|error| panic!("{error}"))
}

/// The checklist with this name.
pub(crate) fn checklist(name: &str) -> Checklist {
    let path = root().join(format!("fixtures/checklists/{name}.toml"));
    let text = fs::read_to_string(&path).expect("the checklist is in fixtures/");
    Checklist::parse(name, &text).unwrap_or_else(|error| panic!("{error}"))
}

/// The clocks that the bounds of a sound group follow from.
///
/// `scheduling` is what two busy processors add to a stage; everything else is configured.
pub(crate) fn clocks() -> Clocks {
    let sound = Replicated::default();
    Clocks {
        probe_every: sound.manager.probe_every,
        probe_timeout: sound.manager.probe_timeout,
        dead_after: sound.manager.dead_after,
        ttl: sound.endpoints.ttl,
        patience: client::PATIENCE,
        write_every: Writer::EVERY,
        observe_every: observer::ROLE_EVERY,
        sample_every: sound.monitor.every,
        scheduling: wait::scheduling(),
    }
}

fn assert_passed(record: &StepRecord) {
    if record.verdict == Verdict::Pass {
        return;
    }
    let failed = record.checks.iter().filter(|check| check.verdict != Verdict::Pass);
    let lines: Vec<String> =
        failed.map(describe).chain(record.aborted.clone()).chain(figures(record)).collect();
    panic!("step `{}` is {}\n{}\n", record.name(), record.verdict, lines.join("\n"));
}

/// A check as a person reads it.
pub(crate) fn describe(check: &CheckRecord) -> String {
    let CheckRecord { id, verdict, claim, expected, observed, hint, evidence, .. } = check;
    let evidence = evidence.join("\n    ");
    format!(
        "{verdict} {id}: {claim}\n  expected: {expected}\n  observed: {observed}\n    {evidence}\n  hint: {hint}"
    )
}

/// What was measured, among it how late the machine was.
pub(crate) fn figures(record: &StepRecord) -> Option<String> {
    let told = |figure: &Measurement| format!("  {}: {} {}", figure.name, figure.value, figure.unit);
    let lines: Vec<String> = record.measurements.iter().map(told).collect();
    (!lines.is_empty()).then(|| format!("measured:\n{}", lines.join("\n")))
}

/// Loses `primary` in the way that the case names, for good: what becomes of it is another step. A partition cuts it
/// off from `others`.
pub(crate) async fn lose<T: Topology>(lab: &Lab<T>, primary: &Arc<Node>, others: Side) -> Outcome {
    let kind = match lab.case() {
        Some("crash") => FaultKind::Crash,
        Some("stop") => FaultKind::Stop,
        Some("hold") => FaultKind::Hold,
        Some("partition") => {
            let _lost = lab.partition(&Split::between(primary, others)).await?;
            return Ok(());
        }
        other => return Err(format!("no such case: {other:?}").into()),
    };
    let _lost = lab.inject(kind, primary).await?;
    Ok(())
}

/// Waits for what comes of an election of the sentinels: for `budget`, and for `another` more whenever one was lost
/// meanwhile, unless the budget was long enough for that one, too.
pub(crate) async fn through_elections<T: Topology, F: Future<Output = Seen<()>>>(
    lab: &Lab<T>,
    what: &str,
    (budget, another): (Duration, Duration),
    mut look: impl FnMut() -> F,
) -> Result<(), String> {
    let mut paid_for = usize::from(another <= budget);
    let mut patience = budget;
    loop {
        match lab.wait(what, patience, &mut look).await {
            Ok(()) => return Ok(()),
            Err(_) if lost_elections(lab) > paid_for => {
                (paid_for, patience) = (lost_elections(lab), another);
            }
            Err(late) => return Err(format!("not within {patience:?}: {}", late.last_seen)),
        }
    }
}

/// Elections that nobody won, as their candidates said it.
fn lost_elections<T: Topology>(lab: &Lab<T>) -> usize {
    let lost = |said: &&Announcement| said.event == "-failover-abort-not-elected";
    lab.recorder().look(|timeline| timeline.announcements.iter().filter(lost).count())
}

/// What is the same for all, or each by name where it is not.
pub(crate) fn alike(seen: Vec<(String, String)>) -> String {
    match seen.split_first() {
        Some(((_, first), rest)) if rest.iter().all(|(_, other)| other == first) => first.clone(),
        _ => seen.into_iter().map(|(who, what)| format!("{who}: {what}")).collect::<Vec<_>>().join("; "),
    }
}
