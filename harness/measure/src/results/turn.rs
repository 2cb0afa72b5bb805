//! One run of a cell, and everything that is kept of it.

use std::{collections::BTreeMap, fs::File, io::BufReader, time::Instant};

use failover_lab::{
    StepError,
    explain::chain,
    session::{Session, now_utc},
};
use lab_history::History;
use lab_load::workload::Sort;
use lab_report::slots::{Slot, Slots};

use super::{DOWNTIME, Observed, Outcome, PROMOTED, Taken};
use crate::{
    Cell, Measured,
    cell::FaultName,
    course::{Course, outage, undisturbed},
    experiment::{Planned, shape::Shape},
    measure::measure,
};

/// Runs a cell once, with the session's engine and seed. What goes wrong is part of what it came to; nothing is left
/// running.
pub async fn take(session: &Session, planned: &Planned, run: u32) -> Taken {
    let (began, begin) = (now_utc(), Instant::now());
    let folder = format!("experiment/{}/{run}", planned.key.replace('/', "-"));
    let outcome = match measure(session, &planned.cell, &folder).await.and_then(|it| observed(planned, it)) {
        Ok(observed) => Outcome::Measured(Box::new(observed)),
        Err(error) => Outcome::NotMeasured(chain(error.as_ref())),
    };
    Taken {
        cell: planned.key.clone(),
        run,
        seed: session.seed,
        engine: session.engine.to_string(),
        began,
        took_s: begin.elapsed().as_secs_f64(),
        outcome,
    }
}

fn observed(planned: &Planned, measured: Measured) -> Result<Observed, StepError> {
    let history = History::open(BufReader::new(File::open(&measured.history)?))?;
    let course = Course::of(&history);
    let hit = hit(planned);
    let outage = outage(&history, |key| hit.as_ref().is_none_or(|slots| slots.contains(Slot::of(key))));
    let mut figures = measured.figures;
    figures.0.extend(undisturbed(&history));
    if let Some(outage) = outage {
        figures.0.insert(DOWNTIME.to_owned(), outage.length_ms);
    }
    let promoted = course.fault.as_ref().and_then(|fault| Some(fault.promoted_ms? - fault.from_ms));
    if let Some(promoted) = promoted {
        figures.0.insert(PROMOTED.to_owned(), promoted);
    }
    // What is no number is no figure, and JSON has no word for it.
    figures.0.retain(|_, value| value.is_finite());
    let verdicts: BTreeMap<String, String> = (measured.judged.iter())
        .map(|judged| (judged.judge.name().to_owned(), judged.verdict.to_string()))
        .collect();
    let recovered = outage.is_some_and(|outage| outage.ended);
    Ok(Observed { figures, verdicts, recovered, course, history: measured.history })
}

/// The slots of the node that the fault hits: of a cluster, the first shard's. None where it hits everything: a channel
/// that is not sharded has no slot.
fn hit(planned: &Planned) -> Option<Slots> {
    let Cell { fault, load, .. } = &planned.cell;
    match Shape::of(&planned.cell) {
        Shape::Cluster(cluster) if *fault != FaultName::None && load.sort != Sort::PubSub => {
            cluster.shares().into_iter().next()
        }
        _ => None,
    }
}
