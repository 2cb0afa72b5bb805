//! What is planted among sets is found, and nothing else.

use lab_history::{Action, History, Moment, Outcome, Value, judge::sets::sets};
use proptest::prelude::*;

use crate::{anomalies, exactly, world::World};

/// A set, its acknowledged elements with the moments of their acknowledgements, and its reads.
struct Planted {
    history: History,
    acknowledged: Vec<(Value, Moment)>,
    /// Places in the history; the last one is final.
    reads: Vec<usize>,
}

impl Planted {
    fn new(seed: u64) -> Self {
        let history = World { objects: 1, reads: 100, ..World::new(seed, 200) }.sets();
        let mut reads: Vec<usize> = (0..history.operations.len())
            .filter(|place| {
                matches!(history.operations[*place].action, Action::Members { outcome: Outcome::Ok(_), .. })
            })
            .collect();
        reads.sort_by_key(|place| history.operations[*place].timing.invoked());
        let acknowledged = history.operations.iter().filter_map(|operation| match operation.action {
            Action::Add { value, outcome: Outcome::Ok(()), .. } => {
                Some((value, operation.timing.completed()))
            }
            _ => None,
        });
        Self { acknowledged: acknowledged.collect(), reads, history }
    }

    /// Changes what the nth of the reads, counted from the last, found.
    fn change(&mut self, from_the_last: usize, change: impl FnOnce(&mut Vec<Value>)) {
        let place = self.reads[self.reads.len() - 1 - from_the_last];
        let Action::Members { object, outcome: Outcome::Ok(list) } = self.history.operations[place].action
        else {
            panic!("it is a read");
        };
        let mut values = self.history.list(list).to_vec();
        change(&mut values);
        let list = self.history.keep(values);
        self.history.operations[place].action = Action::Members { object, outcome: Outcome::Ok(list) };
    }

    fn invoked(&self, from_the_last: usize) -> Moment {
        self.history.operations[self.reads[self.reads.len() - 1 - from_the_last]].timing.invoked()
    }
}

proptest! {
    #[test]
    fn an_element_that_is_gone_is_lost(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut planted = Planted::new(seed);
        let (lost, _) = planted.acknowledged[which.index(planted.acknowledged.len())];
        planted.change(0, |values| values.retain(|value| *value != lost));
        prop_assert_eq!(anomalies(&planted.history), exactly(&[("sets.lost", 1)]));
    }

    /// Missed by the last read but one, after it was known: the final read shows it again.
    #[test]
    fn an_element_that_is_missed_for_a_time_is_stale(seed in any::<u64>()) {
        let mut planted = Planted::new(seed);
        prop_assume!(planted.reads.len() > 1);
        let invoked = planted.invoked(1);
        let known = planted.acknowledged.iter().find(|(_, acknowledged)| *acknowledged < invoked);
        let Some((missed, _)) = known.copied() else { return Ok(()) };
        planted.change(1, |values| values.retain(|value| *value != missed));
        prop_assert_eq!(anomalies(&planted.history), exactly(&[("sets.stale", 1)]));
        let age = sets(&planted.history).figures.stale_age.max_us;
        let earlier = planted.acknowledged.iter().find(|(value, _)| *value == missed).unwrap().1;
        prop_assert!(age >= invoked.since(earlier), "known by its acknowledgement, or by an earlier read");
    }

    #[test]
    fn an_element_from_nowhere_is_a_phantom(seed in any::<u64>()) {
        let mut planted = Planted::new(seed);
        planted.change(0, |values| values.push(Value { writer: 99, sequence: 1 }));
        prop_assert_eq!(anomalies(&planted.history), exactly(&[("sets.phantom", 1)]));
    }

    #[test]
    fn an_element_that_is_there_twice_is_duplicated(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut planted = Planted::new(seed);
        planted.change(0, |values| values.push(values[which.index(values.len())]));
        prop_assert_eq!(anomalies(&planted.history), exactly(&[("sets.duplicated", 1)]));
    }
}
