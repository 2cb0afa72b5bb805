//! What can happen to a node. The field's verbs: crash, stop, hold, isolate; heal by bounce or release.
//!
//! Crash, stop and hold look alike to the manager and quite different to a client: a reset at once, an
//! address that never answers, a connection that accepts and says nothing.

use std::{fmt, sync::Arc};

use lab_report::evidence::{At, FaultWindow};
use serde::Deserialize;

use super::{Node, NodeError};
use crate::record::{FaultId, Recorder};

/// The kinds of fault that containers can express.
///
/// What is wrong between chosen nodes, and not with one, is a [`Partition`](super::Partition).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The server process dies by SIGKILL; its host lives, and resets connections.
    Crash,
    /// The host dies; its address goes silent.
    Stop,
    /// Everything on the host freezes; its sockets stay open and silent.
    Hold,
    /// The network is gone; the server goes on alone.
    Isolate,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Crash => "crash",
            Self::Stop => "stop",
            Self::Hold => "hold",
            Self::Isolate => "isolate",
        })
    }
}

/// A fault that has taken effect.
#[must_use = "a fault lasts until it is healed"]
pub struct Fault {
    kind: FaultKind,
    node: Arc<Node>,
    recorder: Recorder,
    id: FaultId,
    before: At,
    after: At,
}

impl Fault {
    /// Makes it happen.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn inject(kind: FaultKind, node: &Arc<Node>, recorder: &Recorder) -> Result<Self, NodeError> {
        let before = recorder.now();
        match kind {
            FaultKind::Crash => node.kill_server().await?,
            FaultKind::Stop => node.power_off().await?,
            FaultKind::Hold => node.pause().await?,
            FaultKind::Isolate => node.unplug().await?,
        }
        let after = recorder.now();
        let (kind_name, node_id) = (kind.to_string(), node.id().clone());
        let id = recorder.fault(FaultWindow {
            kind: kind_name,
            node: node_id,
            from: before,
            in_effect: after,
            until: None,
        });
        Ok(Self { kind, node: Arc::clone(node), recorder: recorder.clone(), id, before, after })
    }

    /// Whom it hit.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Took effect after this.
    pub fn not_before(&self) -> At {
        self.before
    }

    /// Had taken effect by this.
    pub fn in_effect(&self) -> At {
        self.after
    }

    /// Undoes it: a held node goes on, an isolated one is back on the network, a dead one comes back
    /// empty. A node that the manager has replaced meanwhile is left as it is.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer.
    pub async fn heal(self) -> Result<(), NodeError> {
        let _coming_back = self.node.coming_back.lock().await;
        if !self.recorder.lasts(self.id) {
            return Ok(());
        }
        match self.kind {
            FaultKind::Hold => self.node.unpause().await?,
            FaultKind::Isolate => self.node.plug().await?,
            FaultKind::Crash | FaultKind::Stop => {
                self.node.restart().await?;
                // It was held or cut off as well? Not any more.
                self.recorder.came_back(self.node.id());
            }
        }
        self.recorder.healed(&[self.id]);
        Ok(())
    }
}
