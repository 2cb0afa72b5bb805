//! Sets: every element that was added is there from then on. After Jepsen's `set-full`.
//!
//! Each element is added by one operation. It is *known* to be there once its add was acknowledged, or once a read
//! that found it was over, whichever was first. The last read that found it and the last read that did not, by
//! invocation, say what became of it:
//! - it is **stable** if the last read found it, and every read after some moment;
//! - it is **lost** if the last read, a final one, did not find it although it began after the element was known;
//! - it was **stale** if it is stable, and a read that began after it was known did not find it;
//! - an element is a **phantom** if it was found and nobody added it, or only somebody who was refused, or only
//!   later.

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
    operation::{List, Operation, Value},
    outcome::Outcome,
    time::{Length, Moment, Spread},
};

/// What became of the elements.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Sets {
    /// Elements that were known, and are gone in the end.
    pub lost: u64,
    /// Elements that were found, and that nobody can have added: once for each read.
    pub phantom: u64,
    /// Elements that are there in the end, and that a read missed after they were known.
    pub stale: u64,
    /// Elements that one read found more than once: once for each read.
    pub duplicated: u64,
    /// Adds that were acknowledged.
    pub acknowledged: u64,
    /// Adds that were certainly not applied.
    pub failed: u64,
    /// Adds of which nobody knows.
    pub indeterminate: u64,
    /// Those of them whose elements are there in the end.
    pub recovered: u64,
    /// Elements that are there in the end.
    pub stable: u64,
    /// Elements of which no read tells: nobody knows whether they were ever there.
    pub never_read: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Sets with acknowledged adds, and without a final read.
    pub unread: u64,
    /// From the moment an element was known to the last read that missed it.
    pub stale_age: Spread,
    /// What was lost together.
    pub rollbacks: Vec<Rollback>,
}

impl Figures for Sets {
    const JUDGE: &'static str = "sets";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            Row::anomaly("lost", self.lost, "elements that were there, and are gone in the end"),
            Row::anomaly("phantom", self.phantom, "elements found that nobody can have added"),
            Row::anomaly("stale", self.stale, "elements that a read missed, and that are there in the end"),
            Row::anomaly("duplicated", self.duplicated, "elements that one read found twice"),
            Row::count("acknowledged", self.acknowledged, "adds that were acknowledged"),
            Row::count("failed", self.failed, "adds that were certainly not applied"),
            Row::count("indeterminate", self.indeterminate, "adds of which nobody knows"),
            Row::count("recovered", self.recovered, "of these, elements that are there in the end"),
            Row::count("stable", self.stable, "elements that are there in the end"),
            Row::count("never_read", self.never_read, "elements of which no read tells"),
            Row::count("reads", self.reads, "reads that were answered"),
        ];
        let names = ["stale_age.p50", "stale_age.p99", "stale_age.max"];
        rows.extend(Row::spread(names, &self.stale_age, "from known to the last read that missed it"));
        rows.extend(Rollback::rows(&self.rollbacks));
        rows
    }
}

/// Judges the sets of a history.
pub fn sets(history: &History) -> Judgement<Sets> {
    let settled = history.settled().unwrap_or(Moment::NEVER);
    let mut judge = Judge {
        history,
        settled,
        figures: Sets::default(),
        witnesses: Witnesses::default(),
        rollbacks: Rollbacks::of(history),
        ages: Vec::new(),
    };
    let mut table = Table::default();
    for (_, touches) in Grouped::of(history, Touch::of).objects() {
        judge.set(touches, &mut table);
    }
    judge.figures.stale_age = Spread::of(&mut judge.ages);
    judge.figures.rollbacks = judge.rollbacks.found();
    let Sets { acknowledged, reads, unread, .. } = judge.figures;
    let unexercised = match () {
        () if acknowledged == 0 => Some("no add was acknowledged".to_owned()),
        () if reads == 0 => Some("no read was answered".to_owned()),
        () => unsettled(history, unread, "sets"),
    };
    Judgement::of(history, judge.figures, judge.witnesses, unexercised)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Added(Value),
    Tried(Value),
    Refused(Value),
    Found(List),
}

/// One operation on a set.
#[derive(Debug, Clone, Copy)]
struct Touch {
    what: What,
    invoked: Moment,
    completed: Moment,
    place: u32,
}

impl Default for Touch {
    fn default() -> Self {
        let (invoked, completed) = Default::default();
        Self { what: What::Found(List(0)), invoked, completed, place: 0 }
    }
}

impl Touch {
    fn of(place: u32, operation: &Operation) -> Option<Self> {
        let what = match operation.action {
            Action::Add { value, outcome: Outcome::Ok(()), .. } => What::Added(value),
            Action::Add { value, outcome: Outcome::Indeterminate(_), .. } => What::Tried(value),
            Action::Add { value, outcome: Outcome::Failed(_), .. } => What::Refused(value),
            Action::Members { outcome: Outcome::Ok(list), .. } => What::Found(list),
            _ => return None,
        };
        let (invoked, completed) = (operation.timing.invoked(), operation.timing.completed());
        Some(Self { what, invoked, completed, place })
    }
}

