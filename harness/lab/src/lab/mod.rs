//! The lab: a running topology with a timeline around it, for the length of one step.

mod aftermath;
mod bench;
mod boot;
mod ground;
mod pages;
mod run;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use lab_report::{
    Slot, Verdict,
    alerts::RulesError,
    checklist::Step,
    evidence::{EndpointName, Source, Timeline},
    judge::Judgement,
    report::Measurement,
};
use tokio::task::JoinSet;

use self::{bench::Bench, ground::common_network};
use crate::{
    client::{Client, Vantage},
    cluster::ClusterGroup,
    docker::{Bare, Docker, Fault, FaultKind, Network, Node, NodeError, Partition, Relay, Split},
    environment::{Capability, Environment, MissingCapability},
    group::ReplicationGroup,
    observer::Observer,
    pool::Pool,
    prometheus::{Prometheus, RULES},
    pubsub::{self, Channel, Publisher, Subscriber},
    record::Recorder,
    sentinel::SentinelGroup,
    session::{News, Session},
    splitter::Splitter,
    topology::{
        Boot, Deployment, Topology,
        clusters::{self, Clusters},
        replicated::Replicated,
        sentinels::Sentinels,
    },
    wait::{self, Seen, TimedOut},
    writer::{Through, Writer},
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
    /// What it needs from the start. Without it, every claim of the step is skipped.
    pub needs: &'a [Capability],
    /// The folder of its evidence, below the run's.
    pub folder: String,
}

/// A running topology, its clients and faults, and everything seen so far.
pub struct Lab<T: Topology = Replicated> {
    environment: Environment,
    docker: Option<Docker>,
    network: Option<Network>,
    deployment: T::Deployment,
    boot: Boot,
    recorder: Recorder,
    _observer: Observer,
    _background: JoinSet<()>,
    rng: fastrand::Rng,
    judge: Bench,
}

impl<T: Topology> Lab<T> {
    /// How long it took to boot.
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// Where its nodes come from.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The container engine that runs its nodes.
    ///
    /// # Panics
    /// There is none within reach: a step that needs one needs [`Capability::FreshDeployment`].
    pub fn docker(&self) -> &Docker {
        self.docker.as_ref().expect("the nodes are in containers")
    }

