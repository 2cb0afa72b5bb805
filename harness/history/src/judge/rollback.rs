//! What was lost, by the fault that it belongs to: the one that is nearest to the acknowledgements.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Row;
use crate::{
    history::History,
    note::Event,
    time::{Length, Moment},
};

/// Acknowledged writes that were lost together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rollback {
    /// The fault that is nearest to their acknowledgements; none if there was none.
    pub fault: Option<u32>,
    /// How many.
    pub operations: u64,
    /// When the first of them was acknowledged.
    pub from_us: Moment,
    /// When the last of them was.
    pub to_us: Moment,
}

impl Rollback {
    /// The largest of several, if there are any.
    pub(super) fn rows(all: &[Self]) -> Vec<Row> {
        let Some(most) = all.iter().map(|rollback| rollback.operations).max() else { return Vec::new() };
        let depth = all.iter().map(Self::depth).max().unwrap_or_default();
        vec![
            Row::count("rollback.operations", most, "acknowledged writes lost together, at most"),
            Row::time("rollback.depth", depth, "first to last acknowledgement of these, at most"),
        ]
    }

    /// From the first acknowledgement that was lost to the last.
    pub fn depth(&self) -> Length {
        self.to_us.since(self.from_us)
    }
}

/// Sorts what was lost by the nearest fault.
#[derive(Default)]
pub(super) struct Rollbacks {
    faults: Vec<Fault>,
    found: BTreeMap<Option<u32>, Rollback>,
}

/// Whether one of these nodes has data: where roles are on record, one of those that have any. Sentinels have none.
fn can_lose_data(history: &History, nodes: &[String]) -> bool {
    let mut with_data = history.notes.iter().filter_map(|note| match &note.event {
        Event::Role { node, .. } => Some(node),
        _ => None,
    });
    let is_hit = |node: &String| nodes.contains(node);
    with_data.clone().any(is_hit) || with_data.next().is_none()
}

/// A fault, from its beginning to its end; one that nobody healed was over at once.
struct Fault {
    number: u32,
    from: Moment,
    until: Moment,
}

impl Rollbacks {
    pub(super) fn of(history: &History) -> Self {
        let mut faults: Vec<Fault> = Vec::new();
        for note in &history.notes {
            match &note.event {
                Event::Injected { fault, nodes, .. } if can_lose_data(history, nodes) => {
                    faults.push(Fault { number: *fault, from: note.at, until: note.at });
                }
                Event::Healed { fault } => {
                    let healed = faults.iter_mut().rfind(|known| known.number == *fault);
                    healed.into_iter().for_each(|healed| healed.until = note.at.max(healed.from));
                }
                _ => {}
            }
        }
        Self { faults, found: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, acknowledged: Moment) {
        // No time at all while it lasts.
        let distance = |fault: &&Fault| fault.from.since(acknowledged).max(acknowledged.since(fault.until));
        let fault = self.faults.iter().min_by_key(distance).map(|fault| fault.number);
        let new = Rollback { fault, operations: 0, from_us: acknowledged, to_us: acknowledged };
        let rollback = self.found.entry(fault).or_insert(new);
        rollback.operations += 1;
        rollback.from_us = rollback.from_us.min(acknowledged);
        rollback.to_us = rollback.to_us.max(acknowledged);
    }

    /// One for each fault that something was lost by.
    pub(super) fn found(self) -> Vec<Rollback> {
        self.found.into_values().collect()
    }
}
