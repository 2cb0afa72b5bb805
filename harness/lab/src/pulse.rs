//! How late the machine was: a timer that is to fire every ten milliseconds, and when it did.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use lab_report::{judge::seconds, report::Measurement};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

const BEAT: Duration = Duration::from_millis(10);
/// A machine that gives nobody a turn for so long, or whose clock jumps by as much, stood still: servers that hear
/// nothing for a second take each other for dead, and a sentinel that finds two seconds missing does nothing for the
/// next thirty (`SENTINEL_TILT_TRIGGER`, `SENTINEL_TILT_PERIOD`).
pub(crate) const STANDSTILL: Duration = Duration::from_secs(1);
/// A machine is calm when for as long as [`QUIET`] no timer was late by more than this: in nine steps of ten none is by
/// more than 68 ms.
const UNEASY: Duration = Duration::from_millis(100);
const QUIET: Duration = Duration::from_secs(3);
/// Who waits for a calm machine waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many times something is begun before the machine is held to be one on which nothing can be tried: where a host
/// takes the processors away for a minute it does so more than once.
pub(crate) const ATTEMPTS: usize = 4;
/// By how much it was late at worst, in microseconds. The machine is everybody's in this process.
static WORST: AtomicU64 = AtomicU64::new(0);

/// By how much a timer of this process was late at worst, since its last lab began.
pub(crate) fn lateness() -> Duration {
    Duration::from_micros(WORST.load(Relaxed))
}

/// Does `body`, and anew where the machine stood still meanwhile, as soon as it is calm, up to three times: whatever
/// came of it, a panic as well, that was no experiment.
#[expect(
    clippy::print_stderr,
    reason = "what failed before is printed there, too, and would look like the verdict"
)]
pub async fn soundly<T>(mut body: impl AsyncFnMut() -> T) -> T {
    for _ in 1..ATTEMPTS {
        let pulse = Pulse::start();
        // Boxed, or else the types of tests within tests get too deep for the compiler.
        let ended = AssertUnwindSafe(Box::pin(body())).catch_unwind().await;
        let Some(length) = pulse.standstill().await else {
            return ended.unwrap_or_else(|panic| resume_unwind(panic));
        };
        eprintln!(
            "the machine stood still for {}: that was no experiment, and it begins anew",
            seconds(length)
        );
        calm().await;
    }
    Box::pin(body()).await
}

/// Beats until dropped. Whoever gets no turn on a processor sees nothing in time: what a step finds late by as much as
/// its timer was may be the machine's doing.
pub(crate) struct Pulse {
    standstill: watch::Receiver<Duration>,
    _beating: JoinSet<()>,
}

impl Pulse {
    pub(crate) fn start() -> Self {
        // Bounds follow from it: what spoiled the time before has no part in this one's.
        WORST.store(0, Relaxed);
        let (noted, standstill) = watch::channel(Duration::ZERO);
        let mut beating = JoinSet::new();
        beating.spawn(beat(noted));
        Self { standstill, _beating: beating }
    }

    /// Waits until the machine has stood still, and says so.
    pub(crate) async fn stood_still(&self) -> String {
        let mut standstill = self.standstill.clone();
        match standstill.wait_for(|length| *length > Duration::ZERO).await {
            Ok(length) => format!("the machine stood still for {}: this is no experiment", seconds(*length)),
            Err(_) => std::future::pending().await,
        }
    }

    /// For how long the machine has stood still, if it has.
    pub(crate) async fn standstill(&self) -> Option<Duration> {
        let mut standstill = self.standstill.clone();
        // Whoever asks right after a standstill may have had a turn before the timer had.
        standstill.mark_unchanged();
        let _ = standstill.changed().await;
        Some(*standstill.borrow()).filter(|length| *length > Duration::ZERO)
    }
}

/// Waits until the machine is calm, but not for ever: it may not become so.
pub(crate) async fn calm() {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begin = Instant::now();
    let (mut last, mut uneasy) = (begin, begin);
    while uneasy.elapsed() < QUIET && begin.elapsed() < PATIENCE {
        ticks.tick().await;
        let now = Instant::now();
        if now.duration_since(last) > BEAT + UNEASY {
            uneasy = now;
        }
        last = now;
    }
}

/// [`lateness`], for the record.
pub(crate) fn figure() -> Measurement {
    Measurement {
        name: "the machine's lateness".to_owned(),
        value: lateness().as_micros() as f64 / 1e3,
        unit: "ms".to_owned(),
        note: "a timer of the lab's was late by as much at worst: nothing is seen any sharper".to_owned(),
    }
}

async fn beat(noted: watch::Sender<Duration>) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut last = (Instant::now(), SystemTime::now());
    loop {
        ticks.tick().await;
        let now = (Instant::now(), SystemTime::now());
        let passed = now.0.duration_since(last.0);
        let late = passed.saturating_sub(BEAT);
        WORST.fetch_max(late.as_micros() as u64, Relaxed);
        let missing = late.max(jump(passed, last.1, now.1));
        // Every beat is told of: who looks can wait for the next.
        noted.send_modify(|longest| {
            if missing >= STANDSTILL {
                *longest = missing.max(*longest);
            }
        });
        last = now;
    }
}

/// How far the time of day went beside the time that passed.
fn jump(passed: Duration, from: SystemTime, to: SystemTime) -> Duration {
    match to.duration_since(from) {
        Ok(shown) => shown.abs_diff(passed),
        Err(back) => back.duration() + passed,
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use rstest::rstest;

    use super::*;
    use crate::wait::pass;

    /// 1. The only thread is held for longer than any machine is busy, and then something is not as it should be.
    /// 2. That is no experiment: what comes of the next one is what there is.
    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else holds the thread, and that is what it is for"
    )]
    async fn what_a_standstill_spoiled_begins_anew() {
        let mut times = 0;
        let came_of_it = soundly(async || {
            times += 1;
            pass(BEAT * 2).await;
            if times == 1 {
                sleep(STANDSTILL * 3 / 2);
                panic!("nothing was in time");
            }
            times
        });
        assert!(came_of_it.await > 1);
    }

    #[rstest]
    #[case::as_it_should(1_010, 0)]
    #[case::set_forward(3_000, 1_990)]
    #[case::set_back(500, 510)]
    fn a_clock_that_was_set_is_noticed(#[case] shows: u64, #[case] off: u64) {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let noticed = jump(Duration::from_millis(10), at(1_000), at(shows));
        assert_eq!(noticed, Duration::from_millis(off));
    }
}
