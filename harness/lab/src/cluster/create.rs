//! Making a cluster of nodes that stand alone, the way everybody does it.

use std::{pin::pin, time::Duration};

use super::{ClusterGroup, Health, boot::BOOT};
use crate::{
    StepError,
    docker::NodeError,
    wait::{self, Seen},
};

/// As long as nodes may take to meet, and as long again for what `redis-cli` asks each of them before and after.
const CREATE: Duration = BOOT.saturating_mul(2);
const PACE: Duration = Duration::from_millis(50);

impl ClusterGroup {
    /// Makes a cluster of nodes that stand alone, the way everybody does it, and returns what was printed:
    /// `redis-cli --cluster create`, on the first node.
    ///
    /// It waits for nodes to meet, for ever if need be, and whoever is met too slowly is forgotten: after the node
    /// timeout. So they have a long one until all know each other, and then their own.
    ///
    /// # Errors
    /// The container does not run, a node does not answer, or it takes more than 40 s: then the error shows what was
    /// printed.
    pub async fn create(&self) -> Result<String, StepError> {
        let addresses = self.members().iter().map(|node| format!("{}:{}", node.address(), node.port()));
        let mut command: Vec<String> = ["--cluster", "create"].map(str::to_owned).into();
        command.extend(addresses);
        let replicas = self.topology.replicas.to_string();
        command.extend(["--cluster-replicas", &replicas, "--cluster-yes"].map(str::to_owned));
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut created = pin!(self.nodes[0].console_within(&words, wait::scaled(CREATE)));
        let printed = tokio::select! {
            printed = &mut created => {
                self.settle().await?;
                printed
            }
            settled = self.settle_when_met() => {
                settled?;
                created.await
            }
        };
        match printed {
            Err(stalled @ NodeError::Stalled { .. }) => {
                let strangers =
                    self.strangers().await.err().unwrap_or_else(|| "all know each other".to_owned());
                Err(format!("{strangers}: {stalled}").into())
            }
            printed => Ok(printed?),
        }
    }

    async fn settle_when_met(&self) -> Result<(), NodeError> {
        let look = || async { self.strangers().await.map_or_else(Seen::NotYet, Seen::Ready) };
        // Those who never meet keep `redis-cli` waiting until it is ended, which says more.
        let _ = wait::until("all nodes to know each other", CREATE, PACE, look).await;
        self.settle().await
    }

    /// Which node does not know another, in words.
    async fn strangers(&self) -> Result<(), String> {
        for node in self.members() {
            let view = self.view(node).await.map_err(|error| error.to_string())?;
            let met =
                |other| view.member(self.name_of(other)).is_some_and(|met| met.health != Health::Handshake);
            if let Some(other) = self.members().iter().find(|other| !met(other)) {
                return Err(format!("{} does not know {}", node.id(), other.id()));
            }
        }
        Ok(())
    }
}
