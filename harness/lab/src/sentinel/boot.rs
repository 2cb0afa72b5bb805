//! Booting a Sentinel deployment: the data nodes first, then the sentinels, until all know all.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;

use super::{Flag, SentinelGroup, Usable, admission::Admission, watch::watch};
use crate::{
    StepError,
    certificates::directives,
    conf::Conf,
    docker::{Access, FOLDER, File, Launch, Node, NodeError, PORT, Server},
    secret::{DEFAULT, Secrets},
    topology::{Boot, Site, sentinels::Sentinels},
    wait::{self, Seen},
};

const REDIS_CONF: &str = include_str!("../../../../fixtures/conf/sentinel/redis.conf");
const SENTINEL_CONF: &str = include_str!("../../../../fixtures/conf/sentinel/sentinel.conf");
/// `REDIS_SENTINEL_PORT`.
const SENTINEL_PORT: u16 = 26379;
/// With the built-in clocks a sentinel hears of the others after up to 2 s (hello), and of the replicas
/// after up to 10 s (INFO).
const BOOT: Duration = Duration::from_secs(45);
const PACE: Duration = Duration::from_millis(10);

pub(super) async fn boot(topology: &Sentinels, site: &Site) -> Result<(SentinelGroup, Boot), StepError> {
    let start = Instant::now();
    let admission = Admission::new(topology)?;
    // The primary first: a replica that finds nobody asks again only a second later.
    let primary = launch_data(topology, site, &admission.data, 0).await?;
    let replicas = try_join_all(
        (1..topology.data_nodes()).map(|index| launch_data(topology, site, &admission.data, index)),
    );
    let mut data = vec![primary];
    data.extend(replicas.await?);
    let sentinels = try_join_all(
        (topology.data_nodes()..topology.nodes())
            .map(|index| launch_sentinel(topology, site, &admission, index)),
    );
    let sentinels = sentinels.await?;
    let answering = Instant::now();
    let running = data.iter().chain(&sentinels).map(|node| node.started()).max().unwrap_or(answering);
    site.recorder.nodes(data.iter().chain(&sentinels).map(|node| node.id().clone()).collect());
    let watchers = watch(topology, &data, &sentinels, &site.recorder);
    let topology = topology.clone();
    let admission = Some(admission);
    let group = SentinelGroup { topology, admission, data, sentinels, lent: None, _watchers: watchers };
    try_join_all(group.sentinels.iter().map(|sentinel| group.shorten(sentinel))).await?;
    group.all_know_all().await?;
    let boot =
        Boot { containers: running - start, servers: answering - running, replication: answering.elapsed() };
    Ok((group, boot))
}

/// What every data node is told: the file, and what the lab adds.
fn data_conf() -> Conf {
    Conf::parse(REDIS_CONF)
        .set("port", &PORT.to_string())
        .set("dir", FOLDER)
        // The lab's own: no waiting for company before a full sync, and a clock of 100 Hz.
        .set("repl-diskless-sync", "no")
        .set("hz", "100")
}

/// The same, as the topology changes it, for a server that has no password, and wants none.
pub(super) fn bare_conf(topology: &Sentinels) -> Conf {
    data_conf().overlaid(&topology.config).without("requirepass").without("masterauth")
}

/// The same with everything encrypted, if the deployment does that.
fn encrypted(conf: Conf, secrets: &Secrets, port: u16) -> Conf {
    match secrets.certificates() {
        Some(_) => conf.overlaid(directives(port)),
        None => conf,
    }
}

/// A server of the deployment, before it has a node.
struct Member {
    index: usize,
    port: u16,
    access: Access,
    /// Its configuration's name and content.
    file: &'static str,
    conf: Conf,
    /// What it is told beside its configuration.
    arguments: Vec<String>,
}

async fn launch_data(
    topology: &Sentinels,
    site: &Site,
    secrets: &Secrets,
    index: usize,
) -> Result<Arc<Node>, StepError> {
    let id = topology.id_of(index);
    let mut conf = secrets.let_in(data_conf(), &topology.users, &topology.follows_as)?;
    if index > 0 {
        conf = conf.set("replicaof", &format!("{} {PORT}", primary(topology, site)));
    }
    if topology.hostnames {
        conf = conf.set("replica-announce-ip", id.as_str());
    }
    let of_node = topology.node_config.get(id.as_str()).into_iter().flatten();
    let conf = encrypted(conf, secrets, PORT).overlaid(&topology.config).overlaid(of_node);
    let member = Member {
        index,
        port: PORT,
        access: secrets.access(DEFAULT)?,
        file: "redis.conf",
        conf,
        arguments: topology.arguments.iter().map(|argument| secrets.fill(argument)).collect(),
    };
    launch(topology, site, secrets, member).await
}

