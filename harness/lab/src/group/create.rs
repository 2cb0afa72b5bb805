//! Creating a group: start the nodes side by side, tell the replicas whom to follow, wait until the
//! primary lists each of them online.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use futures_util::future::{join_all, try_join_all};
use lab_report::NodeId;
use tokio::task::JoinSet;

use super::{
    Condition, Failover, GroupError, Inner, MAX_NODES, ReplicationGroup, State, Status, members::Place,
};
use crate::{
    docker::{Docker, Launch, Network, Node, NodeError, PORT, Server},
    endpoint::Records,
    record::Recorder,
    topology::{Boot, replicated::Replicated},
    wait::{self, Seen},
};

/// From every server answering to every replica online: a disk-based full sync of an empty dataset takes
/// tens of milliseconds; with the stock settings it waits `repl-diskless-sync-delay` (5 s) first.
const BOOT: Duration = Duration::from_secs(30);
/// Often enough for a boot that takes 50 ms to be measured to a few per cent.
const BOOT_PACE: Duration = Duration::from_millis(2);

impl ReplicationGroup {
    /// Creates a group and waits until it is available.
    ///
    /// # Errors
    /// The topology is outside ElastiCache's limits, or a node did not come up.
    pub async fn create(
        id: &str,
        topology: &Replicated,
        docker: &Docker,
        network: &Network,
        recorder: &Recorder,
    ) -> Result<(Self, Boot), GroupError> {
        let failover = Self::check(topology)?;
        let records = Records::new(id, topology.endpoints.ttl, recorder.clone());
        let inner = Inner {
            id: id.to_owned(),
            topology: topology.clone(),
            docker: docker.clone(),
            network: network.clone(),
            records,
            recorder: recorder.clone(),
            state: Mutex::new(State::new(failover)),
            change: tokio::sync::Mutex::default(),
            watchers: Mutex::new(JoinSet::new()),
            retired: AtomicBool::new(false),
        };
        let group = Self(Arc::new(inner));
        match group.boot().await {
            Ok(boot) => Ok((group, boot)),
            Err(error) => {
                // They are nobody's, and would keep their names and addresses.
                group.0.discard(group.nodes()).await;
                Err(error)
            }
        }
    }

    /// ElastiCache's limits on a group, as CreateReplicationGroup states them.
    ///
    /// # Errors
    /// It is outside them.
    pub fn check(topology: &Replicated) -> Result<Failover, GroupError> {
        let nodes = usize::from(topology.replicas) + 1;
        if nodes > MAX_NODES {
            let text = format!("NumCacheClusters is {nodes}; at most {MAX_NODES}");
            return Err(GroupError::InvalidParameterValue(text));
        }
        let manager = &topology.manager;
        let failover = Failover::of(manager.automatic_failover, manager.multi_az)?;
        failover.check((0..nodes).map(|index| topology.zone_of(index)))?;
        Ok(failover)
    }

    /// What a group calls the node that it launches as the `number`th, from 0.
    pub fn node_id(group: &str, number: usize) -> NodeId {
        NodeId::from(format!("{group}-{:03}", number + 1))
    }

    async fn boot(&self) -> Result<Boot, GroupError> {
        let start = Instant::now();
        let launched = self.0.launch(usize::from(self.0.topology.replicas) + 1).await?;
        let answering = Instant::now();
        let nodes: Vec<Arc<Node>> = launched.iter().map(|(_, node)| Arc::clone(node)).collect();
        let running = nodes.iter().map(|node| node.started()).max().unwrap_or(answering);
        let (primary, replicas) = nodes.split_first().expect("a group has a primary");
        {
            let mut state = self.0.state();
            state.seats = launched.into_iter().map(|(place, n)| place.seat(n, Condition::Sound)).collect();
            state.primary = Some(primary.id().clone());
        }
        self.0.give_slots(primary).await?;
        try_join_all(replicas.iter().map(|replica| self.0.follow(replica, primary))).await?;
        self.0.all_online(primary, replicas.len(), BOOT, BOOT_PACE).await?;
        let boot = Boot {
            containers: running - start,
            servers: answering - running,
            replication: answering.elapsed(),
        };
        self.0.recorder.nodes(nodes.iter().map(|node| node.id().clone()).collect());
        self.0.point_primary();
        self.0.point_reader();
        self.0.set_status(Status::Available);
        nodes.iter().for_each(|node| self.watch(node));
        Ok(boot)
    }
}

impl Inner {
    /// Starts more nodes, each standing alone: all of them or, if one fails, none.
    pub(super) async fn launch(&self, count: usize) -> Result<Vec<(Place, Arc<Node>)>, NodeError> {
        let places = self.state().places(count);
        // To the end, each of them: one that is dropped half started would be nobody's.
        let outcomes = join_all(places.iter().map(|place| self.launch_at(*place))).await;
        let (mut launched, mut failed) = (Vec::new(), None);
        for (place, outcome) in places.into_iter().zip(outcomes) {
            match outcome {
                Ok(node) => launched.push((place, node)),
                Err(error) => failed = Some(error),
            }
        }
        let Some(error) = failed else { return Ok(launched) };
        self.discard(launched.into_iter().map(|(_, node)| node).collect()).await;
        Err(error)
    }

