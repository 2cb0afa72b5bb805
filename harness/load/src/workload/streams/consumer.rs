//! A consumer of a stream's group: reads what is new, acknowledges each entry, and takes over what others have left.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lab_history::{Action, Object, Operation, Process, Refusal, Timing};

use super::{
    GROUP,
    answer::{self, Entry},
};
use crate::{
    client::{Client, Fate, Unanswered, pause},
    command::{Reply, Request},
    profile::Profile,
    schedule::pass,
    tape::Tape,
    workload::Consuming,
};

/// As many entries are read, or claimed, at once at most.
const BATCH: &str = "16";
/// So many entries are what a consumer dies with, at least: others take their turns meanwhile.
const HANDS_FULL: usize = 5;

/// A consumer of one stream, on a connection of its own.
pub(in crate::workload) struct Consumer {
    /// What the group calls it.
    pub(in crate::workload) name: String,
    pub(in crate::workload) stream: String,
    pub(in crate::workload) object: Object,
    pub(in crate::workload) client: Arc<dyn Client>,
    pub(in crate::workload) process: Process,
    pub(in crate::workload) profile: Profile,
    pub(in crate::workload) consuming: Consuming,
    /// After how long an operation is of no more use.
    pub(in crate::workload) deadline: Duration,
    /// Whether it looks how the group is.
    pub(in crate::workload) looks: bool,
    pub(in crate::workload) tape: Tape,
}

/// Makes a stream's group, if it is not there. It begins with the first entry, also if it is made anew because a
/// failover has lost it: what is delivered twice can be told, what is never delivered is missed.
pub(in crate::workload) async fn found(
    client: &dyn Client,
    stream: &str,
    patience: Duration,
) -> Result<(), Unanswered> {
    let create = Request::new(stream, &["XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM"]);
    match asked(client, &create, patience).await {
        // `BUSYGROUP`: it is there.
        Ok(_) | Err(Unanswered::Failed(Refusal::Rejected)) => Ok(()),
        Err(unanswered) => Err(unanswered),
    }
}

/// One command's answer, given up after `patience`.
pub(super) async fn asked(
    client: &dyn Client,
    request: &Request,
    patience: Duration,
) -> Result<Reply, Unanswered> {
    let fate = Fate::default();
    let answered = tokio::time::timeout(patience, client.call(request, &fate)).await;
    let answers = answered.unwrap_or_else(|_| Err(fate.give_up()))?;
    // One command, one answer.
    Ok(answers.into_iter().next().unwrap_or(Reply::Nothing))
}

impl Consumer {
    /// Consumes until dropped.
    pub(in crate::workload) async fn consume(self) {
        let mut claim = Due::every(self.consuming.claim_every);
        let mut look = Due::every(self.consuming.look_every);
        let mut failed = 0;
        loop {
            if self.looks && look.is_now() {
                self.look().await;
            }
            let mut went = Ok(());
            if claim.is_now() {
                went = self.claim().await;
            }
            match went.and(self.read().await) {
                Ok(()) => failed = 0,
                Err(unanswered) => {
                    self.recover(unanswered, failed).await;
                    failed += 1;
                }
            }
        }
    }

    /// Takes some entries, and dies with them: it acknowledges nothing.
    pub(in crate::workload) async fn die_with_hands_full(self) {
        let (mut taken, mut failed) = (0, 0);
        while taken < HANDS_FULL {
            match self.take().await {
                Ok(entries) => taken += entries.len(),
                Err(_) => {
                    pass(pause(&self.profile, failed)).await;
                    failed += 1;
                }
            }
        }
    }

    async fn read(&self) -> Result<(), Unanswered> {
        let taken = self.take().await?;
        self.acknowledge(&taken).await;
        Ok(())
    }

    /// What no consumer has had yet.
    async fn take(&self) -> Result<Vec<Entry>, Unanswered> {
        let block = self.consuming.blocks_for(self.profile.response_timeout);
        let millis = block.as_millis().to_string();
        let words = [
            "XREADGROUP",
            "GROUP",
            GROUP,
            &self.name,
            "COUNT",
            BATCH,
            "BLOCK",
            &millis,
            "STREAMS",
            &self.stream,
            ">",
        ];
        let invoked = Instant::now();
        let answer = self.ask(&words, block + self.deadline).await;
        let found = answer::read(answer, answer::delivered);
        self.record_all(invoked, answer::deliveries(self.object, &found));
        found
    }

