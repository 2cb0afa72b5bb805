//! `cargo lab down` and `cargo lab reap`: removing what is there.

use std::{process::ExitCode, time::Duration};

use failover_lab::{
    connect,
    docker::{Kept, Leftovers, Owner, Scope, find, sweep_dead},
    wait::{Seen, until},
};

use crate::{failure::Failure, up};

/// A topology is torn down in a second or two, a busy one in ten.
const TEARDOWN: Duration = Duration::from_secs(30);

/// Ends every `cargo lab up`, and removes what dead runs left or was kept.
pub(crate) async fn down() -> Result<ExitCode, Failure> {
    let api = connect::connect().await?;
    let mut owners = Vec::new();
    let there = find(&api, &Scope::Everything).await?;
    for owner in there.owners_of(|run| run.starts_with(up::RUN_PREFIX)) {
        if owner.may_be_alive() {
            println!("ending `cargo lab up` (process {})", owner.pid());
            owner.terminate();
            owners.push(owner);
        }
    }
    ended(&owners).await?;
    say_removed(&sweep_dead(&api, Kept::Go).await?);
    Ok(ExitCode::SUCCESS)
}

async fn ended(owners: &[Owner]) -> Result<(), Failure> {
    let gone = until("`cargo lab up` to end", TEARDOWN, Duration::from_millis(100), || async {
        match owners.iter().find(|owner| owner.may_be_alive()) {
            None => Seen::Ready(()),
            Some(owner) => Seen::NotYet(format!("process {} runs", owner.pid())),
        }
    });
    gone.await.map_err(|late| Failure::missing(late.to_string(), "end that process, then `cargo lab reap`"))
}

/// Removes what dead runs left, kept topologies among it.
pub(crate) async fn reap() -> Result<ExitCode, Failure> {
    let api = connect::connect().await?;
    say_removed(&sweep_dead(&api, Kept::Go).await?);
    Ok(ExitCode::SUCCESS)
}

fn say_removed(removed: &Leftovers) {
    match removed.names() {
        names if names.is_empty() => println!("nothing was left"),
        names => names.iter().for_each(|name| println!("removed {name}")),
    }
}
