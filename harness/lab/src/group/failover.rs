//! Failover: who is promoted, in which order things happen, and what is said about it.
//!
//! Roles change while `change` is held. Nothing that may have to wait for another node's recovery happens
//! under it: the next failover must not queue behind that.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use lab_report::{NodeId, evidence::EndpointName};

use super::{Condition, GroupError, NODE_GROUP, ReplicationGroup, dawdle};
use crate::{
    docker::Node,
    info::Info,
    topology::replicated::{Choice, Heir},
    wait::{self, Seen},
};

/// A demoted node is a replica again within this.
const RESYNC: Duration = Duration::from_secs(60);
const RESYNC_PACE: Duration = Duration::from_millis(10);

impl ReplicationGroup {
    /// Fails a node group over, as ElastiCache's TestFailover does: the primary is alive, and demoted.
    ///
    /// Returns when the demoted node is a replica again, and its event says so.
    ///
    /// # Errors
    /// There is no such node group, no replica that is in sync, or the group is busy.
    pub async fn test_failover(&self, node_group: &str) -> Result<(), GroupError> {
        let demoted = self.demote_on_request(node_group).await?;
        self.are_sound(&[demoted], RESYNC, RESYNC_PACE).await?;
        // Whoever found it sound goes on to say so, and holds `change` until then.
        let _change = self.0.change.lock().await;
        Ok(())
    }

    /// What [`Self::test_failover`] refuses of a group with automatic failover that is not busy.
    ///
    /// # Errors
    /// There is no such node group, its primary is not sound, or no replica is.
    pub fn check_test_failover(&self, node_group: &str) -> Result<(), GroupError> {
        if node_group != NODE_GROUP {
            return Err(GroupError::NodeGroupNotFound(node_group.to_owned()));
        }
        let primary = self.primary();
        if let Some(condition) = self.condition(primary.id()).filter(|found| *found != Condition::Sound) {
            return Err(GroupError::InvalidCacheClusterState(primary.id().clone(), condition));
        }
        // One that is not in sync would lose what the primary, which lives, has acknowledged.
        match self.sound_replicas(primary.id()).is_empty() {
            true => Err(GroupError::NoReplica),
            false => Ok(()),
        }
    }

    async fn demote_on_request(&self, node_group: &str) -> Result<Arc<Node>, GroupError> {
        let _change = self.0.change.lock().await;
        self.0.require_available()?;
        if !self.failover().is_automatic() {
            let text = "TestFailover needs automatic failover to be enabled".to_owned();
            return Err(GroupError::InvalidParameterValue(text));
        }
        self.check_test_failover(node_group)?;
        self.0.announce_test_failover();
        self.0.recorder.mark(|marks, now| marks.requested = Some(now));
        let old = self.primary();
        let successor = self.choose(self.sound_replicas(old.id())).await?;
        self.hand_over(&old, &successor).await?;
        Ok(old)
    }

    /// Promotes a node of one's own choice, as ModifyReplicationGroup with `PrimaryClusterId` does.
    ///
    /// # Errors
    /// There is no such node, it is the primary already or has not all of the data, it did not take the
    /// role, or the group is busy.
    pub async fn promote(&self, id: &NodeId) -> Result<(), GroupError> {
        let _change = self.0.change.lock().await;
        self.0.require_available()?;
        self.check_promotion(id)?;
        let (old, successor) = (self.primary(), self.node(id)?);
        if self.0.topology.manager.promote == Choice::Nobody {
            return Err(GroupError::NoReplica);
        }
        self.hand_over(&old, &successor).await?;
        // A primary that was dead for want of a successor is a replica to recover now.
        if self.0.topology.manager.recover {
            self.begin_recovery(&old);
        }
        Ok(())
    }

    /// What [`Self::promote`] refuses of a group that is not busy.
    ///
    /// # Errors
    /// As there.
    pub fn check_promotion(&self, id: &NodeId) -> Result<(), GroupError> {
        let state = self.0.state();
        // A primary that followed itself would take no writes, and have nobody to copy from.
        if state.is_primary(id) {
            return Err(GroupError::InvalidParameterValue(format!("{id} is the primary already")));
        }
        match state.condition(id) {
            Some(Condition::Sound) => Ok(()),
            Some(condition) => Err(GroupError::InvalidCacheClusterState(id.clone(), condition)),
            None => Err(GroupError::CacheClusterNotFound(id.clone())),
        }
    }

    /// Promotes somebody in the place of a primary that died, unless that has happened.
    pub(super) async fn replace(&self, dead: &Arc<Node>) -> Result<(), GroupError> {
        if !self.0.state().is_primary(dead.id()) {
            return Ok(());
        }
        let _change = self.0.change.lock().await;
        let manager = &self.0.topology.manager;
        // Somebody may have promoted by hand meanwhile.
        let due = {
            let state = self.0.state();
            state.is_primary(dead.id()) && state.failover.is_automatic()
        };
        if !due {
            return Ok(());
        }
        dawdle(manager.delay.promote).await;
        let successor = self.choose(self.candidates(dead.id())).await?;
        self.hand_over(dead, &successor).await
    }

