//! A world in which everything works: histories of servers that keep what they promise.
//!
//! Several processes work at once. Every operation takes effect at one instant between its invocation and its
//! completion, unless it is refused; one without an answer may take effect later, or never. In the end everything
//! settles, and everything is read once more.

use fastrand::Rng;
use lab_history::{
    Action, Doubt, Event, Header, History, Moment, Note, Object, Operation, Outcome, Process, Refusal,
    Timing, Value, operation::EntryId,
};

/// How large a world is, and how troubled.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// As many as the load is to be; what is read in the end comes on top.
    pub(crate) operations: usize,
    pub(crate) processes: u32,
    pub(crate) objects: u32,
    /// Of a hundred operations, as many are refused …
    pub(crate) refused: u32,
    /// … and as many get no answer.
    pub(crate) silent: u32,
    /// Of a thousand operations, as many are reads.
    pub(crate) reads: u32,
}

impl World {
    pub(crate) fn new(seed: u64, operations: usize) -> Self {
        Self { seed, operations, processes: 4, objects: 3, refused: 5, silent: 5, reads: 500 }
    }

    /// Writes and reads of registers.
    pub(crate) fn registers(&self) -> History {
        let mut past = Past::new(self.clone());
        let mut held: Vec<Option<Value>> = vec![None; self.objects as usize];
        past.load(|past, plan| {
            let (number, object) = past.any_object();
            let held = &mut held[number];
            match past.rng.u32(..1000) < self.reads {
                true => Action::Read { object, outcome: plan.outcome(*held) },
                false => {
                    let value = past.next_value(plan.process);
                    if plan.is_applied() {
                        *held = Some(value);
                    }
                    Action::Write { object, value, outcome: plan.outcome(()) }
                }
            }
        });
        past.settle(|_, number, object| Action::Read { object, outcome: Outcome::Ok(held[number]) })
    }

    /// Elements of sets, and reads of whole sets.
    pub(crate) fn sets(&self) -> History {
        let mut past = Past::new(self.clone());
        let mut held: Vec<Vec<Value>> = vec![Vec::new(); self.objects as usize];
        past.load(|past, plan| {
            let (number, object) = past.any_object();
            let held = &mut held[number];
            if past.rng.u32(..1000) < self.reads {
                let list = past.history.keep(held.as_slice());
                return Action::Members { object, outcome: plan.outcome(list) };
            }
            let value = past.next_value(plan.process);
            if plan.is_applied() {
                held.push(value);
            }
            Action::Add { object, value, outcome: plan.outcome(()) }
        });
        past.settle(|history, number, object| {
            let list = history.keep(held[number].as_slice());
            Action::Members { object, outcome: Outcome::Ok(list) }
        })
    }

    /// Increments and reads of counters.
    pub(crate) fn counters(&self) -> History {
        let mut past = Past::new(self.clone());
        let mut held = vec![0_u64; self.objects as usize];
        past.load(|past, plan| {
            let (number, object) = past.any_object();
            let held = &mut held[number];
            if past.rng.u32(..1000) < self.reads {
                return Action::Count { object, outcome: plan.outcome(*held) };
            }
            *held += u64::from(plan.is_applied());
            Action::Increment { object, outcome: plan.outcome(*held) }
        });
        past.settle(|_, number, object| Action::Count { object, outcome: Outcome::Ok(held[number]) })
    }

    /// Messages, and two subscribers of every channel. Half of the operations are receipts, or more.
    pub(crate) fn channels(&self) -> History {
        const SUBSCRIBERS: u32 = 2;
        let mut past =
            Past::new(Self { operations: self.operations / (1 + SUBSCRIBERS as usize), ..self.clone() });
        let sent = past.send(|object, value, outcome| Action::Publish { object, value, outcome });
        let end = past.end() + 2000;
        let client = past.history.names.client("subscriber").unwrap();
        for (number, sent) in sent.iter().enumerate() {
            for subscriber in 0..SUBSCRIBERS {
                let object = past.objects[number];
                let process = client.worker(number as u32 * SUBSCRIBERS + subscriber).unwrap();
                past.happened(process, 0, Action::Subscribe { object, outcome: Outcome::Ok(()) });
                let mut now = 0;
                for (point, value) in sent {
                    now = (point + past.rng.u64(1..1000)).max(now + 1);
                    past.happened(process, now, Action::Receive { object, value: *value });
                }
                past.happened(process, end.max(now + 1), Action::Unsubscribe { object });
            }
        }
        past.finish()
    }

