//! Availability: how much of what was asked for was served, and for how long nothing was.
//!
//! An operation is *served* if it was done, and *served in time* if its result came within the run's deadline, counted
//! from the moment at which it was meant to begin: that is what its caller sees, whatever the client tried
//! meanwhile. Each attempt of the client counts for the share of attempts that were served.
//!
//! A client is *down* while it wants something, and nothing it wants is done: from the last operation that was done, or
//! from the intended beginning of the next one if that is later, to the next that is done, or to the end of the last one
//! that is not. Its downtime is the longest such time; time in which it wanted nothing is no part of it.
//!
//! Operations that were meant to begin after everything had settled verify what is there, and are left out.

use serde::Serialize;

use super::{Figures, Judgement, Quantity, Row, Witnesses};
use crate::{
    history::History,
    names::{Client, Names},
    note::{Did, Event},
    operation::Operation,
    outcome::Outcome,
    time::{Length, Moment, Spread},
};

/// How much was served.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Availability {
    /// Operations that were asked for.
    pub asked: u64,
    /// Those that were done.
    pub served: u64,
    /// Those that were done within the deadline; all that were done, if there is no deadline.
    pub in_time: u64,
    /// Those that were certainly not done.
    pub failed: u64,
    /// Those of which nobody knows.
    pub indeterminate: u64,
    /// Commands that clients sent again.
    pub retried: u64,
    /// Commands that clients sent to another node, because the first one said so.
    pub redirected: u64,
    /// How often clients asked who the nodes are.
    pub refreshed: u64,
    /// How often clients made a connection after they had lost one.
    pub reconnected: u64,
    /// Of those that were done, from the intended beginning to the end.
    pub latency: Spread,
    /// How long each client wanted something and had nothing done, at most.
    pub downtimes: Vec<Downtime>,
    /// By intended beginning, in windows of 100 ms.
    pub windows: Vec<Window>,
}

/// The longest time in which a client wanted something, and nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Downtime {
    /// Which client.
    pub client: String,
    /// From here …
    pub from_us: Moment,
    /// … to there.
    pub to_us: Moment,
}

impl Downtime {
    /// How long.
    pub fn length(&self) -> Length {
        self.to_us.since(self.from_us)
    }
}

/// What became of the operations that were meant to begin in 100 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Window {
    /// Operations that were asked for.
    pub asked: u64,
    /// Those that were done.
    pub served: u64,
    /// Those that were done within the deadline.
    pub in_time: u64,
}

impl Window {
    /// How long a window is.
    pub const LENGTH: Length = Length::from_millis(100);
    /// More windows than an hour has are not kept: a single moment far away would fill the memory.
    const MOST: usize = 36_000;
}

impl Availability {
    /// Of the operations, the share that was done within the deadline.
    pub fn seen_by_callers(&self) -> f64 {
        share(self.in_time, self.asked)
    }