/// What the reads tell of an element. Reads are numbered by invocation, from 1.
struct Element {
    add: Touch,
    known: Moment,
    /// The last read that found it; 0 if none did.
    present: u32,
    /// The last read that did not; 0 if all did.
    absent: u32,
}

struct Judge<'a> {
    history: &'a History,
    settled: Moment,
    figures: Sets,
    witnesses: Witnesses,
    rollbacks: Rollbacks,
    ages: Vec<Length>,
}

impl Judge<'_> {
    fn set(&mut self, touches: &[Touch], table: &mut Table) {
        let mut elements = Vec::with_capacity(touches.len());
        let mut reads: Vec<&Touch> = Vec::new();
        table.reset(touches.len());
        for touch in touches {
            match touch.what {
                What::Found(_) => reads.push(touch),
                What::Added(value) => add(&mut elements, table, touch, value, touch.completed),
                What::Tried(value) | What::Refused(value) => {
                    add(&mut elements, table, touch, value, Moment::NEVER);
                }
            }
        }
        self.figures.reads += reads.len() as u64;
        reads.sort_by_key(|read| read.invoked);
        for (number, read) in (1..).zip(&reads) {
            self.read(number, read, &mut elements, table);
        }
        for element in &mut elements {
            // Whoever was not in the last read was missed by it.
            if element.present as usize != reads.len() {
                element.absent = reads.len() as u32;
            }
        }
        let is_final = reads.last().is_some_and(|read| read.invoked >= self.settled);
        let acknowledged = |element: &Element| matches!(element.add.what, What::Added(_));
        self.figures.unread += u64::from(!is_final && elements.iter().any(acknowledged));
        for element in &elements {
            self.judge(element, &reads, is_final);
        }
    }

    fn read(&mut self, number: u32, read: &Touch, elements: &mut [Element], table: &Table) {
        let What::Found(list) = read.what else { return };
        for value in self.history.list(list) {
            let element = table.get(*value).map(|element| &mut elements[element as usize]);
            let possible = |element: &&mut Element| {
                !matches!(element.add.what, What::Refused(_)) && element.add.invoked <= read.completed
            };
            let Some(element) = element.filter(possible) else {
                self.figures.phantom += 1;
                self.witnesses.add("phantom", read.place);
                continue;
            };
            if element.present == number {
                self.figures.duplicated += 1;
                self.witnesses.add("duplicated", read.place);
                continue;
            }
            if element.present + 1 < number {
                element.absent = number - 1;
            }
            element.present = number;
            element.known = element.known.min(read.completed);
        }
    }

    fn judge(&mut self, element: &Element, reads: &[&Touch], is_final: bool) {
        let figures = &mut self.figures;
        match element.add.what {
            What::Added(_) => figures.acknowledged += 1,
            What::Tried(_) => figures.indeterminate += 1,
            What::Refused(_) | What::Found(_) => figures.failed += 1,
        }
        let absent = element.absent.checked_sub(1).map(|read| reads[read as usize].invoked);
        let missed = absent.filter(|missed| *missed > element.known);
        let is_stable = element.present > element.absent;
        match (is_stable, missed) {
            (true, missed) => {
                figures.stable += 1;
                figures.recovered += u64::from(matches!(element.add.what, What::Tried(_)));
                if let Some(missed) = missed {
                    figures.stale += 1;
                    self.ages.push(missed.since(element.known));
                    self.witnesses.add("stale", element.add.place);
                }
            }
            (false, Some(_)) if is_final => {
                figures.lost += 1;
                self.rollbacks.add(element.known);
                self.witnesses.add("lost", element.add.place);
            }
            (false, _) => {
                figures.never_read += u64::from(!matches!(element.add.what, What::Refused(_)));
            }
        }
    }
}

/// Begins to follow an element. One that was refused may be added again.
fn add(elements: &mut Vec<Element>, table: &mut Table, touch: &Touch, value: Value, known: Moment) {
    let refused = |element: &Element| matches!(element.add.what, What::Refused(_));
    match table.get(value).map(|number| &mut elements[number as usize]) {
        Some(element) if matches!(touch.what, What::Refused(_)) || !refused(element) => {
            // A set holds an element once, however often it was added: it is there from the first on.
            element.known = element.known.min(known);
            if let What::Added(_) = touch.what {
                element.add.what = touch.what;
            }
        }
        Some(element) => *element = Element { add: *touch, known, present: 0, absent: 0 },
        None => {
            table.insert(value, elements.len() as u32);
            elements.push(Element { add: *touch, known, present: 0, absent: 0 });
        }
    }
}