    /// Entries, two consumers of every stream, and somebody who looks at the group. About a third of the operations
    /// are appends.
    pub(crate) fn streams(&self) -> History {
        let mut past = Past::new(Self { operations: self.operations / 3, ..self.clone() });
        let sent = past.send(|object, value, outcome| Action::Append { object, value, outcome });
        let mut consumers = Consumers::new(&mut past);
        for (number, entries) in sent.iter().enumerate() {
            consumers.consume(&mut past, number, entries);
        }
        past.settle(|history, number, object| {
            let values: Vec<Value> = sent[number].iter().map(|(_, value)| *value).collect();
            let list = history.keep(values);
            Action::Entries { object, outcome: Outcome::Ok(list) }
        })
    }
}

/// Two processes that take turns, and one that looks.
struct Consumers {
    workers: [Process; 2],
    observer: Process,
}

impl Consumers {
    fn new(past: &mut Past) -> Self {
        let client = past.history.names.client("consumer").unwrap();
        let worker = |number| client.worker(number).unwrap();
        Self { workers: [worker(0), worker(1)], observer: worker(2) }
    }

    /// Delivers every entry, in order; those that are not acknowledged are claimed by the other consumer.
    fn consume(&mut self, past: &mut Past, number: usize, entries: &[(u64, Value)]) {
        let object = past.objects[number];
        let mut now = 0;
        for (place, (point, value)) in (1..).zip(entries) {
            let (one, other) = (self.workers[place % 2], self.workers[(place + 1) % 2]);
            now = point.max(&(now + 1)) + past.rng.u64(1..200);
            past.happened(one, now, Action::Deliver { object, outcome: Outcome::Ok(*value) });
            let mut owner = one;
            if past.rng.u32(..100) < 5 {
                now += 1;
                past.happened(other, now, Action::Claim { object, outcome: Outcome::Ok(*value) });
                owner = other;
            }
            if past.rng.u32(..100) < 3 {
                let id = EntryId::new(1_700_000_000_000, place as u64).unwrap();
                past.happened(self.observer, now, Action::LastDelivered { object, outcome: Outcome::Ok(id) });
                past.happened(self.observer, now, Action::Pending { object, outcome: Outcome::Ok(1) });
            }
            now += 1;
            past.happened(
                owner,
                now,
                Action::Acknowledge { object, value: *value, outcome: Outcome::Ok(()) },
            );
        }
    }
}

/// When an operation does what, before it is known what that is.
struct Plan {
    process: u32,
    intended: u64,
    invoked: u64,
    /// When it takes effect, if it does.
    point: u64,
    completed: u64,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    /// Without an answer, and done all the same.
    DoneInSilence,
    /// Without an answer, and not done.
    Lost,
}

impl Plan {
    fn is_applied(&self) -> bool {
        matches!(self.fate, Fate::Done | Fate::DoneInSilence)
    }

    fn outcome<T>(&self, done: T) -> Outcome<T> {
        match self.fate {
            Fate::Done => Outcome::Ok(done),
            Fate::Refused => Outcome::Failed(Refusal::ClusterDown),
            Fate::DoneInSilence | Fate::Lost => Outcome::Indeterminate(Doubt::Deadline),
        }
    }
}

/// A history in the making.
struct Past {
    world: World,
    rng: Rng,
    history: History,
    objects: Vec<Object>,
    sequences: Vec<u32>,
    /// The operations, with the instants at which they were completed.
    done: Vec<Operation>,
}

impl Past {
    fn new(world: World) -> Self {
        let mut history = History::new(Header::new("world", world.seed));
        history.names.client("worker").unwrap();
        let objects =
            (0..world.objects).map(|number| history.names.object(&format!("object:{number}"))).collect();
        Self {
            rng: Rng::with_seed(world.seed),
            history,
            objects,
            sequences: vec![0; world.processes as usize],
            done: Vec::with_capacity(world.operations),
            world,
        }
    }

