//! When operations are meant to begin: at a fixed rate, whatever became of those before.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

/// A fixed rate for a fixed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Operations a second.
    pub rate: u32,
    /// From the first operation's intended beginning on.
    pub duration: Duration,
}

impl Schedule {
    /// How many operations there are.
    pub fn count(self) -> u64 {
        let micros = u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX);
        (u128::from(micros) * u128::from(self.rate) / 1_000_000) as u64
    }

    /// When an operation is meant to begin, from the beginning of the schedule.
    pub fn intended(self, number: u64) -> Duration {
        Duration::from_nanos((u128::from(number) * 1_000_000_000 / u128::from(self.rate.max(1))) as u64)
    }

    /// Tells the number of each operation when it is due; ends with the schedule, or when nobody listens.
    pub fn pace(self, from: Instant) -> mpsc::UnboundedReceiver<u64> {
        let (due, numbers) = mpsc::unbounded_channel();
        let mut told = 0;
        self.beat(from, move |count| {
            let listens = (told..count).all(|number| due.send(number).is_ok());
            told = count;
            listens
        });
        numbers
    }

    /// Says how many operations are due by now, whenever there are more of them; ends with the schedule, or when
    /// `due` says that nobody listens.
    ///
    /// On a thread of its own: a runtime's timers have a resolution of one millisecond, and wait for their turn
    /// where tasks are many. The system's have some fifty microseconds.
    pub(crate) fn beat(self, from: Instant, mut due: impl FnMut(u64) -> bool + Send + 'static) {
        thread::spawn(move || {
            let mut told = 0;
            while told < self.count() {
                sleep_until(from + self.intended(told));
                // At a high rate several have become due meanwhile.
                told = self.due(from.elapsed());
                if !due(told) {
                    return;
                }
            }
        });
    }

    /// How many operations are meant to have begun by then: those at that very moment are.
    fn due(self, passed: Duration) -> u64 {
        let beyond = (passed.as_nanos() + 1) * u128::from(self.rate);
        u64::try_from(beyond.div_ceil(1_000_000_000)).map_or(u64::MAX, |due| due.min(self.count()))
    }
}

#[expect(clippy::disallowed_methods, reason = "keeps a schedule, and waits for no state")]
fn sleep_until(moment: Instant) {
    let left = moment.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

/// Lets `length` pass: to pace, never to wait for a state.
pub(crate) async fn pass(length: Duration) {
    let start = tokio::time::Instant::now() + length;
    tokio::time::interval_at(start, Duration::from_secs(1)).tick().await;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_schedule_keeps_its_rate_and_its_end(rate in 1_u32..500_000, millis in 1_u64..60_000) {
            let schedule = Schedule { rate, duration: Duration::from_millis(millis) };
            let count = schedule.count();
            prop_assert_eq!(count, u64::from(rate) * millis / 1000);
            prop_assert!(count == 0 || schedule.intended(count - 1) < schedule.duration);
            prop_assert!(schedule.intended(count + 1) >= schedule.duration);
        }

        #[test]
        fn an_operation_is_due_from_its_intended_beginning_on(rate in 1_u32..500_000, micros in 0_u64..9_000_000) {
            let schedule = Schedule { rate, duration: Duration::from_secs(10) };
            let passed = Duration::from_micros(micros);
            let due = schedule.due(passed);
            prop_assert!(schedule.intended(due - 1) <= passed && passed < schedule.intended(due));
        }
    }
}
