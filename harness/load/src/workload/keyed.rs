//! What is asked for by the schedule: operations on keys, and on channels and streams, which are keys as well.

use std::time::Duration;

use fred::util::redis_keyslot;
use lab_history::{Object, Value};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Consuming, Distribution, Durability, Homes, Intent, Part, Sort, What, streams, written};
use crate::{command::Request, tape::Tape};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is done with the keys.
    pub sort: Sort,
    /// Which part of it.
    pub part: Part,
    /// How many keys there are.
    pub keys: u32,
    /// How operations are spread over keys, channels or streams.
    pub distribution: Distribution,
    /// The share of operations on keys that read.
    pub reads: f64,
    /// The size of a value of a register, a message or an entry, in bytes.
    pub value_size: usize,
    /// What a writer wants to hear. Of a message nothing more can be heard: nobody keeps it.
    pub durability: Durability,
    /// After how long an operation is of no more use.
    pub deadline: Duration,
    /// How messages and entries are consumed.
    pub consuming: Consuming,
    /// What is told apart when something is down.
    pub homes: Homes,
    /// Decides every choice.
    pub seed: u64,
}

/// A plan for one writer, with its keys on a tape.
///
/// The operation with a number is always the same one, whatever became of those before.
#[derive(Debug, Clone)]
pub struct Keyed {
    plan: Plan,
    writer: u32,
    keys: Vec<(String, Object)>,
}

impl Keyed {
    /// Names the keys on `tape`. Of several writers each has a number of its own.
    pub fn new(plan: &Plan, writer: u32, tape: &Tape) -> Self {
        let keys = names(plan).into_iter().map(|name| (name.clone(), tape.object(&name))).collect();
        Self { plan: plan.clone(), writer, keys }
    }

    /// The keys, channels or streams.
    pub(super) fn keys(&self) -> &[(String, Object)] {
        &self.keys
    }

    /// What is told apart when something is down.
    pub fn homes(&self) -> &Homes {
        &self.plan.homes
    }

    /// What is done with them.
    pub(super) fn sort(&self) -> Sort {
        self.plan.sort
    }

    /// The operation with this number.
    pub fn operation(&self, number: u64) -> Intent {
        let mut rng = SmallRng::seed_from_u64(self.plan.seed.wrapping_add(number.wrapping_mul(ODD)));
        let (key, object) = &self.keys[self.choose(&mut rng)];
        let object = *object;
        if rng.random_bool(self.plan.part.reads(self.plan.reads))
            && let Some(read) = self.read(key, object)
        {
            return read;
        }
        // Beyond four thousand million operations values would come again.
        let value = Value { writer: self.writer, sequence: number as u32 };
        let written = written(value, self.plan.value_size);
        let durability = self.plan.durability;
        let (request, what, durability) = match self.plan.sort {
            Sort::Registers => {
                (Request::new(key, &["SET", key, &written]), What::Write(object, value), durability)
            }
            Sort::Sets => {
                (Request::new(key, &["SADD", key, &value.to_string()]), What::Add(object, value), durability)
            }
            Sort::Counters => (Request::new(key, &["INCR", key]), What::Increment(object), durability),
            Sort::PubSub => {
                let publish = Request::new(key, &["PUBLISH", key, &written]);
                (publish, What::Publish(object, value), Durability::None)
            }
            Sort::ShardedPubSub => {
                let publish = Request::new(key, &["SPUBLISH", key, &written]);
                (publish, What::Publish(object, value), Durability::None)
            }
            Sort::Streams => (streams::append(key, &written), What::Append(object, value), durability),
        };
        Intent { request: durability.ask(request, self.plan.deadline), what, durability }
    }

    /// A read of every key; of no channel, and no stream.
    pub fn reads(&self) -> impl Iterator<Item = Intent> {
        self.keys.iter().filter_map(|(key, object)| self.read(key, *object))
    }

    fn choose(&self, rng: &mut SmallRng) -> usize {
        let count = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.plan.distribution.choose(count, rng) as usize
    }

    fn read(&self, key: &str, object: Object) -> Option<Intent> {
        let (word, what) = match self.plan.sort {
            Sort::Registers => ("GET", What::Read(object)),
            Sort::Sets => ("SMEMBERS", What::Members(object)),
            Sort::Counters => ("GET", What::Count(object)),
            Sort::PubSub | Sort::ShardedPubSub | Sort::Streams => return None,
        };
        Some(Intent { request: Request::new(key, &[word, key]), what, durability: Durability::None })
    }
}

