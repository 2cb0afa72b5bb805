//! The observer: asks every node for its role and its figures, on connections of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use lab_report::{
    NodeId,
    evidence::{Role, Sample},
};
use redis::{Cmd, FromRedisValue, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    docker::Node,
    info::Info,
    record::Recorder,
    topology::{Gap, Monitor},
};

/// A role is asked for this often; with the answer's way a promotion is seen within 20 ms.
pub const ROLE_EVERY: Duration = Duration::from_millis(10);
/// Often enough for a picture.
const GLANCE_EVERY: Duration = Duration::from_millis(200);
/// A node that does not answer within this is unreachable.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// Under TLS a connection is given up no sooner than after this, as everybody else's is ([`Node::ask`]): each costs the
/// server a handshake. Those that nobody waits for the end of keep it so busy that the next one takes as long.
const HANDSHAKE: Duration = Duration::from_secs(1);
/// So many answers in a row are missed of a node that is down, and not of one that is busy.
const DOWN: usize = 5;

/// Watches nodes until dropped.
pub struct Observer {
    tasks: JoinSet<()>,
    recorder: Recorder,
    monitor: Monitor,
}

impl Observer {
    /// Watches nobody yet.
    pub fn new(recorder: &Recorder, monitor: &Monitor) -> Self {
        Self { tasks: JoinSet::new(), recorder: recorder.clone(), monitor: monitor.clone() }
    }

    /// Begins to watch whether a node is there, and nothing else: a sentinel's role never changes.
    pub fn glance(&mut self, node: &Arc<Node>) {
        self.tasks.spawn(watch_role(Arc::clone(node), self.recorder.clone(), GLANCE_EVERY));
    }

    /// Begins to watch a node.
    pub fn watch(&mut self, node: &Arc<Node>) {
        self.tasks.spawn(watch_role(Arc::clone(node), self.recorder.clone(), ROLE_EVERY));
        self.tasks.spawn(sample(Arc::clone(node), self.recorder.clone(), self.monitor.clone()));
    }
}

/// A connection that is made again after every failure.
struct Probe {
    node: Arc<Node>,
    connection: Option<MultiplexedConnection>,
    /// The one that is being made.
    coming: Option<BoxFuture<'static, RedisResult<MultiplexedConnection>>>,
    /// Since when it is being made, or silent.
    since: Instant,
    /// It is given up after this.
    limit: Duration,
}

impl Probe {
    fn new(node: Arc<Node>) -> Self {
        let limit = if node.access().tls.is_some() { HANDSHAKE } else { PATIENCE };
        Self { node, connection: None, coming: None, since: Instant::now(), limit }
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Option<T> {
        let answer = timeout(PATIENCE, async {
            let mut connection = self.connection().await?;
            command.query_async(&mut connection).await
        });
        match answer.await {
            Ok(Ok(answer)) => {
                self.since = Instant::now();
                return Some(answer);
            }
            Ok(Err(_)) => self.connection = None,
            Err(_) if self.since.elapsed() >= self.limit => (self.connection, self.coming) = (None, None),
            Err(_) => {}
        }
        None
    }

    async fn connection(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let coming = self.coming.get_or_insert_with(|| {
            self.since = Instant::now();
            let (node, limit) = (Arc::clone(&self.node), self.limit);
            Box::pin(async move { node.connect(limit).await })
        });
        let made = coming.await;
        (self.coming, self.since) = (None, Instant::now());
        Ok(self.connection.insert(made?).clone())
    }
}

async fn watch_role(node: Arc<Node>, recorder: Recorder, every: Duration) {
    let command = redis::cmd("ROLE");
    let id = node.id().clone();
    let mut probe = Probe::new(node);
    let mut last = None;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let role =
            probe.ask::<Vec<Value>>(&command).await.map_or(Role::Unreachable, |answer| role_of(&answer));
        if last.replace(role) != Some(role) {
            recorder.role(&id, role);
        }
    }
}

fn role_of(answer: &[Value]) -> Role {
    match answer.first() {
        Some(Value::BulkString(role)) if role == b"master" => Role::Primary,
        Some(Value::BulkString(role)) if role == b"slave" => Role::Replica,
        Some(Value::BulkString(role)) if role == b"sentinel" => Role::Sentinel,
        _ => Role::Unreachable,
    }
}

async fn sample(node: Arc<Node>, recorder: Recorder, monitor: Monitor) {
    let command = redis::cmd("INFO");
    let id = node.id().clone();
    let mut probe = Probe::new(node);
    let (mut seen, mut missed): (Vec<Sample>, usize) = (Vec::new(), 0);
    let mut ticks = interval(monitor.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = probe.ask::<String>(&command).await;
        missed = if answer.is_some() { 0 } else { missed + 1 };
        let sample = match answer {
            Some(text) => read(&id, &Info::parse(&text), &recorder),
            None if monitor.gap == Gap::Extrapolated => extrapolate(&seen, &recorder),
            None if monitor.gap == Gap::ForGood && missed >= DOWN => return,
            None => None,
        };
        if let Some(sample) = sample {
            recorder.sample(sample.clone());
            seen.push(sample);
            if seen.len() > 2 {
                seen.remove(0);
            }
        }
    }
}

/// None where a figure is missing: a sample is whole, or it is not there.
fn read(node: &NodeId, info: &Info, recorder: &Recorder) -> Option<Sample> {
    let role = info.role();
    let listed = (role == Role::Primary).then(|| info.replicas());
    let count = |online: bool| {
        let of_kind = listed.as_ref()?.iter().filter(|replica| (replica.state == "online") == online);
        Some(of_kind.count() as u64)
    };
    Some(Sample {
        at: recorder.now(),
        node: node.clone(),
        role,
        connections: info.number("connected_clients")?,
        commands: info.number("total_commands_processed")?,
        cpu_seconds: info.number::<f64>("used_cpu_sys")? + info.number::<f64>("used_cpu_user")?,
        memory_bytes: info.number("used_memory")?,
        offset: info.offset(),
        // Known to whoever knows the primary's offset: the recorder.
        lag_bytes: None,
        replicas_online: count(true),
        replicas_syncing: count(false),
    })
}

fn extrapolate(seen: &[Sample], recorder: &Recorder) -> Option<Sample> {
    let [before, last] = seen else { return None };
    let commands = last.commands + last.commands.saturating_sub(before.commands);
    Some(Sample { at: recorder.now(), commands, ..last.clone() })
}
