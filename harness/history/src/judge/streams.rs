//! Streams with a consumer group: every entry stays, and is delivered to the group.
//!
//! - An entry is **lost** if it was appended, and acknowledged, and the last final read of the stream does not
//!   have it.
//! - It is a **phantom** if it was read or delivered, and nobody appended it, or only somebody who was refused, or
//!   only later.
//! - It was **skipped** if it is there in the end and was never delivered, although an entry behind it was: the
//!   group has gone past it.
//! - It was **redelivered** if `XREADGROUP … >` delivered it again, which is for entries that were never
//!   delivered: the group's place in the stream went back. The **last-delivered id** shows the same where it goes
//!   back from one look to a later one.
//! - Its acknowledgement was **forgotten** if it was delivered or claimed when the group was done with it.
//!
//! An entry that is claimed was delivered before, and its consumer died or its answer was lost. Groups promise
//! to deliver at least once, so that is no anomaly.

use serde::Serialize;

use super::{
    Figures, Judgement, Row, Witnesses,
    grouped::Grouped,
    rollback::{Rollback, Rollbacks},
    table::Table,
    unsettled,
};
use crate::{
    action::Action,
    history::History,
    operation::{EntryId, List, Operation, Value},
    outcome::Outcome,
    time::{Length, Moment, Spread},
};

/// What became of the entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Streams {
    /// Entries whose append was acknowledged, and that are gone in the end.
    pub lost: u64,
    /// Entries that nobody can have appended: once for each time they were seen.
    pub phantom: u64,
    /// Entries that were never delivered, although later ones were.
    pub skipped: u64,
    /// Deliveries, as new, of entries that had been delivered.
    pub redelivered: u64,
    /// Deliveries of entries that the group was done with.
    pub forgotten: u64,
    /// How often the last-delivered id was lower than before.
    pub went_back: u64,
    /// Appends that were acknowledged.
    pub acknowledged: u64,
    /// Appends that were certainly not applied.
    pub failed: u64,
    /// Appends of which nobody knows.
    pub indeterminate: u64,
    /// Those of them that were applied, because the entry was seen.
    pub recovered: u64,
    /// Entries that were delivered.
    pub delivered: u64,
    /// Entries that were claimed: deliveries beyond the first.
    pub claimed: u64,
    /// Entries that the group is done with.
    pub done: u64,
    /// Entries that are there in the end and were never delivered, and none behind them was.
    pub waiting: u64,
    /// The most entries that were delivered and not acknowledged, at one look.
    pub pending_most: u64,
    /// As many as there were at the last look.
    pub pending_last: u64,
    /// From the intended append to the first delivery.
    pub lag: Spread,
    /// Streams with acknowledged appends, and without a final read.
    pub unread: u64,
    /// Entries that were lost together, by their acknowledgements.
    pub rollbacks: Vec<Rollback>,
    /// What the group did again, together, by when it had done it before: delivered for the first time, or been done.
    pub repeated: Vec<Rollback>,
    /// How far the last-delivered id went back, at most, by the servers' clocks that are in the ids. A group that is made
    /// anew begins with none: what it delivers again is repeated.
    pub went_back_by: Length,
}

impl Figures for Streams {
    const JUDGE: &'static str = "streams";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            Row::anomaly("lost", self.lost, "entries that were acknowledged, and are gone in the end"),
            Row::anomaly("phantom", self.phantom, "entries that nobody can have appended"),
            Row::anomaly("skipped", self.skipped, "entries never delivered, although later ones were"),
            Row::anomaly("redelivered", self.redelivered, "deliveries, as new, of what had been delivered"),
            Row::anomaly("forgotten", self.forgotten, "deliveries of what the group was done with"),
            Row::anomaly("went_back", self.went_back, "looks at which the last-delivered id was lower"),
            Row::count("acknowledged", self.acknowledged, "appends that were acknowledged"),
            Row::count("failed", self.failed, "appends that were certainly not applied"),
            Row::count("indeterminate", self.indeterminate, "appends of which nobody knows"),
            Row::count("recovered", self.recovered, "of these, entries that were seen"),
            Row::count("delivered", self.delivered, "entries that were delivered"),
            Row::count("claimed", self.claimed, "deliveries to another consumer, or again"),
            Row::count("done", self.done, "entries that the group is done with"),
            Row::count("waiting", self.waiting, "entries that are still to be delivered"),
            Row::count("pending_most", self.pending_most, "delivered and not acknowledged, at most"),
            Row::count("pending_last", self.pending_last, "delivered and not acknowledged, at last"),
        ];
        let names = ["lag.p50", "lag.p99", "lag.max"];
        rows.extend(Row::spread(names, &self.lag, "from intended to first delivered"));
        rows.extend(Rollback::rows(&self.rollbacks));
        rows
    }
}

