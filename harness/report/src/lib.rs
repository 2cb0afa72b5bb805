//! What the lab says, and why: verdicts, evidence, pure checkers, grading, and the views of a report.
//!
//! Nothing here touches a socket. Data flows one way:
//! [`evidence`] is recorded by the harness → [`judge`] turns it into judgements → [`grade`] turns those
//! into marks by a [`checklist`] → [`render`] shows the [`report`].

pub mod alerts;
pub mod checklist;
pub mod evidence;
pub mod grade;
pub mod ids;
pub mod judge;
pub mod normalise;
pub mod render;
pub mod report;
pub mod slots;
pub mod verdict;

pub use ids::{CheckId, NodeId, RunId, StepId};
pub use slots::{Slot, Slots};
pub use verdict::Verdict;
