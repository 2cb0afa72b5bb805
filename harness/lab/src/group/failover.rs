//! Failover: who is promoted, in which order things happen, and what is said about it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use lab_report::NodeId;

use super::{GroupError, NODE_GROUP, ReplicationGroup, Status, dawdle};
use crate::{
    docker::Node,
    topology::replicated::Choice,
    wait::{self, Seen},
};

/// A replica's own view of its offset is asked for no longer than this.
const OFFSET_TIMEOUT: Duration = Duration::from_millis(250);
/// A node that was brought back is a replica again within this: a start, and a full sync.
const RESYNC: Duration = Duration::from_secs(60);
const RESYNC_PACE: Duration = Duration::from_millis(10);

impl ReplicationGroup {
    /// Fails a node group over, as ElastiCache's TestFailover does: the primary is alive, and demoted.
    ///
    /// Returns when the demoted node is a replica again.
    ///
    /// # Errors
    /// There is no such node group, no replica, or the group is busy.
    pub async fn test_failover(&self, node_group: &str) -> Result<(), GroupError> {
        if node_group != NODE_GROUP {
            return Err(GroupError::NodeGroupNotFound(node_group.to_owned()));
        }
        self.0.require_available()?;
        if !self.0.topology.manager.automatic_failover {
            let text = "TestFailover needs automatic failover to be enabled".to_owned();
            return Err(GroupError::InvalidParameterValue(text));
        }
        let _change = self.0.change.lock().await;
        self.0.announce_test_failover();
        self.0.recorder.mark(|marks, now| marks.requested = Some(now));
        let old = self.primary();
        let successor = self.choose(&old).await?.ok_or(GroupError::NoReplica)?;
        self.hand_over(&old, &successor).await?;
        self.0.announce_recovery(old.id());
        self.resync(&old).await?;
        self.0.announce_recovered(old.id());
        self.0.point_reader();
        Ok(())
    }

    /// Promotes a node of one's own choice, as ModifyReplicationGroup with `PrimaryClusterId` does.
    ///
    /// # Errors
    /// There is no such node, or it did not take the role.
    pub async fn promote(&self, id: &NodeId) -> Result<(), GroupError> {
        let successor = self.node(id)?;
        let _change = self.0.change.lock().await;
        let old = self.primary();
        if self.0.topology.manager.promote == Choice::Nobody {
            return Err(GroupError::NoReplica);
        }
        self.hand_over(&old, &successor).await
    }

    /// A watcher found a node dead.
    pub(super) async fn node_died(&self, node: &Arc<Node>, silent_for: Duration) -> Result<(), GroupError> {
        let _change = self.0.change.lock().await;
        if self.0.retired.load(Ordering::Relaxed) || self.0.state().dead.contains(node.id()) {
            return Ok(());
        }
        if self.node(node.id()).is_err() {
            return Ok(());
        }
        let was_primary = self.primary().id() == node.id();
        let role = if was_primary { "primary" } else { "replica" };
        self.0.log(format!("{role} {} is dead: no answer for {:.2} s", node.id(), silent_for.as_secs_f64()));
        self.0.state().dead.push(node.id().clone());
        self.0.point_reader();
        if was_primary {
            self.0.recorder.mark(|marks, now| marks.detected = Some(now));
            let manager = &self.0.topology.manager;
            if !manager.automatic_failover {
                self.0.log("automatic failover is off: nobody is promoted");
                return Ok(());
            }
            dawdle(manager.delay.promote).await;
            let Some(successor) = self.choose(node).await? else {
                self.0.log("nobody is promoted");
                return Ok(());
            };
            self.hand_over(node, &successor).await?;
        }
        self.recover(node).await
    }

    /// The replica to promote when `old` is gone; ties go to the node that was created first.
    async fn choose(&self, old: &Arc<Node>) -> Result<Option<Arc<Node>>, GroupError> {
        let dead = self.0.state().dead.clone();
        let candidates: Vec<_> =
            self.nodes().into_iter().filter(|n| n.id() != old.id() && !dead.contains(n.id())).collect();
        let offsets = join_all(candidates.iter().map(|node| async move {
            let text = node.ask_within::<String>(&["INFO", "replication"], OFFSET_TIMEOUT).await.ok()?;
            Some(crate::info::Info::parse(&text).offset())
        }));
        let known: Vec<_> =
            candidates.iter().cloned().zip(offsets.await).filter_map(|(n, o)| Some((n, o?))).collect();
        let best = known.iter().rev().max_by_key(|(_, offset)| *offset);
        let worst = known.iter().min_by_key(|(_, offset)| *offset);
        let chosen = match self.0.topology.manager.promote {
            Choice::LargestOffset => best,
            Choice::SmallestOffset => worst,
            Choice::Nobody => None,
        };
        Ok(chosen.map(|(node, offset)| {
            self.0.log(format!("{} candidates; {} is chosen at offset {offset}", known.len(), node.id()));
            Arc::clone(node)
        }))
    }

    /// Promotes `new`, tells everybody who is left, and moves the names.
    async fn hand_over(&self, old: &Arc<Node>, new: &Arc<Node>) -> Result<(), GroupError> {
        let manager = self.0.topology.manager.clone();
        new.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
        self.0.log(format!("promoted {}", new.id()));
        self.0.state().primary = Some(new.id().clone());
        let dead = self.0.state().dead.clone();
        // First of all the old primary, if it lives: what it still acknowledges is lost.
        if manager.demote && !dead.contains(old.id()) {
            self.redirect(old, new).await;
        }
        dawdle(manager.delay.repoint).await;
        if manager.repoint {
            self.0.point_primary();
        }
        self.0.point_reader();
        self.0.announce_failover(old.id(), new.id());
        if manager.reattach {
            let others = self
                .nodes()
                .into_iter()
                .filter(|n| ![old.id(), new.id()].contains(&n.id()) && !dead.contains(n.id()));
            for other in others {
                self.redirect(&other, new).await;
            }
        }
        Ok(())
    }

    /// A promotion stands whether or not every other node hears of it.
    async fn redirect(&self, node: &Node, primary: &Node) {
        if let Err(error) = self.0.follow(node, primary).await {
            self.0.log(format!("{} was not told to follow {}: {error}", node.id(), primary.id()));
        }
    }

    /// Brings a dead node back, empty, as a replica.
    async fn recover(&self, node: &Arc<Node>) -> Result<(), GroupError> {
        let manager = &self.0.topology.manager;
        if !manager.recover {
            return Ok(());
        }
        dawdle(manager.delay.recover).await;
        self.0.announce_recovery(node.id());
        node.bring_back(&self.0.recorder).await?;
        self.0.follow(node, &self.primary()).await?;
        self.resync(node).await?;
        self.0.state().dead.retain(|dead| dead != node.id());
        self.0.point_reader();
        self.0.announce_recovered(node.id());
        Ok(())
    }

    /// Waits until a node's link to its primary is up.
    pub(super) async fn resync(&self, node: &Node) -> Result<(), GroupError> {
        if !self.0.topology.manager.demote {
            return Ok(());
        }
        wait::until(&format!("{} to be in sync", node.id()), RESYNC, RESYNC_PACE, async || {
            match node.info().await {
                Ok(info) if info.link_up() == Some(true) => Seen::Ready(()),
                Ok(info) => Seen::NotYet(info.replication()),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        })
        .await?;
        Ok(())
    }

    pub(super) async fn settle(&self) {
        self.0.point_reader();
        self.0.set_status(Status::Available);
    }
}
