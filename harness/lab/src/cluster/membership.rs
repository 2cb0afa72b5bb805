//! Nodes that join a cluster, and nodes that leave it.

use std::{sync::Arc, time::Duration};

use super::{
    ClusterGroup, Health,
    boot::{MIGRATION, NODE_TIMEOUT},
};
use crate::{
    StepError,
    docker::{Node, NodeError},
    wait::{self, Seen},
};

/// A node is heard of by way of gossip, every half node timeout from each; and a primary that was never in a
/// cluster takes no keys for two seconds (`CLUSTER_WRITABLE_DELAY`). Far above both.
const SOON: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(20);
/// It writes `nodes.conf`, and may have data to drop.
const CHANGE: Duration = Duration::from_secs(5);
/// For how long whoever was forgotten is, in milliseconds (`CLUSTER_BLACKLIST_TTL`).
const FORGOTTEN: &str = "60000";

impl ClusterGroup {
    /// Makes a node known to others (`CLUSTER MEET`), and waits until every node of them all knows every other
    /// and takes the cluster to be whole.
    ///
    /// # Errors
    /// A node does not answer, or they do not know each other within 20 s.
    pub async fn meet(&self, there: &[Arc<Node>], new: &[Arc<Node>]) -> Result<(), StepError> {
        let first = there.first().ok_or("there is no cluster to join")?;
        for node in new {
            let (host, port) = (node.address().to_string(), node.port().to_string());
            first.ask::<()>(&["CLUSTER", "MEET", &host, &port]).await?;
        }
        let all: Vec<Arc<Node>> = there.iter().chain(new).cloned().collect();
        let look = || async { self.who_is_unknown(&all).await.map_or_else(Seen::NotYet, Seen::Ready) };
        Ok(wait::until("all nodes to know each other", SOON, PACE, look).await?)
    }

    /// Who does not know whom, in words.
    async fn who_is_unknown(&self, nodes: &[Arc<Node>]) -> Result<(), String> {
        for node in nodes {
            let told = |what: &str| format!("{} {what}", node.id());
            let view = self.view(node).await.map_err(|_| told("says nothing"))?;
            let known = nodes.iter().all(|other| {
                let member = view.member(self.name_of(other));
                member.is_some_and(|member| member.connected && member.health == Health::Up)
            });
            if !known {
                return Err(told("does not know all others"));
            }
            if self.state(node).await.map_err(|_| told("says nothing"))? != "ok" {
                return Err(told("does not take the cluster to be whole"));
            }
        }
        Ok(())
    }

    /// Makes a node follow a primary, and waits until it has its data and every one of `nodes` knows.
    ///
    /// # Errors
    /// A node does not answer, or it takes more than 20 s.
    pub async fn replicate(
        &self,
        replica: &Node,
        primary: &Node,
        nodes: &[Arc<Node>],
    ) -> Result<(), StepError> {
        let name = self.name_of(primary);
        replica.ask_within::<()>(&["CLUSTER", "REPLICATE", name], CHANGE).await?;
        let look = || async {
            match replica.info().await.map(|info| info.link_up()) {
                Ok(Some(true)) => {}
                Ok(_) => return Seen::NotYet("its link is not up".to_owned()),
                Err(error) => return Seen::NotYet(error.to_string()),
            }
            for node in nodes {
                let view = self.view(node).await;
                let known = view.is_ok_and(|view| {
                    let member = view.member(self.name_of(replica));
                    member.is_some_and(|member| member.follows.as_deref() == Some(name))
                });
                if !known {
                    return Seen::NotYet(format!("{} does not know", node.id()));
                }
            }
            Seen::Ready(())
        };
        Ok(wait::until("the replica to follow its primary", SOON, PACE, look).await?)
    }

    /// Tells nodes that are to leave to stay what they are when their last slot is gone. Else the primary follows whoever
    /// got it, and its replica comes after: they copy what they are not to have, and a server that waits for an answer to
    /// `PSYNC` answers nobody, for five seconds if need be (`CONFIG_REPL_SYNCIO_TIMEOUT`).
    ///
    /// # Errors
    /// A node refused, or does not answer.
    pub async fn stay(&self, gone: &[Arc<Node>]) -> Result<(), NodeError> {
        for node in gone {
            node.ask_within::<()>(&["CONFIG", "SET", MIGRATION, "no"], CHANGE).await?;
        }
        Ok(())
    }

    /// Makes nodes leave that own nothing: the others forget them.
    ///
    /// Whoever forgets a node hears nothing of it for a minute (`CLUSTER_BLACKLIST_TTL`), from others that still
    /// know it. So all of them have to within that time, or it is back. And so does whoever leaves have to be patient:
    /// on Valkey 8.1 a node whom nobody called for a node timeout meets the others anew, which no minute keeps out (its log:
    /// "there is no inbound link for it"). With a node timeout of 2 s it was back after two seconds, again and again; on
    /// Redis 7.0 it was not.
    ///
    /// # Errors
    /// A node refused, or does not answer.
    pub async fn forget(&self, gone: &[Arc<Node>], others: &[Arc<Node>]) -> Result<(), NodeError> {
        for node in gone {
            node.ask_within::<()>(&["CONFIG", "SET", NODE_TIMEOUT, FORGOTTEN], CHANGE).await?;
        }
        for other in others {
            for node in gone {
                other.ask_within::<()>(&["CLUSTER", "FORGET", self.name_of(node)], CHANGE).await?;
            }
        }
        Ok(())
    }

    /// Makes nodes that were forgotten forget the others, and take another name. Until then they send clients on
    /// with `MOVED`; after it they answer `CLUSTERDOWN`, and have no map of the slots to give.
    ///
    /// # Errors
    /// A node refused, or does not answer.
    pub async fn reset(&self, gone: &[Arc<Node>]) -> Result<(), NodeError> {
        for node in gone {
            node.ask_within::<()>(&["CLUSTER", "RESET", "HARD"], CHANGE).await?;
        }
        Ok(())
    }
}
