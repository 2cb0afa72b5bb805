//! What is planted among streams is found, and nothing else.

use lab_history::{
    Action, History, Operation, Outcome, Timing, Value, judge::streams::streams, operation::EntryId,
};
use proptest::prelude::*;

use crate::{anomalies, exactly, world::World};

fn history(seed: u64) -> History {
    World { objects: 1, ..World::new(seed, 300) }.streams()
}

fn acknowledged(history: &History) -> Vec<Value> {
    let appended = history.operations.iter().filter_map(|operation| match operation.action {
        Action::Append { value, outcome: Outcome::Ok(()), .. } => Some(value),
        _ => None,
    });
    appended.collect()
}

/// The place of the first operation of which `pick` makes something.
fn place(history: &History, pick: impl Fn(&Action) -> bool) -> Option<usize> {
    history.operations.iter().position(|operation| pick(&operation.action))
}

/// Changes what the final read found.
fn change(history: &mut History, change: impl FnOnce(&mut Vec<Value>)) {
    let place = place(history, |action| matches!(action, Action::Entries { .. })).unwrap();
    let Action::Entries { object, outcome: Outcome::Ok(list) } = history.operations[place].action else {
        panic!("it is a read");
    };
    let mut values = history.list(list).to_vec();
    change(&mut values);
    let list = history.keep(values);
    history.operations[place].action = Action::Entries { object, outcome: Outcome::Ok(list) };
}

proptest! {
    #[test]
    fn an_entry_that_is_gone_is_lost(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut history = history(seed);
        let acknowledged = acknowledged(&history);
        let lost = acknowledged[which.index(acknowledged.len())];
        change(&mut history, |values| values.retain(|value| *value != lost));
        prop_assert_eq!(anomalies(&history), exactly(&[("streams.lost", 1)]));
    }

    #[test]
    fn an_entry_from_nowhere_is_a_phantom(seed in any::<u64>()) {
        let mut history = history(seed);
        change(&mut history, |values| values.push(Value { writer: 99, sequence: 1 }));
        prop_assert_eq!(anomalies(&history), exactly(&[("streams.phantom", 1)]));
    }

    /// The group never hears of an entry; of those behind it, it does.
    #[test]
    fn an_entry_that_is_passed_over_is_skipped(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut history = history(seed);
        let place = place(&history, |action| matches!(action, Action::Entries { .. })).unwrap();
        let Action::Entries { outcome: Outcome::Ok(list), .. } = history.operations[place].action else { panic!() };
        let values = history.list(list).to_vec();
        prop_assume!(values.len() > 1);
        let skipped = values[which.index(values.len() - 1)];
        history.operations.retain(|operation| match operation.action {
            Action::Deliver { outcome: Outcome::Ok(value), .. } | Action::Claim { outcome: Outcome::Ok(value), .. } => value != skipped,
            Action::Acknowledge { value, .. } => value != skipped,
            _ => true,
        });
        prop_assert_eq!(anomalies(&history), exactly(&[("streams.skipped", 1)]));
        // Had it been the last one, it would only be waiting.
        prop_assert_eq!(streams(&history).figures.waiting, 0);
    }

    /// A group whose acknowledgements and place are those of some time ago.
    #[test]
    fn an_entry_that_is_delivered_again_is_found(seed in any::<u64>(), which in any::<prop::sample::Index>(), as_new in any::<bool>()) {
        let mut history = history(seed);
        let delivered: Vec<(usize, Value)> = history.operations.iter().enumerate().filter_map(|(place, operation)| {
            match operation.action {
                Action::Deliver { outcome: Outcome::Ok(value), .. } => Some((place, value)),
                _ => None,
            }
        }).collect();
        let (place, value) = delivered[which.index(delivered.len())];
        let (object, outcome) = (history.operations[place].action.object(), Outcome::Ok(value));
        let action = if as_new { Action::Deliver { object, outcome } } else { Action::Claim { object, outcome } };
        let timing = Timing::at(history.end());
        let again = Operation { timing, action, ..history.operations[place] };
        history.operations.push(again);
        let forgotten = ("streams.forgotten", 1);
        let expected = if as_new { exactly(&[("streams.redelivered", 1), forgotten]) } else { exactly(&[forgotten]) };
        prop_assert_eq!(anomalies(&history), expected);
    }

    #[test]
    fn a_group_that_goes_back_is_found(seed in any::<u64>()) {
        let mut history = history(seed);
        let object = history.operations[0].action.object();
        let id = |sequence| Outcome::Ok(EntryId::new(1_800_000_000_000, sequence).unwrap());
        for sequence in [9, 9, 5, 12] {
            let timing = Timing::at(lab_history::Moment::from_micros(history.end().micros() + 1));
            let action = Action::LastDelivered { object, outcome: id(sequence) };
            history.operations.push(Operation { timing, action, ..history.operations[0] });
        }
        prop_assert_eq!(anomalies(&history), exactly(&[("streams.went_back", 1)]));
    }
}
