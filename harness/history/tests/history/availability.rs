//! An outage that is planted is as long as it was.

use lab_history::{
    Action, Doubt, History, Length, Moment, Outcome,
    judge::availability::{Window, availability},
};
use proptest::prelude::*;

use crate::world::World;

/// A calm world of one client, in which whatever was under way between two moments got no answer.
fn outage(seed: u64, from: u64, length: u64) -> (History, u64) {
    let world = World { refused: 0, silent: 0, reads: 0, objects: 1, ..World::new(seed, 400) };
    let mut history = world.counters();
    let mut hit = 0;
    for operation in &mut history.operations {
        let Action::Increment { outcome, .. } = &mut operation.action else { continue };
        let (intended, completed) =
            (operation.timing.intended().micros(), operation.timing.completed().micros());
        if completed >= from && intended <= from + length {
            *outcome = Outcome::Indeterminate(Doubt::Deadline);
            hit += 1;
        }
    }
    (history, hit)
}

proptest! {
    #[test]
    fn an_outage_is_as_long_as_it_was(seed in any::<u64>(), from in 1000..20_000_u64, length in 5000..10_000_u64) {
        let (history, hit) = outage(seed, from, length);
        let figures = availability(&history).figures;
        prop_assert_eq!((figures.asked, figures.indeterminate, figures.served), (400, hit, 400 - hit));
        let [downtime] = &figures.downtimes[..] else { panic!("there is one client: {:?}", figures.downtimes) };
        // Four workers do one operation after the other: one takes 700 µs at most, and comes 100 µs after the last.
        let slack = 1000;
        let downtime = downtime.length().micros();
        prop_assert!(length - slack <= downtime && downtime <= length + 2 * slack, "{downtime} of {length}");
    }

    /// Every operation is in the window in which it was meant to begin, and in time if it was done by its deadline.
    #[test]
    fn windows_and_deadlines_are_by_the_intended_moment(seed in any::<u64>(), deadline in 0..800_u64) {
        let (mut history, _) = outage(seed, 5000, 5000);
        history.header.deadline = Some(Length::from_micros(deadline));
        let settled = history.settled().unwrap();
        let figures = availability(&history).figures;
        let in_time = |from: Moment, to: Moment| {
            let of_window = history.operations.iter().filter(|operation| {
                (from..to).contains(&operation.timing.intended()) && operation.timing.intended() < settled
            });
            of_window
                .filter(|operation| operation.action.outcome() == Outcome::Ok(()))
                .filter(|operation| operation.timing.latency().micros() <= deadline)
                .count() as u64
        };
        for (number, window) in (0..).zip(&figures.windows) {
            let from = Moment::from_micros(number * Window::LENGTH.micros());
            prop_assert_eq!(window.in_time, in_time(from, from + Window::LENGTH));
        }
        prop_assert_eq!(figures.in_time, in_time(Moment::BEGINNING, Moment::NEVER));
    }
}
