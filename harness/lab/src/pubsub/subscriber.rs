//! A subscriber: it writes down what it hears, and subscribes again when a subscription ends.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use lab_report::{
    NodeId,
    evidence::{At, End, Listened, Received, Source, Subscription},
};
use redis::{
    AsyncConnectionConfig, Msg, ProtocolVersion, PushInfo, PushKind, RedisError, Value,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Channel, Kind, read};
use crate::{cluster::Owner, docker::Node, record::Recorder, topology::clusters::Listening, wait::pass};

/// Listens to one channel until dropped.
///
/// It begins at a node that it is given. When a subscription ends, because the server says so, because the connection
/// breaks, or because the server says nothing any more, it looks for another: of an ordinary channel at the next node,
/// of a sharded one at whoever owns the slot.
pub struct Subscriber {
    task: JoinHandle<()>,
    listened: Arc<Mutex<Listened>>,
}

/// What a subscriber is told to listen to, and where.
pub(crate) struct Plan {
    /// What it is called.
    pub(crate) name: String,
    pub(crate) channel: Channel,
    /// Where it begins.
    pub(crate) at: Arc<Node>,
    /// All nodes that it knows.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// How it finds the owner of the channel's slot.
    pub(crate) owner: Owner,
    pub(crate) habits: Listening,
}

impl Subscriber {
    pub(crate) fn start(plan: Plan, recorder: &Recorder) -> Self {
        let listened = Listened { subscriber: plan.name.clone(), subscriptions: Vec::new() };
        let listened = Arc::new(Mutex::new(listened));
        let ear = Ear { plan, recorder: recorder.clone(), listened: Arc::clone(&listened) };
        Self { task: tokio::spawn(ear.listen()), listened }
    }

    /// What it has heard so far.
    pub fn so_far(&self) -> Listened {
        held(&self.listened).clone()
    }

    /// Looks at what it has heard so far.
    pub fn look<T>(&self, look: impl FnOnce(&Listened) -> T) -> T {
        look(&held(&self.listened))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn held(listened: &Mutex<Listened>) -> MutexGuard<'_, Listened> {
    listened.lock().expect("no panic while held")
}

/// What listens.
struct Ear {
    plan: Plan,
    recorder: Recorder,
    listened: Arc<Mutex<Listened>>,
}

/// A connection that somebody is subscribed by, and what comes by it, with the time at which it was read.
struct Line {
    node: NodeId,
    connection: MultiplexedConnection,
    pushed: UnboundedReceiver<(At, PushInfo)>,
}

impl Ear {
    async fn listen(self) {
        for attempt in 0.. {
            let line = async {
                let node = self.node(attempt).await?;
                self.subscribe(&node).await.map_err(|error| error.to_string())
            };
            if let Ok(Ok(line)) = timeout(self.plan.habits.patience, line).await {
                self.hear(line).await;
            }
            pass(self.plan.habits.pause).await;
        }
    }

    /// Where to try next.
    async fn node(&self, attempt: usize) -> Result<Arc<Node>, String> {
        let Plan { at, nodes, owner, channel, habits, .. } = &self.plan;
        if attempt == 0 {
            return Ok(Arc::clone(at));
        }
        match channel.kind {
            Kind::Sharded => owner.find(habits.patience).await,
            Kind::Ordinary => {
                let first = nodes.iter().position(|node| node.id() == at.id()).unwrap_or(0);
                Ok(Arc::clone(&nodes[(first + attempt) % nodes.len()]))
            }
        }
    }

    async fn subscribe(&self, node: &Node) -> Result<Line, RedisError> {
        let (push, pushed) = unbounded_channel();
        let recorder = self.recorder.clone();
        let note = move |info: PushInfo| -> Result<(), Infallible> {
            // Nobody listens any more.
            let _ = push.send((recorder.now(), info));
            Ok(())
        };
        let info = node.access().to(node.reach())?;
        // In RESP3 what the server says by itself is told apart from answers.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(note);
        let client = redis::Client::open(info.set_redis_settings(settings))?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let channel = &self.plan.channel;
        redis::cmd(channel.subscribe()).arg(&channel.name).exec_async(&mut connection).await?;
        Ok(Line { node: node.id().clone(), connection, pushed })
    }

    /// Hears a subscription out.
    async fn hear(&self, line: Line) {
        let Line { node, connection, mut pushed } = line;
        let silence = self.silence(connection);
        tokio::pin!(silence);
        let (at, how) = loop {
            tokio::select! {
                biased;
                push = pushed.recv() => {
                    let Some((at, info)) = push else { break (self.recorder.now(), End::Broken) };
                    match self.note(&node, at, info) {
                        Some(how) => break (at, how),
                        None => continue,
                    }
                }
                () = &mut silence => break (self.recorder.now(), End::Silent),
            }
        };
        if let Some(subscription) = held(&self.listened).subscriptions.last_mut() {
            subscription.ended = Some((at, how));
        }
        self.says(&format!("no longer subscribed at {node}: {how}"));
    }

    /// Writes down what the server said; returns how the subscription ended, if it did.
    fn note(&self, node: &NodeId, at: At, info: PushInfo) -> Option<End> {
        match info.kind {
            PushKind::SUnsubscribe | PushKind::Unsubscribe => return Some(End::Told),
            PushKind::Disconnection => return Some(End::Broken),
            PushKind::Message | PushKind::SMessage => {
                let text = Msg::from_push_info(info).and_then(|message| message.get_payload::<String>().ok());
                if let Some((publisher, sequence)) = text.as_deref().and_then(read)
                    && let Some(subscription) = held(&self.listened).subscriptions.last_mut()
                {
                    subscription.received.push(Received { at, publisher, sequence });
                }
            }
            kind if kind == self.plan.channel.confirmation() => {
                let subscription =
                    Subscription { node: node.clone(), confirmed: at, received: Vec::new(), ended: None };
                held(&self.listened).subscriptions.push(subscription);
                self.says(&format!("subscribed at {node}"));
            }
            _ => {}
        }
        None
    }

    /// Returns when the server has not answered a ping. A connection that breaks says so by itself.
    async fn silence(&self, mut connection: MultiplexedConnection) {
        let Listening { ping, patience, .. } = self.plan.habits;
        let mut ticks = interval(ping);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let ping = redis::cmd("PING");
            // The `redis` crate (1.8.1) takes a `sunsubscribe` that comes unasked for the answer: any will do.
            let answer = ping.query_async::<Value>(&mut connection);
            match timeout(patience, answer).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => return,
            }
        }
    }

    fn says(&self, what: &str) {
        self.recorder.event(Source::Client, format!("{}: {what}", self.plan.name));
    }
}
