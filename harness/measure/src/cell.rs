//! What is measured: one topology, one fault, one client with one profile, one load.

use std::{fmt, str::FromStr, time::Duration};

use failover_lab::docker::FaultKind;
use lab_load::{
    Profile, Schedule,
    client::Library,
    workload::{Consuming, Distribution, Durability, Homes, Part, Plan, Sort},
};

use crate::scenario::Harm;

/// What is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What it runs on.
    pub topology: TopologyName,
    /// Changes to the topology, as a fixture writes them.
    pub changes: toml::Table,
    /// What happens to it.
    pub fault: FaultName,
    /// The client.
    pub library: Library,
    /// Its settings.
    pub profile: Profile,
    /// What it asks for.
    pub load: Load,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// What is done with the keys, channels or streams.
    pub sort: Sort,
    /// Which part of it the client has.
    pub part: Part,
    /// What a writer wants to hear.
    pub durability: Durability,
    /// Operations a second.
    pub rate: u32,
    /// For how long.
    pub duration: Duration,
    /// After how long an operation is of no more use to whoever asked for it.
    pub deadline: Duration,
    /// How many keys there are.
    pub keys: u32,
    /// How operations are spread over them.
    pub distribution: Distribution,
    /// The share of operations that read.
    pub reads: f64,
    /// The size of a value, in bytes.
    pub value_size: usize,
    /// How messages and entries are consumed.
    pub consuming: Consuming,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            sort: Sort::Registers,
            part: Part::Both,
            durability: Durability::None,
            rate: 200,
            duration: Duration::from_secs(16),
            deadline: Duration::from_secs(1),
            keys: 100,
            distribution: Distribution::Uniform,
            reads: 0.2,
            value_size: 256,
            consuming: Consuming::default(),
        }
    }
}

impl Load {
    /// A fault comes within three seconds, and is healed three before the end; between them there has to be time for
    /// a failover.
    pub const SHORTEST: Duration = Duration::from_secs(9);

    /// When its operations are meant to begin.
    pub fn schedule(&self) -> Schedule {
        Schedule { rate: self.rate, duration: self.duration }
    }

    /// What they are.
    pub fn plan(&self, homes: Homes, seed: u64) -> Plan {
        Plan {
            sort: self.sort,
            part: self.part,
            keys: self.keys,
            distribution: self.distribution,
            reads: self.reads,
            value_size: self.value_size,
            durability: self.durability,
            deadline: self.deadline,
            consuming: self.consuming.clone(),
            homes,
            seed,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topology, fault, library, profile, load, .. } = self;
        write!(f, "{topology}, {fault}, {library} {}, {}", profile.name, load.sort)?;
        match load.part {
            Part::Both => {}
            part => write!(f, " ({part})")?,
        }
        match load.durability {
            Durability::None => Ok(()),
            durability => write!(f, ", {durability}"),
        }
    }
}

/// A name out of a short list, and what to say where it is none of them.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident, $unknown:ident, $what:literal { $($(#[$meaning:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$meaning])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name on the command line and in fixtures.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $name {
            type Err = $unknown;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|known| known.name() == text);
                found.ok_or_else(|| $unknown(text.to_owned()))
            }
        }

        #[doc = concat!("There is no such ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("there is no {} `{}`; known are {}", $what, .0, [$($text),+].join(", "))]
        pub struct $unknown(String);
    };
}

names! {
    /// What a cell runs on.
    TopologyName, UnknownTopology, "topology" {
        /// One primary and two replicas behind endpoint names, and a manager that fails over.
        Replication = "replication",
        /// One primary, two replicas and three sentinels.
        Sentinel = "sentinel",
        /// Three shards of two.
        Cluster = "cluster",
    }
}

names! {
    /// What happens to a primary: of a cluster, to the first shard's.
    FaultName, UnknownFault, "fault" {
        /// Nothing: what the client does when nothing happens.
        None = "none",
        /// It is replaced as by an operator, while everything is sound.
        Failover = "failover",
        /// Its server dies, and its host resets connections.
        Crash = "crash",
        /// Its host dies: its address goes silent.
        Stop = "stop",
        /// It freezes: its sockets stay open and silent.
        Hold = "hold",
        /// Its network is gone, for its clients as well.
        Isolate = "isolate",
        /// It is cut off from the other nodes, and not from its clients.
        Partition = "partition",
    }
}

impl FaultName {
    /// What it does to the node that it hits; none where nothing is wrong with that.
    pub fn harm(self) -> Option<Harm> {
        match self {
            Self::None | Self::Failover => None,
            Self::Crash => Some(Harm::Node(FaultKind::Crash)),
            Self::Stop => Some(Harm::Node(FaultKind::Stop)),
            Self::Hold => Some(Harm::Node(FaultKind::Hold)),
            Self::Isolate => Some(Harm::Node(FaultKind::Isolate)),
            Self::Partition => Some(Harm::Partition),
        }
    }
}