    /// Which of them to promote; ties go to the node that was created first.
    async fn choose(&self, candidates: Vec<Arc<Node>>) -> Result<Arc<Node>, GroupError> {
        // The bound of a promotion counts one round of offsets, each of at most a probe's length.
        let limit = self.0.topology.manager.probe_timeout;
        let offsets = join_all(candidates.iter().map(|node| async move {
            let text = node.ask_within::<String>(&["INFO", "replication"], limit).await.ok()?;
            Some(Info::parse(&text).offset())
        }));
        let known: Vec<_> =
            candidates.iter().zip(offsets.await).filter_map(|(node, offset)| Some((node, offset?))).collect();
        let best = known.iter().rev().max_by_key(|(_, offset)| *offset);
        let worst = known.iter().min_by_key(|(_, offset)| *offset);
        let chosen = match self.0.topology.manager.promote {
            Choice::LargestOffset => best,
            Choice::SmallestOffset => worst,
            Choice::Nobody => None,
        };
        let (node, offset) = chosen.ok_or(GroupError::NoReplica)?;
        self.0.log(format!("{} candidates; {} is chosen at offset {offset}", known.len(), node.id()));
        Ok(Arc::clone(node))
    }

    /// In the place of a dead primary: sound replicas. Where there is none, those that are not in sync: what they lack
    /// is lost either way, and without a primary they would never have it.
    fn candidates(&self, dead: &NodeId) -> Vec<Arc<Node>> {
        match self.sound_replicas(dead) {
            none if none.is_empty() => self.0.state().others(dead, Condition::is_syncing),
            sound => sound,
        }
    }

    fn sound_replicas(&self, primary: &NodeId) -> Vec<Arc<Node>> {
        self.0.state().others(primary, |condition| condition == Condition::Sound)
    }

    /// Promotes `new`, tells everybody who is left, and moves the names. `change` is held.
    async fn hand_over(&self, old: &Arc<Node>, new: &Arc<Node>) -> Result<(), GroupError> {
        let manager = self.0.topology.manager.clone();
        new.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
        self.0.log(format!("promoted {}", new.id()));
        let lives = self.crown(old, new);
        // First of all the old primary, if it lives: what it still acknowledges is lost.
        if manager.demote && lives {
            // One that does not hear of it is told again: it counts as recovering.
            self.redirect(old, new).await;
        }
        dawdle(manager.delay.repoint).await;
        if manager.repoint {
            self.repoint(old, new);
        }
        self.0.point_reader();
        self.0.announce_failover(old.id(), new.id());
        if manager.reattach {
            self.reattach(old, new).await;
        }
        if lives {
            self.0.announce_recovery(old.id());
            if !manager.demote {
                self.0.announce_recovered(old.id());
            }
        }
        Ok(())
    }

    /// The primary name follows a promotion.
    fn repoint(&self, old: &Node, new: &Node) {
        if self.0.topology.manager.heir != Heir::Another {
            return self.0.point_primary();
        }
        let mut others = self.0.state().others(old.id(), |condition| condition == Condition::Sound);
        others.retain(|node| node.id() != new.id());
        others.truncate(1);
        self.0.records.point(EndpointName::Primary, others);
    }

    /// Names whoever will take the place of a primary that is missed, before it has: clients come too early.
    pub(super) async fn foresee(&self, missed: &Arc<Node>) -> Result<(), GroupError> {
        let hasty = self.0.topology.manager.heir == Heir::Foreseen;
        if hasty && self.0.state().is_primary(missed.id()) {
            let heir = self.choose(self.candidates(missed.id())).await?;
            self.0.records.point(EndpointName::Primary, vec![heir]);
        }
        Ok(())
    }

    /// Writes down who is primary now, and says whether the last one lives.
    fn crown(&self, old: &Node, new: &Node) -> bool {
        let mut state = self.0.state();
        state.primary = Some(new.id().clone());
        state.set(new.id(), Condition::Sound);
        let lives = state.condition(old.id()) == Some(Condition::Sound);
        if lives && self.0.topology.manager.demote {
            state.set(old.id(), Condition::Recovering);
        }
        lives
    }

    /// Tells the other replicas whom to follow now. One that does not hear of it is told again.
    async fn reattach(&self, old: &Node, new: &Node) {
        let others = self.0.state().others(old.id(), |condition| condition == Condition::Sound);
        for other in others.iter().filter(|other| other.id() != new.id()) {
            if !self.redirect(other, new).await {
                self.0.find(other, Condition::Recovering);
                self.0.announce_recovery(other.id());
            }
        }
    }

    /// A promotion stands whether or not every other node hears of it.
    async fn redirect(&self, node: &Node, primary: &Node) -> bool {
        let told = self.0.follow(node, primary).await;
        if let Err(error) = &told {
            self.0.log(format!("{} was not told to follow {}: {error}", node.id(), primary.id()));
        }
        told.is_ok()
    }

    /// Waits until these nodes have their roles, or are no longer of the group.
    pub(super) async fn are_sound(
        &self,
        nodes: &[Arc<Node>],
        budget: Duration,
        pace: Duration,
    ) -> Result<(), GroupError> {
        let ids: Vec<&str> = nodes.iter().map(|node| node.id().as_str()).collect();
        wait::until(&format!("{} to be in sync", ids.join(", ")), budget, pace, async || {
            let state = self.0.state();
            let conditions: Vec<_> = nodes.iter().filter_map(|node| state.condition(node.id())).collect();
            match conditions.iter().all(|condition| *condition == Condition::Sound) {
                true => Seen::Ready(()),
                false => Seen::NotYet(format!("{conditions:?}")),
            }
        })
        .await?;
        Ok(())
    }
}
