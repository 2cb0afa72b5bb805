//! A deployment that may be broken: what its owner is told, and that it is handed back whole.

use std::collections::BTreeSet;

use failover_lab::{
    docker::{Kept, sweep_dead},
    wait::Seen,
};
use lab_report::Verdict;

use super::{Allowed, Attached, DATA};
use crate::ground::{
    cleaning_up::{NO_REAPER, Owner, REAPER, When},
    compose::{BOOT, Project},
    sweeping,
};

/// 1. Whoever may break it runs the steps with their faults: all pass, but for what needs partitions or a full memory.
/// 2. Whoever only knows its addresses can still ask it for a failover.
/// 3. It is handed back whole: no key, no note, and everything runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_may_be_broken_is_handed_back_whole() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;

        // 1. Broken.
        let grades = attached.graded(&["health", "sentinel-failover", "restore", "manual-failover"]).await;
        grades.came_out("health", None, |check| match check {
            // Nobody fills its memory, so that the doctor could judge.
            "health.doctor" => Verdict::Skipped,
            _ => Verdict::Pass,
        });
        for step in ["restore", "manual-failover"] {
            grades.came_out(step, None, |_| Verdict::Pass);
        }
        for case in ["crash", "stop", "hold"] {
            grades.came_out("sentinel-failover", Some(case), |_| Verdict::Pass);
        }
        grades.came_out("sentinel-failover", Some("partition"), |_| Verdict::Skipped);

        // 2. From one server.
        let from_one = Attached::to_server("23:26379", project, Allowed::Faults);
        let grades = from_one.graded(&["sentinel-failover", "manual-failover"]).await;
        let passed = BTreeSet::from(["manual.client-follows", "manual.promoted"]);
        assert_eq!(grades.with(Verdict::Pass), passed, "{}", grades.story.join("\n"));

        // 3. Whole.
        attached.is_handed_back().await;
    })
    .await;
}

/// 1. It fails over by the clocks of its compose file.
/// 2. By those an election that fails costs two minutes, and where two sentinels of three are left, each split vote
///    is one that fails: its owner lets it cost twenty seconds.
/// 3. Sentinels are taken down with the primary, and what is claimed of it holds: without a quorum nobody is promoted,
///    and a sentinel that comes late catches up.
/// 4. It is handed back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_may_be_broken_are_handed_back() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;

        // 1. Its own clocks.
        let grades = attached.graded(&["as-configured"]).await;
        grades.came_out("as-configured", None, |_| Verdict::Pass);

        // 2. Shortened, but not below the ten seconds that a candidate has to be elected.
        project.set("failover-timeout", "10000").await;

        // 3. Without sentinels.
        let grades = attached.graded(&["quorum", "late-sentinel"]).await;
        for step in ["quorum", "late-sentinel"] {
            grades.came_out(step, None, |_| Verdict::Pass);
        }

        // 4. Whole.
        attached.is_handed_back().await;
    })
    .await;
}

/// 1. No replica is to be promoted, and every sentinel knows; a shorter failover timeout is less to wait for in vain.
/// 2. The primary crashes: that nobody is promoted fails one check, and what follows from a promotion is unknown.
/// 3. It is handed back whole, with the primary that it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_promotes_nobody_is_told_so() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        let before = attached.is_whole().await;

        // 1. Nobody.
        for node in DATA {
            let set = project.ask::<String>(node, &["CONFIG", "SET", "replica-priority", "0"]).await;
            assert_eq!(set.as_deref(), Ok("OK"), "{node}");
        }
        let known = async || match project.replicas_barred().await {
            Ok(barred) if barred == [2, 2, 2] => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        };
        project.until("every sentinel to know the priorities", BOOT, known).await;
        project.set("failover-timeout", "2000").await;

        // 2. Not promoted.
        let grades = attached.graded_in("sentinel-failover", "crash").await;
        let story = grades.story.join("\n");
        assert_eq!(grades.aborted, Vec::<String>::new(), "{story}");
        assert_eq!(grades.with(Verdict::Fail), BTreeSet::from(["election.promoted"]), "failed\n{story}");
        let untested = grades.with(Verdict::Unknown);
        assert_eq!(untested.len() + 1, grades.worst().len(), "unknown {untested:?}\n{story}");

        // 3. Whole.
        attached.is_handed_back().await;
        assert_eq!(attached.is_whole().await, before);
    })
    .await;
}

/// 1. The primary is down when the process that took it down is ended: killed, or told to stop.
/// 2. Somebody starts it again: the reaper, the process itself, or the next sweep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_down_comes_back() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        for (reaper, signal) in [(REAPER, "KILL"), (NO_REAPER, "TERM"), (NO_REAPER, "KILL")] {
            attached.is_whole().await;
            let before = attached.starts().await;

            // 1. Down.
            Owner::in_environment(&attached.environment, reaper, async |owner| {
                owner.is(When::Running).await;
                let unattended = (reaper, signal) == (NO_REAPER, "KILL");
                let _turn = if unattended { Some(sweeping::turn().await) } else { None };
                owner.send(signal).await;
                owner.ended().await;
                if unattended {
                    assert_eq!(owner.left().await.volumes.len(), 1, "the note");
                    sweep_dead(&project.api, Kept::Stay).await.expect("the container engine answers");
                }

                // 2. Up.
                owner.has_nothing().await;
            })
            .await;
            let after = attached.starts().await;
            let started_again = after.iter().zip(&before).filter(|(after, before)| after != before).count();
            assert_eq!(started_again, 1, "{signal}: {before:?}, then {after:?}");
        }
    })
    .await;
}