/// Judges the streams of a history.
pub fn streams(history: &History) -> Judgement<Streams> {
    let settled = history.settled().unwrap_or(Moment::NEVER);
    let (figures, witnesses) = (Streams::default(), Witnesses::default());
    let (lost, repeated) = (Rollbacks::of(history), Rollbacks::of(history));
    let mut judge = Judge { history, settled, figures, witnesses, lost, repeated, lags: Vec::new() };
    let mut table = Table::default();
    for (_, touches) in Grouped::of(history, Touch::of).objects() {
        judge.stream(touches, &mut table);
    }
    judge.figures.lag = Spread::of(&mut judge.lags);
    judge.figures.rollbacks = judge.lost.found();
    judge.figures.repeated = judge.repeated.found();
    let Streams { acknowledged, delivered, unread, .. } = judge.figures;
    let unexercised = match () {
        () if acknowledged == 0 => Some("no append was acknowledged".to_owned()),
        () if delivered == 0 => Some("nothing was delivered".to_owned()),
        () => unsettled(history, unread, "streams"),
    };
    Judgement::of(history, judge.figures, judge.witnesses, unexercised)
}

#[derive(Debug, Clone, Copy)]
enum What {
    Appended(Value),
    Tried(Value),
    Refused(Value),
    Delivered(Value),
    Claimed(Value),
    Done(Value),
    Pending(u64),
    At(EntryId),
    Found(List),
}

/// One operation on a stream.
#[derive(Debug, Clone, Copy)]
struct Touch {
    what: What,
    intended: Moment,
    invoked: Moment,
    completed: Moment,
    place: u32,
}

impl Default for Touch {
    fn default() -> Self {
        let (intended, invoked, completed) = Default::default();
        Self { what: What::Pending(0), intended, invoked, completed, place: 0 }
    }
}

impl Touch {
    fn of(place: u32, operation: &Operation) -> Option<Self> {
        let what = match operation.action {
            Action::Append { value, outcome: Outcome::Ok(()), .. } => What::Appended(value),
            Action::Append { value, outcome: Outcome::Indeterminate(_), .. } => What::Tried(value),
            Action::Append { value, outcome: Outcome::Failed(_), .. } => What::Refused(value),
            Action::Deliver { outcome: Outcome::Ok(value), .. } => What::Delivered(value),
            Action::Claim { outcome: Outcome::Ok(value), .. } => What::Claimed(value),
            Action::Acknowledge { value, outcome: Outcome::Ok(()), .. } => What::Done(value),
            Action::Pending { outcome: Outcome::Ok(count), .. } => What::Pending(count),
            Action::LastDelivered { outcome: Outcome::Ok(id), .. } => What::At(id),
            Action::Entries { outcome: Outcome::Ok(list), .. } => What::Found(list),
            _ => return None,
        };
        let timing = operation.timing;
        let (intended, invoked, completed) = (timing.intended(), timing.invoked(), timing.completed());
        Some(Self { what, intended, invoked, completed, place })
    }
}

/// An entry, and what happened to it.
struct Entry {
    append: Touch,
    deliveries: u64,
    first_delivered: Moment,
    /// The group was done with it by now.
    done: Moment,
    /// The last final read has it.
    is_there: bool,
}

struct Judge<'a> {
    history: &'a History,
    settled: Moment,
    figures: Streams,
    witnesses: Witnesses,
    lost: Rollbacks,
    repeated: Rollbacks,
    lags: Vec<Length>,
}

