//! A cluster: shards of a primary and its replicas, which keys are divided over by their slots.
//!
//! The defaults are a sound cluster with a shortened node timeout. Everything else that a value can say is a
//! way of being set up wrong, or an experiment.

mod application;

use std::{collections::BTreeMap, time::Duration};

use lab_report::{NodeId, alerts::Change, slots::Slots};
use serde::{Deserialize, Serialize};

pub use application::{Application, Hash, Listening, Load};

use super::{Background, Encryption, Monitor, NodeCommand, Users};

/// A cluster of `primaries` shards; `cluster(3).replicas(1)` is the lab's own deployment.
pub fn cluster(primaries: u8) -> Clusters {
    Clusters { primaries, ..Clusters::default() }
}

/// A cluster and everything around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clusters {
    /// Shards, each with a primary and an even share of the slots.
    pub primaries: u8,
    /// Replicas of each primary.
    pub replicas: u8,
    /// Nodes that stand alone beside the cluster, for shards that join it: a primary, its replicas, and so on.
    pub spares: u8,
    /// The share of a shard that joins when slots are moved to it, where each of the others has 1.
    pub weight_of_spares: f64,
    /// The zones that the nodes are in: the nodes of a shard in one after the other, and every shard begins
    /// with another.
    pub zones: Vec<String>,
    /// The nodes know each other and their slots as soon as they run. Otherwise each stands alone.
    pub formed: bool,
    /// A node that is started again finds its `nodes.conf`, and so its cluster. Otherwise it knows nobody.
    pub remembers: bool,
    /// `cluster-node-timeout`: a node that does not answer for this long is failing (NT).
    #[serde(with = "humantime_serde")]
    pub node_timeout: Duration,
    /// What is encrypted, and how.
    pub tls: Encryption,
    /// Users beside the default one. Each has a password of its own. Where there are any, or encryption, the default
    /// one has a password, too; otherwise nobody needs one.
    pub users: Users,
    /// The user that a replica follows its primary as; the default one where it is empty.
    pub follows_as: String,
    /// Server settings of every node, over the lab's own; `{password-of-app}` stands for a user's password.
    pub config: BTreeMap<String, String>,
    /// Settings of single nodes, by id, over `config`.
    pub node_config: BTreeMap<String, BTreeMap<String, String>>,
    /// How the application goes about it.
    pub application: Application,
    /// Crashes in a row, where a step has many.
    pub crashes: u32,
    /// How node metrics are taken.
    pub monitor: Monitor,
    /// Changes to the alerting rules, by the alert's name.
    pub alerts: BTreeMap<String, Change>,
    /// Commands for nodes once the cluster is as it should be.
    pub after_boot: Vec<NodeCommand>,
    /// Commands that go on for as long as the step does.
    pub background: Vec<Background>,
    /// How the clients of a load are set up where that is not as the step has it, by the step's own words.
    pub clients: BTreeMap<String, String>,
}

impl Default for Clusters {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicas: 1,
            spares: 0,
            weight_of_spares: 1.0,
            zones: ["lab-1a", "lab-1b", "lab-1c"].map(String::from).to_vec(),
            formed: true,
            remembers: true,
            node_timeout: Duration::from_secs(2),
            tls: Encryption::default(),
            users: Users::new(),
            follows_as: String::new(),
            config: BTreeMap::new(),
            node_config: BTreeMap::new(),
            application: Application::default(),
            crashes: 20,
            monitor: Monitor { every: Duration::from_millis(250), ..Monitor::default() },
            alerts: BTreeMap::new(),
            after_boot: Vec::new(),
            background: Vec::new(),
            clients: BTreeMap::new(),
        }
    }
}

impl Clusters {
    /// The same with this many replicas of each primary.
    pub fn replicas(mut self, replicas: u8) -> Self {
        self.replicas = replicas;
        self
    }

    /// The same with this many nodes beside it that stand alone.
    pub fn spares(mut self, spares: u8) -> Self {
        self.spares = spares;
        self
    }

    /// The same with a server beside it that belongs to no cluster, and as many more as a shard has replicas: what
    /// a cluster is compared with.
    pub fn beside_a_single_one(mut self) -> Self {
        let first = self.nodes();
        self.spares += self.replicas + 1;
        for index in first..self.nodes() {
            let own = self.node_config.entry(self.id_of(index).to_string()).or_default();
            own.insert("cluster-enabled".to_owned(), "no".to_owned());
        }
        self
    }