async fn launch_sentinel(
    topology: &Sentinels,
    site: &Site,
    admission: &Admission,
    index: usize,
) -> Result<Arc<Node>, StepError> {
    let Admission { data: secrets, sentinels } = admission;
    let primary = primary(topology, site);
    let about = |directive: &str| format!("sentinel {directive} {}", topology.name);
    let watcher = if topology.watches_as.is_empty() { DEFAULT } else { &topology.watches_as };
    let mut conf = Conf::parse(SENTINEL_CONF)
        .fill("SENTINEL_PASSWORD", sentinels.reveal())
        .set("dir", FOLDER)
        // First: what is about a primary has to come after it.
        .set(&about("monitor"), &format!("{primary} {PORT} {}", topology.quorum))
        .set(&about("auth-pass"), secrets.of(watcher)?.reveal())
        .set(&about("down-after-milliseconds"), &topology.down_after.as_millis().to_string())
        .set(&about("failover-timeout"), &topology.failover_timeout.as_millis().to_string())
        .set(&about("parallel-syncs"), &topology.parallel_syncs.to_string());
    if watcher != DEFAULT {
        conf = conf.set(&about("auth-user"), watcher);
    }
    if topology.hostnames {
        conf = conf
            .set("sentinel resolve-hostnames", "yes")
            .set("sentinel announce-hostnames", "yes")
            .set("sentinel announce-ip", topology.id_of(index).as_str());
    }
    let member = Member {
        index,
        port: SENTINEL_PORT,
        access: admission.to_sentinels(),
        file: "sentinel.conf",
        conf: encrypted(conf, secrets, SENTINEL_PORT).overlaid(&topology.sentinel_config),
        arguments: vec!["--sentinel".to_owned()],
    };
    launch(topology, site, secrets, member).await
}

async fn launch(
    topology: &Sentinels,
    site: &Site,
    secrets: &Secrets,
    member: Member,
) -> Result<Arc<Node>, StepError> {
    let Member { index, port, access, file, conf, arguments } = member;
    let id = topology.id_of(index);
    let files = vec![File { name: file.to_owned(), text: conf.to_string() }];
    let arguments = [format!("{FOLDER}/{file}")].into_iter().chain(arguments).collect();
    let hosts = match topology.hostnames {
        true => (0..topology.nodes()).map(|index| host(topology, site, index)).collect(),
        false => Vec::new(),
    };
    let mut server =
        Server { port, arguments, when_returned: String::new(), held: false, files, hosts, access };
    secrets.equip(&mut server, &id, &site.network, (index, topology.nodes()))?;
    let zone = topology.zone_of(index).to_owned();
    Ok(Node::launch(&site.docker, &site.network, Launch { id, zone, index, server }).await?)
}

/// A node's name, and whose it is.
fn host(topology: &Sentinels, site: &Site, index: usize) -> (String, Ipv4Addr) {
    (topology.id_of(index).to_string(), site.network.address(index))
}

/// What the others call the first primary.
fn primary(topology: &Sentinels, site: &Site) -> String {
    let (name, address) = host(topology, site, 0);
    if topology.hostnames { name } else { address.to_string() }
}

impl SentinelGroup {
    /// Waits until every sentinel knows all others and every replica, and holds all of them to be up.
    ///
    /// # Errors
    /// One of them does not within the time that its clocks allow.
    pub async fn all_know_all(&self) -> Result<(), wait::TimedOut> {
        let look = || async {
            for sentinel in &self.sentinels {
                if let Err(missing) = self.knows_all(sentinel).await {
                    return Seen::NotYet(format!("{}: {missing}", sentinel.id()));
                }
            }
            Seen::Ready(())
        };
        wait::until("every sentinel to know all nodes", BOOT, PACE, look).await
    }

    /// What a sentinel does not know yet, in words.
    async fn knows_all(&self, sentinel: &Node) -> Result<(), String> {
        let usable = self.usable(sentinel).await.map_err(|error| error.to_string())?;
        let all = Usable { primary: true, replicas: self.data.len() - 1, others: self.sentinels.len() - 1 };
        match usable == all {
            true => Ok(()),
            false => Err(usable.to_string()),
        }
    }

    /// What a sentinel can count on.
    pub(super) async fn usable(&self, sentinel: &Node) -> Result<Usable, NodeError> {
        let primary = self.master(sentinel).await?.is_only(Flag::Primary);
        let replicas = self.replicas(sentinel).await?;
        let replicas = replicas.iter().filter(|replica| replica.is_only(Flag::Replica) && replica.link_up());
        let others = self.others(sentinel).await?;
        let others = others.iter().filter(|other| other.is_only(Flag::Sentinel));
        Ok(Usable { primary, replicas: replicas.count(), others: others.count() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sentinels::sentinels;

    /// The compose file's sentinels read the file, the lab's are told: `unshortened` has to mean the same.
    #[test]
    fn nobodys_clocks_are_shortened_means_the_files() {
        let topology = sentinels(3).unshortened();
        let file = Conf::parse(SENTINEL_CONF);
        let of = |directive: &str| {
            file.get(&format!("sentinel {directive} {}", topology.name)).expect("it is there")
        };
        let milliseconds = |length: Duration| length.as_millis().to_string();
        assert_eq!(of("down-after-milliseconds"), milliseconds(topology.down_after));
        assert_eq!(of("failover-timeout"), milliseconds(topology.failover_timeout));
        assert_eq!(of("parallel-syncs"), topology.parallel_syncs.to_string());
        assert_eq!(of("monitor").rsplit(' ').next(), Some(topology.quorum.to_string().as_str()));
    }
}
