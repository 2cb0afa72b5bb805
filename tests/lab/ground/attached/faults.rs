//! A deployment that may be broken: what its owner is told, and that it is handed back whole.

use std::collections::BTreeSet;

use failover_lab::{
    docker::{Kept, sweep_dead},
    wait::Seen,
};
use lab_report::Verdict;

use super::{Allowed, Attached};
use crate::ground::{
    cleaning_up::{NO_REAPER, Owner, REAPER, When},
    compose::{BOOT, DATA, Project},
    sweeping,
};

/// 1. Whoever may break it runs the steps with their faults: all pass, but for what needs a full memory.
/// 2. It is handed back whole: no key, no note, and everything runs.
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
        for case in ["crash", "stop", "hold", "partition"] {
            grades.came_out("sentinel-failover", Some(case), |_| Verdict::Pass);
        }

        // 2. Whole.
        attached.is_handed_back().await;
    })
    .await;
}

/// 1. Whoever only knows its addresses can still ask it for a failover, which clients have to follow.
/// 2. It is handed back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_may_be_written_to_is_handed_back_whole() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;

        // 1. From one server.
        let from_one = Attached::to_server("23:26379", project, Allowed::Faults);
        let grades = from_one.graded(&["sentinel-failover", "manual-failover", "connection-pools"]).await;
        let pools = ["pool.all-serve", "pool.leaves", "pool.recovers", "pool.size"];
        let passed =
            BTreeSet::from_iter(["manual.client-follows", "manual.promoted"].into_iter().chain(pools));
        assert_eq!(grades.with(Verdict::Pass), passed, "{}", grades.story.join("\n"));

        // 2. Whole.
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

/// 1. Replicas and clients are cut off: all passes, but for what needs another setting.
/// 2. With that setting, what needs it passes, and what needs none is skipped; so is a choice between replicas that are no
///    equals.
/// 3. It is handed back whole: every pair can talk to each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_is_split_is_put_together_again() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;
        let steps = ["larger-offset", "split-brain", "min-replicas"];

        // 1. As it is.
        let grades = attached.graded(&steps).await;
        for step in ["larger-offset", "split-brain"] {
            grades.came_out(step, None, |_| Verdict::Pass);
        }
        grades.came_out("min-replicas", None, |_| Verdict::Skipped);

        // 2. Otherwise.
        for node in DATA {
            let all = ["min-replicas-to-write", "1", "min-replicas-max-lag", "2"];
            let set = project.ask::<String>(node, &[["CONFIG", "SET"].as_slice(), &all].concat()).await;
            assert_eq!(set.as_deref(), Ok("OK"), "{node}");
        }
        let primary = attached.is_whole().await;
        let preferred = project.others_than(&primary)[0];
        let set = project.ask::<String>(preferred, &["CONFIG", "SET", "replica-priority", "10"]).await;
        assert_eq!(set.as_deref(), Ok("OK"), "{preferred}");
        let grades = attached.graded(&steps).await;
        for step in ["larger-offset", "split-brain"] {
            grades.came_out(step, None, |_| Verdict::Skipped);
        }
        grades.came_out("min-replicas", None, |_| Verdict::Pass);

        // 3. Whole.
        attached.is_handed_back().await;
    })
    .await;
}

/// 1. Everything is killed, roles are handed over, and the primary is lost twice: all passes.
/// 2. A replica that does not sync its file once a second is found, and nothing is killed.
/// 3. What a replica has in memory only is not put at risk.
/// 4. It is handed back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_is_killed_whole_is_handed_back() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;

        // 1. Killed, and handed over.
        let steps = ["persistence", "handover", "second-failover"];
        let grades = attached.graded(&steps).await;
        for step in steps {
            grades.came_out(step, None, |_| Verdict::Pass);
        }

        // 2. Never synced.
        let before = attached.stands().await;
        let set = async |name, value| {
            let set = project.ask::<String>("redis-3", &["CONFIG", "SET", name, value]).await;
            assert_eq!(set.as_deref(), Ok("OK"), "{name}");
        };
        set("appendfsync", "no").await;
        let grades = attached.graded(&["persistence"]).await;
        assert_eq!(grades.with(Verdict::Fail), BTreeSet::from(["aof.policy"]), "{:?}", grades.story);

        // 3. Never written.
        set("appendfsync", "everysec").await;
        set("appendonly", "no").await;
        let grades = attached.graded(&["persistence"]).await;
        assert_eq!(grades.with(Verdict::Pass), BTreeSet::from(["aof.policy"]), "{:?}", grades.story);
        assert_eq!(grades.with(Verdict::Skipped), BTreeSet::from(["aof.loss", "aof.replicas"]));
        assert_eq!(attached.stands().await, before);

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

/// 1. A process has cut the primary off, and the sentinels have replaced it; then the process is killed.
/// 2. Somebody heals the links: the reaper, or the next sweep. The old primary follows the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_is_let_in_again() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        for reaper in [REAPER, NO_REAPER] {
            let before = attached.is_whole().await;
            let starts = attached.starts().await;
            Owner::told_to_in(&attached.environment, "cut-off", reaper, async |owner| {
                // 1. Cut off.
                owner.is(When::Running).await;
                project.until("a successor", BOOT, || project.replaced(&before)).await;
                let _turn = if reaper == NO_REAPER { Some(sweeping::turn().await) } else { None };
                owner.send("KILL").await;
                owner.ended().await;
                if reaper == NO_REAPER {
                    assert!(!owner.left().await.containers.is_empty(), "what cut it off");
                    sweep_dead(&project.api, Kept::Stay).await.expect("the container engine answers");
                }

                // 2. Let in.
                owner.has_nothing().await;
            })
            .await;
            attached.is_whole().await;
            assert_eq!(attached.starts().await, starts, "nothing was started again");
        }
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
