//! Booting a cluster, without `redis-cli`, and with every node where its topology has it.
//!
//! Nodes that find their cluster in `nodes.conf` need no introduction. But a primary that starts waits two
//! seconds before it takes writes (`CLUSTER_WRITABLE_DELAY`), and a replica does not. So the primaries begin as
//! replicas of their first replicas, which do not run yet, and take over (`CLUSTER FAILOVER TAKEOVER`) as soon
//! as they know each other. The replicas then find primaries, and begin as what they are. That raises epochs,
//! which is of no interest to anybody.
//!
//! All containers are there before the first server is: one that calls an address that nobody has yet hears
//! nothing, and tries again only after half a node timeout.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{join_all, try_join_all};

use super::{ClusterGroup, Health, Member, View};
use crate::{
    StepError,
    certificates::directives,
    conf::Conf,
    docker::{BUS, FOLDER, File, Launch, Node, NodeError, PORT, Server},
    engine::Version,
    secret::{DEFAULT, Secrets},
    topology::{Boot, Site, clusters::Clusters},
    wait::{self, Seen},
};

pub(super) const NODE_TIMEOUT: &str = "cluster-node-timeout";
pub(super) const MIGRATION: &str = "cluster-allow-replica-migration";
const BARRIER: &str = "cluster-migration-barrier";
/// More replicas than any shard has: none leaves.
const NOBODY_LEAVES: &str = "1000";
const NODES_CONF: &str = "nodes.conf";
const REDIS_CONF: &str = "redis.conf";
/// Two writable delays and an election; a sound boot takes a quarter of a second.
pub(super) const BOOT: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(10);

pub(super) async fn boot(topology: &Clusters, site: &Site) -> Result<(ClusterGroup, Boot), StepError> {
    let start = Instant::now();
    let names: Vec<String> = (0..topology.nodes()).map(|_| name()).collect();
    let guarded = topology.is_guarded().then(|| Secrets::new(&topology.users, &topology.tls));
    let secrets = guarded.transpose()?;
    let launched =
        (0..topology.nodes()).map(|index| launch(topology, site, (&names, secrets.as_ref()), index));
    let nodes = try_join_all(launched).await?;
    let running = nodes.iter().map(|node| node.started()).max().unwrap_or(start);
    site.recorder.nodes(nodes.iter().map(|node| node.id().clone()).collect());
    let group = ClusterGroup { topology: topology.clone(), secrets, nodes, names };
    let answering = match topology.formed {
        true => group.form().await?,
        false => Instant::now(),
    };
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
    (names, secrets): (&[String], Option<&Secrets>),
    index: usize,
) -> Result<Arc<Node>, StepError> {
    let id = topology.id_of(index);
    let mut settings = topology.settings_of(index);
    // Replicas start after the primaries, and nodes that stand alone have yet to meet. None is to take another for dead
    // that is still to come, or to forget one that it is only just meeting (`clusterCron`: after as long).
    settings.insert(NODE_TIMEOUT.to_owned(), BOOT.as_millis().to_string());
    // Pings are as rare then. A primary that has just taken over looks as if nobody followed it to whoever was not told
    // yet, and a replica of another shard would come to its help after 5 s.
    settings.insert(BARRIER.to_owned(), NOBODY_LEAVES.to_owned());
    // Without it Valkey 8.1 leaves a primary that another shard took the slots of as it is, only empty.
    settings.insert(MIGRATION.to_owned(), "yes".to_owned());
    let mut server = Server::of_settings(&settings);
    server.held = topology.formed && index < topology.members();
    server.when_returned = when_returned(topology, index);
    let path = format!("{FOLDER}/{NODES_CONF}");
    server.arguments.extend(["--cluster-config-file".to_owned(), path]);
    server.files.push(File { name: NODES_CONF.to_owned(), text: nodes_conf(topology, site, names, index) });
    if let Some(secrets) = secrets {
        guard(&mut server, topology, secrets)?;
        secrets.equip(&mut server, &id, &site.network, (index, topology.nodes()))?;
    }
    let zone = topology.zone_of(index).to_owned();
    Ok(Node::launch(&site.docker, &site.network, Launch { id, zone, index, server }).await?)
}

/// Gives a server its users and their passwords, and has it speak TLS: in a file, because arguments are for everybody
/// to read. They count after it.
fn guard(server: &mut Server, topology: &Clusters, secrets: &Secrets) -> Result<(), StepError> {
    let mut conf = secrets.let_in(Conf::default(), &topology.users, &topology.follows_as)?;
    if topology.tls.on {
        conf = conf.overlaid(directives(PORT));
    }
    server.files.push(File { name: REDIS_CONF.to_owned(), text: conf.to_string() });
    let filled = server.arguments.iter().map(|argument| secrets.fill(argument));
    server.arguments = [format!("{FOLDER}/{REDIS_CONF}")].into_iter().chain(filled).collect();
    server.access = secrets.access(DEFAULT)?;
    Ok(())
}

/// What a server is told beside its arguments when it is started again.
fn when_returned(topology: &Clusters, index: usize) -> String {
    let own = settled(topology, index).map(|(name, value)| format!("--{name} {value}")).join(" ");
    match topology.remembers {
        true => own,
        false => format!("{own} --cluster-config-file {FOLDER}/another-{NODES_CONF}"),
    }
}

