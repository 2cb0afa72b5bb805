//! The lab: a running topology with a timeline around it, for the length of one step.

mod aftermath;
mod bench;
mod boot;

use std::{
    any::Any,
    fs,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use lab_report::{
    Verdict,
    alerts::RulesError,
    checklist::Step,
    evidence::{EndpointName, Source, Timeline},
    judge::Judgement,
    report::{Measurement, StepRecord},
};
use tokio::task::JoinSet;

use self::{
    aftermath::{summaries, world, write_record},
    bench::Bench,
    boot::{Booted, boot},
};
use crate::{
    client::{Client, Vantage},
    docker::{
        Capability, Docker, DockerError, Fault, FaultKind, Labels, Network, Node, NodeError, Partition,
        PartitionError, Relay, Split,
    },
    explain::chain,
    group::ReplicationGroup,
    interrupt::interrupted,
    observer::Observer,
    prometheus::Prometheus,
    reaper::Reaper,
    record::Recorder,
    sentinel::SentinelGroup,
    session::{News, Session, now_utc},
    topology::{Boot, Deployment, Topology, replicated::Replicated, sentinels::Sentinels},
    wait::{self, Seen, TimedOut},
    writer::Writer,
};

/// A step that cannot go on. What it has judged stands; what it has not is unknown.
pub type StepError = Box<dyn std::error::Error + Send + Sync>;

/// What to run: a step of a checklist, in one of its cases, on a topology.
#[derive(Debug, Clone)]
pub struct Plan<'a, T = Replicated> {
    /// The step, with the checks that it judges.
    pub step: &'a Step,
    /// The case of a parametrised step.
    pub case: Option<&'a str>,
    /// What it runs on.
    pub topology: T,
    /// The folder of its evidence, below the run's.
    pub folder: String,
}

/// A running topology, its clients and faults, and everything seen so far.
pub struct Lab<T: Topology = Replicated> {
    docker: Docker,
    network: Network,
    deployment: T::Deployment,
    boot: Boot,
    recorder: Recorder,
    _observer: Observer,
    _background: JoinSet<()>,
    rng: fastrand::Rng,
    judge: Bench,
}

impl<T: Topology> Lab<T> {
    /// Boots, runs `body`, collects evidence, tears down: also after an error, a panic or an interrupt.
    pub async fn run<F>(session: &Session, plan: Plan<'_, T>, body: F) -> StepRecord
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
        let mut lab = match booted {
            Err(why) => {
                let why = finish(&docker, reaper, Some(format!("boot: {why}"))).await;
                return bench.into_record(started_at, start, None, why);
            }
            Ok(Booted { site, deployment, boot, observer, background }) => Self {
                docker: site.docker,
                network: site.network,
                deployment,
                boot,
                recorder: site.recorder,
                _observer: observer,
                _background: background,
                rng: fastrand::Rng::with_seed(session.seed),
                judge: bench,
            },
        };
        let aborted = tokio::select! {
            outcome = AssertUnwindSafe(body(&mut lab)).catch_unwind() => match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => match lacking(error.as_ref()) {
                    Some(capability) => {
                        lab.judge.lacks(capability.to_string());
                        None
                    }
                    None => Some(chain(error.as_ref())),
                },
                Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
            },
            why = &mut stop => Some(why),
        };
        let troubled =
            aborted.is_some() || lab.judge.checks.iter().any(|check| check.verdict == Verdict::Fail);
        lab.write_evidence(&plan.folder, troubled).await;
        lab.deployment.retire().await;
        let nodes = summaries(&lab.deployment, &lab.recorder).await;
        let timeline = lab.recorder.timeline();
        let Self { docker, judge, deployment, _observer: observer, _background: background, .. } = lab;
        drop((observer, background));
        let aborted = if troubled && session.keep {
            keep(&deployment, &judge).await;
            reaper.dismiss();
            aborted
        } else {
            judge.says(News::Doing("tearing down".to_owned()));
            join_all(deployment.nodes().iter().map(|node| node.remove())).await;
            finish(&docker, reaper, aborted).await
        };
        let mut record = judge.into_record(started_at, start, Some((nodes, timeline)), aborted);
        record.image = Some(docker.image().clone());
        write_record(session, &plan.folder, &record);
        record
    }

    /// How long it took to boot.
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

    /// A client of one node, as with its own node endpoint.
    pub fn client_of(&self, node: &Node) -> Client {
        Client::of_node(node)
    }

    /// Makes a fault happen to a node.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn inject(&self, kind: FaultKind, node: &Arc<Node>) -> Result<Fault, NodeError> {
        self.doing(&format!("{kind} {}", node.id()));
        Fault::inject(kind, node, &self.recorder).await
    }

    /// Undoes a fault, and does whatever has to be done for a node that was started again.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer.
    pub async fn heal(&self, fault: Fault) -> Result<(), NodeError> {
        let node = Arc::clone(fault.node());
        self.doing(&format!("healing {}", node.id()));
        fault.heal().await?;
        self.deployment.returned(&node).await
    }

    /// Makes links between chosen nodes and clients go wrong. Where the moment matters,
    /// [`Partition::prepare`] does everything before it that takes time.
    ///
    /// # Errors
    /// A participant does not run, the kernel lacks something, or the container engine refused.
    pub async fn partition(&self, split: &Split) -> Result<Partition, PartitionError> {
        self.doing(&split.to_string());
        Partition::cut(&self.docker, split, &self.recorder).await
    }

    /// What has been seen so far.
    pub fn timeline(&self) -> Timeline {
        self.recorder.timeline()
    }

    /// Waits for a state that `probe` asks for every 10 ms.
    ///
    /// # Errors
    /// It was not reached within `budget`.
    pub async fn wait<S, F: Future<Output = Seen<S>>>(
        &self,
        what: &str,
        budget: Duration,
        probe: impl FnMut() -> F,
    ) -> Result<S, TimedOut> {
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
        let nodes = self.deployment.nodes();
        let logs = join_all(nodes.iter().map(|node| node.log_tail(200))).await;
        for (node, log) in nodes.iter().zip(logs) {
            let _ = fs::write(dir.join(format!("{}.log", node.id())), log);
        }
        if troubled {
            let _ =
                fs::write(dir.join("world.txt"), world(&self.deployment, &self.recorder.timeline()).await);
        }
    }
}

