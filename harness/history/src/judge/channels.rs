//! Channels: a subscriber gets every message that is published while it listens, once, and those of one publisher
//! in order.
//!
//! A process listens to a channel from its first successful `Subscribe` until its `Unsubscribe`, whatever happens
//! to its connections meanwhile: that is what the application asked for. Whoever records a history waits, before it
//! unsubscribes, for what is under way. A process that never subscribes listens from its first message on; one
//! that never unsubscribes, until its last.
//!
//! - A message is **missed** by a subscriber if its publication was acknowledged, was invoked after the
//!   subscriber began to listen and completed before it ceased, and the subscriber never received it.
//! - It is **duplicated** if the subscriber received it before.
//! - It is **reordered** if the subscriber had received one of the same publisher before that was published
//!   after it: one whose publication was invoked when this one's had been acknowledged.
//! - It is a **phantom** if nobody published it, or only somebody who was refused, or only later.
//!
//! Messages that a subscriber missed one after the other are an **outage**, from the first one's publication until
//! the next message that did come: for so long nobody had subscribed again.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{Figures, Judgement, Row, Witnesses, grouped::Grouped, table::Table};
use crate::{
    action::Action,
    history::History,
    operation::{Operation, Value},
    outcome::Outcome,
    time::{Length, Moment, Spread},
};

/// What became of the messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Channels {
    /// Messages that were acknowledged, and that a subscriber never received: once for each subscriber.
    pub missed: u64,
    /// Messages that a subscriber received again.
    pub duplicated: u64,
    /// Messages that a subscriber received after later ones of the same publisher.
    pub reordered: u64,
    /// Messages that were received, and that nobody can have published.
    pub phantom: u64,
    /// Publications that were acknowledged.
    pub acknowledged: u64,
    /// Publications that certainly did not take place.
    pub failed: u64,
    /// Publications of which nobody knows.
    pub indeterminate: u64,
    /// Those of them that took place, because somebody received the message.
    pub recovered: u64,
    /// Messages that were received, by all subscribers.
    pub received: u64,
    /// Messages that were to be received, by all subscribers.
    pub expected: u64,
    /// Subscribers, once for each channel.
    pub subscribers: u64,
    /// How often a subscriber subscribed again.
    pub resubscribed: u64,
    /// Times without a message that should have come.
    pub outage: Spread,
    /// From the intended publication to the receipt.
    pub delay: Spread,
}

impl Figures for Channels {
    const JUDGE: &'static str = "channels";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            Row::anomaly("missed", self.missed, "acknowledged messages that a subscriber never received"),
            Row::anomaly("duplicated", self.duplicated, "messages that a subscriber received again"),
            Row::anomaly(
                "reordered",
                self.reordered,
                "messages received after later ones of their publisher",
            ),
            Row::anomaly("phantom", self.phantom, "messages that nobody can have published"),
            Row::count("acknowledged", self.acknowledged, "publications that were acknowledged"),
            Row::count("failed", self.failed, "publications that certainly did not take place"),
            Row::count("indeterminate", self.indeterminate, "publications of which nobody knows"),
            Row::count("recovered", self.recovered, "of these, messages that somebody received"),
            Row::count("received", self.received, "messages received, by all subscribers"),
            Row::count("expected", self.expected, "messages to be received, by all subscribers"),
            Row::count("resubscribed", self.resubscribed, "subscriptions made again"),
        ];
        let names = ["outage.p50", "outage.p99", "outage.max"];
        rows.extend(Row::spread(names, &self.outage, "without a message that should have come"));
        let names = ["delay.p50", "delay.p99", "delay.max"];
        rows.extend(Row::spread(names, &self.delay, "from intended to received"));
        rows
    }
}

