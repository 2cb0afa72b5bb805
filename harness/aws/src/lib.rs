//! ElastiCache's API, in front of replication groups of real nodes: what AWS' command line, boto3 and the SDKs ask
//! of ElastiCache they can ask of this, without an account.
//!
//! The protocol is AWS' Query protocol, version 2015-02-02 of the ElastiCache API: a form goes in, XML comes out. Names
//! of fields, codes of errors and their HTTP status are those of the API's published service model (`service-2.json`
//! of botocore). Whatever is not served is refused: an action by `InvalidAction`, a parameter by
//! `InvalidParameterValue`. Nothing is accepted and then left undone.
//!
//! A change that was taken on and fails later is told of by an event of its group: nobody else asks.
//!
//! # Not as on AWS
//!
//! - There is no maintenance window. What would wait for one, because `ApplyImmediately` is not `true`, is refused by
//!   `InvalidParameterCombination`; a description waits for none.
//! - The pace: a group is available here as soon as its nodes are, within seconds.
//! - A member of a group has its group's tags, and no others.
//! - Primaries that were retained go by `DeleteCacheCluster`; members of a group go by `DecreaseReplicaCount` only.
//!
//! # Not verified against AWS
//!
//! - The messages of errors; clients go by the codes.
//! - Which node the event of a completed failover is about, of the two that it names: here the one that was primary.
//! - The code for a group one of whose members would be called like a primary that was retained: here
//!   `InvalidParameterValue`, with its name.
//! - That a group which fails over on request cannot be changed or deleted before the last of its events.

mod action;
mod answer;
mod fault;
mod plane;
mod request;
mod server;

pub use plane::ControlPlane;
pub use server::Server;
