//! A primary and its replicas, watched by sentinels that fail over among themselves.
//!
//! The settings are those of `fixtures/conf/sentinel/`, with shorter clocks. Everything else that a value
//! can say is a way of being set up wrong, or an experiment.

use std::{collections::BTreeMap, time::Duration};

use lab_report::{NodeId, alerts::Change};
use serde::{Deserialize, Serialize};

use super::{Background, Encryption, Monitor, NodeCommand, Users};

/// `count` sentinels; `sentinels(3).replicas(2)` is the lab's own deployment.
pub fn sentinels(count: u8) -> Sentinels {
    Sentinels { sentinels: count, ..Sentinels::default() }
}

/// The name by which the lab's own sentinels know their primary.
pub const NAME: &str = "lab";

/// A Sentinel deployment and everything around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentinels {
    /// The name by which the sentinels know their primary.
    pub name: String,
    /// Sentinels that watch the primary.
    pub sentinels: u8,
    /// Replicas beside the primary.
    pub replicas: u8,
    /// The zones that the nodes are in, by turns.
    pub zones: Vec<String>,
    /// Sentinels that have to agree that the primary is down.
    pub quorum: u8,
    /// A node that gave no good answer for this long is down (D).
    #[serde(with = "humantime_serde")]
    pub down_after: Duration,
    /// A failover may take this long; a failed one is tried again after twice as long.
    #[serde(with = "humantime_serde")]
    pub failover_timeout: Duration,
    /// Replicas that are turned to the new primary at once.
    pub parallel_syncs: u8,
    /// The sentinels' own clocks.
    pub timers: Timers,
    /// Nodes go by their names instead of their addresses.
    pub hostnames: bool,
    /// What is encrypted, and how.
    pub tls: Encryption,
    /// Settings of every data node, over the file's.
    pub config: BTreeMap<String, String>,
    /// Settings of single nodes, by id, over `config`.
    pub node_config: BTreeMap<String, BTreeMap<String, String>>,
    /// Directives of every sentinel, over the file's.
    pub sentinel_config: BTreeMap<String, String>,
    /// Users of the data nodes beside the default one. Each has a password of its own.
    pub users: Users,
    /// The user that the sentinels watch the data nodes as; the default one where it is empty.
    pub watches_as: String,
    /// The user that a replica follows its primary as; the default one where it is empty.
    pub follows_as: String,
    /// More arguments of every data node, after its file; `{password-of-app}` stands for a user's
    /// password, which has no business there.
    pub arguments: Vec<String>,
    /// Time lost before a sentinel's answer is believed; none in a sound set-up.
    #[serde(with = "humantime_serde")]
    pub heard_late: Duration,
    /// How the application's clients are set up.
    pub application: Application,
    /// How node metrics are taken.
    pub monitor: Monitor,
    /// Changes to the alerting rules, by the alert's name.
    pub alerts: BTreeMap<String, Change>,
    /// Commands for nodes once the deployment is as it should be.
    pub after_boot: Vec<NodeCommand>,
    /// Commands that go on for as long as the step does.
    pub background: Vec<Background>,
    /// How the clients of a load are set up where that is not as the step has it, by the step's own words.
    pub clients: BTreeMap<String, String>,
}

/// The clocks that a sentinel has built in. `SENTINEL DEBUG` changes them while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timers {
    /// `INFO` of every data node this often.
    #[serde(with = "humantime_serde")]
    pub info: Duration,
    /// `PING` of every node this often.
    #[serde(with = "humantime_serde")]
    pub ping: Duration,
    /// The other sentinels are asked for their opinion this often.
    #[serde(with = "humantime_serde")]
    pub ask: Duration,
    /// A sentinel says hello this often.
    #[serde(with = "humantime_serde")]
    pub publish: Duration,
    /// An election is given up after this.
    #[serde(with = "humantime_serde")]
    pub election: Duration,
}

impl Timers {
    /// `src/sentinel.c`: `SENTINEL_INFO_PERIOD` and its neighbours.
    pub const STOCK: Self = Self {
        info: Duration::from_secs(10),
        ping: Duration::from_secs(1),
        ask: Duration::from_secs(1),
        publish: Duration::from_secs(2),
        election: Duration::from_secs(10),
    };

    /// Short enough not to wait for, as far as one does not undo another:
    ///
    /// - A replica is eligible only while what is known of it is younger than five pings, or, where the
    ///   primary is not held to be down, than three `INFO` periods (`sentinelSelectSlave`). During a
    ///   failover `INFO` comes once a second whatever its period: both have to be longer, on a busy
    ///   machine as well.
    /// - A sentinel that finds a replica to be primary turns it back after four hellos, unless it hears of
    ///   a failover: the leader of one says so only after the next `INFO`.
    pub const SHORT: Self = Self {
        info: Duration::from_millis(500),
        ping: Duration::from_millis(400),
        ask: Duration::from_millis(50),
        publish: Duration::from_millis(500),
        election: Duration::from_secs(2),
    };
}

