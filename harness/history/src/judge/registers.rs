//! Registers: acknowledged writes stay, and reads show the newest of them.
//!
//! Several writers may write one register, at the same time. What is judged rests on one instant for each write,
//! by which it was *in effect*: its acknowledgement, or the end of the first read that returned its value if that
//! was earlier. A write without an answer that nobody ever read is never known to be in effect, and counts for
//! nothing.
//!
//! A value is *overwritten* once a write is in effect that was invoked after the value's own write was. Then
//! - a read is **stale** if its value was overwritten before the read was invoked. Its age is the time between the
//!   two, at least: concurrent writes might make it more;
//! - a process does not **read its writes** if it reads a value that was in effect before its own last
//!   acknowledged write was invoked;
//! - its reads are **not monotonic** if it reads a value that was in effect before the write was invoked whose
//!   value it has read before;
//! - a value is a **phantom** if nobody wrote it, or only a write that failed, or one that was invoked after the
//!   read was over;
//! - an acknowledged write is **lost** if the last final read of its register returns a value that was in effect
//!   before the write was invoked, or nothing.
//!
//! Lost writes whose acknowledgements are nearest to the same fault of a node with data, from its beginning to its being
//! healed, were **rolled back** together.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{
    Figures, Judgement, Row, Witnesses,
    register::{Register, Source, Touch, What, registers as by_register},
    rollback::{Rollback, Rollbacks},
    unsettled,
};
use crate::{
    history::History,
    time::{Length, Moment, Spread},
};

/// What became of the writes, and what the reads showed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Registers {
    /// Acknowledged writes that a final read shows to be gone.
    pub lost: u64,
    /// Reads of what nobody can have written.
    pub phantom: u64,
    /// Reads of what was overwritten before they began.
    pub stale: u64,
    /// Reads of what was older than the process' own last acknowledged write.
    pub read_your_writes: u64,
    /// Reads of what was older than what the process had read before.
    pub monotonic_reads: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were certainly not applied.
    pub failed: u64,
    /// Writes of which nobody knows.
    pub indeterminate: u64,
    /// Those of them that turned out to have been applied, because somebody read them.
    pub recovered: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Values that several writes wrote: nobody knows which of them a read shows.
    pub duplicates: u64,
    /// Acknowledged writes that may be gone, or may have been overwritten by an older write without an answer.
    pub unaccounted: u64,
    /// Registers with acknowledged writes, and without a final read.
    pub unread: u64,
    /// How long before a stale read its value had been overwritten, at least.
    pub stale_age: Spread,
    /// What was lost together.
    pub rollbacks: Vec<Rollback>,
}

impl Figures for Registers {
    const JUDGE: &'static str = "registers";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            Row::anomaly("lost", self.lost, "acknowledged writes that are gone in the end"),
            Row::anomaly("phantom", self.phantom, "reads of what nobody can have written"),
            Row::anomaly("stale", self.stale, "reads of what was overwritten before they began"),
            Row::anomaly("read_your_writes", self.read_your_writes, "reads behind the process' own write"),
            Row::anomaly(
                "monotonic_reads",
                self.monotonic_reads,
                "reads behind an earlier read of the process",
            ),
            Row::count("acknowledged", self.acknowledged, "writes that were acknowledged"),
            Row::count("failed", self.failed, "writes that were certainly not applied"),
            Row::count("indeterminate", self.indeterminate, "writes of which nobody knows"),
            Row::count("recovered", self.recovered, "of these, writes that turned out to have been applied"),
            Row::count("reads", self.reads, "reads that were answered"),
        ];
        let names = ["stale_age.p50", "stale_age.p99", "stale_age.max"];
        rows.extend(Row::spread(names, &self.stale_age, "before a stale read its value was overwritten"));
        rows.extend(Rollback::rows(&self.rollbacks));
        rows
    }
}

/// Judges the registers of a history.
pub fn registers(history: &History) -> Judgement<Registers> {
    let mut judge = Judge {
        settled: history.settled().unwrap_or(Moment::NEVER),
        rollbacks: Rollbacks::of(history),
        ..Judge::default()
    };
    for (_, touches) in by_register(history).objects() {
        judge.register(touches);
    }
    judge.figures.stale_age = Spread::of(&mut judge.ages);
    judge.figures.rollbacks = judge.rollbacks.found();
    let unexercised = unexercised(&judge.figures, history);
    Judgement::of(history, judge.figures, judge.witnesses, unexercised)
}

fn unexercised(figures: &Registers, history: &History) -> Option<String> {
    let Registers { acknowledged, reads, duplicates, unaccounted, unread, .. } = *figures;
    match () {
        () if acknowledged == 0 => Some("no write was acknowledged".to_owned()),
        () if reads == 0 => Some("no read was answered".to_owned()),
        () if duplicates > 0 => Some(format!("{duplicates} values were written more than once")),
        () if unaccounted > 0 => {
            Some(format!("a write without an answer may have overwritten {unaccounted} acknowledged ones"))
        }
        () => unsettled(history, unread, "registers"),
    }
}

/// Judges one register after the other.
#[derive(Default)]
struct Judge {
    /// Reads that begin from here on are final.
    settled: Moment,
    figures: Registers,
    witnesses: Witnesses,
    rollbacks: Rollbacks,
    ages: Vec<Length>,
    register: Register,
    /// The writes that were in effect, by invocation, with the earliest effect of each and all after it.
    order: Vec<(Moment, Moment)>,
    /// By process: its own last acknowledged write, and the newest value that it read.
    sessions: FxHashMap<u32, Session>,
}

