//! The views of a report, held against one sample.
//!
//! - [`sample`]: the report that all of them show: a failover, and one check of every verdict.
//! - [`json`]: the source of all views, and its published schema.
//! - [`text`]: Markdown and the terminal.
//! - [`page`]: HTML and the picture of a failover.
//! - [`normalise`]: what snapshots of a step hold.

mod json;
mod normalise;
mod page;
mod sample;
mod text;