    /// Does the load: every operation, in the order in which they take effect.
    fn load(&mut self, mut act: impl FnMut(&mut Self, &Plan) -> Action) {
        let mut plans = self.plans();
        plans.sort_unstable_by_key(|plan| plan.point);
        for plan in plans {
            let action = act(self, &plan);
            let process = self.history.names.client("worker").unwrap().worker(plan.process).unwrap();
            let moment = Moment::from_micros;
            let timing =
                Timing::new(moment(plan.intended), moment(plan.invoked), moment(plan.completed)).unwrap();
            self.done.push(Operation { process, node: None, timing, action });
        }
    }

    /// A load of messages or entries: of each object, those that took effect, and when.
    fn send(&mut self, act: impl Fn(Object, Value, Outcome) -> Action) -> Vec<Vec<(u64, Value)>> {
        let mut sent = vec![Vec::new(); self.objects.len()];
        self.load(|past, plan| {
            let (number, object) = past.any_object();
            let value = past.next_value(plan.process);
            if plan.is_applied() {
                sent[number].push((plan.point, value));
            }
            act(object, value, plan.outcome(()))
        });
        sent
    }

    fn plans(&mut self) -> Vec<Plan> {
        let World { operations, processes, refused, silent, .. } = self.world;
        // Whoever listens begins at 0. What is done at the same moment may come before that.
        let mut free = vec![1; processes as usize];
        let plan = |number: usize| {
            let process = number % processes as usize;
            let rng = &mut self.rng;
            let intended = free[process] + rng.u64(..100);
            let invoked = intended + rng.u64(..20);
            let (mut point, mut completed) = (invoked + rng.u64(..300), 0);
            let fate = match rng.u32(..100) {
                luck if luck < refused => Fate::Refused,
                luck if luck < refused + silent => {
                    if rng.bool() {
                        Fate::DoneInSilence
                    } else {
                        Fate::Lost
                    }
                }
                _ => Fate::Done,
            };
            match fate {
                Fate::Done | Fate::Refused => completed = point + rng.u64(..300),
                Fate::DoneInSilence | Fate::Lost => {
                    completed = completed.max(invoked + 1000);
                    point = invoked + rng.u64(..3000);
                }
            }
            free[process] = completed + 1;
            Plan { process: process as u32, intended, invoked, point, completed, fate }
        };
        (0..operations).map(plan).collect()
    }

    fn any_object(&mut self) -> (usize, Object) {
        let number = self.rng.usize(..self.objects.len());
        (number, self.objects[number])
    }

    fn next_value(&mut self, process: u32) -> Value {
        let next = &mut self.sequences[process as usize];
        *next += 1;
        Value { writer: process, sequence: *next }
    }

    /// Something that took no time.
    fn happened(&mut self, process: Process, at: u64, action: Action) {
        let timing = Timing::at(Moment::from_micros(at));
        self.done.push(Operation { process, node: None, timing, action });
    }

    /// When everything that was done is over, and everything that has an effect has had it.
    fn end(&self) -> u64 {
        let ends = self.done.iter().map(|operation| operation.timing.completed().micros());
        ends.max().unwrap_or(0) + 3000
    }

    /// Waits until everything is over, and reads everything once more.
    fn settle(mut self, mut read: impl FnMut(&mut History, usize, Object) -> Action) -> History {
        let settled = self.end();
        self.history.notes.push(Note { at: Moment::from_micros(settled), event: Event::Settled });
        let process = self.history.names.client("reader").unwrap().worker(0).unwrap();
        for number in 0..self.objects.len() {
            let action = read(&mut self.history, number, self.objects[number]);
            self.happened(process, settled + 10 * (number as u64 + 1), action);
        }
        self.finish()
    }

    /// Puts the operations into the order in which they were completed, as a recorder does.
    fn finish(mut self) -> History {
        self.done.sort_by_key(|operation| operation.timing.completed());
        self.history.operations = self.done;
        self.history
    }
}
