//! What is planted among channels is found, and nothing else.

use std::collections::BTreeMap;

use lab_history::{Action, History, Moment, Operation, Outcome, Timing, Value, judge::channels::channels};
use proptest::prelude::*;

use crate::{anomalies, exactly, world::World};

fn history(seed: u64) -> History {
    World { objects: 1, ..World::new(seed, 300) }.channels()
}

/// The publications that were acknowledged.
fn acknowledged(history: &History) -> BTreeMap<Value, Operation> {
    let published = history.operations.iter().filter_map(|operation| match operation.action {
        Action::Publish { value, outcome: Outcome::Ok(()), .. } => Some((value, *operation)),
        _ => None,
    });
    published.collect()
}

/// Where one subscriber received acknowledged messages.
fn receipts(history: &History) -> Vec<usize> {
    let acknowledged = acknowledged(history);
    let received = |operation: &Operation| match operation.action {
        Action::Receive { value, .. } => operation.process.worker() == 0 && acknowledged.contains_key(&value),
        _ => false,
    };
    (0..history.operations.len()).filter(|place| received(&history.operations[*place])).collect()
}

fn value(operation: &Operation) -> Value {
    match operation.action {
        Action::Receive { value, .. } => value,
        _ => panic!("it is a receipt"),
    }
}

proptest! {
    /// A connection that was gone for a time: what was published meanwhile is missed, and the outage ends with the
    /// first message after it.
    #[test]
    fn messages_that_never_came_are_missed(seed in any::<u64>(), from in any::<prop::sample::Index>(), missed in 1..5_usize) {
        let mut history = history(seed);
        let receipts = receipts(&history);
        prop_assume!(receipts.len() > missed);
        let from = from.index(receipts.len() - missed);
        let gone: Vec<usize> = receipts[from..from + missed].to_vec();
        let mut place = 0;
        history.operations.retain(|_| { place += 1; !gone.contains(&(place - 1)) });
        prop_assert_eq!(anomalies(&history), exactly(&[("channels.missed", missed as u64)]));
        prop_assert!(channels(&history).figures.outage.count >= 1);
    }

    #[test]
    fn a_message_that_comes_again_is_duplicated(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut history = history(seed);
        let receipts = receipts(&history);
        let again = history.operations[receipts[which.index(receipts.len())]];
        let end = history.operations.iter().rposition(|operation| matches!(operation.action, Action::Receive { .. })).unwrap();
        let timing = history.operations[end].timing;
        history.operations.insert(end + 1, Operation { timing, ..again });
        prop_assert_eq!(anomalies(&history), exactly(&[("channels.duplicated", 1)]));
    }

    /// Two messages of one publisher, the second published when the first had been acknowledged, change places.
    #[test]
    fn messages_that_change_places_are_reordered(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut history = history(seed);
        let receipts = receipts(&history);
        let mut pairs = Vec::new();
        for (number, first) in receipts.iter().enumerate() {
            let writer = |place: &usize| value(&history.operations[*place]).writer;
            // The next one of the same publisher: its publications do not overlap.
            if let Some(second) = receipts[number + 1..].iter().find(|place| writer(place) == writer(first)) {
                pairs.push((*first, *second));
            }
        }
        prop_assume!(!pairs.is_empty());
        let (first, second) = pairs[which.index(pairs.len())];
        let (one, other) = (history.operations[first].action, history.operations[second].action);
        // The later message comes when the earlier one did, or when it was published, if that was later.
        let published = acknowledged(&history)[&value(&history.operations[second])].timing.invoked();
        let received = history.operations[first].timing.completed();
        let Some(moment) = published.max(received).micros().checked_add(1).map(Moment::from_micros) else { return Ok(()) };
        prop_assume!(moment <= history.operations[second].timing.completed());
        history.operations[first].action = other;
        history.operations[first].timing = Timing::at(moment);
        history.operations[second].action = one;
        prop_assert_eq!(anomalies(&history), exactly(&[("channels.reordered", 1)]));
    }

    #[test]
    fn a_message_that_nobody_published_is_a_phantom(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut history = history(seed);
        let receipts = receipts(&history);
        let place = receipts[which.index(receipts.len())];
        let object = history.operations[place].action.object();
        history.operations[place].action = Action::Receive { object, value: Value { writer: 99, sequence: 1 } };
        let expected = exactly(&[("channels.missed", 1), ("channels.phantom", 1)]);
        prop_assert_eq!(anomalies(&history), expected);
    }
}
