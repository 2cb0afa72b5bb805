//! Listening to the sentinels: what they say on their own pub/sub, and whom they name as primary.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use lab_report::NodeId;
use redis::{
    RedisResult,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{docker::Node, record::Recorder, topology::sentinels::Sentinels, wait::pass};

/// A sentinel is asked for the primary this often.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// A sentinel that does not answer within this is not there.
const PATIENCE: Duration = Duration::from_millis(200);

/// Listens to all of them until dropped.
pub(super) fn watch(
    topology: &Sentinels,
    data: &[Arc<Node>],
    sentinels: &[Arc<Node>],
    recorder: &Recorder,
) -> JoinSet<()> {
    let names = Names::of(data.iter().chain(sentinels));
    let mut tasks = JoinSet::new();
    for sentinel in sentinels {
        let ear = Ear {
            sentinel: Arc::clone(sentinel),
            primary: topology.name.clone(),
            recorder: recorder.clone(),
            names: names.clone(),
        };
        let back = Arc::new(Notify::new());
        tasks.spawn(ear.clone().listen(Arc::clone(&back)));
        tasks.spawn(ear.ask(back, topology.heard_late));
    }
    tasks
}

/// Addresses and names, and whose they are.
#[derive(Clone)]
struct Names(Vec<(String, u16, NodeId)>);

impl Names {
    fn of<'a>(nodes: impl Iterator<Item = &'a Arc<Node>>) -> Self {
        let called = |node: &Arc<Node>| {
            [node.address().to_string(), node.id().to_string()]
                .map(|host| (host, node.port(), node.id().clone()))
        };
        Self(nodes.flat_map(called).collect())
    }

    fn node_at(&self, host: &str, port: u16) -> Option<&NodeId> {
        self.0.iter().find(|(called, of, _)| called == host && *of == port).map(|(.., id)| id)
    }

    /// The message with ids in the place of where they are.
    fn replace(&self, message: &str) -> String {
        // An event names most nodes twice: `slave 10.0.0.3:6379 10.0.0.3 6379`.
        self.0.iter().fold(message.to_owned(), |text, (host, port, id)| {
            let twice = format!("{host}:{port} {host} {port}");
            text.replace(&twice, id.as_str()).replace(&format!("{host} {port}"), id.as_str())
        })
    }
}

/// What listens to one sentinel.
#[derive(Clone)]
struct Ear {
    sentinel: Arc<Node>,
    /// What it calls the primary.
    primary: String,
    recorder: Recorder,
    names: Names,
}

impl Ear {
    /// Writes down what it says.
    async fn listen(self, back: Arc<Notify>) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Ok(Ok(subscription)) = timeout(PATIENCE, subscribe(&self.sentinel)).await {
                self.hear(subscription, &back).await;
            }
        }
    }

    /// Hears one subscription out: until it ends, or the sentinel was away and is back. Then the
    /// connection may be dead without knowing it.
    async fn hear(&self, subscription: PubSub, back: &Notify) {
        let mut messages = subscription.into_on_message();
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Some(message) => self.note(&message),
                    None => return,
                },
                () = back.notified() => return,
            }
        }
    }

    fn note(&self, message: &redis::Msg) {
        let text: String = message.get_payload().unwrap_or_default();
        self.recorder.announced(self.sentinel.id(), message.get_channel_name(), self.names.replace(&text));
    }

    /// Writes down whom it names as primary. `late` is time lost before an answer is believed.
    async fn ask(self, back: Arc<Notify>, late: Duration) {
        let mut connection = None;
        let (mut named, mut away) = (None, false);
        let mut answered = Instant::now();
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let answer = timeout(PATIENCE, self.named(&mut connection)).await;
            let Ok(Ok(answer)) = answer else {
                away = true;
                continue;
            };
            let silent = std::mem::replace(&mut answered, Instant::now()).elapsed().saturating_sub(ASK_EVERY);
            if std::mem::take(&mut away) {
                back.notify_one();
            }
            let answer = answer.and_then(|(host, port)| self.names.node_at(&host, port));
            if let Some(primary) = answer
                && named.as_ref() != Some(primary)
            {
                pass(late).await;
                // Nobody asked it meanwhile.
                answered = Instant::now();
                self.recorder.advertised(self.sentinel.id(), primary, silent);
                named = Some(primary.clone());
            }
        }
    }

    /// A connection that fails is made again the next time.
    async fn named(&self, slot: &mut Option<MultiplexedConnection>) -> RedisResult<Option<(String, u16)>> {
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.sentinel.connect(PATIENCE).await?,
        };
        let command = ["GET-MASTER-ADDR-BY-NAME", &self.primary];
        let answer = redis::cmd("SENTINEL").arg(&command).query_async(&mut connection).await?;
        *slot = Some(connection);
        Ok(answer)
    }
}

async fn subscribe(sentinel: &Node) -> RedisResult<PubSub> {
    let client = redis::Client::open(sentinel.access().to(sentinel.reach())?)?;
    let mut subscription = client.get_async_pubsub().await?;
    subscription.psubscribe("*").await?;
    Ok(subscription)
}
