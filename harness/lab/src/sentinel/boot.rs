//! Booting a Sentinel deployment: the data nodes first, then the sentinels, until all know all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use lab_report::NodeId;

use super::{Flag, SentinelGroup, watch::watch};
use crate::{
    StepError,
    conf::Conf,
    docker::{Access, File, Launch, Node, PORT, Server},
    secret::Secret,
    topology::{
        Boot, Site,
        sentinels::{NAME, Sentinels},
    },
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

/// The passwords of one deployment.
struct Secrets {
    data: Secret,
    sentinel: Secret,
}

pub(super) async fn boot(topology: &Sentinels, site: &Site) -> Result<(SentinelGroup, Boot), StepError> {
    let start = Instant::now();
    let secrets = Secrets { data: Secret::random(), sentinel: Secret::random() };
    // The primary first: a replica that finds nobody asks again only a second later.
    let primary = launch_data(topology, site, &secrets, 0).await?;
    let replicas =
        try_join_all((1..topology.data_nodes()).map(|index| launch_data(topology, site, &secrets, index)));
    let mut data = vec![primary];
    data.extend(replicas.await?);
    let sentinels = try_join_all(
        (0..usize::from(topology.sentinels)).map(|number| launch_sentinel(topology, site, &secrets, number)),
    );
    let sentinels = sentinels.await?;
    let answering = Instant::now();
    let running = data.iter().chain(&sentinels).map(|node| node.started()).max().unwrap_or(answering);
    site.recorder.nodes(data.iter().chain(&sentinels).map(|node| node.id().clone()).collect());
    let watchers = watch(&data, &sentinels, &site.recorder, topology.heard_late);
    let group = SentinelGroup { topology: topology.clone(), data, sentinels, _watchers: watchers };
    try_join_all(group.sentinels.iter().map(|sentinel| group.shorten(sentinel))).await?;
    group.all_know_all().await?;
    let boot =
        Boot { containers: running - start, servers: answering - running, replication: answering.elapsed() };
    Ok((group, boot))
}

async fn launch_data(
    topology: &Sentinels,
    site: &Site,
    secrets: &Secrets,
    index: usize,
) -> Result<Arc<Node>, StepError> {
    let id = NodeId::from(format!("lab-{:03}", index + 1));
    let mut conf = Conf::parse(REDIS_CONF)
        .fill("PASSWORD", secrets.data.reveal())
        .set("port", &PORT.to_string())
        .set("dir", "/node")
        // The lab's own: no waiting for company before a full sync, and a clock of 100 Hz.
        .set("repl-diskless-sync", "no")
        .set("hz", "100");
    if index > 0 {
        conf = conf.set("replicaof", &format!("{} {PORT}", site.network.address(0)));
    }
    let of_node = topology.node_config.get(id.as_str()).into_iter().flatten();
    for (name, value) in topology.config.iter().chain(of_node) {
        conf = conf.set(name, value);
    }
    let server = Server {
        port: PORT,
        arguments: vec!["/node/redis.conf".to_owned()],
        when_returned: String::new(),
        files: vec![File { name: "redis.conf".to_owned(), text: conf.to_string() }],
        access: Access { user: None, password: Some(secrets.data.clone()) },
    };
    let zone = topology.zone_of(index).to_owned();
    Ok(Node::launch(&site.docker, &site.network, Launch { id, zone, index, server }).await?)
}

async fn launch_sentinel(
    topology: &Sentinels,
    site: &Site,
    secrets: &Secrets,
    number: usize,
) -> Result<Arc<Node>, StepError> {
    let index = topology.data_nodes() + number;
    let primary = site.network.address(0).to_string();
    let about = |directive: &str| format!("sentinel {directive} {NAME}");
    let mut conf = Conf::parse(SENTINEL_CONF)
        .fill("PASSWORD", secrets.data.reveal())
        .fill("SENTINEL_PASSWORD", secrets.sentinel.reveal())
        .set("dir", "/node")
        // First: what is about a primary has to come after it.
        .set(&about("monitor"), &format!("{primary} {PORT} {}", topology.quorum))
        .set(&about("auth-pass"), secrets.data.reveal())
        .set(&about("down-after-milliseconds"), &topology.down_after.as_millis().to_string())
        .set(&about("failover-timeout"), &topology.failover_timeout.as_millis().to_string())
        .set(&about("parallel-syncs"), &topology.parallel_syncs.to_string());
    for (name, value) in &topology.sentinel_config {
        conf = conf.set(name, value);
    }
    let server = Server {
        port: SENTINEL_PORT,
        arguments: vec!["/node/sentinel.conf".to_owned(), "--sentinel".to_owned()],
        when_returned: String::new(),
        files: vec![File { name: "sentinel.conf".to_owned(), text: conf.to_string() }],
        access: Access { user: None, password: Some(secrets.sentinel.clone()) },
    };
    let id = NodeId::from(format!("sentinel-{}", number + 1));
    let zone = topology.zone_of(index).to_owned();
    Ok(Node::launch(&site.docker, &site.network, Launch { id, zone, index, server }).await?)
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
        let failed = |error: crate::docker::NodeError| error.to_string();
        let master = self.master(sentinel).await.map_err(failed)?;
        let replicas = self.replicas(sentinel).await.map_err(failed)?;
        let others = self.others(sentinel).await.map_err(failed)?;
        let good =
            replicas.iter().filter(|replica| replica.is_only(Flag::Replica) && replica.link_up()).count();
        let there = others.iter().filter(|other| other.is_only(Flag::Sentinel)).count();
        let wanted = (self.data.len() - 1, self.sentinels.len() - 1);
        if master.is_only(Flag::Primary) && (good, there) == wanted {
            return Ok(());
        }
        let flags = master.get("flags").unwrap_or_default();
        Err(format!(
            "primary {flags}, {good} of {} replicas, {there} of {} other sentinels",
            wanted.0, wanted.1
        ))
    }
}