/// What the plan's keys, channels or streams are called.
fn names(plan: &Plan) -> Vec<String> {
    let sort = plan.sort;
    match sort {
        Sort::Registers | Sort::Sets | Sort::Counters => {
            (0..plan.keys.max(1)).map(|number| format!("{KEYS}{sort}:{number}")).collect()
        }
        Sort::PubSub | Sort::ShardedPubSub | Sort::Streams => spread(sort, plan.consuming.channels.max(1)),
    }
}

/// Names of which each is in a part of its own of a cluster's slots: a few of them would else be anywhere, and a shard
/// that has none shows nothing.
fn spread(sort: Sort, count: u32) -> Vec<String> {
    let parts = count.min(SLOTS);
    let part = |name: &String| u32::from(redis_keyslot(name.as_bytes())) * parts / SLOTS;
    let name = |number: u32| {
        let mut tries = (0_u64..).map(|salt| format!("{KEYS}{sort}:{number}:{salt}"));
        tries
            .find(|name| part(name) == number % parts)
            .expect("every part has slots, and every slot has names")
    };
    (0..count).map(name).collect()
}

/// Begins every key, so that a deployment of somebody else's knows whose it is.
pub(crate) const KEYS: &str = "failover-lab:";
/// Spreads neighbouring numbers over all seeds (the golden ratio's fraction, as in splitmix64).
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
/// A cluster's.
const SLOTS: u32 = 16_384;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tape::tests::history_of;

    fn plan(sort: Sort, part: Part) -> Plan {
        Plan {
            sort,
            part,
            keys: 10,
            distribution: Distribution::Uniform,
            reads: 0.5,
            value_size: 16,
            durability: Durability::Wait(1),
            deadline: Duration::from_secs(1),
            consuming: Consuming::default(),
            homes: Homes::default(),
            seed: 1,
        }
    }

    /// The shards of the lab's cluster, as they are after its creation.
    const SHARDS: [std::ops::RangeInclusive<u16>; 3] = [0..=5460, 5461..=10_922, 10_923..=16_383];

    #[test]
    fn a_few_channels_are_spread_over_all_shards() {
        for (sort, count) in [(Sort::PubSub, 3), (Sort::Streams, 6), (Sort::ShardedPubSub, 9)] {
            let names = spread(sort, count);
            for shard in &SHARDS {
                let there =
                    names.iter().filter(|name| shard.contains(&redis_keyslot(name.as_bytes()))).count();
                assert_eq!(there, count as usize / 3, "{names:?}");
            }
        }
    }

    #[test]
    fn every_channel_has_a_name_of_its_own() {
        let mut names = spread(Sort::PubSub, 100);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
    }

    #[tokio::test]
    async fn messages_go_to_every_channel_and_no_two_are_the_same() {
        history_of(async |tape| {
            for (sort, word) in [(Sort::PubSub, "PUBLISH"), (Sort::ShardedPubSub, "SPUBLISH")] {
                let work = Keyed::new(&plan(sort, Part::Both), 3, tape);
                let all: Vec<Intent> = (0..100).map(|number| work.operation(number)).collect();
                assert_eq!(all, (0..100).map(|number| work.operation(number)).collect::<Vec<_>>());
                let said = |intent: &Intent| match intent.request.commands.as_slice() {
                    [words] if words[0] == word => (words[1].clone(), words[2].clone()),
                    // Nobody keeps a message, so there is nothing to wait for.
                    other => panic!("{other:?}"),
                };
                let (channels, messages): (BTreeSet<_>, BTreeSet<_>) = all.iter().map(said).unzip();
                assert_eq!((channels.len(), messages.len()), (3, 100));
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_producer_writes_and_a_consumer_reads() {
        history_of(async |tape| {
            let reads = |part| {
                let work = Keyed::new(&plan(Sort::Registers, part), 0, tape);
                (0..100).filter(|number| matches!(work.operation(*number).what, What::Read(_))).count()
            };
            assert_eq!((reads(Part::Producer), reads(Part::Consumer)), (0, 100));
            assert!((30..70).contains(&reads(Part::Both)));
        })
        .await;
    }
}
