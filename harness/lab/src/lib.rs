//! The language the lab's steps are written in.
//!
//! A [`topology`] is a plain value. The [`docker`] environment boots it; the replication-group manager in
//! [`group`] runs it as ElastiCache would, or sentinels ([`sentinel`]) or the shards of a [`mod@cluster`] fail over
//! among themselves; and a [`lab`] puts faults, clients and an observer around it and records what they see.
//! Judging is left to [`lab_report`]. Sentinels that somebody else runs are found ([`attach`]), and worked with as
//! far as their [`environment`] allows.

mod archive;
pub mod attach;
pub mod certificates;
pub mod client;
pub mod cluster;
pub mod conf;
pub mod connect;
pub mod docker;
pub mod doctor;
pub mod endpoint;
pub mod engine;
pub mod environment;
pub mod explain;
pub mod front;
pub mod group;
pub mod image;
pub mod info;
pub mod insurance;
pub mod interrupt;
pub mod lab;
pub mod load;
pub mod observer;
pub mod pool;
pub mod prometheus;
pub mod pubsub;
pub mod pulse;
pub mod reaper;
pub mod record;
pub mod secret;
pub mod sentinel;
pub mod session;
pub mod setting;
pub mod splitter;
pub mod topology;
pub mod wait;
pub mod writer;

pub use lab::{Lab, Plan, StepError};
pub use topology::{
    Topology,
    clusters::{Clusters, cluster},
    replicated::{Replicated, replicated},
    sentinels::{Sentinels, sentinels},
};
