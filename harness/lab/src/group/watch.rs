//! Watching nodes: every node is asked for a `PING`; one that gave no answer for `dead_after` is dead.
//!
//! A node dies at F. Its last answer came at most one probe period and one probe timeout before F; it is
//! looked at after every probe, and a probe takes at most its timeout. So it is found dead within
//! `[dead_after − probe_every − probe_timeout, dead_after + probe_every + probe_timeout]` of F.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{ReplicationGroup, dawdle};
use crate::{docker::Node, topology::replicated::Policy};

impl ReplicationGroup {
    /// Begins to watch a node.
    pub(super) fn watch(&self, node: &Arc<Node>) {
        let watcher = watch(self.clone(), Arc::clone(node));
        self.0.watchers.lock().expect("no panic while held").spawn(watcher);
    }
}

async fn watch(group: ReplicationGroup, node: Arc<Node>) {
    let policy = group.topology().manager.clone();
    let mut probe = Probe { node, connection: None };
    let mut last_answer = Instant::now();
    let mut ticks = interval(policy.probe_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !group.0.retired.load(Ordering::Relaxed) {
        ticks.tick().await;
        if probe.answers(&policy).await {
            last_answer = Instant::now();
            continue;
        }
        let silent_for = last_answer.elapsed();
        if silent_for >= policy.dead_after {
            dawdle(policy.delay.detect).await;
            // The group's own task: a watcher that is aborted must not leave a failover half done.
            let handling = tokio::spawn({
                let (group, node) = (group.clone(), Arc::clone(&probe.node));
                async move { group.node_died(&node, silent_for).await }
            });
            if let Ok(Err(error)) = handling.await {
                group.0.log(format!("could not handle the loss of {}: {error}", probe.node.id()));
            }
            last_answer = Instant::now();
        }
    }
}

struct Probe {
    node: Arc<Node>,
    connection: Option<MultiplexedConnection>,
}

impl Probe {
    async fn answers(&mut self, policy: &Policy) -> bool {
        let limit: Duration = policy.probe_timeout;
        let answer = timeout(limit, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.node.connect(limit).await?,
            };
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            self.connection = Some(connection);
            RedisResult::Ok(())
        });
        matches!(answer.await, Ok(Ok(())))
    }
}
