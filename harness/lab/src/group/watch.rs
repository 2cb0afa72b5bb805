//! Watching nodes: every node is asked for a `PING`; one that gave no answer for `dead_after` is dead.
//!
//! A node dies at F. Its last answer came at most one probe period and one probe timeout before F; it is
//! looked at after every probe, and a probe takes at most its timeout. So it is found dead within
//! `[dead_after − probe_every − probe_timeout, dead_after + probe_every + probe_timeout]` of F.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use lab_report::NodeId;
use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Condition, GroupError, Inner, ReplicationGroup, Status, dawdle};
use crate::{docker::Node, topology::replicated::Policy};

impl ReplicationGroup {
    /// Begins to watch a node.
    pub(super) fn watch(&self, node: &Arc<Node>) {
        let watcher = Watcher {
            group: self.clone(),
            node: Arc::clone(node),
            policy: self.topology().manager.clone(),
            connection: None,
            last_answer: Instant::now(),
            trouble: None,
        };
        self.0.watchers.lock().expect("no panic while held").spawn(watcher.run());
    }
}

impl Inner {
    /// Whether anybody still wants to know how the node is. A retired group sees to its end what is under
    /// way, so that a step's record does not depend on chance; one that is deleted does not.
    fn watches(&self, id: &NodeId) -> bool {
        let state = self.state();
        match state.condition(id) {
            None | Some(Condition::Leaving) => false,
            _ if state.status == Status::Deleting => false,
            Some(condition) => condition.is_syncing() || !self.retired.load(Ordering::Relaxed),
        }
    }

    fn is_deleting(&self) -> bool {
        self.state().status == Status::Deleting
    }
}

struct Watcher {
    group: ReplicationGroup,
    node: Arc<Node>,
    policy: Policy,
    connection: Option<MultiplexedConnection>,
    last_answer: Instant,
    /// What went wrong last, said once.
    trouble: Option<String>,
}

impl Watcher {
    async fn run(mut self) {
        let mut ticks = interval(self.policy.probe_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let answers = self.probe().await;
            // One last look at a node that came back: whether it was seen to is no matter of chance.
            let back = answers && self.condition() == Some(Condition::Dead);
            let last = !self.group.0.watches(self.node.id());
            if !last || (back && !self.group.0.is_deleting()) {
                let outcome = self.attend(answers).await;
                self.say(outcome);
            }
            if last && !self.group.0.watches(self.node.id()) {
                return;
            }
        }
    }

    async fn probe(&mut self) -> bool {
        let limit = self.policy.probe_timeout;
        let answer = timeout(limit, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.node.connect(limit).await?,
            };
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            self.connection = Some(connection);
            RedisResult::Ok(())
        });
        let answers = matches!(answer.await, Ok(Ok(())));
        if answers {
            self.last_answer = Instant::now();
        }
        answers
    }

    /// Does what the node's condition asks for. What one stage brings about is the next one's business at
    /// once; a stage that fails is tried again after the next probe.
    async fn attend(&mut self, mut answers: bool) -> Result<(), GroupError> {
        let silent_for = self.last_answer.elapsed();
        let lost = !answers && silent_for >= self.policy.dead_after;
        if lost && self.may_be_declared_dead() {
            dawdle(self.policy.delay.detect).await;
            self.group.declare_dead(&self.node, silent_for);
        }
        if self.condition() == Some(Condition::Dead) {
            match answers {
                true => self.group.answers_again(&self.node).await?,
                false => self.group.make_up_for(&self.node).await?,
            }
        }
        if self.condition().is_some_and(Condition::is_syncing) {
            if lost {
                self.node.bring_back(&self.group.0.recorder).await?;
                self.last_answer = Instant::now();
                answers = true;
            }
            if answers {
                self.group.rejoin(&self.node).await?;
            }
        }
        Ok(())
    }

    fn condition(&self) -> Option<Condition> {
        self.group.0.condition(self.node.id())
    }

    /// One that is lost again on its way back is brought back again, where anybody does.
    fn may_be_declared_dead(&self) -> bool {
        self.condition().is_some_and(|condition| {
            condition == Condition::Sound || (condition.is_syncing() && !self.policy.recover)
        })
    }

    /// Says what goes wrong, but not again for every time that it does.
    fn say(&mut self, outcome: Result<(), GroupError>) {
        let trouble = outcome.err().map(|error| error.to_string());
        if let Some(error) = trouble.as_ref().filter(|error| self.trouble.as_ref() != Some(error)) {
            self.group.0.log(format!("could not handle the loss of {}: {error}", self.node.id()));
        }
        self.trouble = trouble;
    }
}
