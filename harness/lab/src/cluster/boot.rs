//! Booting a cluster, without `redis-cli`, and with every node where its topology has it.
//!
//! Nodes that find their cluster in `nodes.conf` need no introduction. But a primary that starts waits two
//! seconds before it takes writes (`CLUSTER_WRITABLE_DELAY`), and a replica does not: so every shard starts
//! with its primary and its first replica the other way round, and they change roles at once
//! (`CLUSTER FAILOVER TAKEOVER`). That raises their epochs, which is of no interest to anybody.
//!
//! It is no quicker than `redis-cli --cluster create` all the same (`cargo bench --bench boot` has the figures).
//! Containers start one after the other, and what takes long is probably that nodes call others before they are
//! there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{join_all, try_join_all};

use super::{ClusterGroup, Health, Member};
use crate::{
    StepError,
    docker::{FOLDER, File, Launch, Node, NodeError, PORT, Server},
    topology::{Boot, Site, clusters::Clusters},
    wait::{self, Seen},
};

/// The bus listens this far above the port: `CLUSTER_PORT_INCR`.
const BUS: u16 = 10_000;
const NODE_TIMEOUT: &str = "cluster-node-timeout";
const NODES_CONF: &str = "nodes.conf";
/// Two writable delays and an election; a sound boot takes half a second.
const BOOT: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(10);

pub(super) async fn boot(topology: &Clusters, site: &Site) -> Result<(ClusterGroup, Boot), StepError> {
    let start = Instant::now();
    let names: Vec<String> = (0..topology.nodes()).map(|_| name()).collect();
    let launched = (0..topology.nodes()).map(|index| launch(topology, site, &names, index));
    let nodes = try_join_all(launched).await?;
    let answering = Instant::now();
    let running = nodes.iter().map(|node| node.started()).max().unwrap_or(answering);
    site.recorder.nodes(nodes.iter().map(|node| node.id().clone()).collect());
    let group = ClusterGroup { topology: topology.clone(), nodes, names };
    if topology.formed {
        group.take_over().await?;
        if let Err(late) = group.is_whole().await {
            return Err(format!("{late}\n{}", group.last_words().await).into());
        }
        group.set_the_node_timeout().await?;
    }
    let boot =
        Boot { containers: running - start, servers: answering - running, replication: answering.elapsed() };
    Ok((group, boot))
}

/// A node's name in its cluster: 40 hexadecimal digits (`CLUSTER_NAMELEN`).
fn name() -> String {
    (0..40).map(|_| fastrand::digit(16)).collect()
}

async fn launch(
    topology: &Clusters,
    site: &Site,
    names: &[String],
    index: usize,
) -> Result<Arc<Node>, NodeError> {
    let id = topology.id_of(index);
    let mut settings = topology.settings_of(index);
    if topology.formed {
        // Nodes start one after the other. None is to take another for dead that is still to come.
        settings.insert(NODE_TIMEOUT.to_owned(), BOOT.as_millis().to_string());
    }
    let mut server = Server::of_settings(&settings);
    server.when_returned = when_returned(topology, index);
    let path = format!("{FOLDER}/{NODES_CONF}");
    server.arguments.extend(["--cluster-config-file".to_owned(), path]);
    server.files.push(File { name: NODES_CONF.to_owned(), text: nodes_conf(topology, site, names, index) });
    let zone = topology.zone_of(index).to_owned();
    Node::launch(&site.docker, &site.network, Launch { id, zone, index, server }).await
}

/// What a server is told beside its arguments when it is started again.
fn when_returned(topology: &Clusters, index: usize) -> String {
    let timeout = format!("--{NODE_TIMEOUT} {}", topology.settings_of(index)[NODE_TIMEOUT]);
    match topology.remembers {
        true => timeout,
        false => format!("{timeout} --cluster-config-file {FOLDER}/another-{NODES_CONF}"),
    }
}

/// What a node finds when it starts: the whole cluster, or itself.
fn nodes_conf(topology: &Clusters, site: &Site, names: &[String], index: usize) -> String {
    let shares = topology.shares();
    let (shards, swapped) = (usize::from(topology.primaries), topology.replicas > 0);
    let line = |other: usize| {
        let address = site.network.address(other);
        let (shard, place) = (topology.shard_of(other), topology.place_of(other));
        let begins_as_primary = place == usize::from(swapped);
        let formed = topology.formed && other < topology.members();
        let (role, slots) = match (formed, begins_as_primary) {
            (false, _) => ("master -".to_owned(), String::new()),
            (true, true) => ("master -".to_owned(), shares[shard].to_string()),
            (true, false) => {
                (format!("slave {}", names[shard + usize::from(swapped) * shards]), String::new())
            }
        };
        let myself = if other == index { "myself," } else { "" };
        // A replica has none of its own. One that equals the largest would not grow when it takes over
        // (`clusterBumpConfigEpochWithoutConsensus`).
        let epoch = if formed && begins_as_primary { shard + 1 } else { 0 };
        format!(
            "{} {address}:{PORT}@{} {myself}{role} 0 0 {epoch} connected {slots}\n",
            names[other],
            PORT + BUS
        )
    };
    let formed = topology.formed && index < topology.members();
    let known = if formed { 0..topology.members() } else { index..index + 1 };
    // The next one is for whoever takes over: different ones, or they would have to find out who gives way.
    let epoch = if formed { shards + topology.shard_of(index) } else { 0 };
    known.map(line).collect::<String>() + &format!("vars currentEpoch {epoch} lastVoteEpoch 0\n")
}

