//! The options of those who consume messages and entries.

use clap::Args;
use humantime::Duration;
use lab_load::workload::{Consuming, Part};

use crate::{failure::Failure, subject::named};

// Without documentation: it would take the place of the command's.
#[derive(Args)]
pub(crate) struct Consumers {
    /// Which part of the workload the client has: producer, consumer, both.
    #[arg(long, default_value = "both")]
    part: String,
    /// How many channels there are, or streams.
    #[arg(long, default_value_t = Consuming::default().channels, value_parser = clap::value_parser!(u32).range(1..=1000))]
    channels: u32,
    /// How many subscribers there are, each of all channels, or how many consumers each stream has.
    #[arg(long, default_value_t = Consuming::default().consumers, value_parser = clap::value_parser!(u32).range(1..=100))]
    consumers: u32,
    /// How long a consumer waits at a stream: half of its client's response time-out at most.
    #[arg(long, default_value_t = Consuming::default().block.into())]
    block: Duration,
    /// How often a consumer takes over entries that have been left for as long.
    #[arg(long, default_value_t = Consuming::default().claim_every.into())]
    claim_every: Duration,
    /// How often the first consumer of each stream looks how the group is.
    #[arg(long, default_value_t = Consuming::default().look_every.into())]
    look_every: Duration,
}

impl Consumers {
    pub(crate) fn part(&self) -> Result<Part, Failure> {
        named(&self.part, "--part")
    }

    pub(crate) fn consuming(&self) -> Consuming {
        Consuming {
            channels: self.channels,
            consumers: self.consumers,
            block: self.block.into(),
            claim_every: self.claim_every.into(),
            look_every: self.look_every.into(),
        }
    }
}