impl Judge<'_> {
    fn stream(&mut self, touches: &[Touch], table: &mut Table) {
        let mut entries = appended(touches, table);
        for touch in touches {
            if let What::Done(value) = touch.what
                && let Some(entry) = table.get(value).map(|number| &mut entries[number as usize])
            {
                entry.done = entry.done.min(touch.completed);
            }
        }
        for touch in touches {
            match touch.what {
                What::Delivered(value) => self.delivered(touch, value, true, &mut entries, table),
                What::Claimed(value) => self.delivered(touch, value, false, &mut entries, table),
                _ => {}
            }
        }
        self.looks(touches);
        let finals = touches.iter().filter(|touch| touch.invoked >= self.settled);
        let finals = finals.filter(|touch| matches!(touch.what, What::Found(_)));
        let last = finals.max_by_key(|touch| touch.invoked);
        if let Some(last) = last {
            self.found(last, &mut entries, table);
        }
        let acknowledged = |entry: &Entry| matches!(entry.append.what, What::Appended(_));
        self.figures.unread += u64::from(last.is_none() && entries.iter().any(acknowledged));
        for entry in &entries {
            self.count(entry, last);
        }
    }

    fn delivered(&mut self, touch: &Touch, value: Value, as_new: bool, entries: &mut [Entry], table: &Table) {
        let Some(entry) = possible(entries, table, value, touch) else {
            self.figures.phantom += 1;
            return self.witnesses.add("phantom", touch.place);
        };
        if !as_new {
            self.figures.claimed += 1;
        } else if entry.deliveries > 0 {
            self.figures.redelivered += 1;
            self.repeated.add(entry.first_delivered);
            self.witnesses.add("redelivered", touch.place);
        }
        if entry.done < touch.invoked {
            self.figures.forgotten += 1;
            self.repeated.add(entry.done);
            self.witnesses.add("forgotten", touch.place);
        }
        entry.deliveries += u64::from(as_new);
        entry.first_delivered = entry.first_delivered.min(touch.completed);
    }

    /// Looks at the group itself: how much is pending, and where it is.
    fn looks(&mut self, touches: &[Touch]) {
        let mut last_look = Moment::BEGINNING;
        let mut pending = 0;
        let mut places: Vec<(&Touch, EntryId)> = Vec::new();
        for touch in touches {
            match touch.what {
                What::Pending(count) => {
                    self.figures.pending_most = self.figures.pending_most.max(count);
                    if touch.invoked >= last_look {
                        (last_look, pending) = (touch.invoked, count);
                    }
                }
                What::At(id) => places.push((touch, id)),
                _ => {}
            }
        }
        self.figures.pending_last += pending;
        // The highest id of those looks that were over when another one began.
        let mut over = places.clone();
        over.sort_by_key(|(look, _)| look.completed);
        places.sort_by_key(|(look, _)| look.invoked);
        let (mut over, mut highest) = (over.into_iter().peekable(), EntryId::default());
        for (look, id) in places {
            while let Some((_, earlier)) = over.next_if(|(earlier, _)| earlier.completed < look.invoked) {
                highest = highest.max(earlier);
            }
            if id < highest {
                self.figures.went_back += 1;
                if id > EntryId::default() {
                    let back = Length::from_millis(highest.millis().saturating_sub(id.millis()));
                    self.figures.went_back_by = self.figures.went_back_by.max(back);
                }
                self.witnesses.add("went_back", look.place);
            }
        }
    }

    /// Goes through the entries of the last final read, in the stream's order.
    fn found(&mut self, read: &Touch, entries: &mut [Entry], table: &Table) {
        let What::Found(list) = read.what else { return };
        let mut behind = false;
        for value in self.history.list(list).iter().rev() {
            let Some(entry) = possible(entries, table, *value, read) else {
                self.figures.phantom += 1;
                self.witnesses.add("phantom", read.place);
                continue;
            };
            entry.is_there = true;
            match (entry.first_delivered < Moment::NEVER, behind) {
                (true, _) => behind |= entry.deliveries > 0,
                (false, true) => {
                    self.figures.skipped += 1;
                    self.witnesses.add("skipped", entry.append.place);
                }
                (false, false) => self.figures.waiting += 1,
            }
        }
    }

    fn count(&mut self, entry: &Entry, last: Option<&Touch>) {
        let figures = &mut self.figures;
        let was_delivered = entry.first_delivered < Moment::NEVER;
        if was_delivered {
            figures.delivered += 1;
            self.lags.push(entry.first_delivered.since(entry.append.intended));
        }
        figures.done += u64::from(entry.done < Moment::NEVER);
        match entry.append.what {
            What::Appended(_) => {
                figures.acknowledged += 1;
                let before = last.is_some_and(|last| entry.append.completed < last.invoked);
                if before && !entry.is_there {
                    figures.lost += 1;
                    self.lost.add(entry.append.completed);
                    self.witnesses.add("lost", entry.append.place);
                }
            }
            What::Tried(_) => {
                figures.indeterminate += 1;
                figures.recovered += u64::from(entry.is_there || was_delivered);
            }
            _ => figures.failed += 1,
        }
    }
}

/// The entries of a stream, numbered by the table.
fn appended(touches: &[Touch], table: &mut Table) -> Vec<Entry> {
    table.reset(touches.len());
    let mut entries: Vec<Entry> = Vec::with_capacity(touches.len());
    for touch in touches {
        let (What::Appended(value) | What::Tried(value) | What::Refused(value)) = touch.what else {
            continue;
        };
        let (first_delivered, done) = (Moment::NEVER, Moment::NEVER);
        let entry = Entry { append: *touch, deliveries: 0, first_delivered, done, is_there: false };
        match table.get(value).map(|number| &mut entries[number as usize]) {
            // What was refused may be done again.
            Some(refused) if matches!(refused.append.what, What::Refused(_)) => *refused = entry,
            Some(_) => {}
            None => {
                table.insert(value, entries.len() as u32);
                entries.push(entry);
            }
        }
    }
    entries
}

/// The entry of this value, if it can be there by the end of `touch`.
fn possible<'a>(
    entries: &'a mut [Entry],
    table: &Table,
    value: Value,
    touch: &Touch,
) -> Option<&'a mut Entry> {
    let entry = &mut entries[table.get(value)? as usize];
    let refused = matches!(entry.append.what, What::Refused(_));
    (!refused && entry.append.invoked <= touch.completed).then_some(entry)
}