impl ClusterGroup {
    /// The nodes that are to be primaries take over from those that began as such.
    async fn take_over(&self) -> Result<(), NodeError> {
        if self.topology.replicas > 0 {
            for primary in self.primaries() {
                // It writes `nodes.conf`, and waits for the disk.
                primary.ask_within::<()>(&["CLUSTER", "FAILOVER", "TAKEOVER"], BOOT).await?;
            }
        }
        Ok(())
    }

    /// From here on a node that does not answer is failing when the topology says so.
    async fn set_the_node_timeout(&self) -> Result<(), NodeError> {
        for (index, node) in self.nodes.iter().enumerate() {
            let timeout = &self.topology.settings_of(index)[NODE_TIMEOUT];
            node.ask::<()>(&["CONFIG", "SET", NODE_TIMEOUT, timeout]).await?;
        }
        Ok(())
    }

    /// Waits until the cluster is as its topology says: every node has the role that it boots with.
    async fn is_whole(&self) -> Result<(), wait::TimedOut> {
        let look = || async {
            let missing = match self.what_is_missing(self.members()).await {
                Ok(()) => self.who_is_out_of_place().await,
                missing => missing,
            };
            missing.map_or_else(Seen::NotYet, Seen::Ready)
        };
        wait::until("the cluster to be whole", BOOT, PACE, look).await
    }

    /// The end of every node's log.
    async fn last_words(&self) -> String {
        let logs =
            self.nodes.iter().map(async |node| format!("--- {}\n{}", node.id(), node.log_tail(25).await));
        join_all(logs).await.concat()
    }

    /// Waits until the cluster stands, whoever has which role: every node takes it to be sound, all see the
    /// same, and every primary has as many replicas online as the topology says.
    ///
    /// # Errors
    /// It does not within 20 s.
    pub async fn stands(&self) -> Result<(), wait::TimedOut> {
        self.stands_of(self.members()).await
    }

    /// [`ClusterGroup::stands`] of a cluster of exactly these nodes.
    ///
    /// # Errors
    /// As for [`ClusterGroup::stands`].
    pub async fn stands_of(&self, nodes: &[Arc<Node>]) -> Result<(), wait::TimedOut> {
        let look = || async { self.what_is_missing(nodes).await.map_or_else(Seen::NotYet, Seen::Ready) };
        wait::until("the cluster to stand", BOOT, PACE, look).await
    }

    /// What keeps the cluster of these nodes from standing, in words.
    async fn what_is_missing(&self, nodes: &[Arc<Node>]) -> Result<(), String> {
        let mut agreed: Option<String> = None;
        for node in nodes {
            let told = |what: String| format!("{}: {what}", node.id());
            let state = self.state(node).await.map_err(|error| error.to_string())?;
            if state != "ok" {
                return Err(told(format!("cluster_state:{state}")));
            }
            let view = self.view(node).await.map_err(|error| error.to_string())?;
            let unsound = |other: &&Member| other.health != Health::Up || !other.connected;
            if let Some(other) = view.members().iter().find(unsound) {
                return Err(told(format!("{} is {:?}", other.id, other.health)));
            }
            if view.members().len() != nodes.len() {
                return Err(told(format!("sees {} nodes", view.members().len())));
            }
            let configuration = view.configuration();
            if agreed.get_or_insert_with(|| configuration.clone()) != &configuration {
                return Err(told("another view".to_owned()));
            }
            let info = node.info().await.map_err(|error| error.to_string())?;
            let online = info.replicas().iter().filter(|replica| replica.state == "online").count();
            let replicates = match view.myself().is_some_and(|myself| myself.follows.is_none()) {
                true => online == usize::from(self.topology.replicas),
                false => info.link_up() == Some(true),
            };
            if !replicates {
                return Err(told(info.replication()));
            }
        }
        Ok(())
    }

    /// Which node has another role than it boots with, in words.
    async fn who_is_out_of_place(&self) -> Result<(), String> {
        let shares = self.topology.shares();
        for (index, node) in self.members().iter().enumerate() {
            let view = self.view(node).await.map_err(|error| error.to_string())?;
            let shard = self.topology.shard_of(index);
            let myself = view.myself().ok_or("it does not know itself")?;
            let right = match self.topology.place_of(index) {
                0 => myself.follows.is_none() && myself.slots == shares[shard],
                _ => myself.follows.as_ref() == Some(&self.names[shard]),
            };
            if !right {
                return Err(format!("{} follows {:?}, owns {}", node.id(), myself.follows, myself.slots));
            }
        }
        Ok(())
    }
}
