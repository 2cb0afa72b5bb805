//! A replication group behind endpoint names, as ElastiCache runs one with cluster mode disabled.
//!
//! The defaults are a sound group. Everything else that a value can say is either a shortened clock or a
//! way of being set up wrong; `fixtures/broken/` is written in these terms.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Background, Monitor, NodeCommand};

/// One primary and `replicas` replicas behind endpoint names, as ElastiCache runs a replication group
/// with cluster mode disabled.
pub fn replicated(replicas: u8) -> Replicated {
    Replicated { replicas, ..Replicated::default() }
}

/// A replication group and everything around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicated {
    /// Replicas beside the primary: 0 to 5, as in ElastiCache.
    pub replicas: u8,
    /// The zones of the subnet group.
    pub zones: Vec<String>,
    /// The zone of each node; by turns over `zones` where it is empty.
    pub placement: Vec<String>,
    /// Who reaches port 6379.
    pub ingress: Ingress,
    /// Boots the servers with `cluster-enabled yes`: one shard that owns every slot.
    pub cluster_mode: bool,
    /// The version that the group was asked to run; the engine's own where it is empty.
    pub engine_version: String,
    /// Server settings of every node, over the lab's own.
    pub config: BTreeMap<String, String>,
    /// Server settings of the nodes that boot as replicas, over `config`.
    pub replica_config: BTreeMap<String, String>,
    /// How the control plane behaves.
    pub manager: Policy,
    /// How the endpoint names behave.
    pub endpoints: Endpoints,
    /// How node metrics are taken.
    pub monitor: Monitor,
    /// Commands for nodes once the group is available.
    pub after_boot: Vec<NodeCommand>,
    /// Commands that go on for as long as the step does.
    pub background: Vec<Background>,
    /// How the clients of a load are set up where that is not as the step has it, by the step's own words.
    pub clients: BTreeMap<String, String>,
}

/// Who reaches the nodes' port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// The application's network and nobody else.
    AppOnly,
    /// Everybody.
    Open,
    /// Nobody.
    Closed,
}

/// How the control plane behaves. See [`crate::group`] for what it does with this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Promote a replica when the primary is dead.
    pub automatic_failover: bool,
    /// Multi-AZ: a group whose nodes would all be in one zone is refused. Where they go is `placement`'s.
    pub multi_az: bool,
    /// Every node is asked this often.
    #[serde(with = "humantime_serde")]
    pub probe_every: Duration,
    /// An answer is given up after this.
    #[serde(with = "humantime_serde")]
    pub probe_timeout: Duration,
    /// A node that gave no answer for this long is dead.
    #[serde(with = "humantime_serde")]
    pub dead_after: Duration,
    /// Which replica is promoted.
    pub promote: Choice,
    /// The primary name follows a promotion.
    pub repoint: bool,
    /// Whom it names then, and from when on.
    pub heir: Heir,
    /// A demoted primary that still runs is told so.
    pub demote: bool,
    /// The replicas that were not promoted are told whom to follow.
    pub reattach: bool,
    /// A dead node is brought back, as a replica.
    pub recover: bool,
    /// Which events are emitted, and how.
    pub events: Announce,
    /// The status becomes `available` when the group is.
    pub settles: bool,
    /// What `delete` leaves behind, beyond a retained primary.
    pub delete: Deletion,
    /// Time lost at each stage of a failover.
    pub delay: Delays,
}

/// Which replica is promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The one with most of the primary's data.
    LargestOffset,
    /// The one with least of it.
    SmallestOffset,
    /// None of them.
    Nobody,
}

/// Whom the primary name names after a failover, and from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heir {
    /// The promoted node, once it is primary.
    Promoted,
    /// The same node as soon as its primary is missed, before anybody is promoted.
    Foreseen,
    /// A replica that was not promoted.
    Another,
}

/// Which events the control plane emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Announce {
    /// The documented ones, in the documented order.
    Documented,
    /// Recovery is announced before the failover that caused it.
    RecoveryFirst,
}

/// What `delete` does with the nodes that it is to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deletion {
    /// Removes each of them.
    Complete,
    /// Forgets one replica when the primary is retained.
    ForgetsReplica,
    /// Forgets one node when all are to go.
    ForgetsNode,
}

