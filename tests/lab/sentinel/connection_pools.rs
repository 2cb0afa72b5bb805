use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use failover_lab::{
    Lab, Sentinels, StepError,
    client::CallError,
    docker::Node,
    info::Connection,
    pool::{self, Pool},
    sentinels,
    topology::sentinels::Timers,
    wait::{self, Seen},
    writer::KEYS,
};
use lab_report::{
    evidence::At,
    judge::{ClientClocks, Judgement},
};
use rstest::rstest;

use super::seen::{STAGE, election, follows, happened, stage, successor};
use crate::step::{Outcome, step};

step!("sentinel", "connection-pools", deployment(), connection_pools, needs[Changes]);

/// `Lab::wait` asks this often.
const EVERY: Duration = Duration::from_millis(10);

/// A primary that was replaced is told so after four greetings: four seconds in which it takes writes that
/// are lost.
fn deployment() -> Sentinels {
    Sentinels {
        timers: Timers { publish: Duration::from_secs(1), ..Timers::SHORT },
        ..sentinels(3).replicas(2)
    }
}

/// Pools of 5, 20 and 100 connections: all of them serve, and all of them follow a failover.
///
/// 1. Every connection of the pool is lent at once: the server has as many clients.
/// 2. Each of them was acknowledged.
/// 3. A sentinel is asked for a failover: the same pool's connections are all at the new primary.
/// 4. They left the old one, which is alive and takes itself for the primary, as soon as they could know.
/// 5. It is told at last, and follows.
async fn connection_pools(lab: &mut Lab<Sentinels>) -> Outcome {
    let size: usize = lab.case().ok_or("the step has cases")?.parse()?;
    let pool = lab.pool(size);
    let old = lab.deployment().first_primary().clone();

    // 1. At the server.
    lab.doing(&format!("{size} writes at the same time"));
    let answers = pool.all::<()>(&["SET", &key(), "before"]).await;
    let clients = Clients::of(&old).await?;
    let observed = format!("{} clients", clients.connected);
    if !lab.check("pool.size", Judgement::equal(format!("{size} clients"), observed)) {
        return Ok(());
    }

    // 2. At work.
    let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
    let served = format!("{acknowledged} acknowledged, {} clients have written", clients.written);
    let expected = format!("{size} acknowledged, {size} clients have written");
    if !lab.check("pool.all-serve", Judgement::equal(expected, served)) {
        return Ok(());
    }

    // 3. After a failover.
    lab.recorder().mark(|marks, now| marks.requested = Some(now));
    let group = lab.deployment();
    group.sentinels()[0].ask::<()>(&["SENTINEL", "FAILOVER", group.name()]).await?;
    let moved = Move::default();
    let followed = lab.wait("the pool to have moved", STAGE, async || moved.look(lab, &pool, &old).await);
    let followed = followed.await.map_err(|late| late.to_string());
    let refused: Vec<String> =
        moved.refused.take().iter().map(|(class, times)| format!("{times} × {class}")).collect();
    let refused = match refused.is_empty() {
        true => "everything was acknowledged meanwhile".to_owned(),
        false => format!("not acknowledged meanwhile: {}", refused.join(", ")),
    };
    let recovered = happened("all of its connections write to the new primary", followed);
    if !lab.check("pool.recovers", recovered.evidence(refused)) {
        return Ok(());
    }

    // 4. The old primary. The pool may have heard of its successor before this lab has of the sentinels' naming it.
    let sentinels = lab.deployment().sentinels().len();
    stage(lab, &old, "every sentinel to name it", |election| election.advertised.len() == sentinels).await?;
    let named = election(lab, &old).and_then(|election| election.last_named());
    let named = named.ok_or("nobody names a successor")?;
    let left = moved.last_at_old.get().map_or(Duration::ZERO, |last| last.since(named));
    lab.check("pool.leaves", clocks(&lab.promised(deployment())).leaves(Some(left)));

    // 5. The end.
    let new = successor(lab, &election(lab, &old).ok_or("nothing began")?)?;
    Ok(follows(lab, &old, &new).await?)
}

fn key() -> String {
    format!("{KEYS}pool")
}

fn clocks(promised: &Sentinels) -> ClientClocks {
    ClientClocks {
        believes: promised.application.believes,
        patience: pool::PATIENCE,
        ping: promised.timers.ping,
        every: EVERY,
        scheduling: wait::scheduling(),
    }
}

/// A pool on its way from one primary to the next.
#[derive(Default)]
struct Move {
    /// When the old primary was last seen to have one of its connections.
    last_at_old: Cell<Option<At>>,
    /// What was not acknowledged meanwhile, by class.
    refused: RefCell<BTreeMap<String, usize>>,
}

impl Move {
    /// Has every connection write once, and looks at both servers.
    async fn look(&self, lab: &Lab<Sentinels>, pool: &Pool, old: &Node) -> Seen<()> {
        let answers = pool.all::<()>(&["SET", &key(), "after"]).await;
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            *self.refused.borrow_mut().entry(CallError::class(error)).or_default() += 1;
        }
        let before = match Clients::of(old).await {
            Ok(clients) => clients.connected,
            Err(error) => return Seen::NotYet(error.to_string()),
        };
        if before > 0 {
            self.last_at_old.set(Some(lab.recorder().now()));
        }
        let election = election(lab, old);
        let Some(new) = election.and_then(|election| successor(lab, &election).ok()) else {
            return Seen::NotYet("nobody was promoted".to_owned());
        };
        let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
        let after = Clients::of(&new).await.map_or(0, |clients| clients.written);
        match (acknowledged, before, after) {
            (all, 0, moved) if all == pool.capacity() && moved == pool.capacity() => Seen::Ready(()),
            _ => {
                Seen::NotYet(format!("{acknowledged} acknowledged, {before} at the old, {after} at the new"))
            }
        }
    }
}

/// The pool's connections, as a server lists them.
struct Clients {
    connected: usize,
    /// Those whose last command was a write.
    written: usize,
}

impl Clients {
    async fn of(node: &Node) -> Result<Self, StepError> {
        let mut ours = Connection::listed(&node.ask::<String>(&["CLIENT", "LIST"]).await?);
        ours.retain(|client| client.name == pool::NAME);
        let written = ours.iter().filter(|client| client.command == "set").count();
        Ok(Self { connected: ours.len(), written })
    }
}

#[rstest]
#[case::small("5")]
#[case::medium("20")]
#[case::large("100")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes(#[case] case: &str) {
    STEP.passes(Some(case)).await;
}
