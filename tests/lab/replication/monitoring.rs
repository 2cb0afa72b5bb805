use std::time::Duration;

use failover_lab::{
    Lab,
    docker::FaultKind,
    replicated,
    wait::{Seen, pass},
};
use lab_report::{
    evidence::At,
    judge::{dip, recorded, recovery},
};

use crate::step::{Outcome, step};

step!("q5", "monitoring", replicated(2), monitoring);

/// Long enough for a rate, at twenty samples a second.
const STRETCH: Duration = Duration::from_secs(1);

/// The outage is visible in the node metrics.
///
/// 1. Write through the primary endpoint for a second.
/// 2. Crash the primary; wait until the group has recovered.
/// 3. Write for another second.
/// 4. The metrics were taken often enough; they show the dip and the recovery.
async fn monitoring(lab: &mut Lab) -> Outcome {
    // 1. Before.
    let old = lab.group().primary();
    let writer = lab.start_writing();
    let begin = lab.recorder().now();
    pass(STRETCH).await;

    // 2. The outage.
    let fault = lab.inject(FaultKind::Crash, &old).await?;
    let (before, down_from) = ((begin, fault.not_before()), fault.in_effect());
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

    // 3. After.
    let resumed = lab.recorder().now();
    pass(STRETCH).await;
    let after: (At, At) = (resumed, lab.recorder().now());
    writer.stop().await;

    // 4. What the metrics show.
    let (timeline, new) = (lab.timeline(), lab.group().primary());
    lab.check("metrics.recorded", recorded(&timeline, Duration::from_millis(100)));
    lab.check("metrics.dip", dip(&timeline, old.id(), before, down));
    lab.check("metrics.recovery", recovery(&timeline, (old.id(), before), (new.id(), after)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
