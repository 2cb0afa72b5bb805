//! A step from its beginning to its end, whatever happens in between.

use std::{
    any::Any,
    fs,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use lab_report::{Verdict, evidence::FaultWindow, report::StepRecord};
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
    session::{News, Session, now_utc},
    topology::{Deployment, Topology},
};

/// Whoever interrupts a step waits this long for it to hand a deployment back.
const IN_A_HURRY: Duration = Duration::from_secs(30);

impl<T: Topology> Lab<T> {
    /// Boots, runs `body`, collects evidence, tears down: also after an error, a panic or an interrupt.
    pub async fn run<F>(session: &Session, plan: Plan<'_, T>, body: F) -> StepRecord
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
            return never_began(bench, None);
        }
        bench.says(News::Doing("preparing".to_owned()));
        let mut ground =
            match Ground::prepare(session, &|line| bench.says(News::Doing(line.to_owned()))).await {
                Ok(ground) => ground,
                Err(why) => return never_began(bench, Some(why)),
            };
        let stop = interrupted();
        tokio::pin!(stop);
        bench.says(News::Doing("booting".to_owned()));
        let booted = tokio::select! {
            booted = boot(&environment, &ground, &plan.topology) => booted.map_err(|error| chain(error.as_ref())),
            why = &mut stop => Err(why),
        };
        let (mut lab, image) = match booted {
            Err(why) => {
                let why = finish(ground, Some(format!("boot: {why}")), async || Ok(())).await;
                return never_began(bench, why);
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
        };
        let troubled =
            aborted.is_some() || lab.judge.checks.iter().any(|check| check.verdict == Verdict::Fail);
        lab.write_evidence(&plan.folder, troubled).await;
        lab.deployment.retire().await;
        let nodes = summaries(&lab.deployment, &lab.recorder).await;
        let timeline = lab.recorder.timeline();
        let Self {
            environment,
            network,
            judge,
            deployment,
            _observer: observer,
            _background: background,
            ..
        } = lab;
        drop((observer, background));
        let ours = environment == Environment::Containers;
        let aborted = if troubled && session.keep && ours {
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
        record
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

async fn keep(deployment: &impl Deployment, bench: &Bench) {
    for node in deployment.nodes() {
        let reach = node.reach();
        let how = match node.keep().await {
            Ok(container) => format!(
                "{} stays up: redis-cli -h {} -p {}, or docker exec -it {container} sh",
                node.id(),
                reach.ip(),
                reach.port()
            ),
            Err(error) => format!("{} could not be kept: {error}", node.id()),
        };
        bench.says(News::Kept(how));
    }
}

fn is_denied(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || error.detail().is_some_and(|text| text.starts_with("unknown command"))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