/// Time lost at each stage of a failover; none in a sound control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delays {
    /// Before a dead primary is noticed.
    #[serde(with = "humantime_serde")]
    pub detect: Duration,
    /// Between noticing and promoting.
    #[serde(with = "humantime_serde")]
    pub promote: Duration,
    /// Between promoting and repointing the primary name.
    #[serde(with = "humantime_serde")]
    pub repoint: Duration,
    /// Before the dead node is brought back.
    #[serde(with = "humantime_serde")]
    pub recover: Duration,
}

/// How the endpoint names behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// How long a client may keep an answer.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// What the primary name names.
    pub primary: PrimaryTarget,
    /// What the reader name names.
    pub reader: ReaderTarget,
}

/// What the primary name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrimaryTarget {
    /// The primary.
    Primary,
    /// A replica.
    Replica,
    /// No node at all.
    Nobody,
}

/// What the reader name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderTarget {
    /// The replicas, by turns.
    Replicas,
    /// Every node, by turns.
    AllNodes,
    /// One replica only.
    FirstReplica,
}

impl Default for Replicated {
    fn default() -> Self {
        Self {
            replicas: 2,
            zones: ["lab-1a", "lab-1b", "lab-1c"].map(String::from).to_vec(),
            placement: Vec::new(),
            ingress: Ingress::AppOnly,
            cluster_mode: false,
            engine_version: String::new(),
            config: BTreeMap::new(),
            replica_config: BTreeMap::new(),
            manager: Policy::default(),
            endpoints: Endpoints {
                ttl: Duration::from_millis(200),
                primary: PrimaryTarget::Primary,
                reader: ReaderTarget::Replicas,
            },
            monitor: Monitor::default(),
            after_boot: Vec::new(),
            background: Vec::new(),
            clients: BTreeMap::new(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            automatic_failover: true,
            multi_az: true,
            probe_every: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(250),
            dead_after: Duration::from_secs(1),
            promote: Choice::LargestOffset,
            repoint: true,
            heir: Heir::Promoted,
            demote: true,
            reattach: true,
            recover: true,
            events: Announce::Documented,
            settles: true,
            delete: Deletion::Complete,
            delay: Delays::default(),
        }
    }
}

impl Replicated {
    /// The same without automatic failover: a dead primary stays dead until somebody promotes.
    pub fn without_automatic_failover(mut self) -> Self {
        self.manager.automatic_failover = false;
        self.manager.multi_az = false;
        self
    }

    /// The same with nobody bringing dead nodes back, so that a fault lasts until the step heals it.
    pub fn without_recovery(mut self) -> Self {
        self.manager.recover = false;
        self
    }

    /// The same with one server setting changed on every node.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.config.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The zone of the node with this index; the primary boots with index 0.
    pub fn zone_of(&self, index: usize) -> &str {
        let zones = if self.placement.is_empty() { &self.zones } else { &self.placement };
        zones.get(index % zones.len().max(1)).map_or("nowhere", String::as_str)
    }

    /// The server settings of the node with this index, over the lab's own.
    ///
    /// The lab's own shorten what the defaults of `redis.conf` spend on waiting: a full sync starts at
    /// once (`repl-diskless-sync no`; the default waits `repl-diskless-sync-delay`, 5 s, for company)
    /// and cron runs at 100 Hz. Nothing is persisted, as in a cache.
    pub fn settings_of(&self, index: usize) -> BTreeMap<String, String> {
        let lab = [
            ("save", ""),
            ("appendonly", "no"),
            ("dir", "/data"),
            ("protected-mode", "no"),
            ("repl-diskless-sync", "no"),
            ("rdb-del-sync-files", "yes"),
            ("hz", "100"),
        ];
        let mut settings: BTreeMap<String, String> =
            lab.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if self.cluster_mode {
            settings.insert("cluster-enabled".to_owned(), "yes".to_owned());
        }
        settings.extend(self.config.clone());
        if index > 0 {
            settings.extend(self.replica_config.clone());
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topology;

    #[test]
    fn changes_reach_nested_settings_and_leave_the_rest() {
        let changes = "[manager]\npromote = 'nobody'\n[manager.delay]\ndetect = '2s'".parse().unwrap();
        let changed = replicated(2).with_changes(&changes).unwrap();
        let mut expected = replicated(2);
        expected.manager.promote = Choice::Nobody;
        expected.manager.delay.detect = Duration::from_secs(2);
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_setting_that_does_not_exist_is_named() {
        let changes = "[manager]\npromotes = 'nobody'".parse().unwrap();
        let error = replicated(2).with_changes(&changes).unwrap_err();
        assert!(error.to_string().contains("promotes"), "{error}");
    }
}