#[derive(Clone, Copy, Default)]
struct Session {
    /// Invoked, and acknowledged.
    wrote: Option<(Moment, Moment)>,
    /// When the write of what it read was invoked.
    read: Option<Moment>,
}

impl Judge {
    fn register(&mut self, touches: &[Touch]) {
        self.register.look_at(touches);
        self.count(touches);
        self.put_in_order(touches);
        self.sessions.clear();
        let mut last: Option<(&Touch, Source)> = None;
        for (at, touch) in touches.iter().enumerate() {
            match touch.what {
                What::Wrote => {
                    let session = self.sessions.entry(touch.process).or_default();
                    session.wrote = session.wrote.max(Some((touch.invoked, touch.completed())));
                }
                What::Found | What::FoundNothing => {
                    let source = self.register.source(touches, at);
                    self.read(touches, touch, source);
                    let is_last = last.is_none_or(|(last, _)| last.invoked <= touch.invoked);
                    if touch.invoked >= self.settled && is_last {
                        last = Some((touch, source));
                    }
                }
                What::Tried | What::Refused => {}
            }
        }
        self.finally(touches, last);
    }

    fn count(&mut self, touches: &[Touch]) {
        let figures = &mut self.figures;
        figures.reads += (touches.len() - self.register.writes.len()) as u64;
        for write in &self.register.writes {
            figures.duplicates += u64::from(write.ambiguous);
            match touches[write.at as usize].what {
                What::Wrote => figures.acknowledged += 1,
                What::Tried => {
                    figures.indeterminate += 1;
                    figures.recovered += u64::from(write.seen);
                }
                _ => figures.failed += 1,
            }
        }
    }

    fn put_in_order(&mut self, touches: &[Touch]) {
        self.order.clear();
        let in_effect = self.register.writes.iter().filter(|write| write.effective < Moment::NEVER);
        self.order.extend(in_effect.map(|write| (touches[write.at as usize].invoked, write.effective)));
        if !self.order.is_sorted_by_key(|(invoked, _)| *invoked) {
            self.order.sort_unstable_by_key(|(invoked, _)| *invoked);
        }
        let mut earliest = Moment::NEVER;
        for (_, effective) in self.order.iter_mut().rev() {
            earliest = earliest.min(*effective);
            *effective = earliest;
        }
    }

    /// By when a value was overwritten that was in effect at `effective`: by the first write in effect among those
    /// that were invoked later. For no value at all, by the first of all.
    fn overwritten(&self, effective: Option<Moment>) -> Moment {
        let later = match effective {
            Some(effective) => self.order.partition_point(|(invoked, _)| *invoked <= effective),
            None => 0,
        };
        self.order.get(later).map_or(Moment::NEVER, |(_, earliest)| *earliest)
    }

    fn read(&mut self, touches: &[Touch], read: &Touch, source: Source) {
        let (invoked, effective) = match source {
            Source::Write(number) => {
                let write = &self.register.writes[number as usize];
                (Some(touches[write.at as usize].invoked), Some(write.effective))
            }
            Source::Nothing => (None, None),
            Source::Ambiguous => return,
            Source::Nowhere => {
                self.figures.phantom += 1;
                return self.witnesses.add("phantom", read.place);
            }
        };
        let overwritten = self.overwritten(effective);
        if overwritten < read.invoked {
            self.figures.stale += 1;
            self.ages.push(read.invoked.since(overwritten));
            self.witnesses.add("stale", read.place);
        }
        let session = self.sessions.entry(read.process).or_default();
        // What is older than a write was in effect before that was invoked; nothing at all is older than any.
        let older = |than: Moment| effective.is_none_or(|effective| effective < than);
        if session.wrote.is_some_and(|(wrote, acknowledged)| acknowledged < read.invoked && older(wrote)) {
            self.figures.read_your_writes += 1;
            self.witnesses.add("read_your_writes", read.place);
        }
        if session.read.is_some_and(older) {
            self.figures.monotonic_reads += 1;
            self.witnesses.add("monotonic_reads", read.place);
        }
        session.read = session.read.max(invoked);
    }

    /// Holds the last final read against what was acknowledged before it.
    fn finally(&mut self, touches: &[Touch], last: Option<(&Touch, Source)>) {
        let mut acknowledged = touches.iter().filter(|touch| touch.what == What::Wrote);
        let Some((read, source)) = last else {
            self.figures.unread += u64::from(acknowledged.next().is_some());
            return;
        };
        let found = match source {
            Source::Write(number) => Some(self.register.writes[number as usize]),
            Source::Nothing => None,
            Source::Nowhere | Source::Ambiguous => return,
        };
        for write in acknowledged.filter(|write| write.completed() < read.invoked) {
            if found.is_none_or(|found| found.effective < write.invoked) {
                self.figures.lost += 1;
                self.rollbacks.add(write.completed());
                self.witnesses.add("lost", write.place);
            } else if found.is_some_and(|found| may_come_late(&touches[found.at as usize], write)) {
                self.figures.unaccounted += 1;
            }
        }
    }
}

/// Whether a write without an answer, given up before `write` was invoked, may have been applied after it.
fn may_come_late(found: &Touch, write: &Touch) -> bool {
    found.what == What::Tried && found.completed() < write.invoked
}
