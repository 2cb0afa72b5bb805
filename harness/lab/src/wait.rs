//! Waiting for a state: by asking again, with a name, a budget, and the last thing that was seen.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    pulse,
    setting::{self, SettingError},
};

/// Measured: of 446 steps beside three others on two processors, 90 % of 10 ms timers were at most 68 ms late, one in a
/// hundred more than 422 ms.
const SCHEDULING: Duration = Duration::from_millis(300);

/// Stretches every budget: for machines slower than a laptop.
pub const TIME_SCALE_VAR: &str = "LAB_TIME_SCALE";

/// What a probe saw.
#[derive(Debug)]
pub enum Seen<T> {
    /// The state is reached.
    Ready(T),
    /// Not yet; this is how things stand.
    NotYet(String),
}

/// A state that was not reached within its budget.
#[derive(Debug, Clone, thiserror::Error)]
#[error("waited {budget:?} for {what}; last seen: {last_seen}")]
pub struct TimedOut {
    /// The state that was waited for.
    pub what: String,
    /// How long.
    pub budget: Duration,
    /// What the last probe saw.
    pub last_seen: String,
}

/// Asks `probe` every `pace` until it is ready, for at most `budget` (stretched by [`scaled`]).
pub async fn until<T, F: Future<Output = Seen<T>>>(
    what: &str,
    budget: Duration,
    pace: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T, TimedOut> {
    let budget = scaled(budget);
    let deadline = Instant::now() + budget;
    let mut last_seen = "nothing".to_owned();
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, probe()).await {
            Ok(Seen::Ready(value)) => return Ok(value),
            Ok(Seen::NotYet(state)) if Instant::now() < deadline => last_seen = state,
            Ok(Seen::NotYet(last_seen)) => return Err(TimedOut { what: what.to_owned(), budget, last_seen }),
            Err(_) => return Err(TimedOut { what: what.to_owned(), budget, last_seen }),
        }
    }
}

/// Lets `length` pass: for pacing and for claims of absence, never to wait for a state.
pub async fn pass(length: Duration) {
    let start = tokio::time::Instant::now() + length;
    tokio::time::interval_at(start, Duration::from_secs(1)).tick().await;
}

/// `budget` on this machine: times [`time_scale`].
pub fn scaled(budget: Duration) -> Duration {
    // One that means nothing is refused where a command or a session begins: no wait has to report it.
    static SCALE: LazyLock<f64> = LazyLock::new(|| time_scale().unwrap_or(1.0));
    budget.mul_f64(*SCALE)
}

/// What a machine that is busy adds to a stage of anything: two busy processors, 300 ms (times [`time_scale`]); and more
/// where the lab's own timers have fired later than that so far, because nothing was seen any sharper. As much as a
/// standstill is no bound's business.
pub fn scheduling() -> Duration {
    scaled(SCHEDULING).max(pulse::lateness().min(pulse::STANDSTILL))
}

/// What [`TIME_SCALE_VAR`] says, or 1.
///
/// # Errors
/// It is no such number. Less than 1 would fail what is sound, and a hundredfold wait is a mistake.
pub fn time_scale() -> Result<f64, SettingError> {
    let scale = setting::number_within(TIME_SCALE_VAR, "a number from 1 to 100", 1.0..=100.0)?;
    Ok(scale.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe that never has to wait is polled before its timeout is: the deadline must still hold.
    #[tokio::test]
    async fn a_probe_that_answers_at_once_runs_out_of_budget_too() {
        let (budget, pace) = (Duration::from_millis(20), Duration::from_millis(1));
        let late = until("nothing", budget, pace, || async { Seen::<()>::NotYet("so".to_owned()) }).await;
        assert_eq!(late.unwrap_err().last_seen, "so");
    }

    #[tokio::test]
    async fn a_probe_that_never_answers_does_not_hold_up_the_wait() {
        let (budget, pace) = (Duration::from_millis(20), Duration::from_millis(1));
        let late = until("nothing", budget, pace, std::future::pending::<Seen<()>>).await;
        assert_eq!(late.unwrap_err().last_seen, "nothing");
    }
}
