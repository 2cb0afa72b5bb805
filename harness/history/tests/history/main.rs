//! The record and its judges.
//!
//! - [`world`]: a world in which everything works, and whose histories are therefore clean.
//! - [`format`], [`lines`]: what is written is what is read, wherever it was cut off, and damage is noticed.
//! - [`clean`]: no judge finds anything in a clean history.
//! - [`availability`], [`registers`], [`sets`], [`counters`], [`channels`], [`streams`]: each judge finds exactly what was planted.
//! - [`broken`]: and what the broken histories in `fixtures/histories` show, which people wrote.

mod availability;
mod broken;
mod channels;
mod clean;
mod counters;
mod format;
mod lines;
mod registers;
mod sets;
mod streams;
mod world;

use lab_history::{
    History,
    judge::{Judge, linearizability::Cap},
};
use proptest::prelude::*;

use crate::world::World;

/// Worlds of all sizes, calm and troubled.
fn worlds(operations: usize) -> impl Strategy<Value = World> {
    (any::<u64>(), 1..=operations, 1..8_u32, 1..5_u32, 0..30_u32, 0..30_u32, 0..900_u32).prop_map(
        |(seed, operations, processes, objects, refused, silent, reads)| World {
            seed,
            operations,
            processes,
            objects,
            refused,
            silent,
            reads,
        },
    )
}

/// Every anomaly that any judge finds, as `judge.anomaly`, with its count.
fn anomalies(history: &History) -> Vec<(String, u64)> {
    let judged = Judge::ALL.iter().map(|judge| judge.judge(history, Cap::default(), &|_| false));
    let found = judged.flat_map(|judged| {
        let found: Vec<_> = judged.rows.into_iter().filter(lab_history::judge::Row::is_found).collect();
        let name = judged.judge.name();
        found.into_iter().map(move |row| (format!("{name}.{}", row.name), row.quantity))
    });
    found
        .map(|(name, quantity)| match quantity {
            lab_history::judge::Quantity::Count(count) => (name, count),
            other => panic!("{name} is no count: {other}"),
        })
        .collect()
}

/// What `anomalies` should say.
fn exactly(found: &[(&str, u64)]) -> Vec<(String, u64)> {
    found.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}
