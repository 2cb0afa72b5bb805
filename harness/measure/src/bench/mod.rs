//! Benchmarks: figures of several rounds, side by side. Those of different runs, or machines, are not to be compared;
//! the ratios of one run are.

pub mod recording;
mod table;
mod theirs;
pub mod throughput;

pub use table::Table;
