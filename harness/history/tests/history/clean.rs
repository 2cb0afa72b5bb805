//! No judge finds anything in the history of a world in which everything works, however much was refused or went
//! unanswered.

use lab_history::{
    Ending, History,
    judge::{Judge, Verdict, linearizability::Cap},
};
use proptest::prelude::*;

use crate::{anomalies, worlds};

fn verdict(judge: Judge, history: &History) -> Verdict {
    judge.judge(history, Cap::default(), &|_| false).verdict
}

proptest! {
    #[test]
    fn registers(world in worlds(400)) {
        prop_assert_eq!(anomalies(&world.registers()), []);
    }

    #[test]
    fn sets(world in worlds(400)) {
        prop_assert_eq!(anomalies(&world.sets()), []);
    }

    #[test]
    fn counters(world in worlds(400)) {
        prop_assert_eq!(anomalies(&world.counters()), []);
    }

    #[test]
    fn channels(world in worlds(400)) {
        prop_assert_eq!(anomalies(&world.channels()), []);
    }

    #[test]
    fn streams(world in worlds(400)) {
        prop_assert_eq!(anomalies(&world.streams()), []);
    }

    /// What was exercised passes; a history that was cut off never does.
    #[test]
    fn a_clean_history_passes_and_a_cut_one_is_unknown(seed in any::<u64>()) {
        let world = crate::world::World { silent: 0, ..crate::world::World::new(seed, 300) };
        let histories = [
            (vec![Judge::Registers, Judge::Linearizability], world.registers()),
            (vec![Judge::Sets], world.sets()),
            (vec![Judge::Counters], world.counters()),
            (vec![Judge::Channels], world.channels()),
            (vec![Judge::Streams], world.streams()),
        ];
        for (judges, mut history) in histories {
            for judge in judges.iter().chain(&[Judge::Availability]) {
                prop_assert_eq!(verdict(*judge, &history), Verdict::Pass, "{}", judge.name());
            }
            history.ending = Ending::Cut { at: 0, spare: 0 };
            for judge in Judge::ALL {
                prop_assert!(matches!(verdict(*judge, &history), Verdict::Unknown(_)), "{}", judge.name());
            }
        }
    }
}

#[test]
fn where_nothing_was_done_everything_is_unknown() {
    let history = History::new(lab_history::Header::new("nothing", 0));
    for judge in Judge::ALL {
        assert!(matches!(verdict(*judge, &history), Verdict::Unknown(_)), "{}", judge.name());
    }
}