    /// Removes nodes that the group does not get. What cannot be removed goes with the network, or the lab.
    async fn discard(&self, nodes: Vec<Arc<Node>>) {
        for node in nodes {
            if let Err(error) = node.remove().await {
                self.log(format!("{} could not be removed again: {error}", node.id()));
            }
        }
    }

    async fn launch_at(&self, place: Place) -> Result<Arc<Node>, NodeError> {
        let id = ReplicationGroup::node_id(&self.id, place.number);
        let zone = self.topology.zone_of(place.slot).to_owned();
        let server = Server::of_settings(&self.topology.settings_of(place.number));
        Node::launch(&self.docker, &self.network, Launch { id, zone, index: place.slot, server }).await
    }

    /// Makes a lone node fit to be a primary: in cluster mode it has to own the slots.
    async fn give_slots(&self, node: &Node) -> Result<(), GroupError> {
        if self.topology.cluster_mode {
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await?;
        }
        Ok(())
    }

    /// Tells a node to follow another.
    pub(super) async fn follow(&self, node: &Node, primary: &Node) -> Result<(), GroupError> {
        let (address, port) = (primary.address().to_string(), PORT.to_string());
        if !self.topology.cluster_mode {
            node.ask::<()>(&["REPLICAOF", &address, &port]).await?;
            return Ok(());
        }
        let id: String = primary.ask(&["CLUSTER", "MYID"]).await?;
        node.ask::<()>(&["CLUSTER", "MEET", &address, &port]).await?;
        wait::until("the nodes to know each other", BOOT, Duration::from_millis(20), async || {
            match node.ask::<()>(&["CLUSTER", "REPLICATE", &id]).await {
                Ok(()) => Seen::Ready(()),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        })
        .await?;
        Ok(())
    }

    /// Waits until the primary lists `count` replicas online, and each has acknowledged the stream's end.
    pub(super) async fn all_online(
        &self,
        primary: &Node,
        count: usize,
        budget: Duration,
        pace: Duration,
    ) -> Result<(), GroupError> {
        let wanted = count.to_string();
        wait::until(&format!("{count} replicas online and acknowledging"), budget, pace, async || {
            let info = match primary.ask::<String>(&["INFO", "replication"]).await {
                Ok(text) => crate::info::Info::parse(&text),
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            let online = info.replicas().iter().filter(|replica| replica.state == "online").count();
            if online < count {
                return Seen::NotYet(info.replication());
            }
            // `WAIT` waits for what its own connection put into the stream, and for an untouched group
            // that is nothing: a frozen replica would count. A message is in the stream and no data.
            // (Cluster mode sends it over the bus instead.)
            if let Err(error) = primary.ask::<()>(&["PUBLISH", "lab", "boot"]).await {
                return Seen::NotYet(error.to_string());
            }
            match primary.ask::<usize>(&["WAIT", &wanted, "500"]).await {
                Ok(acknowledged) if acknowledged >= count => Seen::Ready(()),
                Ok(acknowledged) => Seen::NotYet(format!("{acknowledged} acknowledged")),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        })
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::topology::replicated::replicated;

    fn placed(placement: &[&str]) -> Replicated {
        let placement = placement.iter().map(|zone| (*zone).to_owned()).collect();
        Replicated { placement, ..replicated(2) }
    }

    #[rstest]
    #[case::by_turns(&[], true)]
    #[case::one_of_them_elsewhere(&["lab-1a", "lab-1a", "lab-1b"], true)]
    #[case::all_together(&["lab-1a"], false)]
    fn multi_az_needs_nodes_in_two_zones(#[case] placement: &[&str], #[case] sound: bool) {
        let topology = placed(placement);
        match ReplicationGroup::check(&topology) {
            Ok(failover) => assert!(sound && failover.is_across_zones()),
            Err(GroupError::InvalidParameterCombination(why)) => {
                assert!(!sound && why.contains("zones"), "{why}")
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn one_zone_is_enough_without_multi_az() {
        let mut topology = placed(&["lab-1a"]);
        topology.manager.multi_az = false;
        assert_eq!(ReplicationGroup::check(&topology).unwrap(), Failover::Automatic);
    }

    #[test]
    fn a_subnet_group_of_one_zone_is_not_enough() {
        let topology = Replicated { zones: vec!["lab-1a".to_owned()], ..replicated(2) };
        assert!(matches!(
            ReplicationGroup::check(&topology),
            Err(GroupError::InvalidParameterCombination(_))
        ));
    }
}