    /// What another consumer, or this one, had and did not acknowledge for a while.
    async fn claim(&self) -> Result<(), Unanswered> {
        let idle = self.consuming.claim_every.as_millis().to_string();
        let mut from = "0-0".to_owned();
        loop {
            let words = ["XAUTOCLAIM", &self.stream, GROUP, &self.name, &idle, &from, "COUNT", BATCH];
            let invoked = Instant::now();
            let answer = answer::read(self.ask(&words, self.deadline).await, answer::claimed);
            let (next, found) = match answer {
                Ok((next, found)) => (Some(next), Ok(found)),
                Err(unanswered) => (None, Err(unanswered)),
            };
            self.record_all(invoked, answer::claims(self.object, &found));
            self.acknowledge(&found?).await;
            match next.map(|next| next.to_string()) {
                Some(next) if next != "0-0" => from = next,
                _ => return Ok(()),
            }
        }
    }

    /// Each when it is done with: what is left when this consumer dies is one batch at most.
    async fn acknowledge(&self, entries: &[Entry]) {
        for Entry { id, value } in entries {
            let invoked = Instant::now();
            let answer = self.ask(&["XACK", &self.stream, GROUP, &id.to_string()], self.deadline).await;
            let outcome = answer::outcome(answer::read(answer, answer::acknowledged));
            self.record(invoked, Action::Acknowledge { object: self.object, value: *value, outcome });
        }
    }

    async fn look(&self) {
        let object = self.object;
        let invoked = Instant::now();
        let answer = self.ask(&["XPENDING", &self.stream, GROUP], self.deadline).await;
        let outcome = answer::outcome(answer::read(answer, answer::pending));
        self.record(invoked, Action::Pending { object, outcome });
        let invoked = Instant::now();
        let answer = self.ask(&["XINFO", "GROUPS", &self.stream], self.deadline).await;
        let outcome = answer::outcome(answer::read(answer, |reply| answer::last_delivered(reply, GROUP)));
        self.record(invoked, Action::LastDelivered { object, outcome });
    }

    /// Waits before it tries again; and makes the group again if it may be that there is none.
    async fn recover(&self, unanswered: Unanswered, failed: u32) {
        if unanswered == Unanswered::Failed(Refusal::Rejected) {
            // The next read says whether it is there.
            let _ = found(&*self.client, &self.stream, self.deadline).await;
        }
        pass(pause(&self.profile, failed)).await;
    }

    async fn ask(&self, words: &[&str], patience: Duration) -> Result<Reply, Unanswered> {
        asked(&*self.client, &Request::new(&self.stream, words), patience).await
    }

    fn record(&self, invoked: Instant, action: Action) {
        self.record_all(invoked, [action]);
    }

    /// What one answer said.
    fn record_all(&self, invoked: Instant, actions: impl IntoIterator<Item = Action>) {
        record(&self.tape, self.process, invoked, actions);
    }
}

/// Records what was asked for at `invoked`, meant to be asked for then, and answered now.
pub(super) fn record(
    tape: &Tape,
    process: Process,
    invoked: Instant,
    actions: impl IntoIterator<Item = Action>,
) {
    let (invoked, now) = (tape.moment(invoked), tape.now());
    let timing =
        Timing::new(invoked, invoked, now).expect("it was asked for, then over, and not after an hour");
    for action in actions {
        tape.record(&Operation { process, node: None, timing, action });
    }
}

/// Something that is to be done at an interval by somebody who has other things to do.
struct Due {
    every: Duration,
    next: Instant,
}

impl Due {
    fn every(every: Duration) -> Self {
        Self { every, next: Instant::now() + every }
    }

    fn is_now(&mut self) -> bool {
        let now = Instant::now();
        let is_now = now >= self.next;
        if is_now {
            self.next = now + self.every;
        }
        is_now
    }
}