/// Judges the channels of a history.
pub fn channels(history: &History) -> Judgement<Channels> {
    let mut judge = Judge::default();
    for (_, touches) in Grouped::of(history, Touch::of).objects() {
        judge.channel(touches);
    }
    judge.figures.outage = Spread::of(&mut judge.outages);
    judge.figures.delay = Spread::of(&mut judge.delays);
    let Channels { acknowledged, expected, subscribers, .. } = judge.figures;
    let unexercised = match () {
        () if acknowledged == 0 => Some("no publication was acknowledged".to_owned()),
        () if subscribers == 0 => Some("nobody listened".to_owned()),
        () if expected == 0 => Some("nothing was published while anybody listened".to_owned()),
        () => None,
    };
    Judgement::of(history, judge.figures, judge.witnesses, unexercised)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum What {
    Published,
    Tried,
    Refused,
    Subscribed,
    Received,
    #[default]
    Unsubscribed,
}

/// One operation on a channel.
#[derive(Debug, Clone, Copy, Default)]
struct Touch {
    what: What,
    value: Value,
    intended: Moment,
    invoked: Moment,
    completed: Moment,
    process: u32,
    place: u32,
}

impl Touch {
    fn of(place: u32, operation: &Operation) -> Option<Self> {
        let (what, value) = match operation.action {
            Action::Publish { value, outcome: Outcome::Ok(()), .. } => (What::Published, value),
            Action::Publish { value, outcome: Outcome::Indeterminate(_), .. } => (What::Tried, value),
            Action::Publish { value, outcome: Outcome::Failed(_), .. } => (What::Refused, value),
            Action::Subscribe { outcome: Outcome::Ok(()), .. } => (What::Subscribed, Value::default()),
            Action::Receive { value, .. } => (What::Received, value),
            Action::Unsubscribe { .. } => (What::Unsubscribed, Value::default()),
            _ => return None,
        };
        let (timing, process) = (operation.timing, operation.process.0);
        let (intended, invoked, completed) = (timing.intended(), timing.invoked(), timing.completed());
        Some(Self { what, value, intended, invoked, completed, process, place })
    }
}

/// One process that listens to the channel.
#[derive(Default)]
struct Subscriber {
    subscribed: u64,
    from: Option<Moment>,
    until: Option<Moment>,
    last: Moment,
    /// When it received each of the channel's messages; never, for those that it did not.
    received: Vec<Moment>,
    /// Of each publisher, when the latest message that it has received was published.
    latest: FxHashMap<u32, Moment>,
}

#[derive(Default)]
struct Judge {
    figures: Channels,
    witnesses: Witnesses,
    outages: Vec<Length>,
    delays: Vec<Length>,
}

impl Judge {
    fn channel(&mut self, touches: &[Touch]) {
        let mut messages: Vec<Touch> = Vec::with_capacity(touches.len());
        let published = |touch: &&Touch| matches!(touch.what, What::Published | What::Tried | What::Refused);
        messages.extend(touches.iter().filter(published));
        if !messages.is_sorted_by_key(|message| message.invoked) {
            messages.sort_by_key(|message| message.invoked);
        }
        let mut table = Table::default();
        table.reset(messages.len());
        for number in 0..messages.len() {
            let message = messages[number];
            self.published(&message);
            match table.get(message.value).map(|before| messages[before as usize].what) {
                None | Some(What::Refused) => table.insert(message.value, number as u32),
                // Published twice: nobody can tell the two apart, so only the first one has to come.
                Some(_) => messages[number].what = What::Tried,
            }
        }
        let mut subscribers = self.subscribers(touches, &messages, &table);
        let mut seen = vec![false; messages.len()];
        for subscriber in subscribers.values_mut() {
            for (seen, received) in seen.iter_mut().zip(&subscriber.received) {
                *seen |= *received < Moment::NEVER;
            }
            self.missed(subscriber, &messages);
        }
        let recovered =
            messages.iter().zip(seen).filter(|(message, seen)| *seen && message.what == What::Tried);
        self.figures.recovered += recovered.count() as u64;
        self.figures.subscribers += subscribers.len() as u64;
        self.figures.resubscribed +=
            subscribers.values().map(|s| s.subscribed.saturating_sub(1)).sum::<u64>();
    }

    fn published(&mut self, message: &Touch) {
        let figures = &mut self.figures;
        match message.what {
            What::Published => figures.acknowledged += 1,
            What::Tried => figures.indeterminate += 1,
            _ => figures.failed += 1,
        }
    }

    /// Who listened, and what came.
    fn subscribers(
        &mut self,
        touches: &[Touch],
        messages: &[Touch],
        table: &Table,
    ) -> FxHashMap<u32, Subscriber> {
        let mut subscribers = FxHashMap::<u32, Subscriber>::default();
        for touch in touches {
            if let What::Published | What::Tried | What::Refused = touch.what {
                continue;
            }
            let subscriber = subscribers.entry(touch.process).or_default();
            match touch.what {
                What::Subscribed => {
                    subscriber.subscribed += 1;
                    subscriber.from.get_or_insert(touch.completed);
                }
                What::Unsubscribed => subscriber.until = Some(touch.invoked),
                _ => self.received(touch, subscriber, messages, table),
            }
        }
        subscribers
    }

    fn received(&mut self, receipt: &Touch, subscriber: &mut Subscriber, messages: &[Touch], table: &Table) {
        self.figures.received += 1;
        subscriber.from.get_or_insert(receipt.completed);
        subscriber.last = receipt.completed;
        let number = table.get(receipt.value).map(|number| number as usize);
        let possible = |number: &usize| {
            let message = &messages[*number];
            message.what != What::Refused && message.invoked <= receipt.completed
        };
        let Some(number) = number.filter(possible) else {
            self.figures.phantom += 1;
            return self.witnesses.add("phantom", receipt.place);
        };
        let message = &messages[number];
        if subscriber.received.is_empty() {
            subscriber.received = vec![Moment::NEVER; messages.len()];
        }
        if subscriber.received[number] < Moment::NEVER {
            self.figures.duplicated += 1;
            return self.witnesses.add("duplicated", receipt.place);
        }
        subscriber.received[number] = receipt.completed;
        self.delays.push(receipt.completed.since(message.intended));
        let latest = subscriber.latest.entry(message.value.writer).or_default();
        if message.what == What::Published && message.completed < *latest {
            self.figures.reordered += 1;
            self.witnesses.add("reordered", receipt.place);
        }
        *latest = message.invoked.max(*latest);
    }

    /// Goes through what a subscriber should have received, in the order of publication.
    fn missed(&mut self, subscriber: &Subscriber, messages: &[Touch]) {
        let Some(from) = subscriber.from else { return };
        let until = subscriber.until.unwrap_or(subscriber.last);
        let mut silent: Option<Moment> = None;
        for (number, message) in messages.iter().enumerate() {
            let listened = from < message.invoked && message.completed < until;
            if message.what != What::Published || !listened {
                continue;
            }
            self.figures.expected += 1;
            match subscriber.received.get(number).copied().unwrap_or(Moment::NEVER) {
                Moment::NEVER => {
                    self.figures.missed += 1;
                    self.witnesses.add("missed", message.place);
                    silent.get_or_insert(message.invoked);
                }
                received => {
                    if let Some(since) = silent.take() {
                        self.outages.push(received.since(since));
                    }
                }
            }
        }
        if let Some(since) = silent {
            self.outages.push(until.since(since));
        }
    }
}
