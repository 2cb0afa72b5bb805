//! Topologies: plain values that say what is to run, never how.

pub mod clusters;
pub mod replicated;
pub mod sentinels;

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use lab_report::evidence::Role;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    StepError,
    attach::Survey,
    docker::{Docker, Network, Node, NodeError},
    environment::Environment,
    record::Recorder,
    secret::Secret,
};

/// What a lab is booted from.
pub trait Topology: Clone + Debug + Serialize + DeserializeOwned {
    /// What runs once it is booted.
    type Deployment: Deployment;

    /// Boots it, and returns when it is as it should be.
    fn boot(&self, site: &Site) -> impl Future<Output = Result<(Self::Deployment, Boot), StepError>>;

    /// Takes the deployment that was found for one of this kind, though it may be of another shape.
    ///
    /// # Errors
    /// Nobody but the lab makes such a deployment.
    fn attach(&self, found: &Attachment<'_>) -> impl Future<Output = Result<Self::Deployment, StepError>>;

    /// How node metrics are taken.
    fn monitor(&self) -> &Monitor;

    /// Commands for nodes once it is booted.
    fn after_boot(&self) -> &[NodeCommand];

    /// Commands that go on for as long as the lab does.
    fn background(&self) -> &[Background];

    /// The same with `changes` laid over it, as a fixture writes them.
    ///
    /// # Errors
    /// Names the first setting that a topology does not have, or that has another form.
    fn with_changes(&self, changes: &toml::Table) -> Result<Self, toml::de::Error> {
        let mut value = toml::Table::try_from(self).expect("a topology is written as a table");
        overlay(&mut value, changes);
        value.try_into()
    }
}

/// A topology that runs.
pub trait Deployment {
    /// Its nodes, in order of creation.
    fn nodes(&self) -> Vec<Arc<Node>>;

    /// Those of them that a command is for.
    fn targets(&self, target: Target) -> Vec<Arc<Node>>;

    /// The zone and the role that the node with this index boots in.
    fn at_boot(&self, index: usize) -> (String, Role);

    /// How it stands, in a line for a person.
    fn standing(&self) -> String;

    /// A command's word with a password in the place of `{password-of-app}`; none where there are no users.
    fn fill(&self, word: &str) -> String {
        word.to_owned()
    }

    /// Its passwords, each with whose it is, if the lab made them.
    fn passwords(&self) -> Vec<(&str, &Secret)> {
        Vec::new()
    }

    /// Whatever has to be done for a node that was started again.
    fn returned(&self, node: &Node) -> impl Future<Output = Result<(), NodeError>>;

    /// Stops doing anything to the nodes, once whatever is under way is done.
    fn retire(&self) -> impl Future<Output = ()>;

    /// Leaves somebody else's deployment as it was found, after its containers have been restored.
    fn hand_back(&self) -> impl Future<Output = Result<(), StepError>>;
}

/// A deployment that was found, and what a lab needs to work with it.
#[derive(Clone, Copy)]
pub struct Attachment<'a> {
    /// What it consists of.
    pub survey: &'a Survey,
    /// Where it is, and on what terms.
    pub environment: &'a Environment,
    /// The container engine that runs it, where there is one within reach.
    pub docker: Option<&'a Docker>,
    /// The step's clock and notebook.
    pub recorder: &'a Recorder,
}

/// Where a topology is booted.
#[derive(Clone)]
pub struct Site {
    /// The environment.
    pub docker: Docker,
    /// The lab's network.
    pub network: Network,
    /// The step's clock and notebook.
    pub recorder: Recorder,
}

/// How long the stages of a boot took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// From nothing to the last host equipped: its container runs, and has all that its server needs.
    pub containers: Duration,
    /// From the last host equipped to every server answering; of a cluster, every primary.
    pub servers: Duration,
    /// From every server answering to the topology being as it should be: every replica online and
    /// acknowledging, every sentinel knowing all others.
    pub replication: Duration,
}

impl Boot {
    /// Of what runs already: only getting to know it takes time.
    pub(crate) fn found(took: Duration) -> Self {
        Self { containers: Duration::ZERO, servers: Duration::ZERO, replication: took }
    }
}

/// How node metrics are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// A sample of every node this often.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// What stands in for a node that does not answer.
    pub gap: Gap,
}

/// What stands in for a sample that could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// Nothing.
    Missing,
    /// What the node would have shown had it gone on as before.
    Extrapolated,
    /// Nothing, nor for any that would have come after: whoever samples a node goes down with it.
    ForGood,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { every: Duration::from_millis(50), gap: Gap::Missing }
    }
}

/// TLS on every link, or on none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// Every server speaks TLS, and nothing else.
    pub on: bool,
    /// Nodes whose certificate is not from the deployment's own authority, but from one that only the
    /// servers trust.
    pub foreign: Vec<String>,
    /// An authority that has nothing to do with the deployment has signed its own authority's certificate.
    pub vouched_for: bool,
}

/// Users beside the default one, by name: what each may do, in the words of `ACL SETUSER`.
pub type Users = BTreeMap<String, String>;

/// Which nodes a command is for, by the role that they boot with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The first primary.
    Primary,
    /// Every node that holds data.
    All,
    /// The first replica.
    #[serde(rename = "replica-1")]
    FirstReplica,
    /// The last replica.
    LastReplica,
    /// Every replica.
    Replicas,
    /// Every sentinel.
    Sentinels,
    /// The first sentinel.
    #[serde(rename = "sentinel-1")]
    FirstSentinel,
    /// The last sentinel.
    LastSentinel,
}

/// A command for nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeCommand {
    /// Which nodes.
    pub node: Target,
    /// The command, as for `redis-cli`; `{primary}` stands for the first primary's address, and
    /// `{password-of-app}` for a user's password.
    pub command: Vec<String>,
}

/// A command that is sent again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// Which nodes.
    pub node: Target,
    /// The command, as for `redis-cli`.
    pub command: Vec<String>,
    /// This often, or as soon as the last one was answered.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

fn overlay(base: &mut toml::Table, changes: &toml::Table) {
    for (key, change) in changes {
        match (base.get_mut(key), change) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => overlay(below, above),
            _ => {
                base.insert(key.clone(), change.clone());
            }
        }
    }
}
