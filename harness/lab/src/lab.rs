//! The lab: a running topology with a timeline around it, for the length of one step.

use std::{
    any::Any,
    fs,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use lab_report::{
    CheckId, NodeId, Verdict,
    checklist::Step,
    evidence::{At, EndpointName, Role, Source, Timeline},
    judge::Judgement,
    report::{CheckRecord, Measurement, NodeSummary, StepRecord},
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    client::Client,
    docker::{Docker, Fault, FaultKind, Labels, Network, Node, NodeError},
    group::{Boot, ReplicationGroup},
    interrupt::interrupted,
    observer::Observer,
    reaper::Reaper,
    record::Recorder,
    session::{News, Session, now_utc},
    topology::{Target, Topology},
    wait::{self, Seen, TimedOut},
    writer::Writer,
};

/// A step that cannot go on. What it has judged stands; what it has not is unknown.
pub type StepError = Box<dyn std::error::Error + Send + Sync>;

/// What to run: a step of a checklist, in one of its cases, on a topology.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The step, with the checks that it judges.
    pub step: &'a Step,
    /// The case of a parametrised step.
    pub case: Option<&'a str>,
    /// What it runs on.
    pub topology: Topology,
    /// The folder of its evidence, below the run's.
    pub folder: String,
}

/// A running topology, its clients and faults, and everything seen so far.
pub struct Lab {
    docker: Docker,
    network: Network,
    group: ReplicationGroup,
    boot: Boot,
    recorder: Recorder,
    _observer: Observer,
    _background: JoinSet<()>,
    rng: fastrand::Rng,
    judge: Bench,
}

/// The checks of a step, and how they came out so far.
struct Bench {
    session: Session,
    step: Step,
    case: Option<String>,
    name: String,
    checks: Vec<CheckRecord>,
    measurements: Vec<Measurement>,
}

impl Lab {
    /// Boots, runs `body`, collects evidence, tears down: also after an error, a panic or an interrupt.
    pub async fn run<F>(session: &Session, plan: Plan<'_>, body: F) -> StepRecord
    where
        F: AsyncFnOnce(&mut Self) -> Result<(), StepError>,
    {
        let (started_at, start) = (now_utc(), Instant::now());
        let bench = Bench::new(session, &plan);
        let labels = Labels::new(session.run.clone());
        bench.says(News::Doing("preparing".to_owned()));
        // Before the first container, so that nothing is ever without somebody who removes it.
        let reaper = match Reaper::watch_over(session.reaper(), &labels.lab) {
            Ok(reaper) => reaper,
            Err(error) => {
                return bench.into_record(started_at, start, None, Some(format!("no reaper: {error}")));
            }
        };
        let progress = |line: &str| bench.says(News::Doing(line.to_owned()));
        let docker = match Docker::prepare(session.engine.clone(), labels, &progress).await {
            Ok(docker) => docker,
            Err(error) => {
                let why = format!("{}\nhint: {}", chain(&error), error.hint());
                reaper.dismiss();
                return bench.into_record(started_at, start, None, Some(why));
            }
        };
        let stop = interrupted();
        tokio::pin!(stop);
        bench.says(News::Doing("booting".to_owned()));
        let booted = tokio::select! {
            booted = boot(&docker, &plan.topology) => booted.map_err(|error| chain(error.as_ref())),
            why = &mut stop => Err(why),
        };
        let (group, mut lab) = match booted {
            Err(why) => {
                let why = finish(&docker, reaper, Some(format!("boot: {why}"))).await;
                return bench.into_record(started_at, start, None, why);
            }
            Ok((network, group, boot, recorder, observer, background)) => {
                let rng = fastrand::Rng::with_seed(session.seed);
                let (docker, judge) = (docker.clone(), bench);
                let group_again = group.clone();
                let lab = Self {
                    docker,
                    network,
                    group,
                    boot,
                    recorder,
                    _observer: observer,
                    _background: background,
                    rng,
                    judge,
                };
                (group_again, lab)
            }
        };
        let aborted = tokio::select! {
            outcome = AssertUnwindSafe(body(&mut lab)).catch_unwind() => match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(chain(error.as_ref())),
                Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
            },
            why = &mut stop => Some(why),
        };
        let troubled =
            aborted.is_some() || lab.judge.checks.iter().any(|check| check.verdict == Verdict::Fail);
        lab.write_evidence(&plan.folder, troubled).await;
        group.retire().await;
        let nodes = summaries(&group, &lab.recorder).await;
        let timeline = lab.recorder.timeline();
        let (docker, judge) = (lab.docker.clone(), lab.judge);
        drop((lab._observer, lab._background));
        let aborted = if troubled && session.keep {
            keep(&group, &judge).await;
            reaper.dismiss();
            aborted
        } else {
            judge.says(News::Doing("tearing down".to_owned()));
            join_all(group.nodes().iter().map(|node| node.remove())).await;
            finish(&docker, reaper, aborted).await
        };
        let mut record = judge.into_record(started_at, start, Some((nodes, timeline)), aborted);
        record.image = Some(docker.image().clone());
        write_record(session, &plan.folder, &record);
        record
    }

