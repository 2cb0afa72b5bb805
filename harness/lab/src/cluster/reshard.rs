//! Resharding: slots of a running cluster move from one node to another, with their keys and under load.
//!
//! The order is the specification's ("Live resharding", and `clusterManagerMoveSlot` of `redis-cli`): whoever
//! gets a slot expects it before its owner sends anybody there, and owns it before the old owner gives it up. So
//! there is always a node that answers, and one that the others can send a client to.
//!
//! What makes it quick is that nothing waits for one slot: many are open at once, and every stage of all of them
//! is one round trip. A node also writes `nodes.conf` once for all that it reads in one go. All lanes are in the same
//! stage: a node that sends keys answers nobody until the other one has them, and that one would be writing files.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join_all;
use lab_report::Slot;
use redis::{Pipeline, RedisResult};
use tokio::time::Instant;

use super::{ClusterGroup, View, Way};
use crate::{
    StepError,
    client::{CallError, Client},
    docker::{Access, Node},
};

/// For one stage of all slots that are open at once: far above what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);
/// `MIGRATE` gives up when the other node says nothing for this long, in milliseconds.
const SILENCE: &str = "5000";
/// Slots that are under way at once, between one node and another.
const OPEN: usize = 64;
/// Slots whose keys a node is asked to send in one go. It waits for an answer to each, and reads nothing else meanwhile:
/// for 64, three times over, 10 ms each make a node timeout of two seconds.
const AT_ONCE: usize = 8;
/// Keys of one slot that go with one command.
const KEYS: usize = 500;
/// Connections on which a node is told of slots. Valkey 8 answers a `SETSLOT` when its replicas have it as well
/// (`clusterCommandSetSlot`), one after the other on one connection, and side by side on several.
const TELLERS: usize = 16;

/// Slots that move from one node to another.
#[derive(Clone)]
pub struct Lane {
    /// Who gives them up.
    pub from: Arc<Node>,
    /// Who gets them.
    pub to: Arc<Node>,
    /// They move in this order.
    pub slots: Vec<Slot>,
}

/// One more slot has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which.
    pub slot: Slot,
    /// How many have, this one included.
    pub moved: usize,
    /// How many there are to move.
    pub of: usize,
}

/// A stage of several slots' way, for whoever wants to know where it can be broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Some of their keys have left, and some may not have.
    SomeKeysMoved,
    /// A slot is where it belongs, with all of its keys.
    Moved(Progress),
}

impl ClusterGroup {
    /// Moves slots, all lanes at once, and says at every one how far it is. What is moved twice, or was begun
    /// before, is finished.
    ///
    /// # Errors
    /// A node refused, or did not answer within 20 s. Slots may be left open: [`ClusterGroup::open_slots`].
    pub async fn reshard(&self, lanes: &[Lane], progress: impl Fn(Stage)) -> Result<(), StepError> {
        let (moved, of) = (Cell::new(0), lanes.iter().map(|lane| lane.slots.len()).sum());
        let stage = |stage: Option<Slot>| match stage {
            None => progress(Stage::SomeKeysMoved),
            Some(slot) => {
                moved.set(moved.get() + 1);
                progress(Stage::Moved(Progress { slot, moved: moved.get(), of }));
            }
        };
        let movers = try_join_all(lanes.iter().map(|lane| Mover::of(self, lane))).await?;
        let mut shares: Vec<_> = lanes.iter().map(|lane| lane.slots.chunks(OPEN)).collect();
        loop {
            let open: Vec<(&Mover<'_>, &[Slot])> = (movers.iter().zip(&mut shares))
                .filter_map(|(mover, share)| Some((mover, share.next()?)))
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            try_join_all(open.iter().map(|(mover, slots)| mover.open(slots))).await?;
            try_join_all(open.iter().map(|(mover, slots)| mover.empty(slots, || stage(None)))).await?;
            try_join_all(open.iter().map(|(mover, slots)| mover.close(slots))).await?;
            open.iter().flat_map(|(_, slots)| *slots).for_each(|slot| stage(Some(*slot)));
        }
    }

    /// The slots that any of `nodes` takes to be on their way, to it or from it, as moves that finish that way.
    ///
    /// A node tells of its own open slots and of nobody else's.
    ///
    /// # Errors
    /// A node does not answer.
    pub async fn open_slots(&self, nodes: &[Arc<Node>]) -> Result<Vec<Lane>, StepError> {
        let mut open: BTreeMap<(String, String), BTreeSet<Slot>> = BTreeMap::new();
        for node in nodes {
            let view = self.view(node).await?;
            let myself = view.myself().ok_or("a node that does not know itself")?;
            for (slot, way) in &myself.moving {
                let ends = match way {
                    Way::To(other) => (myself.id.clone(), other.clone()),
                    Way::From(other) => (other.clone(), myself.id.clone()),
                };
                open.entry(ends).or_default().insert(*slot);
            }
        }
        let node = |name: &str| self.named(name).cloned().ok_or_else(|| format!("{name} is no node"));
        let lane = |((from, to), slots): ((String, String), BTreeSet<Slot>)| {
            Ok(Lane { from: node(&from)?, to: node(&to)?, slots: slots.into_iter().collect() })
        };
        open.into_iter().map(lane).collect::<Result<_, String>>().map_err(Into::into)
    }
}

/// Moves slots from one node to another.
struct Mover<'a> {
    from: End<'a>,
    to: End<'a>,
    /// The other primaries. They would hear of it, too, but clients may ask them before.
    others: Vec<Tellers>,
}