/// The settings that a node gets once the cluster stands, of those that it starts without.
fn settled(topology: &Clusters, index: usize) -> [(&'static str, String); 3] {
    let mut settings = topology.settings_of(index);
    let mut own = |name, default: &str| (name, settings.remove(name).unwrap_or_else(|| default.to_owned()));
    [own(NODE_TIMEOUT, "15000"), own(MIGRATION, "yes"), own(BARRIER, "1")]
}

/// What a node finds when it starts: the whole cluster, or itself.
fn nodes_conf(topology: &Clusters, site: &Site, names: &[String], index: usize) -> String {
    let shares = topology.shares();
    let shards = usize::from(topology.primaries);
    // As the primaries find it.
    let swapped = topology.replicas > 0 && topology.place_of(index) == 0;
    // A replica starts when the primaries have taken over, one after the other, each with an epoch of its own. Redis
    // 8.0 takes the replica's word for its primary's epoch (`clusterProcessPacket`), though it knows of a larger one.
    let taken = if topology.place_of(index) > 0 { shards } else { 0 };
    // Since 7.2 a shard has a name, too: any 40 digits. A node that is not told makes one up, and Valkey 8.1 takes
    // primary and replica to be of different shards until they have agreed.
    let named = topology.formed && site.docker.engine().version() >= Version::new(7, 2);
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
        let epoch = if formed && begins_as_primary { taken + shard + 1 } else { 0 };
        // A node that stands alone is a shard of its own.
        let of = if formed { shard } else { other };
        let shard = if named { format!(",,shard-id={}", names[of]) } else { String::new() };
        format!(
            "{} {address}:{PORT}@{}{shard} {myself}{role} 0 0 {epoch} connected {slots}\n",
            names[other],
            PORT + BUS
        )
    };
    let formed = topology.formed && index < topology.members();
    let known = if formed { 0..topology.members() } else { index..index + 1 };
    let epoch = if formed { taken + shards } else { 0 };
    known.map(line).collect::<String>() + &format!("vars currentEpoch {epoch} lastVoteEpoch 0\n")
}

impl ClusterGroup {
    /// Starts the servers, so that the cluster is as its topology says. Returns when the primaries answered.
    async fn form(&self) -> Result<Instant, StepError> {
        try_join_all(self.primaries().iter().map(|node| node.serve())).await?;
        let answering = Instant::now();
        if self.topology.replicas > 0 {
            self.take_over().await?;
            try_join_all(self.replicas().iter().map(|node| node.serve())).await?;
        }
        if let Err(late) = self.is_whole().await {
            return Err(format!("{late}\n{}", self.last_words().await).into());
        }
        self.settle().await?;
        Ok(answering)
    }

    /// The nodes that are to be primaries take over from those that are, in their eyes. Who is not linked to
    /// them hears of it late, and has taken their slots for nobody's by then. And one after the other: two that
    /// take one epoch each find out later who gives way, and a replica that missed that is not voted for.
    async fn take_over(&self) -> Result<(), StepError> {
        let shares = self.topology.shares();
        let ids = &self.names[..shares.len()];
        let linked = |view: &View| ids.iter().all(|id| view.member(id).is_some_and(|other| other.connected));
        self.primaries_see("each other, and a sound cluster", linked).await?;
        for ((primary, id), share) in self.primaries().iter().zip(ids).zip(&shares) {
            // It writes `nodes.conf`, and waits for the disk.
            primary.ask_within::<()>(&["CLUSTER", "FAILOVER", "TAKEOVER"], BOOT).await?;
            let owns = |view: &View| view.member(id).is_some_and(|owner| &owner.slots == share);
            self.primaries_see(&format!("what {} owns", primary.id()), owns).await?;
        }
        Ok(())
    }

    /// Waits until what every primary holds of the cluster is as it should be, and that it is sound.
    async fn primaries_see(&self, what: &str, right: impl Fn(&View) -> bool) -> Result<(), StepError> {
        let look = || async {
            for primary in self.primaries() {
                match (self.state(primary).await, self.view(primary).await) {
                    (Ok(state), Ok(view)) if state == "ok" && right(&view) => {}
                    (Ok(state), Ok(view)) => {
                        return Seen::NotYet(format!("{}: {state}\n{}", primary.id(), view.configuration()));
                    }
                    (Err(error), _) => return Seen::NotYet(error.to_string()),
                    (_, Err(error)) => return Seen::NotYet(error.to_string()),
                }
            }
            Seen::Ready(())
        };
        Ok(wait::until(&format!("the primaries to see {what}"), BOOT, PACE, look).await?)
    }

    /// From here on a node that does not answer is failing when the topology says so, and replicas go where they
    /// may.
    pub(super) async fn settle(&self) -> Result<(), NodeError> {
        let tell = async |(index, node): (usize, &Arc<Node>)| {
            let own = settled(&self.topology, index);
            let pairs = own.iter().flat_map(|(name, value)| [*name, value.as_str()]);
            let words: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(pairs).collect();
            node.ask_within::<()>(&words, BOOT).await
        };
        try_join_all(self.nodes.iter().enumerate().map(tell)).await.map(drop)
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
    /// same, with the same epochs (a replica that is behind its primary's is not voted for), and every primary
    /// has as many replicas online as the topology says.
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
        let mut agreed = None;
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
            let seen = (view.configuration(), view.epochs());
            if agreed.get_or_insert_with(|| seen.clone()) != &seen {
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
