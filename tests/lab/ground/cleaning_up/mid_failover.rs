//! The owner of a group is killed in the middle of a failover, while its manager promotes one node and starts another.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use failover_lab::wait;
use rstest::rstest;

use super::{Owner, REAPER, When};

/// From finding a primary dead to having it back as a replica, where the machine is not busy.
const FAILOVER: Duration = Duration::from_millis(100);
const TURNS: u32 = 20;

/// 1. The primary of a group has crashed, and the manager has found it dead: it is being replaced and started again.
/// 2. The group's owner, whose part the manager is, is killed.
/// 3. Its reaper removes everything.
async fn nothing_is_left_of_an_owner_killed_after(delay: Duration) {
    Owner::told_to("failing-over", REAPER, async |owner| {
        // 1. Failing over.
        owner.is(When::Running).await;

        // 2. Killed.
        wait::pass(delay).await;
        owner.process.kill().await.unwrap();

        // 3. Reaped.
        owner.has_nothing().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_of_an_owner_killed_in_mid_failover_is_reaped() {
    nothing_is_left_of_an_owner_killed_after(Duration::ZERO).await;
}

/// The same twenty times, each in another twentieth of the failover, by chance. CONTRIBUTING.md has the command.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "twenty times the same"]
async fn whenever_in_mid_failover_it_is_killed(
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)] turn: u32,
) {
    let chance = f64::from(RandomState::new().hash_one(turn) as u32) / f64::from(u32::MAX);
    let delay = (FAILOVER / TURNS).mul_f64(f64::from(turn) + chance);
    nothing_is_left_of_an_owner_killed_after(delay).await;
}