    /// The replication group.
    pub fn group(&self) -> &ReplicationGroup {
        &self.group
    }

    /// How long the group took to boot.
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// The environment.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The lab's network: the application's, too.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The step's clock and notebook.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The case of a parametrised step.
    pub fn case(&self) -> Option<&str> {
        self.judge.case.as_deref()
    }

    /// Random choices, from the run's seed.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    /// A client of the primary endpoint.
    pub fn primary_client(&self) -> Client {
        Client::new(self.group.records(), EndpointName::Primary)
    }

    /// A client of the reader endpoint.
    pub fn reader_client(&self) -> Client {
        Client::new(self.group.records(), EndpointName::Reader)
    }

    /// A client of one node, as with its own node endpoint.
    pub fn client_of(&self, node: &Node) -> Client {
        Client::of_node(node)
    }

    /// Begins to write through the primary endpoint, on a fixed schedule.
    pub fn start_writing(&self) -> Writer {
        self.doing("writing through the primary endpoint");
        Writer::start(self.primary_client(), &self.recorder)
    }

    /// Makes a fault happen to a node.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn inject(&self, kind: FaultKind, node: &Arc<Node>) -> Result<Fault, NodeError> {
        self.doing(&format!("{kind} {}", node.id()));
        Fault::inject(kind, node, &self.recorder).await
    }

    /// What has been seen so far.
    pub fn timeline(&self) -> Timeline {
        self.recorder.timeline()
    }

    /// Waits for a state that `probe` asks for every 10 ms.
    ///
    /// # Errors
    /// It was not reached within `budget`.
    pub async fn wait<T, F: Future<Output = Seen<T>>>(
        &self,
        what: &str,
        budget: Duration,
        probe: impl FnMut() -> F,
    ) -> Result<T, TimedOut> {
        self.doing(&format!("waiting for {what}"));
        wait::until(what, budget, Duration::from_millis(10), probe).await
    }

    /// Says what the step is doing, for whoever watches and for the timeline.
    pub fn doing(&self, what: &str) {
        self.recorder.event(Source::Lab, what);
        self.judge.says(News::Doing(what.to_owned()));
    }

    /// Puts a judged claim on record, and says whether it passed. A failure does not end the step.
    ///
    /// # Panics
    /// The checklist does not list the check for this step and case, or it was judged before.
    pub fn check(&mut self, id: &str, judgement: Judgement) -> bool {
        let passed = judgement.verdict == Verdict::Pass;
        self.judge.add(id, judgement);
        passed
    }

    /// Puts a figure on record that no claim depends on.
    pub fn measure(&mut self, name: &str, value: f64, unit: &str, note: &str) {
        let (name, unit, note) = (name.to_owned(), unit.to_owned(), note.to_owned());
        self.judge.measurements.push(Measurement { name, value, unit, note });
    }

    /// Keeps the nodes' logs and, when something went wrong, a picture of the world.
    async fn write_evidence(&self, folder: &str, troubled: bool) {
        let dir = self.judge.session.dir().join(folder);
        if fs::create_dir_all(&dir).is_err() {
            return;
        }
        let nodes = self.group.nodes();
        let logs = join_all(nodes.iter().map(|node| node.log_tail(200))).await;
        for (node, log) in nodes.iter().zip(logs) {
            let _ = fs::write(dir.join(format!("{}.log", node.id())), log);
        }
        if troubled {
            let _ = fs::write(dir.join("world.txt"), world(&self.group, &self.recorder.timeline()).await);
        }
    }
}

