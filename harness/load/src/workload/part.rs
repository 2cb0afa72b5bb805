//! Which part of a workload an application has, and how it consumes.

use std::{fmt, str::FromStr, time::Duration};

/// Which part of a workload an application has. Of keys, a producer writes, and a consumer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub enum Part {
    /// It writes, publishes, appends.
    Producer,
    /// It reads, listens, works off.
    Consumer,
    /// Both.
    #[default]
    Both,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Producer, Self::Consumer, Self::Both];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Both => "both",
        }
    }

    pub(super) fn produces(self) -> bool {
        self != Self::Consumer
    }

    pub(super) fn consumes(self) -> bool {
        self != Self::Producer
    }

    /// The share of operations that read, where it would be `reads` of both.
    pub(super) fn reads(self, reads: f64) -> f64 {
        match self {
            Self::Producer => 0.0,
            Self::Consumer => 1.0,
            Self::Both => reads.clamp(0.0, 1.0),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no such part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no part `{0}`; known are producer, consumer, both")]
pub struct UnknownPart(String);

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|part| part.name() == text);
        found.ok_or_else(|| UnknownPart(text.to_owned()))
    }
}

/// How messages and entries are consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consuming {
    /// How many channels, or streams, there are. Each is in a part of its own of a cluster's slots: as many as there are
    /// shards, or a multiple of it, are spread evenly over them.
    pub channels: u32,
    /// How many subscribers there are, each of all channels; or how many consumers each stream has.
    pub consumers: u32,
    /// How long a consumer waits at a stream for an entry (`XREADGROUP … BLOCK`). To its client that is time without an
    /// answer: it waits half of its response time-out at most.
    pub block: Duration,
    /// How often a consumer takes over what others have left, and for how long it has to have been left (`XAUTOCLAIM`).
    pub claim_every: Duration,
    /// How often the first consumer of each stream looks how the group is (`XPENDING`, `XINFO GROUPS`).
    pub look_every: Duration,
}

impl Default for Consuming {
    fn default() -> Self {
        Self {
            // The lab's cluster has as many shards.
            channels: 3,
            consumers: 2,
            block: Duration::from_millis(100),
            claim_every: Duration::from_secs(1),
            look_every: Duration::from_millis(500),
        }
    }
}

impl Consuming {
    /// As the `redis` crate has it where a profile says nothing.
    const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

    /// How long a consumer waits at a stream, if its client waits `response_timeout` for an answer.
    pub(super) fn blocks_for(&self, response_timeout: Option<Duration>) -> Duration {
        // 0 would be for ever.
        let least = Duration::from_millis(1);
        self.block.min(response_timeout.unwrap_or(Self::RESPONSE_TIMEOUT) / 2).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_answered_before_its_client_loses_patience() {
        let consuming = Consuming { block: Duration::from_secs(2), ..Consuming::default() };
        let blocks_for =
            |millis: Option<u64>| consuming.blocks_for(millis.map(Duration::from_millis)).as_millis();
        assert_eq!([Some(100), Some(10_000), Some(1), None].map(blocks_for), [50, 2000, 1, 250]);
    }

    #[test]
    fn every_part_reads_as_it_is_written() {
        assert!(Part::ALL.into_iter().all(|part| part.name().parse() == Ok(part)));
        assert!("publisher".parse::<Part>().unwrap_err().to_string().contains("producer, consumer, both"));
    }
}