    /// Of the attempts, the share that was done: every operation, and every time that a client tried again.
    pub fn of_attempts(&self) -> f64 {
        share(self.served, self.asked + self.retried)
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

impl Figures for Availability {
    const JUDGE: &'static str = "availability";

    fn rows(&self) -> Vec<Row> {
        let share =
            |name, share, meaning| Row { name, quantity: Quantity::Share(share), is_anomaly: false, meaning };
        let mut rows = vec![
            share("seen_by_callers", self.seen_by_callers(), "of the operations, done within the deadline"),
            share("of_attempts", self.of_attempts(), "of the attempts, done"),
            Row::count("asked", self.asked, "operations that were asked for"),
            Row::count("served", self.served, "operations that were done"),
            Row::count("in_time", self.in_time, "operations that were done within the deadline"),
            Row::count("failed", self.failed, "operations that were certainly not done"),
            Row::count("indeterminate", self.indeterminate, "operations of which nobody knows"),
            Row::count("retried", self.retried, "commands sent again"),
            Row::count("redirected", self.redirected, "commands sent to another node"),
            Row::count("refreshed", self.refreshed, "questions who the nodes are"),
            Row::count("reconnected", self.reconnected, "connections made after one was lost"),
        ];
        if let Some(longest) = self.downtimes.iter().map(Downtime::length).max() {
            rows.push(Row::time("downtime.max", longest, "longest time in which a client waited in vain"));
        }
        let names = ["latency.p50", "latency.p99", "latency.max"];
        rows.extend(Row::spread(names, &self.latency, "from intended to done"));
        rows
    }
}

/// Says how much of what was asked for was served.
pub fn availability(history: &History) -> Judgement<Availability> {
    let settled = history.settled().unwrap_or(Moment::NEVER);
    let deadline = history.header.deadline.unwrap_or(Length::from_micros(u64::MAX));
    let mut figures = Availability::default();
    let mut clients = vec![Wanted::default(); Names::CLIENTS];
    let mut latencies = Vec::with_capacity(history.operations.len());
    let load = |operation: &&Operation| {
        operation.action.kind().is_asked_for() && operation.timing.intended() < settled
    };
    for operation in history.operations.iter().filter(load) {
        let latency = operation.timing.latency();
        let is_done = operation.action.outcome() == Outcome::Ok(());
        let in_time = is_done && latency <= deadline;
        figures.count(operation, is_done, in_time);
        if is_done {
            latencies.push(latency);
        }
        let (completed, intended) = (operation.timing.completed(), operation.timing.intended());
        clients[usize::from(operation.process.client().0)].operations.push((completed, intended, is_done));
    }
    figures.latency = Spread::of(&mut latencies);
    for (number, wanted) in (0..=u8::MAX).zip(clients) {
        figures.downtimes.extend(wanted.downtime(history, Client(number)));
    }
    figures.take_notes(history);
    let unexercised = match () {
        () if figures.asked == 0 => Some("nothing was asked for".to_owned()),
        () if figures.served == 0 => Some("nothing was served".to_owned()),
        () => None,
    };
    Judgement::of(history, figures, Witnesses::default(), unexercised)
}

impl Availability {
    fn count(&mut self, operation: &Operation, is_done: bool, in_time: bool) {
        self.asked += 1;
        self.served += u64::from(is_done);
        self.in_time += u64::from(in_time);
        match operation.action.outcome() {
            Outcome::Ok(()) => {}
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Indeterminate(_) => self.indeterminate += 1,
        }
        let window = operation.timing.intended().micros() / Window::LENGTH.micros();
        let Some(window) = usize::try_from(window).ok().filter(|window| *window < Window::MOST) else {
            return;
        };
        if self.windows.len() <= window {
            self.windows.resize(window + 1, Window::default());
        }
        let window = &mut self.windows[window];
        window.asked += 1;
        window.served += u64::from(is_done);
        window.in_time += u64::from(in_time);
    }

    fn take_notes(&mut self, history: &History) {
        let mut lost = std::collections::BTreeMap::<&str, u64>::new();
        for note in &history.notes {
            let Event::Client { client, did } = &note.event else { continue };
            match did {
                Did::Retried => self.retried += 1,
                Did::Redirected => self.redirected += 1,
                Did::Refreshed => self.refreshed += 1,
                Did::Disconnected => *lost.entry(client).or_default() += 1,
                Did::Connected => {
                    if let Some(lost) = lost.get_mut(client.as_str()).filter(|lost| **lost > 0) {
                        *lost -= 1;
                        self.reconnected += 1;
                    }
                }
            }
        }
    }
}

/// What a client wanted, and when it was over.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// Completed, intended, and whether it was done.
    operations: Vec<(Moment, Moment, bool)>,
}

impl Wanted {
    fn downtime(mut self, history: &History, client: Client) -> Option<Downtime> {
        if !self.operations.is_sorted() {
            self.operations.sort_unstable();
        }
        let mut next = self.operations.last()?.0;
        let mut wanted = Moment::NEVER;
        let mut longest = (Length::ZERO, next, next);
        // Backwards: what is over later may have been wanted already.
        for (completed, intended, is_done) in self.operations.into_iter().rev() {
            if is_done {
                let from = wanted.max(completed);
                longest = longest.max((next.since(from), from, next));
                next = completed;
            }
            wanted = wanted.min(intended);
        }
        let (_, from_us, to_us) = longest.max((next.since(wanted), wanted, next));
        Some(Downtime { client: history.names.of_client(client).to_owned(), from_us, to_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Header;

    /// Intended, completed, done: in milliseconds.
    fn longest(operations: &[(u64, u64, bool)]) -> (u64, u64) {
        let mut history = History::new(Header::new("x", 0));
        let client = history.names.client("redis").unwrap();
        let millis = |millis: u64| Moment::from_micros(millis * 1000);
        let wanted = |(intended, completed, is_done): &(u64, u64, bool)| {
            (millis(*completed), millis(*intended), *is_done)
        };
        let downtime = Wanted { operations: operations.iter().map(wanted).collect() }
            .downtime(&history, client)
            .unwrap();
        (downtime.from_us.micros() / 1000, downtime.to_us.micros() / 1000)
    }

    #[test]
    fn a_client_is_down_while_it_wants_something_and_nothing_is_done() {
        let served = [(0, 1, true), (10, 11, true), (20, 21, true)];
        assert_eq!(longest(&served), (20, 21), "what it waits for an answer; the latest of three as long");
        let outage = [(0, 1, true), (10, 15, false), (20, 25, false), (30, 31, true)];
        assert_eq!(longest(&outage), (10, 31), "it wanted something again at 10");
        let stall = [(0, 1, true), (1, 91, true), (2, 92, true)];
        assert_eq!(longest(&stall), (1, 91), "what waits is done all the same");
        let death = [(0, 1, true), (10, 60, false), (20, 80, false)];
        assert_eq!(longest(&death), (10, 80), "to the end of the last that it gave up");
        let never = [(5, 60, false), (20, 80, false)];
        assert_eq!(longest(&never), (5, 80));
    }
}
