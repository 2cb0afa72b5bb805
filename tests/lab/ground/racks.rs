//! Hosts are handed on from lab to lab, as good as new, and go with whoever runs the labs.

use std::process::Stdio;

use failover_lab::{
    docker::SLOT_VAR,
    session::{RUN_VAR, new_run_id, runs_dir},
    wait,
};
use lab_report::RunId;
use rstest::rstest;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::cleaning_up::{BOOT, REAPER, has_nothing, left};

/// Runs labs one after the other, as nextest does in one of its slots, and then does nothing.
const RUNNER: &str = "for fate; do \"$0\" \"$REAPER\" \"$fate\" || exit; done; echo done; exec sleep 1000";

struct Runner {
    run: RunId,
    process: Child,
}

impl Runner {
    /// Starts it with labs that end this way, and returns what each has seen.
    async fn of_labs(fates: &[&str]) -> (Self, Vec<String>) {
        let run = new_run_id();
        let mut process = Command::new("sh")
            .args(["-c", RUNNER, env!("CARGO_BIN_EXE_lab-victim")])
            .args(fates)
            .envs([(RUN_VAR, run.as_str()), (SLOT_VAR, "0"), ("REAPER", REAPER)])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("there is a shell");
        let mut said = BufReader::new(process.stdout.take().expect("its output is a pipe")).lines();
        let mut seen = Vec::new();
        loop {
            let line = timeout(wait::scaled(BOOT * 2), said.next_line()).await;
            match line.expect("it says something in time").expect("its output can be read").as_deref() {
                Some("done") => break,
                Some(line) => seen.push(line.to_owned()),
                None => panic!("a lab ended early, after {seen:?}"),
            }
        }
        (Self { run, process }, seen)
    }

    /// Kills it, and sees that everything goes.
    async fn killed(mut self) {
        self.process.kill().await.expect("it runs");
        has_nothing(&self.run).await;
        let _ = std::fs::remove_dir_all(runs_dir().join(self.run.as_str()));
    }
}

/// The host that a lab was on, and the rest of what it said.
fn host(seen: &str) -> (&str, &str) {
    seen.split_once(' ').expect("a lab says more than one word")
}

/// 1. Two labs run one after the other in one slot: the second is on the first one's host, and sees nothing of it.
/// 2. Their runner is killed: nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_gets_the_last_ones_host_as_good_as_new() {
    // 1. Handed on.
    let (runner, seen) = Runner::of_labs(&["unharmed", "unharmed"]).await;
    let (first, second) = (host(&seen[0]), host(&seen[1]));
    assert_eq!(first.0, second.0, "the same host");
    assert_eq!((first.1, second.1), ("0 keys, 1 servers", "0 keys, 1 servers"));
    let there = left(&runner.run).await;
    assert_eq!((there.containers.len(), there.networks.len()), (1, 1));

    // 2. Gone.
    runner.killed().await;
}

/// 1. A lab does not leave its host as it was made: nothing of it is handed on.
/// 2. The next one makes its own.
#[rstest]
#[case::left_paused("paused")]
#[case::deleted_with_its_network("deleted")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_it_was_made_is_not_handed_on(#[case] fate: &str) {
    let (runner, seen) = Runner::of_labs(&[fate, "unharmed"]).await;
    assert_ne!(host(&seen[0]).0, host(&seen[1]).0, "another host");
    runner.killed().await;
}
