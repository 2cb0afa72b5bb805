//! One run of a cell: servers of its own, a load, a fault, and what the judges make of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use failover_lab::{Lab, StepError, cluster, replicated, sentinels, session::Session, wait::pass};
use lab_history::{
    History, Length,
    judge::{Judge, Judged, Verdict, linearizability::Cap},
};
use lab_load::{Driven, client::Settled};
use lab_report::evidence::Timeline;

use crate::{
    cell::{Cell, FaultName, TopologyName},
    figures::Figures,
    scenario::{Notes, Scenario},
    servers::on_servers,
    stage::Stage,
    trial::{Caller, Trial},
};

/// Before a fault the load runs for so long: a client has its connections, and a judge something to compare with.
pub(crate) const BEFORE: Duration = Duration::from_secs(2);
/// The fault comes at any moment of this: what runs by a clock is to be hit at every phase of it.
const SOMEWHEN: Duration = Duration::from_secs(1);
/// For so long before the end of the load every fault is healed: a client that only waits for that shows it.
pub(crate) const HEALED: Duration = Duration::from_secs(3);

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Where its history is.
    pub history: PathBuf,
    /// What the judges read from it.
    pub figures: Figures,
    /// What they found, one by one.
    pub judged: Vec<Judged>,
    /// What the client's library made of its profile.
    pub settled: Settled,
    /// The slots, epochs and roles of all nodes, as far as the lab saw them.
    pub timeline: Timeline,
}

/// Runs a cell once, in the folder `folder` of the session's run. `seed` decides what chance would.
///
/// # Errors
/// The servers did not boot, the client did not connect, the fault was refused, or nothing settled. Nothing is left
/// running.
pub async fn measure(session: &Session, cell: &Cell, folder: &str) -> Result<Measured, StepError> {
    under(session, cell, folder, &mut OneFault(cell)).await
}

/// The same with `scenario` in the place of the cell's fault.
///
/// # Errors
/// As for [`measure`].
pub(crate) async fn under(
    session: &Session,
    cell: &Cell,
    folder: &str,
    scenario: &mut impl Scenario,
) -> Result<Measured, StepError> {
    match cell.topology {
        TopologyName::Replication => on(session, cell, folder, replicated(2), scenario).await,
        TopologyName::Sentinel => on(session, cell, folder, sentinels(3).replicas(2), scenario).await,
        TopologyName::Cluster => {
            let sound = cluster(3).replicas(1).config("cluster-require-full-coverage", "no");
            on(session, cell, folder, sound, scenario).await
        }
    }
}

async fn on<T: Stage>(
    session: &Session,
    cell: &Cell,
    folder: &str,
    topology: T,
    scenario: &mut impl Scenario,
) -> Result<Measured, StepError> {
    let topology = topology.with_changes(&cell.changes)?;
    let path = session.dir().join(folder).join("history.bin");
    let body = async |lab: &mut Lab<T>| body(lab, cell, &path, scenario).await;
    let ((driven, settled, refreshes, history), timeline) =
        on_servers(session, topology, &cell.to_string(), folder, body).await?;
    let judged = judge(&history);
    let mut figures = Figures::read(&history, &judged, driven, refreshes);
    if let (Some(victim), true) = (T::SHARD_OF_THE_VICTIM, cell.fault != FaultName::None) {
        figures.tell_shards_apart(&history, victim);
    }
    Ok(Measured { history: path, figures, judged, settled, timeline })
}

/// Every judge that has something to say.
fn judge(history: &History) -> Vec<Judged> {
    let concerned = Judge::ALL.iter().filter(|judge| judge.is_concerned(history));
    concerned.map(|judge| judge.judge(history, Cap::default(), &|_| false)).collect()
}

/// What every run ends with: the worst of what the judges say.
pub fn verdict(judged: &[Judged]) -> Verdict {
    Verdict::worst(judged.iter().map(|judged| &judged.verdict))
}

async fn body<T: Stage>(
    lab: &mut Lab<T>,
    cell: &Cell,
    path: &Path,
    scenario: &mut impl Scenario,
) -> Result<(Driven, Settled, Option<u64>, History), StepError> {
    let deadline = lab_load::tape::length(cell.load.deadline);
    let ran = ran(cell, lab.session(), scenario.name());
    let mut trial = Trial::begin(lab, path.to_owned(), deadline, ran)?;
    let entrance = T::entrance(lab).await?;
    let Cell { library, profile, load, .. } = cell;
    let caller = Caller { who: library.name(), library: *library, profile, load };
    let before = refreshes(lab).await;

    let settled = trial.add(lab, caller, &entrance.target).await?;
    scenario.unfold(lab, &trial.notes).await?;
    let driven = trial.driven().await;
    // What the client asked is counted before the lab asks anything itself.
    let asked = match (before, refreshes(lab).await) {
        (Some(before), Some(after)) => Some(after.saturating_sub(before)),
        _ => None,
    };
    Ok((driven, settled, asked, trial.end(lab).await?))
}

/// What a history is of.
fn ran(cell: &Cell, session: &Session, scenario: String) -> BTreeMap<String, String> {
    let load = &cell.load;
    let said = [
        ("engine", session.engine.to_string()),
        ("topology", cell.topology.to_string()),
        ("fault", scenario),
        ("client", cell.library.to_string()),
        ("profile", cell.profile.name.clone()),
        ("workload", load.sort.to_string()),
        ("part", load.part.to_string()),
        ("durability", load.durability.to_string()),
        ("rate", format!("{} operations a second", load.rate)),
    ];
    said.into_iter().map(|(label, what)| (label.to_owned(), what)).collect()
}

/// The fault of a cell: breaks what is to be broken, waits, and heals it.
struct OneFault<'a>(&'a Cell);

impl Scenario for OneFault<'_> {
    fn name(&self) -> String {
        self.0.fault.to_string()
    }

    async fn unfold<T: Stage>(&mut self, lab: &mut Lab<T>, notes: &Notes) -> Result<(), StepError> {
        let Cell { fault, load, .. } = self.0;
        let begin = notes.tape.now();
        let somewhen = SOMEWHEN.mul_f64(lab.rng().f64());
        pass(BEFORE + somewhen).await;
        let victim = T::victim(lab);
        let inflicted = match fault {
            FaultName::None => None,
            FaultName::Failover => {
                let at = notes.tape.now();
                T::fail_over(lab).await?;
                notes.injected(0, fault.name(), &victim, at, notes.tape.now());
                None
            }
            _ => {
                let harm = fault.harm().expect("whatever else there is does harm to a node");
                Some(harm.inflict(0, &victim, lab, notes).await?)
            }
        };
        let spent: Duration = notes.tape.now().since(begin).into();
        pass(load.duration.saturating_sub(HEALED).saturating_sub(spent)).await;
        match inflicted {
            Some(inflicted) => inflicted.heal(lab, notes).await,
            None => Ok(()),
        }
    }
}

/// How often the nodes were asked who has which slot, by their own account; none where one cannot be asked. Nobody but
/// a cluster's client asks that: the lab draws its map from `CLUSTER NODES`.
async fn refreshes<T: Stage>(lab: &Lab<T>) -> Option<u64> {
    let mut asked = 0;
    for node in T::data(lab).0 {
        let info = node.counters().await.ok()?;
        let calls = |command| info.calls(command).carried_out;
        asked += calls("cluster|slots") + calls("cluster|shards");
    }
    Some(asked)
}

/// For whoever wants to say it with a unit.
pub(crate) fn millis(length: Length) -> f64 {
    Duration::from(length).as_secs_f64() * 1000.0
}
