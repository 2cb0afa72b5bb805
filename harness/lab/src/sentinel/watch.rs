//! Listening to the sentinels: what they say on their own pub/sub, and whom they name as primary.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use lab_report::NodeId;
use redis::aio::{MultiplexedConnection, PubSub};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{docker::Node, record::Recorder, topology::sentinels::NAME};

/// A sentinel is asked for the primary this often.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(10);
/// A sentinel that does not answer within this is not there.
const PATIENCE: Duration = Duration::from_millis(200);

/// Listens to all of them until dropped.
pub(super) fn watch(data: &[Arc<Node>], sentinels: &[Arc<Node>], recorder: &Recorder) -> JoinSet<()> {
    let names = Names::of(data.iter().chain(sentinels));
    let mut tasks = JoinSet::new();
    for sentinel in sentinels {
        tasks.spawn(Ear::new(sentinel, recorder, &names).listen());
    }
    tasks
}

/// Addresses, and whose they are.
#[derive(Clone)]
struct Names(Vec<(String, u16, NodeId)>);

impl Names {
    fn of<'a>(nodes: impl Iterator<Item = &'a Arc<Node>>) -> Self {
        Self(nodes.map(|node| (node.address().to_string(), node.port(), node.id().clone())).collect())
    }

    fn node_at(&self, ip: &str) -> Option<&NodeId> {
        self.0.iter().find(|(address, ..)| address == ip).map(|(.., id)| id)
    }

    /// The message with ids in the place of addresses.
    fn replace(&self, message: &str) -> String {
        // An event names most nodes twice: `slave 10.0.0.3:6379 10.0.0.3 6379`.
        self.0.iter().fold(message.to_owned(), |text, (ip, port, id)| {
            let twice = format!("{ip}:{port} {ip} {port}");
            text.replace(&twice, id.as_str()).replace(&format!("{ip} {port}"), id.as_str())
        })
    }
}

/// What listens to one sentinel.
struct Ear {
    sentinel: Arc<Node>,
    recorder: Recorder,
    names: Names,
    named: Option<NodeId>,
    connection: Option<MultiplexedConnection>,
}

impl Ear {
    fn new(sentinel: &Arc<Node>, recorder: &Recorder, names: &Names) -> Self {
        Self {
            sentinel: Arc::clone(sentinel),
            recorder: recorder.clone(),
            names: names.clone(),
            named: None,
            connection: None,
        }
    }

    async fn listen(mut self) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Ok(Ok(subscription)) = timeout(PATIENCE, subscribe(&self.sentinel)).await {
                self.hear(subscription).await;
            }
        }
    }

    /// Hears one subscription out: until it ends, or the sentinel was away and is back.
    async fn hear(&mut self, subscription: PubSub) {
        let mut messages = subscription.into_on_message();
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.note(&message),
                    None => return,
                },
                _ = ticks.tick() => match self.ask().await {
                    // Its connections may be dead without knowing it: what is buffered, then a new one.
                    true if away => {
                        while let Some(Some(message)) = messages.next().now_or_never() {
                            self.note(&message);
                        }
                        return;
                    }
                    answered => away = !answered,
                },
            }
        }
    }

    fn note(&self, message: &redis::Msg) {
        let text: String = message.get_payload().unwrap_or_default();
        self.recorder.announced(self.sentinel.id(), message.get_channel_name(), self.names.replace(&text));
    }

    /// Asks for the primary, and says whether there was an answer.
    async fn ask(&mut self) -> bool {
        let answer = timeout(PATIENCE, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.sentinel.connect(PATIENCE).await?,
            };
            let command = ["GET-MASTER-ADDR-BY-NAME", NAME];
            let answer: Option<Vec<String>> =
                redis::cmd("SENTINEL").arg(&command).query_async(&mut connection).await?;
            self.connection = Some(connection);
            redis::RedisResult::Ok(answer)
        });
        let Ok(Ok(answer)) = answer.await else { return false };
        let named = answer.and_then(|words| self.names.node_at(words.first()?).cloned());
        if let Some(named) = named
            && self.named.as_ref() != Some(&named)
        {
            self.recorder.advertised(self.sentinel.id(), &named);
            self.named = Some(named);
        }
        true
    }
}

async fn subscribe(sentinel: &Node) -> redis::RedisResult<PubSub> {
    let client = redis::Client::open(sentinel.access().to(sentinel.reach())?)?;
    let mut subscription = client.get_async_pubsub().await?;
    subscription.psubscribe("*").await?;
    Ok(subscription)
}
