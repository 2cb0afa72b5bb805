//! The instrument: operations on a fixed schedule, through clients as applications have them, each recorded.
//!
//! - A [`Schedule`] says when each operation is meant to begin, and nothing that happens
//!   moves it: an *open loop*. Latency runs from there, so what waits behind a stall is seen to wait.
//! - A [`workload`] says what each operation is.
//! - A [`client`] is a library with its settings, a [`Profile`], before a [`Target`].
//! - A [`Tape`] records what became of it, as a [`lab_history`].
//! - A [`pipelined`] sender takes the place of client and workload where a server is to be kept busy.
//!
//! The caller's deadline is the driver's and nobody else's: an operation is given up so long after its intended
//! beginning, whatever the client goes on to try.

pub mod client;
pub mod command;
pub mod drive;
pub mod pipelined;
pub mod profile;
pub mod schedule;
pub mod tape;
pub mod target;
pub mod workload;

pub use command::{Reply, Request};
pub use drive::{Driven, drive};
pub use pipelined::{Pace, Pipelined, Sent};
pub use profile::Profile;
pub use schedule::Schedule;
pub use tape::Tape;
pub use target::{Endpoint, Login, Place, Resolver, Target};
