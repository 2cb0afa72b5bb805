//! Chaos: random faults for a time, under load, and what was lost by which of them.

mod layout;
mod plan;

use std::{sync::Arc, time::Duration};

use failover_lab::{Lab, StepError, docker::Node, session::Session, wait::pass};
use lab_history::{Length, judge::Judge};
use serde::Deserialize;

pub use self::{
    layout::{Layout, Part},
    plan::{Limit, Planned, plan},
};
use crate::{
    cell::{Cell, TopologyName},
    measure::{Measured, under},
    scenario::{Inflicted, Notes, Scenario},
    stage::{Stage, whole},
};

/// What a time of chaos came to.
#[derive(Debug, Clone)]
pub struct Survived {
    /// What was measured, and judged.
    pub measured: Measured,
    /// The faults, in the order of their numbers in the history.
    pub faults: Vec<Happened>,
    /// What was lost.
    pub losses: Vec<Loss>,
}

/// What became of a fault that was planned.
#[derive(Debug, Clone)]
pub struct Happened {
    /// What was to be.
    pub planned: Planned,
    /// The name of the node.
    pub node: String,
    /// Why it was left out, if it was.
    pub left_out: Option<String>,
}

/// Acknowledged writes that are gone in the end, and the fault that they belong to: the one that is nearest to their
/// acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The fault's number; none if there was none.
    pub fault: Option<u32>,
    /// How many.
    pub operations: u64,
    /// From the first acknowledgement that was lost to the last.
    pub depth: Length,
}

/// Puts a cell under load for as long as its load says, and lets random faults happen to it in the place of its own,
/// as the session's seed has them. Everything is kept in the folder `folder` of the session's run.
///
/// A fault is left out if, when it is due, its shard has not recovered from what was before it: two faults that
/// nothing is to come between would be one that takes the whole shard. Where `limit` allows that, nothing is left out.
///
/// # Errors
/// The servers did not boot, the client did not connect, a fault was refused, or nothing settled. Nothing is left
/// running.
pub async fn chaos(
    session: &Session,
    cell: &Cell,
    limit: Limit,
    folder: &str,
) -> Result<Survived, StepError> {
    let layout = Layout::of(cell.topology);
    let planned = plan(session.seed, &layout, cell.load.duration, limit);
    let mut faults = Faults { layout, limit, planned, before: 0, happened: Vec::new() };
    let measured = under(session, cell, folder, &mut faults).await?;
    let losses = losses(&measured)?;
    Ok(Survived { measured, faults: faults.happened, losses })
}

/// The same before a lab that runs already, for so long, and after so many faults: never a whole shard.
pub(crate) async fn go_through<T: Stage>(
    (topology, duration, before): (TopologyName, Duration, u32),
    lab: &mut Lab<T>,
    notes: &Notes,
) -> Result<Vec<Happened>, StepError> {
    let (layout, limit) = (Layout::of(topology), Limit::OneOfEach);
    let planned = plan(lab.session().seed, &layout, duration, limit);
    let mut faults = Faults { layout, limit, planned, before, happened: Vec::new() };
    faults.unfold(lab, notes).await?;
    Ok(faults.happened)
}

/// Faults that are to be.
struct Faults {
    layout: Layout,
    limit: Limit,
    planned: Vec<Planned>,
    /// How many are on record already.
    before: u32,
    happened: Vec<Happened>,
}

/// What is next: the end of a fault, or the beginning of one.
enum Next {
    Heal(usize),
    Begin(usize),
}

impl Scenario for Faults {
    fn name(&self) -> String {
        format!("chaos, {} faults", self.planned.len())
    }

    async fn unfold<T: Stage>(&mut self, lab: &mut Lab<T>, notes: &Notes) -> Result<(), StepError> {
        let begin = notes.tape.now();
        let nodes = T::nodes(lab);
        let mut lasting: Vec<Option<Inflicted>> = self.planned.iter().map(|_| None).collect();
        for (at, next) in self.agenda() {
            let passed: Duration = notes.tape.now().since(begin).into();
            pass(at.saturating_sub(passed)).await;
            match next {
                Next::Begin(number) => {
                    let Planned { harm, node, .. } = self.planned[number];
                    let left_out = self.obstacle(node, &nodes).await;
                    if let Some(why) = &left_out {
                        lab.doing(&format!("leaving {harm} {} out: {why}", nodes[node].id()));
                    } else {
                        let number_in_the_record = self.before + u32::try_from(number)?;
                        let fault = harm.inflict(number_in_the_record, &nodes[node], lab, notes).await?;
                        lasting[number] = Some(fault);
                    }
                    let (planned, node) = (self.planned[number].clone(), nodes[node].id().to_string());
                    self.happened.push(Happened { planned, node, left_out });
                }
                Next::Heal(number) => {
                    if let Some(fault) = lasting[number].take() {
                        fault.heal(lab, notes).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Faults {
    /// Everything that is to be done, in its order: of what comes at the same time, what ends first.
    fn agenda(&self) -> Vec<(Duration, Next)> {
        let both = |(number, planned): (usize, &Planned)| {
            [(planned.from, Next::Begin(number)), (planned.until, Next::Heal(number))]
        };
        let mut agenda: Vec<_> = self.planned.iter().enumerate().flat_map(both).collect();
        agenda.sort_by_key(|(at, next)| (*at, matches!(next, Next::Begin(_))));
        agenda
    }

    /// Why a fault of this node cannot be now, if it cannot: another node of its shard is not what it should be.
    async fn obstacle(&self, node: usize, nodes: &[Arc<Node>]) -> Option<String> {
        let shard: Vec<_> =
            self.layout.shard_of(node).into_iter().map(|place| Arc::clone(&nodes[place])).collect();
        match self.limit {
            Limit::OneOfEach if !shard.is_empty() => whole(&shard, 1).await.err(),
            _ => None,
        }
    }
}

/// What the judge of registers says was lost together, by the fault that is nearest.
fn losses(measured: &Measured) -> Result<Vec<Loss>, StepError> {
    #[derive(Deserialize)]
    struct Rollback {
        fault: Option<u32>,
        operations: u64,
        from_us: u64,
        to_us: u64,
    }
    let registers = measured.judged.iter().find(|judged| judged.judge == Judge::Registers);
    let Some(rollbacks) = registers.and_then(|judged| judged.figures.get("rollbacks")) else {
        return Ok(Vec::new());
    };
    let loss = |rollback: Rollback| Loss {
        fault: rollback.fault,
        operations: rollback.operations,
        depth: Length::from_micros(rollback.to_us.saturating_sub(rollback.from_us)),
    };
    let rollbacks: Vec<Rollback> = serde_json::from_value(rollbacks.clone())?;
    Ok(rollbacks.into_iter().map(loss).collect())
}