/// A node at either end.
struct End<'a> {
    name: &'a str,
    node: &'a Node,
    client: Client,
    tellers: Tellers,
    /// The slots that it owned when the move began: those of a move that was broken off may be there already.
    owned: View,
}

impl<'a> End<'a> {
    async fn of(cluster: &'a ClusterGroup, node: &'a Arc<Node>) -> Result<Self, StepError> {
        let owned = cluster.view(node).await?;
        Ok(Self {
            name: cluster.name_of(node),
            node,
            client: patient(node),
            tellers: Tellers::of(node),
            owned,
        })
    }

    fn owns(&self, slot: Slot) -> bool {
        self.owned.myself().is_some_and(|myself| myself.slots.contains(slot))
    }
}

fn patient(node: &Node) -> Client {
    Client::of_node(node).patient(PATIENCE)
}

impl<'a> Mover<'a> {
    async fn of(cluster: &'a ClusterGroup, lane: &'a Lane) -> Result<Self, StepError> {
        let (from, to) = (End::of(cluster, &lane.from).await?, End::of(cluster, &lane.to).await?);
        let primaries = from.owned.members().iter().filter(|member| member.follows.is_none());
        let others = primaries.filter(|member| member.id != from.name && member.id != to.name);
        let others =
            others.filter_map(|member| cluster.named(&member.id)).map(|node| Tellers::of(node)).collect();
        Ok(Self { from, to, others })
    }

    /// The destination first: it has to let in whom the source sends.
    async fn open(&self, slots: &[Slot]) -> Result<(), CallError> {
        let expected = slots.iter().filter(|slot| !self.to.owns(**slot));
        self.to.tellers.set(expected, "IMPORTING", self.from.name).await?;
        let leaving = slots.iter().filter(|slot| self.from.owns(**slot));
        self.from.tellers.set(leaving, "MIGRATING", self.to.name).await
    }

