//! What is planted among counters is found, and nothing else.

use lab_history::{Action, Outcome, judge::counters::counters};
use proptest::prelude::*;

use crate::{anomalies, exactly, world::World};

proptest! {
    #[test]
    fn a_final_count_out_of_bounds_is_found(seed in any::<u64>(), by in 1..20_u64, upwards in any::<bool>()) {
        let mut history = World { objects: 1, ..World::new(seed, 200) }.counters();
        let clean = counters(&history).figures;
        let (least, most) = (clean.acknowledged, clean.acknowledged + clean.indeterminate);
        prop_assume!(by <= least);
        let Action::Count { outcome, .. } = &mut history.operations.last_mut().unwrap().action else {
            panic!("it is read in the end");
        };
        *outcome = Outcome::Ok(if upwards { most + by } else { least - by });
        let figures = counters(&history).figures;
        if upwards {
            prop_assert_eq!(anomalies(&history), exactly(&[("counters.above", 1)]));
            prop_assert_eq!((figures.most_extra, figures.recovered), (by, clean.indeterminate));
        } else {
            prop_assert_eq!(anomalies(&history), exactly(&[("counters.lost", by), ("counters.below", 1)]));
            prop_assert_eq!(figures.most_missing, by);
        }
    }

    /// An increment that says it made the count that another one had made long before.
    #[test]
    fn an_increment_that_was_undone_shows_in_the_next_answer(seed in any::<u64>()) {
        let world = World { processes: 1, objects: 1, reads: 0, refused: 0, silent: 0, ..World::new(seed, 50) };
        let mut history = world.counters();
        let Action::Increment { outcome, .. } = &mut history.operations[30].action else { panic!("an increment") };
        *outcome = Outcome::Ok(25);
        prop_assert_eq!(anomalies(&history), exactly(&[("counters.below", 1)]));
        prop_assert_eq!(counters(&history).figures.most_missing, 6);
    }
}
