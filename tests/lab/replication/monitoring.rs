use std::time::Duration;

use failover_lab::{
    Lab, Replicated,
    docker::FaultKind,
    observer, replicated,
    wait::{self, Seen, pass},
    writer::Writer,
};
use lab_report::{
    evidence::{At, Outcome as WriteOutcome, Write},
    judge::{Sampling, Window, dip, lag_returns, recorded, recovery},
};

use crate::step::{Outcome, step};

step!("q5", "monitoring", deployment(), monitoring);

/// Five times as often as is claimed. With three times as much to do as there are processors for it, one sample in twenty
/// comes some 60 to 170 ms late; with as much, a few.
fn deployment() -> Replicated {
    let mut topology = replicated(2);
    topology.monitor.every = Duration::from_millis(20);
    topology
}

/// Long enough for a rate, at fifty samples a second.
const STRETCH: Duration = Duration::from_secs(1);
/// Between two samples of a node.
const GAP: Duration = Duration::from_millis(100);
/// What a replica may be behind at any time: `data.lag` claims it.
const LAG: Duration = Duration::from_millis(100);
/// The client is back a second after the name has moved (`timing.first-write`), or is not coming.
const FOLLOWS: Duration = Duration::from_secs(2);

/// The outage is visible in the node metrics.
///
/// 1. Write through the primary endpoint for a second.
/// 2. Crash the primary; wait until the group has recovered, and writes are acknowledged.
/// 3. Write for another second.
/// 4. The metrics were taken often enough; they show the dip and the recovery, and that nobody is left behind.
async fn monitoring(lab: &mut Lab) -> Outcome {
    // 1. Before.
    let old = lab.group().primary();
    let writer = lab.start_writing();
    let begin = lab.recorder().now();
    pass(STRETCH).await;

    // 2. The outage.
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let (before, down_from): (Window, At) = ((begin, fault.not_before()), fault.in_effect());
    let recovered = lab.wait("the group to recover", Duration::from_secs(12), async || {
        match lab.group().events().last() {
            Some(event) if event.message.starts_with("Finished recovery") => Seen::Ready(()),
            last => Seen::NotYet(format!("{last:?}")),
        }
    });
    recovered.await?;
    let recovering = lab.group().events().into_iter().find(|event| event.message.starts_with("Recovering"));
    let down = (down_from, recovering.ok_or("the recovery was not announced")?.at);
    fault.heal().await?;
    load_is_back(lab).await;

    // 3. After.
    let resumed = lab.recorder().now();
    pass(STRETCH).await;
    let after: Window = (resumed, lab.recorder().now());
    writer.stop().await;

    // 4. What the metrics show.
    let (timeline, primary) = (lab.timeline(), lab.group().primary());
    let (old, new) = ((old.id(), before), (primary.id(), after));
    lab.check("metrics.recorded", recorded(&timeline, (begin, after.1), GAP, &sampling()));
    lab.check("metrics.dip", dip(&timeline, old.0, before, down, GAP));
    lab.check("metrics.recovery", recovery(&timeline, old, new, Writer::EVERY));
    lab.check("metrics.lag-returns", lag_returns(&timeline, old, new, LAG, &sampling()));
    Ok(())
}

/// Waits for the client to follow: of the writes that are due from now on, one is acknowledged. Whether the load came is
/// for the check to say.
async fn load_is_back(lab: &Lab) {
    let now = lab.recorder().now();
    let since = |write: &Write| write.intended >= now && write.outcome == WriteOutcome::Acknowledged;
    let _ = lab
        .wait("a write to be acknowledged", FOLLOWS, async || {
            match lab.recorder().look(|timeline| timeline.writes.iter().any(since)) {
                true => Seen::Ready(()),
                false => Seen::NotYet("none since the group has recovered".to_owned()),
            }
        })
        .await;
}

/// The clocks of a sound sampler, whatever a broken set-up has in its place.
fn sampling() -> Sampling {
    let every = deployment().monitor.every;
    Sampling { every, patience: observer::PATIENCE, scheduling: wait::scheduling() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
