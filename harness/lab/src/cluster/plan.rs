//! Which slots have to move for every node to have its share.

use std::sync::Arc;

use lab_report::{Slot, Slots};

use super::{ClusterGroup, Lane};
use crate::{StepError, docker::Node};

impl ClusterGroup {
    /// What has to move for every one of `nodes` to have a share of the slots by its weight, as the first of
    /// them sees it. One without a weight gives up all that it has.
    ///
    /// # Errors
    /// The first of them does not answer.
    pub async fn plan(&self, nodes: &[(Arc<Node>, f64)]) -> Result<Vec<Lane>, StepError> {
        let (first, _) = nodes.first().ok_or("there is nobody to have slots")?;
        let view = self.view(first).await?;
        let owned = nodes.iter().map(|(node, weight)| {
            let member = view.member(self.name_of(node));
            (member.map(|member| member.slots.clone()).unwrap_or_default(), *weight)
        });
        let moves = moves(&owned.collect::<Vec<_>>());
        let node = |index: usize| Arc::clone(&nodes[index].0);
        Ok(moves
            .into_iter()
            .map(|(from, to, slots)| Lane { from: node(from), to: node(to), slots })
            .collect())
    }
}

/// From whom, to whom, and which: whoever has too many gives away its last ones.
fn moves(owned: &[(Slots, f64)]) -> Vec<(usize, usize, Vec<Slot>)> {
    let targets = targets(owned);
    let mut spare: Vec<(usize, Vec<Slot>)> = (owned.iter().zip(&targets).enumerate())
        .map(|(index, ((slots, _), target))| (index, slots.iter().skip(*target).collect()))
        .collect();
    let mut moves = Vec::new();
    for (to, ((slots, _), target)) in owned.iter().zip(&targets).enumerate() {
        let mut lacking = target.saturating_sub(slots.len());
        for (from, spare) in &mut spare {
            let given: Vec<Slot> = spare.drain(..lacking.min(spare.len())).collect();
            lacking -= given.len();
            if !given.is_empty() {
                moves.push((*from, to, given));
            }
        }
    }
    moves
}

/// How many slots each is to have: together as many as they have.
fn targets(owned: &[(Slots, f64)]) -> Vec<usize> {
    let all: usize = owned.iter().map(|(slots, _)| slots.len()).sum();
    let weights: f64 = owned.iter().map(|(_, weight)| weight).sum();
    let (mut weight, mut given) = (0.0, 0);
    let target = |(_, own): &(Slots, f64)| {
        weight += own;
        let end = (all as f64 * weight / weights).round() as usize;
        let target = end - given;
        given = end;
        target
    };
    owned.iter().map(target).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(weights: &[f64], with_slots: usize) -> Vec<(Slots, f64)> {
        let shares = Slots::shares(with_slots).into_iter().chain(std::iter::repeat(Slots::default()));
        shares.zip(weights).map(|(slots, weight)| (slots, *weight)).collect()
    }

    #[test]
    fn a_fourth_one_gets_a_part_of_each() {
        let moves = moves(&nodes(&[1.0, 1.0, 1.0, 1.0], 3));
        let counts: Vec<_> = moves.iter().map(|(from, to, slots)| (*from, *to, slots.len())).collect();
        assert_eq!(counts, [(0, 3, 1365), (1, 3, 1366), (2, 3, 1365)]);
        assert_eq!(moves[0].2[0].number(), 4096);
    }

    #[test]
    fn one_without_a_weight_gives_up_all() {
        let moves = moves(&nodes(&[1.0, 1.0, 1.0, 0.0], 4));
        assert!(moves.iter().all(|(from, ..)| *from == 3));
        assert_eq!(moves.iter().map(|(.., slots)| slots.len()).sum::<usize>(), 4096);
    }

    proptest! {
        /// Whatever the weights, everybody ends with its target, and no slot is given twice.
        #[test]
        fn everybody_gets_its_share(weights in prop::collection::vec(0.0..4.0f64, 1..8), with_slots in 1usize..8) {
            prop_assume!(weights.iter().sum::<f64>() > 0.0);
            let owned = nodes(&weights, with_slots.min(weights.len()));
            let mut counts: Vec<usize> = owned.iter().map(|(slots, _)| slots.len()).collect();
            for (from, to, slots) in moves(&owned) {
                prop_assert!(from != to && slots.iter().all(|slot| owned[from].0.contains(*slot)));
                counts[from] -= slots.len();
                counts[to] += slots.len();
            }
            prop_assert_eq!(counts, targets(&owned));
        }
    }
}