    /// The same with nodes that stand alone: a cluster is made of them later.
    pub fn unformed(mut self) -> Self {
        self.formed = false;
        self
    }

    /// The same with every link under TLS, and certificates made for this cluster.
    pub fn tls(mut self) -> Self {
        self.tls.on = true;
        self
    }

    /// The same with one more user, who may do what `rules` say.
    pub fn user(mut self, name: &str, rules: &str) -> Self {
        self.users.insert(name.to_owned(), rules.to_owned());
        self
    }

    /// The same with replicas that follow their primary as this user.
    pub fn follows_as(mut self, user: &str) -> Self {
        self.follows_as = user.to_owned();
        self
    }

    /// The same with one server setting changed on every node.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.config.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The number of nodes, of those that stand alone as well.
    pub fn nodes(&self) -> usize {
        self.members() + usize::from(self.spares)
    }

    /// The number of nodes that belong together.
    pub fn members(&self) -> usize {
        usize::from(self.primaries) * self.of_shard()
    }

    /// The number of a shard's nodes.
    fn of_shard(&self) -> usize {
        usize::from(self.replicas) + 1
    }

    /// The shard of the node with this index, from 0. The primaries come first, then the first replica of
    /// each, and so on; last those that stand alone, shard by shard.
    pub fn shard_of(&self, index: usize) -> usize {
        match index.checked_sub(self.members()) {
            Some(spare) => usize::from(self.primaries) + spare / self.of_shard(),
            None => index % usize::from(self.primaries),
        }
    }

    /// The node's place in its shard: 0 boots as primary.
    pub fn place_of(&self, index: usize) -> usize {
        match index.checked_sub(self.members()) {
            Some(spare) => spare % self.of_shard(),
            None => index / usize::from(self.primaries),
        }
    }

    /// The name of the node with this index, as ElastiCache names them: shard, then place.
    pub fn id_of(&self, index: usize) -> NodeId {
        NodeId::from(format!("lab-{:04}-{:03}", self.shard_of(index) + 1, self.place_of(index) + 1))
    }

    /// The zone of the node with this index.
    pub fn zone_of(&self, index: usize) -> &str {
        let turn = self.shard_of(index) + self.place_of(index);
        self.zones.get(turn % self.zones.len().max(1)).map_or("nowhere", String::as_str)
    }

    /// The slots of each shard.
    pub fn shares(&self) -> Vec<Slots> {
        Slots::shares(usize::from(self.primaries))
    }

    /// Whether anything has to be shown, or said, to get in.
    pub fn is_guarded(&self) -> bool {
        self.tls.on || !self.users.is_empty()
    }

    /// The server settings of the node with this index.
    ///
    /// The lab's own are those of its replication groups ([`super::replicated::Replicated::settings_of`]).
    pub fn settings_of(&self, index: usize) -> BTreeMap<String, String> {
        let timeout = self.node_timeout.as_millis().to_string();
        let lab = [
            ("save", ""),
            ("appendonly", "no"),
            ("dir", "/data"),
            ("protected-mode", "no"),
            ("repl-diskless-sync", "no"),
            ("rdb-del-sync-files", "yes"),
            ("hz", "100"),
            ("cluster-enabled", "yes"),
            ("cluster-node-timeout", &timeout),
        ];
        let mut settings: BTreeMap<String, String> =
            lab.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        settings.extend(self.config.clone());
        settings.extend(self.node_config.get(self.id_of(index).as_str()).cloned().unwrap_or_default());
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_a_shard_are_in_different_zones() {
        let cluster = cluster(3).replicas(2);
        let of_shard = |shard: usize| (0..cluster.nodes()).filter(move |index| index % 3 == shard);
        for shard in 0..3 {
            let zones: std::collections::BTreeSet<_> =
                of_shard(shard).map(|index| cluster.zone_of(index)).collect();
            assert_eq!(zones.len(), 3);
        }
        assert_eq!(cluster.id_of(4).as_str(), "lab-0002-002");
    }

    #[test]
    fn nodes_that_stand_alone_make_further_shards() {
        let cluster = cluster(3).replicas(1).spares(2);
        assert_eq!((cluster.members(), cluster.nodes()), (6, 8));
        assert_eq!([6, 7].map(|index| cluster.id_of(index).to_string()), ["lab-0004-001", "lab-0004-002"]);
        assert_ne!(cluster.zone_of(6), cluster.zone_of(7));
    }
}
