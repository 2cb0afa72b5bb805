//! Watching nodes: every node is asked for a `PING`; one that gave no answer for `dead_after` is dead.
//!
//! A node dies at F. Its last answer came at most one probe period and one probe timeout before F; it is
//! looked at after every probe, and a probe takes at most its timeout. So it is found dead within
//! `[dead_after − probe_every − probe_timeout, dead_after + probe_every + probe_timeout]` of F.
//!
//! A server that was started again before anybody missed it answers, and knows nothing of its role or its
//! data. Its connections broke, and on a new one it says a `run_id` that is not the one known: it is dead,
//! too, by the next probe.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use lab_report::NodeId;
use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Condition, GroupError, Inner, ReplicationGroup, Status, dawdle, recovery::Loss};
use crate::{docker::Node, info::Info, topology::replicated::Policy};

impl ReplicationGroup {
    /// Begins to watch a node.
    pub(super) fn watch(&self, node: &Arc<Node>) {
        let watcher = Watcher {
            group: self.clone(),
            node: Arc::clone(node),
            policy: self.topology().manager.clone(),
            connection: None,
            run_id: None,
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

/// What a probe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Nothing came back in time.
    Silence,
    /// The server answers.
    Answer,
    /// A server answers that was started since the last answer.
    AnotherServer,
}

struct Watcher {
    group: ReplicationGroup,
    node: Arc<Node>,
    policy: Policy,
    connection: Option<MultiplexedConnection>,
    /// Of the server process that answered last.
    run_id: Option<String>,
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
            let seen = self.probe().await;
            // One last look at a node that came back: whether it was seen to is no matter of chance.
            let back = seen != Probe::Silence && self.condition() == Some(Condition::Dead);
            let last = !self.group.0.watches(self.node.id());
            if !last || (back && !self.group.0.is_deleting()) {
                let outcome = self.attend(seen).await;
                self.say(outcome);
            }
            if last && !self.group.0.watches(self.node.id()) {
                return;
            }
        }
    }

    async fn probe(&mut self) -> Probe {
        let limit = self.policy.probe_timeout;
        let Ok(Ok(seen)) = timeout(limit, self.ask(limit)).await else { return Probe::Silence };
        self.last_answer = Instant::now();
        seen
    }

    async fn ask(&mut self, limit: Duration) -> RedisResult<Probe> {
        let (mut connection, known) = match self.connection.take() {
            Some(connection) => (connection, true),
            None => (self.node.connect(limit).await?, false),
        };
        if known {
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            self.connection = Some(connection);
            return Ok(Probe::Answer);
        }
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        self.connection = Some(connection);
        let run_id = Info::parse(&info).get("run_id").map(str::to_owned);
        let before = std::mem::replace(&mut self.run_id, run_id);
        let another = before.is_some() && before != self.run_id;
        Ok(if another { Probe::AnotherServer } else { Probe::Answer })
    }

    /// Does what the node's condition asks for. What one stage brings about is the next one's business at
    /// once; a stage that fails is tried again after the next probe.
    async fn attend(&mut self, seen: Probe) -> Result<(), GroupError> {
        let mut answers = seen != Probe::Silence;
        let silent_for = self.last_answer.elapsed();
        let lost = !answers && silent_for >= self.policy.dead_after;
        let loss = match seen {
            Probe::AnotherServer => Some(Loss::Restarted),
            _ => lost.then_some(Loss::Silent(silent_for)),
        };
        if let Some(loss) = loss.filter(|_| self.may_be_declared_dead()) {
            self.group.foresee(&self.node).await?;
            dawdle(self.policy.delay.detect).await;
            self.group.declare_dead(&self.node, loss);
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
