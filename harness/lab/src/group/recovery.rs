//! What is done about a node that was lost, one stage at a time. Each stage leaves the node in the
//! condition that the next one is for; the watcher goes on from there, and tries again what failed.

use std::{fmt, sync::Arc, time::Duration};

use lab_report::evidence::Role;

use super::{Condition, GroupError, ReplicationGroup, dawdle};
use crate::docker::Node;

/// How a watcher knows that a node is lost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// It gave no answer for this long.
    Silent(Duration),
    /// It answers, as a server that has just been started and has nothing.
    Restarted,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(so_long) => write!(f, "no answer for {:.2} s", so_long.as_secs_f64()),
            Self::Restarted => f.write_str("its server was started again"),
        }
    }
}

impl ReplicationGroup {
    /// A watcher found a node lost.
    pub(super) fn declare_dead(&self, node: &Node, loss: Loss) {
        let was_primary = self.0.find(node, Condition::Dead);
        let role = if was_primary { "primary" } else { "replica" };
        self.0.log(format!("{role} {} is dead: {loss}", node.id()));
        if was_primary {
            self.0.recorder.mark(|marks, now| marks.detected = Some(now));
            if !self.failover().is_automatic() {
                self.0.log("automatic failover is off: nobody is promoted");
            }
        }
    }

    /// Makes up for a dead node: somebody takes its place, and its recovery begins.
    pub(super) async fn make_up_for(&self, node: &Arc<Node>) -> Result<(), GroupError> {
        self.replace(node).await?;
        let manager = &self.0.topology.manager;
        if !manager.recover || self.0.state().is_primary(node.id()) {
            return Ok(());
        }
        dawdle(manager.delay.recover).await;
        let _change = self.0.change.lock().await;
        self.begin_recovery(node);
        Ok(())
    }

    /// A dead replica is on its way back from now on. `change` is held: it may not be promoted meanwhile.
    pub(super) fn begin_recovery(&self, node: &Node) {
        {
            let mut state = self.0.state();
            if state.is_primary(node.id()) || state.condition(node.id()) != Some(Condition::Dead) {
                return;
            }
            state.set(node.id(), Condition::Recovering);
        }
        self.0.announce_recovery(node.id());
    }

    /// A dead node answers, without the manager having done anything: it was held, or cut off.
    pub(super) async fn answers_again(&self, node: &Arc<Node>) -> Result<(), GroupError> {
        let is_primary = self.0.state().is_primary(node.id());
        if is_primary && node.info().await?.role() == Role::Primary {
            self.readmit(node, node).await;
            return Ok(());
        }
        // One that came back as something else is no primary: it is as good as dead.
        if is_primary || self.0.topology.manager.recover {
            return self.make_up_for(node).await;
        }
        self.rejoin(node).await
    }

    /// Makes a node that answers a replica of whoever is primary now, one step further each time.
    pub(super) async fn rejoin(&self, node: &Arc<Node>) -> Result<(), GroupError> {
        let Some(primary) = self.0.primary() else { return Ok(()) };
        if primary.id() == node.id() {
            return Ok(());
        }
        let info = node.info().await?;
        let follows = info.get("master_host") == Some(primary.address().to_string().as_str());
        match self.0.condition(node.id()) {
            _ if follows && info.link_up() == Some(true) => self.readmit(node, &primary).await,
            Some(condition) if !follows && condition.is_syncing() => self.turn_to(node, &primary).await?,
            // Where nobody recovers nodes, whoever undoes the fault says what the node is to follow.
            _ => {}
        }
        Ok(())
    }

    /// Tells a node on its way back whom to follow, provided that this still is so: while it was looked at,
    /// it may have been promoted itself.
    async fn turn_to(&self, node: &Node, primary: &Node) -> Result<(), GroupError> {
        let _change = self.0.change.lock().await;
        let on_its_way = self.0.condition(node.id()).is_some_and(Condition::is_syncing);
        if on_its_way && self.0.state().is_primary(primary.id()) {
            self.0.follow(node, primary).await?;
        }
        Ok(())
    }

    /// The node is sound, provided that `primary` still is who it is to follow, or be.
    async fn readmit(&self, node: &Node, primary: &Node) {
        let _change = self.0.change.lock().await;
        let before = self.0.condition(node.id());
        let due = before.is_some_and(|condition| condition == Condition::Dead || condition.is_syncing());
        if !due || !self.0.state().is_primary(primary.id()) {
            return;
        }
        self.0.find(node, Condition::Sound);
        match before {
            Some(Condition::Recovering) => self.0.announce_recovered(node.id()),
            Some(Condition::Dead) => self.0.log(format!("{} answers again", node.id())),
            _ => {}
        }
    }
}