impl Lab<Sentinels> {
    /// The data nodes and the sentinels.
    pub fn deployment(&self) -> &SentinelGroup {
        &self.deployment
    }

    /// A client of the primary, by way of the sentinels, from where this process runs.
    pub fn client(&self) -> Client {
        Client::of_sentinels(self.deployment.discovery(Vantage::Host))
    }

    /// A Prometheus that watches the data nodes, with the topology's rules.
    ///
    /// # Errors
    /// The rules cannot be evaluated.
    pub fn prometheus(&self) -> Result<Prometheus, RulesError> {
        Prometheus::new(self.deployment.data(), &self.deployment.topology().alerts)
    }

    /// Begins to write to the primary, on a fixed schedule.
    pub fn start_writing(&self) -> Writer {
        self.start_writing_as(self.client())
    }

    /// The same as a client of one's own.
    pub fn start_writing_as(&self, client: Client) -> Writer {
        self.doing("writing to the primary that the sentinels name");
        Writer::start(client, &self.recorder)
    }

    /// A place for a client on the lab's network, with a way to every node.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn relay(&self, name: &str) -> Result<Relay, DockerError> {
        let nodes = self.deployment.nodes();
        Relay::join(&self.docker, &self.network, name, nodes.len(), &nodes).await
    }
}

impl Lab<Replicated> {
    /// The replication group.
    pub fn group(&self) -> &ReplicationGroup {
        &self.deployment
    }

    /// A client of the primary endpoint.
    pub fn primary_client(&self) -> Client {
        Client::new(self.deployment.records(), EndpointName::Primary)
    }

    /// A client of the reader endpoint.
    pub fn reader_client(&self) -> Client {
        Client::new(self.deployment.records(), EndpointName::Reader)
    }

    /// Begins to write through the primary endpoint, on a fixed schedule.
    pub fn start_writing(&self) -> Writer {
        self.doing("writing through the primary endpoint");
        Writer::start(self.primary_client(), &self.recorder)
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

async fn keep(deployment: &impl Deployment, bench: &Bench) {
    for node in deployment.nodes() {
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

/// The capability that a step ended for want of.
fn lacking(error: &(dyn std::error::Error + 'static)) -> Option<Capability> {
    match error.downcast_ref()? {
        PartitionError::MissingCapability { capability, .. } => Some(*capability),
        _ => None,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