    /// A slot that is leaving gets no new keys. So it is empty when fewer than asked for were in it.
    async fn empty(&self, slots: &[Slot], some_moved: impl Fn()) -> Result<(), CallError> {
        let mut full = slots.to_vec();
        while !full.is_empty() {
            let mut asked = Pipeline::new();
            for slot in &full {
                asked.cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot.number()).arg(KEYS);
            }
            let keys: Vec<Vec<Vec<u8>>> = self.from.client.pipeline(&asked).await?;
            self.send(keys.iter().filter(|keys| !keys.is_empty())).await?;
            let mut count = keys.iter().map(Vec::len);
            full.retain(|_| count.next() == Some(KEYS));
            some_moved();
        }
        Ok(())
    }

    /// Keys that are at both ends were on their way when a move was broken off: whoever still owns the slot has
    /// been serving them, so its own are those that count.
    async fn send<'k>(&self, batches: impl Iterator<Item = &'k Vec<Vec<u8>>>) -> Result<(), CallError> {
        let (host, port) = (self.to.node.address().to_string(), self.to.node.port());
        let batches: Vec<_> = batches.collect();
        for at_once in batches.chunks(AT_ONCE) {
            let mut sent = redis::pipe();
            for keys in at_once {
                let migrate = sent.cmd("MIGRATE").arg(&host).arg(port).arg("").arg(0).arg(SILENCE);
                migrate.arg("REPLACE");
                if let Access { user: Some(user), password: Some(password), .. } = self.to.node.access() {
                    migrate.arg("AUTH2").arg(user).arg(password.reveal());
                }
                migrate.arg("KEYS").arg(*keys);
            }
            let answers: Vec<RedisResult<String>> = self.from.client.pipeline(sent.ignore_errors()).await?;
            answers.into_iter().collect::<RedisResult<Vec<_>>>().map_err(|error| CallError::of(&error))?;
        }
        Ok(())
    }

    /// The destination first: if the source were, and the destination then failed, nobody would have the slots.
    /// The source refuses to give up one that it still has keys of.
    async fn close(&self, slots: &[Slot]) -> Result<(), StepError> {
        self.to.tellers.set(slots, "NODE", self.to.name).await?;
        if let Err(refused) = self.from.tellers.set(slots, "NODE", self.to.name).await
            && !self.follows_another().await?
        {
            return Err(refused.into());
        }
        let others = self.others.iter().map(|other| other.set(slots, "NODE", self.to.name));
        Ok(try_join_all(others).await.map(drop)?)
    }

    /// A source that hears by gossip that its last slot is gone follows whoever has it, before it is told, and
    /// a replica refuses to be told (`cluster-allow-replica-migration`).
    async fn follows_another(&self) -> Result<bool, StepError> {
        let view: View = self.from.node.ask::<String>(&["CLUSTER", "NODES"]).await?.parse()?;
        Ok(view.myself().is_some_and(|myself| myself.follows.is_some()))
    }
}

/// Connections to one node.
struct Tellers(Vec<Client>);

impl Tellers {
    fn of(node: &Node) -> Self {
        Self((0..TELLERS).map(|_| patient(node)).collect())
    }

    /// Tells the node of slots, on as many connections as there are.
    async fn set<'s>(
        &self,
        slots: impl IntoIterator<Item = &'s Slot>,
        state: &str,
        name: &str,
    ) -> Result<(), CallError> {
        let slots: Vec<&Slot> = slots.into_iter().collect();
        let shares = slots.chunks(slots.len().div_ceil(self.0.len()).max(1));
        let told = self.0.iter().zip(shares).map(|(client, slots)| tell(client, slots, state, name));
        try_join_all(told).await.map(drop)
    }
}

/// Tells a node of slots on one connection, and again of those that its replicas did not have in time: Valkey 8 waits
/// two seconds for them (`CLUSTER_OPERATION_TIMEOUT`), and has done nothing then.
async fn tell(client: &Client, slots: &[&Slot], state: &str, name: &str) -> Result<(), CallError> {
    let deadline = Instant::now() + PATIENCE;
    let mut left = slots.to_vec();
    while !left.is_empty() {
        let mut told = redis::pipe();
        for slot in &left {
            told.cmd("CLUSTER").arg("SETSLOT").arg(slot.number()).arg(state).arg(name);
        }
        let answers: Vec<RedisResult<String>> = client.pipeline(told.ignore_errors()).await?;
        let mut late = Vec::new();
        for (slot, answer) in left.into_iter().zip(answers) {
            match answer {
                Ok(_) => {}
                Err(error) if error.code() == Some("NOREPLICAS") && Instant::now() < deadline => {
                    late.push(slot)
                }
                Err(error) => return Err(CallError::of(&error)),
            }
        }
        left = late;
    }
    Ok(())
}
