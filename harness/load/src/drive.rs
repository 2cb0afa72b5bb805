//! The driver: hands operations to a client when they are due, and records what became of them.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lab_history::{Client as ClientId, Length, Operation, Process, Timing, time::Spread};
use tokio::{sync::mpsc, task::JoinSet, time::timeout_at};

use crate::{
    client::{Client, Fate},
    schedule::Schedule,
    tape::Tape,
    workload::{Intent, Keyed},
};

/// The first operation is due so long after the schedule began: the thread that paces it has to come up.
const LEAD: Duration = Duration::from_millis(5);

/// What the instrument did, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Driven {
    /// From an operation's intended beginning to its being handed to the client.
    pub send_error: Spread,
}

/// Drives a client from the schedule's first operation to its last, or until there is `enough`, and returns when each
/// has been done, or given up after `deadline`. What the client still tries then is nobody's any more, and is dropped.
/// It is recorded under `name`, at each of the workload's homes apart.
pub async fn drive(
    schedule: Schedule,
    deadline: Duration,
    workload: Keyed,
    client: Arc<dyn Client>,
    (name, tape): (&str, &Tape),
    enough: impl Future<Output = ()>,
) -> Driven {
    let from = Instant::now() + LEAD;
    let names = workload.homes().names(name);
    let workers = names.iter().map(|name| Workers::of(tape.client(name))).collect();
    let hand = Arc::new(Hand { from, schedule, deadline, workload, client, tape: tape.clone(), workers });
    let mut due = schedule.pace(from);
    let (told, mut late) = mpsc::unbounded_channel();
    let mut under_way = JoinSet::new();
    tokio::pin!(enough);
    loop {
        let number = tokio::select! {
            biased;
            () = &mut enough => break,
            number = due.recv() => number,
        };
        let Some(number) = number else { break };
        under_way.spawn(Arc::clone(&hand).one(number, told.clone()));
        while under_way.try_join_next().is_some() {}
    }
    drop((told, due));
    let mut all = Vec::new();
    while let Some(late) = late.recv().await {
        all.push(late);
    }
    Driven { send_error: Spread::of(&mut all) }
}

/// Has operations done one after the other, as soon as each can be; each is given up after `patience`.
pub async fn one_by_one(
    intents: impl IntoIterator<Item = Intent>,
    patience: Duration,
    client: &dyn Client,
    who: ClientId,
    tape: &Tape,
) {
    let process = who.worker(0).expect("it is the first");
    for intent in intents {
        let now = Instant::now();
        attempt(&intent, now, now + patience, client, process, tape, || ()).await;
    }
}

struct Hand {
    from: Instant,
    schedule: Schedule,
    deadline: Duration,
    workload: Keyed,
    client: Arc<dyn Client>,
    tape: Tape,
    /// Of each home.
    workers: Vec<Workers>,
}

impl Hand {
    async fn one(self: Arc<Self>, number: u64, told: mpsc::UnboundedSender<Length>) {
        let intended = self.from + self.schedule.intended(number);
        let intent = self.workload.operation(number);
        let workers = &self.workers[self.workload.homes().of(&intent.request.key)];
        let process = workers.take();
        let late = crate::tape::length(intended.elapsed());
        let given_up = intended + self.deadline;
        let recorded = || {
            workers.give_back(process);
            // Nobody listens once the run is over.
            let _ = told.send(late);
            drop(told);
        };
        attempt(&intent, intended, given_up, &*self.client, process, &self.tape, recorded).await;
    }
}

/// Records what became of an operation by `given_up`, and goes on until its client has come to an end with it.
async fn attempt(
    intent: &Intent,
    intended: Instant,
    given_up: Instant,
    client: &dyn Client,
    process: Process,
    tape: &Tape,
    recorded: impl FnOnce(),
) {
    let invoked = Instant::now();
    let fate = Fate::default();
    let call = client.call(&intent.request, &fate);
    tokio::pin!(call);
    let answered = timeout_at(given_up.into(), &mut call).await;
    let is_over = answered.is_ok();
    let answers = answered.unwrap_or_else(|_| Err(fate.give_up()));
    let timing = Timing::new(tape.moment(intended), tape.moment(invoked), tape.now());
    let action = intent.became(answers, tape);
    let timing = timing.expect("it was meant, then begun, then over, and not after an hour");
    tape.record(&Operation { process, node: None, timing, action });
    recorded();
    if !is_over {
        // As a client does that nobody told.
        let _ = call.await;
    }
}

/// A client's workers. The lowest one that is free is taken, so that one at a time is all of them, and what is
/// done at the same time is done by several.
struct Workers {
    who: ClientId,
    free: Mutex<(BinaryHeap<Reverse<u32>>, u32)>,
}

impl Workers {
    fn of(who: ClientId) -> Self {
        Self { who, free: Mutex::default() }
    }

    fn take(&self) -> Process {
        let mut free = self.free.lock().expect("no panic while held");
        let worker = match free.0.pop() {
            Some(Reverse(worker)) => worker,
            None => {
                free.1 += 1;
                free.1 - 1
            }
        };
        self.who.worker(worker).expect("memory ends before the workers do")
    }

    fn give_back(&self, process: Process) {
        self.free.lock().expect("no panic while held").0.push(Reverse(process.worker()));
    }
}
