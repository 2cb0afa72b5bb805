//! What is planted among registers is found, and nothing else.

use std::collections::BTreeMap;

use lab_history::{
    Action, Event, History, Moment, Note, Operation, Outcome, Timing, Value,
    judge::{
        Verdict,
        linearizability::{Cap, linearizability},
        registers::registers,
    },
    note::Role,
};
use proptest::prelude::*;

use crate::{anomalies, exactly, world::World, worlds};

/// The definitions, as they stand in the judge's documentation, without any thought for speed.
mod definitions {
    use super::*;

    #[derive(Debug, Default, PartialEq, Eq)]
    pub(super) struct Counts {
        pub(super) lost: u64,
        pub(super) phantom: u64,
        pub(super) stale: u64,
        pub(super) read_your_writes: u64,
        pub(super) monotonic_reads: u64,
        pub(super) recovered: u64,
    }

    struct Write<'a> {
        operation: &'a Operation,
        value: Value,
        acknowledged: bool,
    }

    struct Register<'a> {
        writes: Vec<Write<'a>>,
        reads: Vec<(&'a Operation, Option<Value>)>,
    }

    impl Register<'_> {
        fn write(&self, value: Value, by: Moment) -> Option<&Write<'_>> {
            self.writes.iter().find(|write| write.value == value && write.operation.timing.invoked() <= by)
        }

        fn effective(&self, write: &Write) -> Option<Moment> {
            let read = self.reads.iter().filter(|(read, found)| {
                *found == Some(write.value) && read.timing.completed() >= write.operation.timing.invoked()
            });
            let acknowledged = write.acknowledged.then(|| write.operation.timing.completed());
            read.map(|(read, _)| read.timing.completed()).chain(acknowledged).min()
        }

        /// Whether the value was in effect before a write was invoked; no value was in effect before any.
        fn is_older(&self, found: Option<Value>, than: &Operation) -> bool {
            found.is_none_or(|value| {
                let write = self.writes.iter().find(|write| write.value == value).unwrap();
                self.effective(write).unwrap() < than.timing.invoked()
            })
        }

        fn is_stale(&self, read: &Operation, found: Option<Value>) -> bool {
            self.writes.iter().any(|other| {
                self.effective(other).is_some_and(|effective| effective < read.timing.invoked())
                    && self.is_older(found, other.operation)
            })
        }

        fn misses_its_own_write(&self, read: &Operation, found: Option<Value>) -> bool {
            self.writes.iter().any(|own| {
                own.acknowledged
                    && own.operation.process == read.process
                    && own.operation.timing.completed() < read.timing.invoked()
                    && self.is_older(found, own.operation)
            })
        }

        fn goes_back(&self, read: &Operation, found: Option<Value>) -> bool {
            self.reads.iter().any(|(before, value)| {
                let value = value.and_then(|value| self.write(value, before.timing.completed()));
                before.process == read.process
                    && before.timing.completed() < read.timing.invoked()
                    && value.is_some_and(|write| self.is_older(found, write.operation))
            })
        }

        fn count(&self, settled: Moment, counts: &mut Counts) {
            for (read, found) in &self.reads {
                if found.is_some_and(|value| self.write(value, read.timing.completed()).is_none()) {
                    counts.phantom += 1;
                    continue;
                }
                counts.stale += u64::from(self.is_stale(read, *found));
                counts.read_your_writes += u64::from(self.misses_its_own_write(read, *found));
                counts.monotonic_reads += u64::from(self.goes_back(read, *found));
            }
            for write in &self.writes {
                counts.recovered += u64::from(!write.acknowledged && self.effective(write).is_some());
            }
            let finals = self.reads.iter().filter(|(read, _)| read.timing.invoked() >= settled);
            let Some((last, found)) = finals.max_by_key(|(read, _)| read.timing.invoked()) else { return };
            if found.is_some_and(|value| self.write(value, last.timing.completed()).is_none()) {
                return;
            }
            for write in &self.writes {
                let before = write.acknowledged && write.operation.timing.completed() < last.timing.invoked();
                counts.lost += u64::from(before && self.is_older(*found, write.operation));
            }
        }
    }

    pub(super) fn counts(history: &History) -> Counts {
        let mut registers: BTreeMap<_, Register> = BTreeMap::new();
        for operation in &history.operations {
            let object = operation.action.object();
            let register =
                registers.entry(object).or_insert_with(|| Register { writes: Vec::new(), reads: Vec::new() });
            match operation.action {
                Action::Write { outcome: Outcome::Failed(_), .. } => {}
                Action::Write { value, outcome, .. } => {
                    let acknowledged = outcome == Outcome::Ok(());
                    register.writes.push(Write { operation, value, acknowledged });
                }
                Action::Read { outcome: Outcome::Ok(found), .. } => register.reads.push((operation, found)),
                _ => {}
            }
        }
        let mut counts = Counts::default();
        registers.values().for_each(|register| register.count(history.settled().unwrap(), &mut counts));
        counts
    }
}

