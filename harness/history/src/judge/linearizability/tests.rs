//! Two ways of deciding, and a third that tries every order.

use proptest::prelude::*;

use super::{Decision, Does, Step, search, zones};
use crate::time::Moment;

/// A short history of one register: what each operation does, when it was invoked and how long it took.
fn steps(writes: impl Strategy<Value = Does>, most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((writes, 0..24_u64, 0..10_u64, 0..8_u8), 1..=most).prop_map(|plan| {
        let step = |(place, (does, invoked, took, without_answer)): (u32, (Does, u64, u64, u8))| {
            let answered = without_answer > 0 || matches!(does, Does::Read(_));
            let completed = if answered { Moment::from_micros(invoked + took) } else { Moment::NEVER };
            Step { does, invoked: Moment::from_micros(invoked), completed, place }
        };
        (0..).zip(plan).map(step).collect()
    })
}

/// A few values, so that they come twice.
fn any_values() -> impl Strategy<Value = Does> {
    prop_oneof![(1..4_u32).prop_map(Does::Write), (0..4_u32).prop_map(Does::Read)]
}

/// Each value is written once, by the operation of its number.
fn unique_values(most: u32) -> impl Strategy<Value = Vec<Step>> {
    let reads = prop_oneof![Just(Does::Write(0)), (0..=most).prop_map(Does::Read)];
    steps(reads, most as usize).prop_map(|mut steps| {
        for (value, step) in (1..).zip(&mut steps) {
            if let Does::Write(_) = step.does {
                step.does = Does::Write(value);
            }
        }
        // As the judge does: a write without an answer that nobody read is left out.
        let read: Vec<Does> = steps.iter().map(|step| step.does).collect();
        steps.retain(|step| match step.does {
            Does::Write(value) => step.completed < Moment::NEVER || read.contains(&Does::Read(value)),
            Does::Read(_) => true,
        });
        steps
    })
}

/// The definition: tries every order that time allows.
fn by_trying(steps: &[Step], value: u32, taken: &mut Vec<bool>) -> bool {
    let left = |number: &usize| !taken[*number];
    if (0..steps.len()).filter(left).all(|number| steps[number].completed == Moment::NEVER) {
        return true;
    }
    let first = (0..steps.len()).filter(left).map(|number| steps[number].completed).min();
    let next: Vec<usize> =
        (0..steps.len()).filter(left).filter(|number| Some(steps[*number].invoked) <= first).collect();
    next.into_iter().any(|number| {
        let after = match steps[number].does {
            Does::Write(written) => written,
            Does::Read(read) if read == value => value,
            Does::Read(_) => return false,
        };
        taken[number] = true;
        let found = by_trying(steps, after, taken);
        taken[number] = false;
        found
    })
}

fn is_linearizable(decision: Decision) -> bool {
    assert_ne!(decision, Decision::GivenUp);
    decision == Decision::Linearizable
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_search_finds_what_trying_finds(steps in steps(any_values(), 7)) {
        let decision = search::decide(&steps, usize::MAX, None);
        prop_assert_eq!(is_linearizable(decision), by_trying(&steps, 0, &mut vec![false; steps.len()]));
    }

    #[test]
    fn the_zones_say_what_trying_finds(steps in unique_values(7)) {
        let decision = zones::decide(&steps, 9);
        prop_assert_eq!(is_linearizable(decision), by_trying(&steps, 0, &mut vec![false; steps.len()]));
    }

    #[test]
    fn the_zones_and_the_search_agree(steps in unique_values(40)) {
        let by_zones = zones::decide(&steps, 42);
        prop_assert_eq!(is_linearizable(by_zones), is_linearizable(search::decide(&steps, usize::MAX, None)));
    }
}

#[test]
fn what_is_not_decided_at_the_cap_is_given_up() {
    let step = |place: u32| Step {
        does: if place < 40 { Does::Write(place % 3 + 1) } else { Does::Read(0) },
        invoked: Moment::from_micros(u64::from(place / 40) * 100),
        completed: Moment::from_micros(99 + u64::from(place / 40) * 100),
        place,
    };
    let steps: Vec<Step> = (0..41).map(step).collect();
    assert_eq!(search::decide(&steps, 1000, None), Decision::GivenUp);
    assert_eq!(search::decide(&steps, usize::MAX, Some(std::time::Instant::now())), Decision::GivenUp);
}
