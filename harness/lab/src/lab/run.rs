//! A step from its beginning to its end, whatever happens in between.

use std::{
    any::Any,
    fs,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use lab_report::{
    Verdict,
    evidence::{FaultWindow, Role},
    report::{Measurement, StepRecord},
};
use redis::RedisError;
use tokio::time::timeout;

use super::{
    Lab, Plan, StepError,
    aftermath::{summaries, world, write_record},
    bench::Bench,
    boot::{Booted, boot},
    ground::Ground,
};
use crate::{
    docker::{FaultKind, NodeError, PartitionError},
    environment::{Environment, MissingCapability},
    explain::chain,
    interrupt::interrupted,
    pulse::{ATTEMPTS, Pulse, calm, figure},
    session::{News, Session, now_utc},
    topology::{Deployment, Topology},
};

/// Whoever interrupts a step waits this long for it to hand a deployment back.
const IN_A_HURRY: Duration = Duration::from_secs(30);

impl<T: Topology> Lab<T> {
    /// Boots, runs `body`, collects evidence, tears down: also after an error, a panic or an interrupt. Where the
    /// machine stands still meanwhile, the step ends there.
    pub async fn run<F>(session: &Session, plan: Plan<'_, T>, body: F) -> StepRecord
    where
        F: AsyncFnOnce(&mut Self) -> Result<(), StepError>,
    {
        Self::attempt(session, plan, body, &[]).await.0
    }

    /// The same, and anew where the machine stood still, as soon as it is calm: whatever came of it, that was no
    /// experiment. Where it stands still every time, what came of the last one is what there is.
    pub async fn run_on_a_sound_machine<F>(session: &Session, plan: Plan<'_, T>, body: F) -> StepRecord
    where
        F: AsyncFn(&mut Self) -> Result<(), StepError>,
    {
        let mut spoiled = Vec::new();
        loop {
            let attempt = Self::attempt(session, plan.clone(), async |lab| body(lab).await, &spoiled);
            let (record, stood_still) = attempt.await;
            spoiled.extend(stood_still);
            if stood_still.is_none() || spoiled.len() == ATTEMPTS {
                return record;
            }
            calm().await;
        }
    }

    /// What came of it, and for how long the machine stood still. What was `spoiled` by that before is in
    /// the record.
    async fn attempt<F>(
        session: &Session,
        plan: Plan<'_, T>,
        body: F,
        spoiled: &[Duration],
    ) -> (StepRecord, Option<Duration>)
    where
        F: AsyncFnOnce(&mut Self) -> Result<(), StepError>,
    {
        let (started_at, start) = (now_utc(), Instant::now());
        let mut bench = Bench::new(session, &plan);
        let environment = session.environment.clone();
        let never_began = |bench: Bench, why| {
            let record = bench.into_record(started_at.clone(), start, None, why);
            write_record(session, &plan.folder, &record);
            record
        };
        if let Some(missing) = plan.needs.iter().find_map(|needed| environment.needs(*needed).err()) {
            bench.lacks(missing.capability.to_string());
            return (never_began(bench, None), None);
        }
        bench.measurements.extend(spoiled_by(spoiled));
        bench.says(News::Doing("preparing".to_owned()));
        let mut ground =
            match Ground::prepare(session, &|line| bench.says(News::Doing(line.to_owned()))).await {
                Ok(ground) => ground,
                Err(why) => return (never_began(bench, Some(why)), None),
            };
        let stop = interrupted();
        tokio::pin!(stop);
        let pulse = Pulse::start();
        // Somebody else's deployment has its owner's clocks, and is not left in the middle.
        let ours = environment == Environment::Containers;
        bench.says(News::Doing("booting".to_owned()));
        let booted = tokio::select! {
            booted = boot(&environment, &ground, &plan.topology) => booted.map_err(|error| chain(error.as_ref())),
            why = &mut stop => Err(why),
            why = pulse.stood_still(), if ours => Err(why),
        };
        let (mut lab, image) = match booted {
            Err(why) => {
                let stood_still = pulse.standstill().await.filter(|_| ours);
                let why = finish(ground, Some(format!("boot: {why}")), async || Ok(())).await;
                return (never_began(bench, why), stood_still);
            }
            Ok(Booted { network, image, recorder, deployment, boot, observer, background }) => {
                let lab = Self {
                    environment,
                    docker: ground.docker.clone(),
                    network,
                    deployment,
                    boot,
                    recorder,
                    _observer: observer,
                    _background: background,
                    rng: fastrand::Rng::with_seed(session.seed),
                    judge: bench,
                };
                (lab, image)
            }
        };
        let mut stopped = false;
        let aborted = tokio::select! {
            outcome = AssertUnwindSafe(body(&mut lab)).catch_unwind() => match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => match lab.lacking(error.as_ref()) {
                    Some(capability) => {
                        lab.judge.lacks(capability);
                        None
                    }
                    None => Some(chain(error.as_ref())),
                },
                Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
            },
            why = &mut stop => {
                stopped = true;
                Some(why)
            }
            why = pulse.stood_still(), if ours => Some(why),
        };
        let stood_still = pulse.standstill().await.filter(|_| ours);
        lab.judge.measurements.push(figure());
        let troubled =
            aborted.is_some() || lab.judge.checks.iter().any(|check| check.verdict == Verdict::Fail);
        lab.write_evidence(&plan.folder, troubled).await;
        lab.deployment.retire().await;
        let nodes = summaries(&lab.deployment, &lab.recorder).await;
        let timeline = lab.recorder.timeline();
        let Self { network, judge, deployment, _observer: observer, _background: background, .. } = lab;
        drop((observer, background));
        // What a standstill spoiled begins anew, and is nothing to look at.
        let aborted = if troubled && session.keep && ours && stood_still.is_none() {
            keep(&deployment, &judge).await;
            ground.leave();
            aborted
        } else {
            judge.says(News::Doing(if ours { "tearing down" } else { "handing back" }.to_owned()));
            let nodes = deployment.nodes();
            // A server that was killed is no loss: it would have been now.
            let heals =
                |fault: &FaultWindow| fault.until.is_some() || fault.kind == FaultKind::Crash.to_string();
            let sound = aborted.is_none() && timeline.faults.iter().all(heals);
            let as_it_was = sound && ground.vacate(network.as_ref(), &nodes).await;
            if !as_it_was {
                join_all(nodes.iter().map(|node| node.remove())).await;
            }
            let limit = if stopped { IN_A_HURRY } else { Duration::MAX };
            finish(ground, aborted, async || match timeout(limit, deployment.hand_back()).await {
                Ok(handed_back) => handed_back,
                Err(_) => Err("there was no time to wait until all is as it was".into()),
            })
            .await
        };
        let mut record = judge.into_record(started_at, start, Some((nodes, timeline)), aborted);
        record.image = image;
        write_record(session, &plan.folder, &record);
        (record, stood_still)
    }

    /// What a step ended for want of, in words.
    fn lacking(&self, error: &(dyn std::error::Error + 'static)) -> Option<String> {
        if let Some(missing) = error.downcast_ref::<MissingCapability>() {
            return Some(missing.capability.to_string());
        }
        if let Some(PartitionError::Missing(missing)) = error.downcast_ref() {
            return Some(missing.capability.to_string());
        }
        // Whoever owns a deployment may not let everybody give every command.
        match error.downcast_ref()? {
            NodeError::Command { command, source, .. }
                if self.environment != Environment::Containers && is_denied(source) =>
            {
                Some(format!("permission for {command}"))
            }
            _ => None,
        }
    }

    /// Keeps the nodes' logs and, when something went wrong, a picture of the world.
    async fn write_evidence(&self, folder: &str, troubled: bool) {
        let dir = self.judge.session.dir().join(folder);
        if fs::create_dir_all(&dir).is_err() {
            return;
        }
        let nodes = self.deployment.nodes();
        let logs = join_all(nodes.iter().map(|node| node.log_tail(200))).await;
        for (node, log) in nodes.iter().zip(logs) {
            let _ = fs::write(dir.join(format!("{}.log", node.id())), log);
        }
        if troubled {
            let _ =
                fs::write(dir.join("world.txt"), world(&self.deployment, &self.recorder.timeline()).await);
        }
    }
}

/// Removes everything of the lab, restores what it borrowed and hands it back; if that fails, the reaper is left
/// to try again.
async fn finish(
    ground: Ground,
    aborted: Option<String>,
    hand_back: impl AsyncFnOnce() -> Result<(), StepError>,
) -> Option<String> {
    let also =
        |why: String| Some([aborted.clone().unwrap_or_default(), why].join("\n").trim_start().to_owned());
    if let Err(error) = ground.clear().await {
        return also(format!("teardown: {}", chain(&error)));
    }
    let handed_back = hand_back().await;
    ground.leave();
    match handed_back {
        Ok(()) => aborted,
        Err(error) => also(format!("handing back: {}", chain(error.as_ref()))),
    }
}

fn spoiled_by(standstills: &[Duration]) -> Option<Measurement> {
    let longest = standstills.iter().max()?;
    Some(Measurement {
        name: "the machine stood still".to_owned(),
        value: longest.as_millis() as f64,
        unit: "ms".to_owned(),
        note: match standstills.len() {
            1 => "when this was tried before, which was no experiment".to_owned(),
            times => {
                format!("at worst, of {times} times that this was tried before, which were no experiments")
            }
        },
    })
}

/// Leaves the nodes up, and says as what, where, and until when.
async fn keep(deployment: &impl Deployment, bench: &Bench) {
    let nodes = deployment.nodes();
    let infos = join_all(nodes.iter().map(|node| node.info())).await;
    for (node, info) in nodes.iter().zip(infos) {
        let (id, reach) = (node.id(), node.reach());
        let role = match info.map(|info| info.role()) {
            Ok(Role::Primary) => "primary",
            Ok(Role::Replica) => "replica",
            Ok(Role::Sentinel) => "sentinel",
            Ok(Role::Unreachable) | Err(_) => "no answer",
        };
        let how = match node.keep().await {
            Ok(container) => format!(
                "{id} ({role}) stays up: redis-cli -h {} -p {}, or docker exec -it {container} sh",
                reach.ip(),
                reach.port()
            ),
            Err(error) => format!("{id} could not be kept: {error}"),
        };
        bench.says(News::Kept(how));
    }
    bench.says(News::Kept("`cargo lab reap` removes all of them".to_owned()));
}

fn is_denied(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || error.detail().is_some_and(|text| text.starts_with("unknown command"))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