/// How an application's clients are set up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Replicas to read from, by id, the preferred one first; others after them.
    pub prefers: Vec<String>,
    /// Who may answer a read.
    pub reads: ReadFrom,
    /// A node is asked for its role before it is read from: the sentinels' list is not enough.
    pub asks_role: bool,
    /// What the sentinels said is believed for this long; then they are asked again.
    #[serde(with = "humantime_serde")]
    pub believes: Duration,
    /// The primary that was named first is taken to be the primary for ever.
    pub remembers: bool,
    /// Commands that go in one round trip, where many are to go.
    pub batch: usize,
}

/// Who may answer a read, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadFrom {
    /// The preferred replica, and nobody in its place.
    Preferred,
    /// The replicas.
    Replicas,
    /// The replicas, and the primary when none of them answers.
    ReplicasThenPrimary,
    /// The primary, as if there were no replicas.
    Primary,
}

impl Default for Application {
    fn default() -> Self {
        Self {
            prefers: Vec::new(),
            reads: ReadFrom::ReplicasThenPrimary,
            asks_role: true,
            believes: Duration::from_millis(500),
            remembers: false,
            batch: 1000,
        }
    }
}

impl Default for Sentinels {
    fn default() -> Self {
        Self {
            name: NAME.to_owned(),
            sentinels: 3,
            replicas: 2,
            zones: ["lab-1a", "lab-1b", "lab-1c"].map(String::from).to_vec(),
            quorum: 2,
            down_after: Duration::from_secs(1),
            failover_timeout: Duration::from_secs(5),
            parallel_syncs: 1,
            timers: Timers::SHORT,
            hostnames: false,
            tls: Encryption::default(),
            config: BTreeMap::new(),
            node_config: BTreeMap::new(),
            sentinel_config: BTreeMap::new(),
            users: Users::new(),
            watches_as: String::new(),
            follows_as: String::new(),
            arguments: Vec::new(),
            heard_late: Duration::ZERO,
            application: Application::default(),
            monitor: Monitor { every: Duration::from_millis(250), ..Monitor::default() },
            alerts: BTreeMap::new(),
            after_boot: Vec::new(),
            background: Vec::new(),
            clients: BTreeMap::new(),
        }
    }
}

impl Sentinels {
    /// The same with this many replicas.
    pub fn replicas(mut self, count: u8) -> Self {
        self.replicas = count;
        self
    }

    /// The same with this quorum.
    pub fn quorum(mut self, quorum: u8) -> Self {
        self.quorum = quorum;
        self
    }

    /// The same with the clocks of `fixtures/conf/sentinel/sentinel.conf`, and none of them shortened.
    pub fn unshortened(mut self) -> Self {
        self.down_after = Duration::from_secs(5);
        self.failover_timeout = Duration::from_secs(60);
        self.timers = Timers::STOCK;
        self
    }

    /// The same with nodes that go by their names: sentinels advertise those, and clients resolve them.
    pub fn hostnames(mut self) -> Self {
        self.hostnames = true;
        self
    }

    /// The same with every link under TLS, and certificates made for this deployment.
    pub fn tls(mut self) -> Self {
        self.tls.on = true;
        self
    }

    /// The same with one server setting changed on every data node.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.config.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with one server setting changed on one node: `lab-001` boots as primary.
    pub fn node_config(mut self, node: &str, name: &str, value: &str) -> Self {
        self.node_config.entry(node.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with one more user of the data nodes, who may do what `rules` say.
    pub fn user(mut self, name: &str, rules: &str) -> Self {
        self.users.insert(name.to_owned(), rules.to_owned());
        self
    }

    /// The same with sentinels that watch the data nodes as this user.
    pub fn watches_as(mut self, user: &str) -> Self {
        self.watches_as = user.to_owned();
        self
    }

    /// The same with replicas that follow their primary as this user.
    pub fn follows_as(mut self, user: &str) -> Self {
        self.follows_as = user.to_owned();
        self
    }

    /// The same with an application that reads from these replicas first.
    pub fn reading_from(mut self, nodes: &[&str]) -> Self {
        self.application.prefers = nodes.iter().map(|id| (*id).to_owned()).collect();
        self
    }

    /// The number of data nodes.
    pub fn data_nodes(&self) -> usize {
        usize::from(self.replicas) + 1
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.data_nodes() + usize::from(self.sentinels)
    }

    /// The name of the node with this index; data nodes come first.
    pub fn id_of(&self, index: usize) -> NodeId {
        match index.checked_sub(self.data_nodes()) {
            None => NodeId::from(format!("lab-{:03}", index + 1)),
            Some(number) => NodeId::from(format!("sentinel-{}", number + 1)),
        }
    }

    /// The zone of the node with this index; data nodes come first.
    pub fn zone_of(&self, index: usize) -> &str {
        let index = if index < self.data_nodes() { index } else { index - self.data_nodes() };
        self.zones.get(index % self.zones.len().max(1)).map_or("nowhere", String::as_str)
    }
}
