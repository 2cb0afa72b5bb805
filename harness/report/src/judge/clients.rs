//! What a client's habits come to: how soon it is where it should be, and how many round trips it makes.

use std::time::Duration;

use super::{Judgement, Limits};

/// Sentinel's timer runs at 10 to 19 Hz, at random.
const CRON: Duration = Duration::from_millis(100);
/// A segment of a TCP stream has at least 1,400 bytes, and a command here at most a tenth of that. So a
/// server that reads segment by segment still gets ten commands with each.
const COMMANDS_IN_A_SEGMENT: u64 = 10;

/// The clocks of a client of a sentinel deployment. All are configured, not measured.
#[derive(Debug, Clone, Copy)]
pub struct ClientClocks {
    /// What the sentinels said is believed for this long.
    pub believes: Duration,
    /// An operation is given up after this.
    pub patience: Duration,
    /// The sentinels ping a node this often, and look for a lost one as often.
    pub ping: Duration,
    /// Something is asked of the client this often.
    pub every: Duration,
    /// What a busy machine may add: threads wait for a processor.
    pub scheduling: Duration,
}

impl ClientClocks {
    /// From a replica's return to a read at it, where it is the preferred one.
    pub fn prefers_again(&self, took: Option<Duration>) -> Judgement {
        let limits = Limits {
            what: "read from again",
            floor: Duration::ZERO,
            ceiling: self.ping * 2 + CRON * 2 + self.believes + self.every + self.scheduling,
            resolution: self.every,
            formula: "2 pings + 2 ticks of 0.1 s (the sentinels find it) + what they say is believed for + every + scheduling",
        };
        Judgement::within(limits, took)
    }

    /// From the sentinels naming another primary to a write that it acknowledged.
    pub fn follows(&self, took: Option<Duration>) -> Judgement {
        let limits = Limits {
            what: "acknowledged again",
            floor: Duration::ZERO,
            ceiling: self.patience * 2 + self.every + self.scheduling,
            resolution: self.every,
            formula: "patience (the attempt under way) + patience (the one that asks again) + every + scheduling",
        };
        Judgement::within(limits, took)
    }

    /// From the sentinels naming another primary to the last connection leaving the one before.
    pub fn leaves(&self, took: Option<Duration>) -> Judgement {
        let limits = Limits {
            what: "no connection left",
            floor: Duration::ZERO,
            ceiling: self.believes + self.patience + self.every + self.scheduling,
            resolution: self.every,
            formula: "what the sentinels said is believed for + patience (the operation under way) + every + scheduling",
        };
        Judgement::within(limits, took)
    }
}

/// What a server has counted since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Calls of the command that is asked of it: `cmdstat_…`.
    pub asked: u64,
    /// Commands of everybody: `total_commands_processed`.
    pub commands: u64,
    /// Reads from everybody's sockets: `total_reads_processed`.
    pub reads: u64,
}

/// What one client cost a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Commands.
    pub commands: u64,
    /// Reads from its socket.
    pub reads: u64,
}

impl Counted {
    /// What the client cost between `before` and now, if whoever else asked did so one command at a time.
    pub fn since(self, before: Self) -> Cost {
        let commands = self.asked.saturating_sub(before.asked);
        let of_others = self.commands.saturating_sub(before.commands).saturating_sub(commands);
        Cost { commands, reads: self.reads.saturating_sub(before.reads).saturating_sub(of_others) }
    }
}

/// The same `commands` cost a read each one by one, and a fraction of that pipelined.
pub fn round_trips(commands: u64, one_by_one: Cost, pipelined: Cost) -> Judgement {
    // Somebody else's commands may have come two in one read.
    let each = if one_by_one.reads * 10 >= commands * 9 { "a read each" } else { "fewer reads" };
    let few = if pipelined.reads * COMMANDS_IN_A_SEGMENT <= commands {
        "ten or more to a read"
    } else {
        "more reads"
    };
    Judgement::equal(
        "one by one a read each; pipelined ten or more to a read",
        format!("one by one {each}; pipelined {few}"),
    )
    .evidence(format!("one by one: {} reads for {} commands", one_by_one.reads, one_by_one.commands))
    .evidence(format!("pipelined: {} reads for {} commands", pipelined.reads, pipelined.commands))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn what_others_asked_is_not_the_clients() {
        let before = Counted { asked: 5, commands: 100, reads: 90 };
        let after = Counted { asked: 1005, commands: 1150, reads: 143 };
        assert_eq!(after.since(before), Cost { commands: 1000, reads: 3 });
    }

    #[rstest]
    #[case::as_it_should_be(1000, 3, Verdict::Pass)]
    #[case::a_few_of_others_in_one_read(950, 3, Verdict::Pass)]
    #[case::segment_by_segment(1000, 100, Verdict::Pass)]
    #[case::not_pipelined(1000, 1000, Verdict::Fail)]
    #[case::both_pipelined(3, 3, Verdict::Fail)]
    fn round_trips_are_reads(#[case] single: u64, #[case] pipelined: u64, #[case] verdict: Verdict) {
        let cost = |reads| Cost { commands: 1000, reads };
        assert_eq!(round_trips(1000, cost(single), cost(pipelined)).verdict, verdict);
    }

    #[rstest]
    #[case::at_once(Some(0), Verdict::Pass)]
    #[case::after_what_it_believed(Some(1860), Verdict::Pass)]
    #[case::after_the_node_noticed(Some(3000), Verdict::Fail)]
    #[case::never(None, Verdict::Fail)]
    fn a_pool_leaves_in_time(#[case] millis: Option<u64>, #[case] verdict: Verdict) {
        let ms = Duration::from_millis;
        let (believes, patience, ping, every, scheduling) = (ms(500), ms(1000), ms(400), ms(50), ms(300));
        let clocks = ClientClocks { believes, patience, ping, every, scheduling };
        assert_eq!(clocks.leaves(millis.map(ms)).verdict, verdict);
    }
}