    /// The lab's network: the application's, too.
    ///
    /// # Panics
    /// It has none: a step that needs one needs [`Capability::FreshDeployment`].
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the lab made its network")
    }

    /// Ends the step here, with `?`, where the environment lacks something: what is left of it is skipped.
    ///
    /// # Errors
    /// It lacks it.
    pub fn needs(&self, capability: Capability) -> Result<(), MissingCapability> {
        self.environment.needs(capability)
    }

    /// The step's clock and notebook.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The case of a parametrised step.
    pub fn case(&self) -> Option<&str> {
        self.judge.case.as_deref()
    }

    /// What the step is called, with its case.
    pub fn name(&self) -> &str {
        &self.judge.name
    }

    /// This process's part in the run.
    pub fn session(&self) -> &Session {
        &self.judge.session
    }

    /// The path of a file among the step's evidence.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn evidence(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.judge.session.dir().join(&self.judge.folder);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(name))
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
    /// The environment has no faults, or the container engine refused.
    pub async fn inject(&self, kind: FaultKind, node: &Arc<Node>) -> Result<Fault, StepError> {
        self.needs(Capability::Faults)?;
        self.can_lose(node)?;
        self.doing(&format!("{kind} {}", node.id()));
        Ok(Fault::inject(kind, node, &self.recorder).await?)
    }

    /// Of several nodes that are down at once each has to get its own address back.
    fn can_lose(&self, node: &Node) -> Result<(), MissingCapability> {
        let others = |timeline: &Timeline| {
            timeline.faults.iter().any(|fault| fault.until.is_none() && &fault.node != node.id())
        };
        match node.keeps_its_address() || !self.recorder.look(others) {
            true => Ok(()),
            false => Err(MissingCapability {
                capability: Capability::FixedAddresses,
                whose: "the deployment's network gives",
                says: format!("{} could come back as somebody else", node.id()),
            }),
        }
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
    /// The environment has no partitions, a participant does not run, the kernel lacks something, or the
    /// container engine refused.
    pub async fn partition(&self, split: &Split) -> Result<Partition, StepError> {
        self.needs(Capability::Partitions)?;
        common_network(&self.deployment.nodes())?;
        self.doing(&split.to_string());
        Ok(Partition::cut(self.docker(), split, &self.recorder).await?)
    }

    /// A place for a client on the lab's network, with a way to every node.
    ///
    /// # Errors
    /// The environment has no partitions, or the container engine refused.
    pub async fn relay(&self, name: &str) -> Result<Relay, StepError> {
        self.needs(Capability::Partitions)?;
        let nodes = self.deployment.nodes();
        // The lab's own nodes have the addresses before it.
        let index = self.network.as_ref().map(|_| nodes.len());
        Ok(Relay::join(self.docker(), &common_network(&nodes)?, name, index, &nodes).await?)
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
}

impl Lab<Clusters> {
    /// The cluster.
    pub fn deployment(&self) -> &ClusterGroup {
        &self.deployment
    }

    /// A client of whoever has a slot, where it stands.
    pub fn client_of_slot(&self, slot: Slot, vantage: Vantage) -> Client {
        Client::of_owner(self.deployment.owner_of(slot, vantage))
    }

    /// Begins to publish on a channel, as the publisher with this number.
    pub fn publisher(&self, number: u32, through: impl Into<Through>, channel: &Channel) -> Publisher {
        Publisher::start(number, through, channel, &self.recorder)
    }

    /// Begins to listen to a channel, at this node first.
    pub fn subscriber(&self, name: &str, at: &Arc<Node>, channel: &Channel) -> Subscriber {
        let plan = pubsub::Plan {
            name: name.to_owned(),
            channel: channel.clone(),
            at: Arc::clone(at),
            nodes: self.deployment.members().to_vec(),
            owner: self.deployment.owner_of(channel.slot(), Vantage::Host),
            habits: self.application().listening,
        };
        Subscriber::start(plan, &self.recorder)
    }

    /// A Prometheus that watches the nodes, with the topology's rules.
    ///
    /// # Errors
    /// The rules cannot be evaluated.
    pub fn prometheus(&self) -> Result<Prometheus, RulesError> {
        Prometheus::new(self.deployment.members(), &RULES, &self.deployment.topology().alerts)
    }

    /// How the application goes about it.
    pub fn application(&self) -> &clusters::Application {
        &self.deployment.topology().application
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

    /// The same for one of the data nodes' users.
    ///
    /// # Errors
    /// There is no such user.
    pub fn client_as(&self, user: &str) -> Result<Client, StepError> {
        let access = self.deployment.access(user)?;
        Ok(Client::of_sentinels(self.deployment.discovery(Vantage::Host).signed_in(access)))
    }

    /// A server beside the deployment with the settings of its data nodes, and no password at all.
    ///
    /// # Errors
    /// The environment has none, the container engine refused, or the server does not answer.
    pub async fn bare_server(&self) -> Result<Bare, StepError> {
        self.needs(Capability::FreshDeployment)?;
        // The place after the last node's is a relay's.
        let index = self.deployment.nodes().len() + 1;
        Ok(Bare::start(self.docker(), self.network(), index, &self.deployment.bare_conf()).await?)
    }

    /// A client that splits its commands, as the topology's application does.
    pub fn splitter(&self) -> Splitter {
        Splitter::new(self.deployment.discovery(Vantage::Host), &self.deployment.topology().application)
    }

    /// A pool of connections, as the topology's application has one.
    pub fn pool(&self, size: usize) -> Pool {
        Pool::new(self.deployment.discovery(Vantage::Host), &self.deployment.topology().application, size)
    }

    /// A Prometheus that watches the data nodes, with the topology's rules.
    ///
    /// # Errors
    /// The rules cannot be evaluated.
    pub fn prometheus(&self) -> Result<Prometheus, RulesError> {
        Prometheus::new(self.deployment.data(), &RULES[..1], &self.deployment.topology().alerts)
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

    /// The deployment that bounds follow from: what the step asked for, or what was found in its place.
    pub fn promised(&self, asked: Sentinels) -> Sentinels {
        match self.environment {
            Environment::Containers => asked,
            _ => self.deployment.topology().clone(),
        }
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