type Booted = (Network, ReplicationGroup, Boot, Recorder, Observer, JoinSet<()>);

async fn boot(docker: &Docker, topology: &Topology) -> Result<Booted, StepError> {
    let network = Network::create(docker, &docker.labels().lab).await?;
    let recorder = Recorder::default();
    let (group, boot) = ReplicationGroup::create("lab", topology, docker, &network, &recorder).await?;
    let mut observer = Observer::new(&recorder, &topology.monitor);
    group.nodes().iter().for_each(|node| observer.watch(node));
    for command in &topology.after_boot {
        let primary = group.primary().address().to_string();
        let words: Vec<String> =
            command.command.iter().map(|word| word.replace("{primary}", &primary)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for node in targets(&group, command.node) {
            node.ask::<redis::Value>(&words).await?;
        }
    }
    let mut background = JoinSet::new();
    for repeated in &topology.background {
        for node in targets(&group, repeated.node) {
            let (command, every) = (repeated.command.clone(), repeated.every);
            background.spawn(async move { repeat(&node, &command, every).await });
        }
    }
    Ok((network, group, boot, recorder, observer, background))
}

fn targets(group: &ReplicationGroup, target: Target) -> Vec<Arc<Node>> {
    let replicas = group.replicas();
    match target {
        Target::Primary => vec![group.primary()],
        Target::FirstReplica => replicas.into_iter().take(1).collect(),
        Target::LastReplica => replicas.into_iter().last().into_iter().collect(),
        Target::Replicas => replicas,
    }
}

async fn repeat(node: &Node, command: &[String], every: Duration) {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What it does to the node is the point; the node may well not answer any more.
        let _ = node.ask::<redis::Value>(&words).await;
    }
}

/// Removes everything of the lab; if that fails, the reaper is left to try again.
async fn finish(docker: &Docker, reaper: Reaper, aborted: Option<String>) -> Option<String> {
    match docker.tear_down().await {
        Ok(_) => {
            reaper.dismiss();
            aborted
        }
        Err(error) => Some([aborted.unwrap_or_default(), format!("teardown: {}", chain(&error))].join("\n")),
    }
}

async fn keep(group: &ReplicationGroup, bench: &Bench) {
    for node in group.nodes() {
        let reach = node.reach();
        let how = match node.keep().await {
            Ok(container) => format!(
                "{} stays up: redis-cli -h {} -p {}, or docker exec -it {container} sh",
                node.id(),
                reach.ip(),
                reach.port()
            ),
            Err(error) => format!("{} could not be kept: {error}", node.id()),
        };
        bench.says(News::Kept(how));
    }
}

/// Everything a person would look at first: roles, offsets, links, and what happened.
async fn world(group: &ReplicationGroup, timeline: &Timeline) -> String {
    let description = group.describe();
    let mut text = format!("group {} is {}\n", description.id, description.status);
    for node in group.nodes() {
        let state = match node.info().await {
            Ok(info) => info.replication(),
            Err(error) => error.to_string(),
        };
        text.push_str(&format!("{} ({}, {}): {state}\n", node.id(), node.zone(), node.address()));
    }
    for event in &timeline.events {
        text.push_str(&format!("{:>9.1} ms  {:?}: {}\n", event.at.millis(), event.source, event.text));
    }
    for node in group.nodes() {
        text.push_str(&format!("--- log of {}\n{}", node.id(), node.log_tail(15).await));
    }
    text
}

