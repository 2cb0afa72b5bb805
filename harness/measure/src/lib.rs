//! Experiments: a topology, a fault and a client under load, run again and again, judged and compared.
//!
//! A [`Cell`] says what is measured. [`measure`](measure::measure) runs it once, on servers of its own: it
//! leaves a history, and the [`Figures`] that the judges read from it.
//!
//! A [`Trial`](trial::Trial) is the same on servers that somebody else has booted, and with several applications: what
//! the steps of the client lab are made of. What its history shows they [`claim`](claims).
//!
//! An [`Experiment`] names many cells. Each is run several times, the [`results`] are kept line by line, and what they
//! show is on one [`page`]: [`statistics`] say how sure one can be of a median, and [`findings`] what that proves.

pub mod bench;
pub mod cell;
pub mod chaos;
pub mod claims;
pub mod course;
pub mod experiment;
pub mod figures;
pub mod findings;
pub mod measure;
pub mod openmetrics;
pub mod page;
pub mod profiles;
pub mod results;
pub mod scenario;
mod servers;
pub mod stage;
pub mod statistics;
pub mod summary;
pub mod trial;

pub use cell::Cell;
pub use experiment::Experiment;
pub use figures::Figures;
pub use measure::{Measured, measure};
