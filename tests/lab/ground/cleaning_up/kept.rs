//! A step that goes wrong leaves its servers up for whoever asked for that.

use std::net::SocketAddr;

use failover_lab::{
    connect::connect,
    docker::{Kept, sweep_dead},
    session::{News, Progress, runs_dir},
};
use lab_report::RunId;

use super::{Owner, REAPER};
use crate::ground::sweeping;

/// 1. A step goes wrong, and its owner ends.
/// 2. The servers outlive it, and a sweep.
/// 3. Each of them answers where the step's last words say, as what they say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_kept_are_found_where_the_step_said() {
    Owner::told_to("kept", REAPER, async |owner| {
        // 1. Wrong.
        assert_eq!(owner.says().await.as_deref(), Some("it goes wrong"));
        owner.ended().await;

        // 2. Kept.
        {
            let _turn = sweeping::turn().await;
            sweep_dead(&connect().await.unwrap(), Kept::Stay).await.unwrap();
        }
        let containers = owner.left().await.containers;
        assert!(
            containers.len() == 2 && containers.iter().all(|one| one.name.ends_with("-kept")),
            "{containers:?}"
        );

        // 3. Found.
        let mut told = last_words(&owner.run);
        assert_eq!(told.pop().as_deref(), Some("`cargo lab reap` removes all of them"));
        let mut roles = Vec::new();
        for line in told {
            let (role, address) = read(&line);
            let client = redis::Client::open(format!("redis://{address}")).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let info: String =
                redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap();
            assert!(info.contains(if role == "primary" { "role:master" } else { "role:slave" }), "{line}");
            roles.push(role);
        }
        assert_eq!(roles, ["primary", "replica"]);
    })
    .await;
}

/// What the step of a run says is kept.
fn last_words(run: &RunId) -> Vec<String> {
    let progress = std::fs::read_to_string(runs_dir().join(run.as_str()).join("progress.jsonl")).unwrap();
    let news = progress.lines().map(|line| serde_json::from_str::<Progress>(line).unwrap().news);
    news.filter_map(|news| if let News::Kept(how) = news { Some(how) } else { None }).collect()
}

/// `lab-001 (primary) stays up: redis-cli -h 10.213.0.2 -p 6379, or …`
fn read(line: &str) -> (String, SocketAddr) {
    let between = |from: &str, to: &str| {
        let (_, rest) = line.split_once(from).unwrap_or_else(|| panic!("no `{from}` in: {line}"));
        rest.split_once(to).unwrap_or_else(|| panic!("no `{to}` in: {line}")).0.to_owned()
    };
    let address = format!("{}:{}", between("redis-cli -h ", " -p "), between(" -p ", ","));
    (between("(", ")"), address.parse().unwrap())
}
