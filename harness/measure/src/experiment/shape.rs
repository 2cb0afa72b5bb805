//! The topologies of cells, as plain values: what can be said of a cell before anything runs.

use std::time::Duration;

use failover_lab::{Clusters, Replicated, Sentinels, Topology, cluster, conf::Conf, replicated, sentinels};

use crate::cell::{Cell, TopologyName};

/// What every data node of a Sentinel deployment is told before anything changes it.
const REDIS_CONF: &str = include_str!("../../../../fixtures/conf/sentinel/redis.conf");

/// A topology with its changes.
pub(crate) enum Shape {
    Replication(Replicated),
    Sentinel(Sentinels),
    Cluster(Clusters),
}

/// What [`measure`](crate::measure::measure) boots for a cell with this topology and these changes, as far as it
/// matters here.
///
/// # Errors
/// Names the first setting that the topology does not have, or that has another form.
pub(crate) fn shape(topology: TopologyName, changes: &toml::Table) -> Result<Shape, toml::de::Error> {
    Ok(match topology {
        TopologyName::Replication => Shape::Replication(replicated(2).with_changes(changes)?),
        TopologyName::Sentinel => Shape::Sentinel(sentinels(3).replicas(2).with_changes(changes)?),
        TopologyName::Cluster => Shape::Cluster(cluster(3).replicas(1).with_changes(changes)?),
    })
}

impl Shape {
    /// Of a cell whose changes were tried when its experiment was read.
    pub(crate) fn of(cell: &Cell) -> Self {
        shape(cell.topology, &cell.changes).expect("an experiment's changes have been tried")
    }

    /// Replicas of each primary.
    pub(crate) fn replicas(&self) -> u8 {
        match self {
            Self::Replication(group) => group.replicas,
            Self::Sentinel(group) => group.replicas,
            Self::Cluster(cluster) => cluster.replicas,
        }
    }

    /// Whether its data nodes keep an append-only file.
    pub(crate) fn keeps_a_file(&self) -> bool {
        let setting = match self {
            Self::Replication(group) => group.settings_of(0).get("appendonly").cloned(),
            Self::Sentinel(group) => {
                Conf::parse(REDIS_CONF).overlaid(&group.config).get("appendonly").map(str::to_owned)
            }
            Self::Cluster(cluster) => cluster.settings_of(0).get("appendonly").cloned(),
        };
        setting.is_some_and(|value| value == "yes")
    }

    /// After how long of silence a node is taken for dead; none where no setting of the servers says.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Replication(_) => None,
            Self::Sentinel(group) => Some(group.down_after),
            Self::Cluster(cluster) => Some(cluster.node_timeout),
        }
    }
}
