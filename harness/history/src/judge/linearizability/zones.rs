//! Deciding by sorting, where no two writes write the same value.

use super::{Decision, Does, Step};
use crate::time::Moment;

/// The operations on one value.
#[derive(Debug, Clone, Copy)]
struct Cluster {
    /// The earliest completion of one of them; before everything, for no value: that was there from the first.
    first_completed: Option<Moment>,
    /// The latest invocation of one of them; none if there is none.
    last_invoked: Option<Moment>,
    /// The operation that was invoked last, in the history.
    place: u32,
    /// When the write was invoked; never, if nobody wrote it.
    written: Moment,
}

impl Cluster {
    /// The register holds the value from the first of these to the second.
    fn forward(&self) -> Option<(Option<Moment>, Moment)> {
        let last = self.last_invoked.filter(|last| self.first_completed < Some(*last))?;
        Some((self.first_completed, last))
    }
}

/// Decides whether the steps on one register are linearizable; its values are numbered below `values`.
pub(super) fn decide(steps: &[Step], values: usize) -> Decision {
    let unused = Cluster {
        first_completed: Some(Moment::NEVER),
        last_invoked: None,
        place: 0,
        written: Moment::NEVER,
    };
    let mut clusters = vec![unused; values];
    clusters[0].first_completed = None;
    clusters[0].written = Moment::BEGINNING;
    for step in steps {
        let (Does::Write(value) | Does::Read(value)) = step.does;
        let cluster = &mut clusters[value as usize];
        cluster.first_completed = cluster.first_completed.min(Some(step.completed));
        if cluster.last_invoked < Some(step.invoked) {
            (cluster.last_invoked, cluster.place) = (Some(step.invoked), step.place);
        }
        if let Does::Write(_) = step.does {
            cluster.written = step.invoked;
        }
    }
    for step in steps {
        if let Does::Read(value) = step.does
            && step.completed < clusters[value as usize].written
        {
            return Decision::NotLinearizable { place: step.place };
        }
    }
    conflict(&clusters).map_or(Decision::Linearizable, |place| Decision::NotLinearizable { place })
}

/// An operation of a cluster that conflicts with another one.
fn conflict(clusters: &[Cluster]) -> Option<u32> {
    let mut forward: Vec<(Option<Moment>, Moment, u32)> = clusters
        .iter()
        .filter_map(|cluster| cluster.forward().map(|(from, to)| (from, to, cluster.place)))
        .collect();
    forward.sort_unstable();
    for two in forward.windows(2) {
        let ((_, to, place), (next, ..)) = (two[0], two[1]);
        // The later one begins before the earlier one ends; that it ends after the earlier one began is clear.
        if next < Some(to) {
            return Some(place);
        }
    }
    // Forward zones lie apart, so of those that begin before another zone only the last can reach beyond it.
    clusters.iter().filter(|cluster| cluster.forward().is_none()).find_map(|cluster| {
        let (from, to) = (cluster.last_invoked?, cluster.first_completed);
        let before = forward.partition_point(|(begin, ..)| *begin < Some(from));
        let (_, end, place) = forward.get(before.checked_sub(1)?)?;
        (to < Some(*end)).then_some(*place)
    })
}