async fn summaries(group: &ReplicationGroup, recorder: &Recorder) -> Vec<NodeSummary> {
    let topology = group.topology();
    let boot_role = |index: usize| match index {
        0 => Role::Primary,
        _ => Role::Replica,
    };
    let ids: Vec<NodeId> = recorder.timeline().nodes;
    join_all(ids.into_iter().enumerate().map(|(index, id)| async move {
        let last_role = match group.node(&id) {
            Ok(node) => node.info().await.map_or(Role::Unreachable, |info| info.role()),
            Err(_) => Role::Unreachable,
        };
        NodeSummary { id, zone: topology.zone_of(index).to_owned(), role: boot_role(index), last_role }
    }))
    .await
}

impl Bench {
    fn new(session: &Session, plan: &Plan<'_>) -> Self {
        let name = match plan.case {
            Some(case) => format!("{}-{case}", plan.step.id),
            None => plan.step.id.to_string(),
        };
        Self {
            session: session.clone(),
            step: plan.step.clone(),
            case: plan.case.map(str::to_owned),
            name,
            checks: Vec::new(),
            measurements: Vec::new(),
        }
    }

    fn says(&self, news: News) {
        self.session.report(&self.name, news);
    }

    fn add(&mut self, id: &str, judgement: Judgement) {
        let id = CheckId::from(id);
        assert!(!self.checks.iter().any(|check| check.id == id), "check `{id}` is judged twice");
        let declared = self.step.checks_of(self.case.as_deref()).find(|check| check.id == id);
        let declared =
            declared.unwrap_or_else(|| panic!("the checklist lists no check `{id}` for `{}`", self.name));
        self.says(News::Check { id: id.to_string(), verdict: judgement.verdict });
        self.checks.push(CheckRecord {
            id,
            claim: declared.claim.clone(),
            verdict: judgement.verdict,
            expected: judgement.expected,
            observed: judgement.observed,
            evidence: judgement.evidence,
            bound: judgement.bound,
            hint: declared.hint.clone(),
        });
    }

    /// Claims that were not judged are unknown: the step ended before it could.
    fn into_record(
        mut self,
        started_at: String,
        start: Instant,
        seen: Option<(Vec<NodeSummary>, Timeline)>,
        aborted: Option<String>,
    ) -> StepRecord {
        let last = self
            .checks
            .iter()
            .rev()
            .find(|check| check.verdict != Verdict::Pass)
            .map(|check| check.id.clone());
        let why = match (&aborted, last) {
            (Some(why), _) => {
                format!("not exercised: the step ended early ({})", why.lines().next().unwrap_or_default())
            }
            (None, Some(last)) => format!("not exercised: the step ended at `{last}`"),
            (None, None) => "not exercised: the step never judged it".to_owned(),
        };
        let open: Vec<_> = self
            .step
            .checks_of(self.case.as_deref())
            .filter(|check| !self.checks.iter().any(|judged| judged.id == check.id))
            .map(|check| (check.id.to_string(), Judgement::unknown(check.claim.clone(), why.clone())))
            .collect();
        for (id, judgement) in open {
            self.add(&id, judgement);
        }
        let mut verdict = Verdict::worst(self.checks.iter().map(|check| check.verdict));
        if aborted.is_some() {
            verdict = verdict.max(Verdict::Unknown);
        }
        self.says(News::Finished(verdict));
        let (nodes, timeline) = seen.unwrap_or_default();
        StepRecord {
            step: self.step.id,
            case: self.case,
            title: self.step.title,
            verdict,
            started_at,
            duration: At(start.elapsed()),
            nodes,
            image: None,
            checks: self.checks,
            measurements: self.measurements,
            aborted,
            timeline,
        }
    }
}

fn write_record(session: &Session, folder: &str, record: &StepRecord) {
    let dir = session.dir().join(folder);
    let text = serde_json::to_string_pretty(record).expect("a record is plain data");
    let written = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join("record.json"), text));
    if let Err(error) = written {
        session.report(&record.name(), News::Doing(format!("could not write {}: {error}", dir.display())));
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