/// Makes some reads return something else.
fn troubled(mut history: History, troubles: &[(prop::sample::Index, Option<(u32, u32)>)]) -> History {
    for (which, value) in troubles {
        let mut reads: Vec<&mut Option<Value>> = history
            .operations
            .iter_mut()
            .filter_map(|operation| match &mut operation.action {
                Action::Read { outcome: Outcome::Ok(found), .. } => Some(found),
                _ => None,
            })
            .collect();
        let which = which.index(reads.len());
        *reads[which] = value.map(Value::from);
    }
    history
}

proptest! {
    /// Whatever the reads return, the judge counts what the definitions count.
    #[test]
    fn the_judge_counts_by_the_definitions(
        world in worlds(150),
        troubles in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of((0..4_u32, 1..30_u32))), 0..8),
    ) {
        let history = troubled(world.registers(), &troubles);
        let figures = registers(&history).figures;
        let found = definitions::Counts {
            lost: figures.lost,
            phantom: figures.phantom,
            stale: figures.stale,
            read_your_writes: figures.read_your_writes,
            monotonic_reads: figures.monotonic_reads,
            recovered: figures.recovered,
        };
        prop_assert_eq!(found, definitions::counts(&history));
    }

    /// A server that comes back with what it had some writes ago: exactly those are lost, and rolled back together.
    #[test]
    fn a_rollback_is_as_deep_as_it_was_planted(seed in any::<u64>(), before in 1..60_usize, lost in 1..60_usize) {
        let world = World { processes: 1, objects: 1, refused: 0, silent: 0, reads: 0, ..World::new(seed, before + lost) };
        let mut history = world.registers();
        let (written, read) = history.operations.split_at_mut(before + lost);
        let Action::Read { outcome, .. } = &mut read[0].action else { panic!("it is read in the end") };
        let Action::Write { value, .. } = written[before - 1].action else { panic!("only writes before that") };
        *outcome = Outcome::Ok(Some(value));
        let (first, last) = (written[before].timing.completed(), written[before + lost - 1].timing.completed());
        let age = read[0].timing.invoked().since(first);
        let expected = exactly(&[("registers.lost", lost as u64), ("registers.stale", 1)]);
        prop_assert_eq!(anomalies(&history), expected);
        let figures = registers(&history).figures;
        prop_assert_eq!(figures.stale_age.max_us, age);
        let [rollback] = &figures.rollbacks[..] else { panic!("one rollback: {figures:?}") };
        prop_assert_eq!((rollback.operations, rollback.depth()), (lost as u64, last.since(first)));
    }

    /// Two servers that fail one after the other: what each of them took is told apart.
    #[test]
    fn what_is_lost_belongs_to_the_nearest_fault(seed in any::<u64>(), faults in 1..4_u32) {
        let world = World { processes: 1, objects: faults, refused: 0, silent: 0, reads: 0, ..World::new(seed, 30) };
        let mut history = world.registers();
        let mut acknowledged = Vec::new();
        for fault in 0..faults {
            let object = history.names.object(&format!("object:{fault}"));
            let writes = history.operations.iter().filter(|operation| operation.action.object() == object);
            let Some(last) = writes.rev().find(|operation| matches!(operation.action, Action::Write { .. })) else { return Ok(()) };
            acknowledged.push(last.timing.completed());
        }
        for (fault, at) in (0..).zip(&acknowledged) {
            let event = Event::Injected { fault, kind: "crash".to_owned(), nodes: vec![], in_effect: *at };
            history.notes.push(Note { at: *at, event });
        }
        for operation in &mut history.operations {
            if let Action::Read { outcome, .. } = &mut operation.action {
                *outcome = Outcome::Ok(None);
            }
        }
        let rollbacks = registers(&history).figures.rollbacks;
        prop_assert_eq!(rollbacks.iter().map(|rollback| rollback.operations).sum::<u64>(), 30);
        for (fault, at) in (0..).zip(&acknowledged) {
            let rollback = rollbacks.iter().find(|rollback| rollback.fault == Some(fault)).unwrap();
            prop_assert!(rollback.from_us <= *at && *at <= rollback.to_us);
        }
    }

    /// Where a read is stale, no order explains it; where nothing is wrong, one does.
    #[test]
    fn what_is_stale_is_not_linearizable(
        world in worlds(150),
        troubles in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of((0..4_u32, 1..30_u32))), 0..3),
    ) {
        let history = troubled(world.registers(), &troubles);
        let (registers, orders) = (registers(&history).figures, linearizability(&history, Cap::default()).figures);
        prop_assert_eq!((orders.by_search, orders.undecided), (0, 0), "every value is written once");
        // Registers that one process writes are not looked at.
        if world.objects == 1 && orders.contended == 1 {
            prop_assert!(registers.stale + registers.phantom == 0 || orders.not_linearizable == 1);
        }
    }
}

