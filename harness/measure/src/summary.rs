//! What the runs of a cell came to, all together.

use crate::{
    cell::TopologyName,
    experiment::{Experiment, Planned},
    results::{DOWNTIME, Observed, Outcome, PROMOTED, Taken},
    statistics::{Estimate, Reading},
};

/// The runs of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary<'a> {
    /// The cell.
    pub planned: &'a Planned,
    /// What was measured, by run.
    pub observed: Vec<&'a Observed>,
    /// Why a run was not measured, once for each time that it was tried in vain.
    pub not_measured: Vec<&'a str>,
}

/// Acknowledged writes that were gone in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lost {
    /// In so many runs it is known.
    pub n: usize,
    /// In so many of them something was lost.
    pub runs: usize,
    /// In all of them together.
    pub total: u64,
    /// Of a run.
    pub estimate: Estimate,
}

/// The runs of every cell of an experiment, in its order. Runs of other cells are not counted.
pub fn summaries<'a>(experiment: &'a Experiment, taken: &'a [Taken]) -> Vec<Summary<'a>> {
    experiment.cells.iter().map(|planned| Summary::of(planned, taken)).collect()
}

impl<'a> Summary<'a> {
    fn of(planned: &'a Planned, taken: &'a [Taken]) -> Self {
        let mut own: Vec<&Taken> = taken.iter().filter(|taken| taken.cell == planned.key).collect();
        own.sort_by_key(|taken| taken.run);
        let not_measured = own.iter().filter_map(|taken| match &taken.outcome {
            Outcome::NotMeasured(why) => Some(why.as_str()),
            Outcome::Measured(_) => None,
        });
        Self {
            planned,
            not_measured: not_measured.collect(),
            observed: own.iter().filter_map(|taken| taken.observed()).collect(),
        }
    }

    /// How many runs were measured.
    pub fn n(&self) -> usize {
        self.observed.len()
    }

    /// What it runs on.
    pub fn topology(&self) -> TopologyName {
        self.planned.cell.topology
    }

    /// The downtime of each run, in milliseconds.
    pub fn downtimes(&self) -> impl Iterator<Item = Reading> {
        self.observed.iter().filter_map(|observed| downtime(observed))
    }

    /// For how long nothing was done of what was wanted of the node that the fault hits, in milliseconds.
    pub fn downtime(&self) -> Option<Estimate> {
        Estimate::of(self.downtimes())
    }

    /// From the fault to another node's being primary, in milliseconds, in each run in which one was.
    pub fn promotions(&self) -> impl Iterator<Item = f64> {
        self.observed.iter().filter_map(|observed| observed.figures.get(PROMOTED))
    }

    /// In how many runs the client was served again.
    pub fn recovered(&self) -> usize {
        self.observed.iter().filter(|observed| observed.recovered).count()
    }

    /// A figure by its name.
    pub fn figure(&self, name: &str) -> Option<Estimate> {
        let readings = self.observed.iter().filter_map(|observed| observed.figures.get(name));
        Estimate::of(readings.map(Reading::Exactly))
    }

    /// What was lost; none if that is known of no run.
    pub fn lost(&self) -> Option<Lost> {
        let sort = self.planned.cell.load.sort;
        let lost: Vec<f64> = self.observed.iter().filter_map(|observed| observed.lost(sort)).collect();
        let estimate = Estimate::of(lost.iter().copied().map(Reading::Exactly))?;
        Some(Lost {
            n: lost.len(),
            runs: lost.iter().filter(|lost| **lost > 0.0).count(),
            total: lost.iter().sum::<f64>() as u64,
            estimate,
        })
    }

    /// The run in the middle, by downtime: of an even number, the shorter of the two.
    pub fn typical(&self) -> Option<&'a Observed> {
        let mut by_downtime: Vec<_> =
            self.observed.iter().filter_map(|observed| Some((downtime(observed)?, *observed))).collect();
        by_downtime.sort_by(|(one, _), (other, _)| one.order(other));
        let middle = by_downtime.len().checked_sub(1)? / 2;
        by_downtime.get(middle).map(|(_, observed)| *observed)
    }
}

fn downtime(observed: &Observed) -> Option<Reading> {
    let length = observed.figures.get(DOWNTIME)?;
    Some(match observed.recovered {
        true => Reading::Exactly(length),
        false => Reading::AtLeast(length),
    })
}
