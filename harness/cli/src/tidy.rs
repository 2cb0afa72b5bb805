//! `cargo lab down` and `cargo lab reap`: removing what is there.

use std::{process::ExitCode, time::Duration};

use failover_lab::{
    connect,
    docker::{Kept, Owner, Scope, Swept, find, sweep_dead},
    explain::chain,
    wait::{Seen, until},
};

use crate::{failure::Failure, up};

/// A topology is torn down in a second or two, a busy one in ten.
const TEARDOWN: Duration = Duration::from_secs(30);

/// Ends every `cargo lab up` and `cargo lab aws`, and removes what dead runs left or was kept.
pub(crate) async fn down() -> Result<ExitCode, Failure> {
    let api = connect::connect().await?;
    let mut owners = Vec::new();
    let there = find(&api, &Scope::Everything).await?;
    for owner in there.owners_of(|run| run.starts_with(up::RUN_PREFIX)) {
        if owner.may_be_alive() {
            println!("ending process {}, which has a deployment up", owner.pid());
            owner.terminate();
            owners.push(owner);
        }
    }
    ended(&owners).await?;
    say(&sweep_dead(&api, Kept::Go).await?)
}

async fn ended(owners: &[Owner]) -> Result<(), Failure> {
    let what = "every `cargo lab up` and `cargo lab aws` to end";
    let gone = until(what, TEARDOWN, Duration::from_millis(100), || async {
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
    say(&sweep_dead(&api, Kept::Go).await?)
}

/// Says what a sweep did; one that left something behind has not succeeded.
fn say(swept: &Swept) -> Result<ExitCode, Failure> {
    swept.removed.names().iter().for_each(|name| println!("removed {name}"));
    if !swept.failed.is_empty() {
        let failed: Vec<String> = swept.failed.iter().map(|error| chain(error)).collect();
        let hint = "`cargo lab reap` again; if it stays, restart the container engine";
        return Err(Failure::missing(failed.join("\nerror: "), hint));
    }
    if swept.removed.is_empty() {
        println!("nothing was left");
    }
    Ok(ExitCode::SUCCESS)
}