/// Of a write that was lost twenty seconds into a run with these faults, the fault that it belongs to. The others are
/// of nodes with data, but for the sentinel.
fn blamed(faults: &[(&str, u64, u64)]) -> Option<u32> {
    let world = World { processes: 1, objects: 1, refused: 0, silent: 0, reads: 0, ..World::new(1, 1) };
    let mut history = world.registers();
    let Action::Read { outcome, .. } = &mut history.operations[1].action else {
        panic!("it is read in the end")
    };
    *outcome = Outcome::Ok(None);
    let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
    history.operations[0].timing = Timing::at(at(20));
    history.operations[1].timing = Timing::at(at(90));
    history.notes = vec![Note { at: at(80), event: Event::Settled }];
    for (fault, (node, from, until)) in (0..).zip(faults) {
        let nodes = vec![(*node).to_owned()];
        let injected = Event::Injected { fault, kind: "partition".to_owned(), nodes, in_effect: at(*from) };
        history.notes.push(Note { at: at(*from), event: injected });
        history.notes.push(Note { at: at(*until), event: Event::Healed { fault } });
        if *node != "sentinel" {
            let role = Event::Role { node: (*node).to_owned(), role: Role::Primary };
            history.notes.push(Note { at: at(0), event: role });
        }
    }
    let rollbacks = registers(&history).figures.rollbacks;
    assert_eq!(rollbacks.len(), 1);
    rollbacks[0].fault
}

#[test]
fn what_is_lost_belongs_to_the_fault_that_lasts_and_not_to_a_sentinels() {
    assert_eq!(
        blamed(&[("a", 11, 21), ("b", 22, 23)]),
        Some(0),
        "the second begins sooner than the first began"
    );
    assert_eq!(blamed(&[("a", 10, 17), ("b", 22, 23)]), Some(1), "it is over by then");
    assert_eq!(blamed(&[("sentinel", 19, 21), ("a", 10, 15)]), Some(1), "a sentinel has nothing to lose");
    assert_eq!(blamed(&[("sentinel", 19, 21)]), Some(0), "where nobody's role is known, anybody may");
    assert_eq!(blamed(&[]), None);
}

#[test]
fn a_value_that_was_written_twice_leaves_the_verdict_open() {
    let world = World { processes: 1, objects: 1, refused: 0, silent: 0, reads: 0, ..World::new(1, 2) };
    let mut history = world.registers();
    for operation in &mut history.operations[..2] {
        let Action::Write { value, .. } = &mut operation.action else { panic!("two writes") };
        *value = Value { writer: 0, sequence: 1 };
    }
    let Action::Read { outcome, .. } = &mut history.operations[2].action else { panic!("and a read") };
    *outcome = Outcome::Ok(Some(Value { writer: 0, sequence: 1 }));
    let judgement = registers(&history);
    assert_eq!((judgement.figures.duplicates, judgement.figures.lost), (2, 0));
    assert!(matches!(judgement.verdict(), Verdict::Unknown(_)));
}
