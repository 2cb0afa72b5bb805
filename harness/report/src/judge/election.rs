//! A failover by sentinels, taken apart: fault → agreed down → leader elected → promoted → advertised.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Judgement, Limits, seconds};
use crate::{
    evidence::{Announcement, At, Role, Timeline},
    ids::NodeId,
    verdict::Verdict,
};

/// What the leader says on its way, in order (`src/sentinel.c`, `sentinelEvent`).
const MILESTONES: [&str; 6] =
    ["+sdown", "+odown", "+try-failover", "+elected-leader", "+selected-slave", "+switch-master"];
/// A leader that was not elected, or found nobody to promote, tries again no sooner than twice its
/// `failover-timeout` later, plus up to one second at random (`SENTINEL_MAX_DESYNC`).
const DESYNC: Duration = Duration::from_secs(1);
/// Sentinel's timer runs at 10 to 19 Hz, at random.
const CRON: Duration = Duration::from_millis(100);

/// "Disk is busy?": a server postpones what waits for an fsync for as long, and no longer (`flushAppendOnlyFile`).
const BUSY_DISK: Duration = Duration::from_secs(2);

/// While a failover is under way `INFO` is asked for once a second, whatever `SENTINEL DEBUG` says
/// (`sentinelSendPeriodicCommands`); that is how the leader learns that the promotion was taken.
const INFO: Duration = Duration::from_secs(1);

/// A replica looks after its link to the primary once a second (`replicationCron`).
const RESYNC: Duration = Duration::from_secs(1);

/// The clocks of a sentinel deployment. All are configured, not measured.
#[derive(Debug, Clone, Copy)]
pub struct SentinelClocks {
    /// `down-after-milliseconds`: D.
    pub down_after: Duration,
    /// `failover-timeout`.
    pub failover_timeout: Duration,
    /// `SENTINEL_PING_PERIOD`, 1 s unless shortened: the last good answer is up to this old.
    pub ping: Duration,
    /// `SENTINEL_ASK_PERIOD`, 1 s unless shortened: the others are asked for their opinion this often.
    pub ask: Duration,
    /// A role is asked for this often by the observer.
    pub observe_every: Duration,
    /// What a busy machine may add: threads wait for a processor.
    pub scheduling: Duration,
}

impl SentinelClocks {
    /// From a sentinel's return to its agreement with the others, which say hello every `publish`.
    ///
    /// They do so at the replicas, where it listens again at once, and to itself as soon as they have
    /// reached it: a greeting with a new configuration is due at once (`sentinelForceHelloUpdateForMaster`),
    /// and a lost link is tried again once per ping (`sentinelReconnectInstance`).
    pub fn catching_up(&self, publish: Duration, took: Duration) -> Judgement {
        let limits = Limits {
            what: "caught up",
            floor: Duration::ZERO,
            ceiling: self.ping + publish + CRON * 2 + self.scheduling,
            resolution: self.observe_every,
            formula: "ping (the others reach it again) + publish (they say hello) + 2 ticks of 0.1 s + scheduling",
        };
        Judgement::within(limits, Some(took))
    }

    /// From a replica's return to its link to a primary that was promoted while it was away.
    ///
    /// It asks for whom it followed before. A leader that is not done with its failover turns it at once.
    /// Afterwards a sentinel leaves it at that for `failover-timeout`, from the first `INFO` that says so,
    /// and then turns it (`sentinelRefreshInstanceInfo`, `+fix-slave-config`). Where a link is down, `INFO`
    /// is asked for once a second.
    pub fn repoints(&self, took: Option<Duration>) -> Judgement {
        let limits = Limits {
            what: "following",
            floor: Duration::ZERO,
            ceiling: self.ping + INFO + self.failover_timeout + INFO + RESYNC + CRON * 2 + self.scheduling,
            resolution: self.observe_every,
            formula: "ping (a sentinel reaches it again) + INFO (1 s) + failover-timeout + INFO + 1 s to synchronise + 2 ticks of 0.1 s + scheduling",
        };
        Judgement::within(limits, took)
    }
}

/// The instants of one failover by sentinels, as far as the timeline shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct Election {
    /// The node that was primary.
    pub old: NodeId,
    /// The fault took effect after this.
    pub began: At,
    /// The fault may have taken effect this much later: what its injection took.
    pub uncertainty: Duration,
    /// The sentinel that led the failover.
    pub leader: Option<NodeId>,
    /// The leader's milestones, in the order in which they came.
    pub milestones: Vec<(String, At)>,
    /// Elections before the one that succeeded.
    pub aborted: usize,
    /// The node that became primary.
    pub new: Option<NodeId>,
    /// When it said so itself.
    pub promoted: Option<At>,
    /// When each sentinel began to name it.
    pub advertised: BTreeMap<NodeId, Named>,
}

/// A sentinel names the new primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Since when.
    pub at: At,
    /// For how long it had answered nobody before that.
    pub silent: Duration,
}

impl SentinelClocks {
    /// The latest that a replica is primary after its primary is lost, if the first election succeeds.
    pub fn latest_promotion(&self) -> Duration {
        self.down_after + self.ping + self.ask + CRON * 5 + self.scheduling
    }
}

impl Election {
    /// Reads the first failover after the primary's last fault, or after a request; none if nothing began.
    pub fn read(timeline: &Timeline, old: &NodeId) -> Option<Self> {
        let fault = timeline.faults.iter().rfind(|fault| &fault.node == old);
        let began = fault.map(|fault| fault.from).or(timeline.marks.requested)?;
        let uncertainty = fault.map_or(Duration::ZERO, |fault| fault.in_effect.since(fault.from));
        let said: Vec<&Announcement> =
            timeline.announcements.iter().filter(|said| said.at >= began).collect();
        let leader = said
            .iter()
            .find(|said| said.event == "+switch-master")
            .and_then(|_| said.iter().rfind(|said| said.event == "+selected-slave"))
            .or_else(|| said.iter().find(|said| said.event == "+elected-leader"))
            .map(|said| said.sentinel.clone());
        let promotion = timeline
            .roles
            .iter()
            .find(|change| change.at >= began && &change.node != old && change.role == Role::Primary);
        let new = promotion.map(|change| change.node.clone());
        let mut advertised = BTreeMap::new();
        for seen in timeline.advertised.iter().filter(|seen| seen.at >= began) {
            if Some(&seen.primary) == new.as_ref() {
                advertised
                    .entry(seen.sentinel.clone())
                    .or_insert(Named { at: seen.at, silent: seen.silent.0 });
            }
        }
        Some(Self {
            old: old.clone(),
            began,
            uncertainty,
            milestones: milestones(&said, leader.as_ref()),
            leader,
            aborted: Self::epochs(timeline, began).saturating_sub(1),
            promoted: promotion.map(|change| change.at),
            new,
            advertised,
        })
    }

    /// How many elections there were after `from`: each has an epoch of its own, and several sentinels may
    /// stand for election in one.
    pub fn epochs(timeline: &Timeline, from: At) -> usize {
        let new = timeline.announcements.iter().filter(|said| said.event == "+new-epoch" && said.at >= from);
        new.map(|said| said.about.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// The leader said everything that a failover consists of, in order.
    pub fn in_order(&self) -> Judgement {
        let seen: Vec<&str> = self.milestones.iter().map(|(event, _)| event.as_str()).collect();
        let mut judgement = Judgement::equal(MILESTONES.join(", "), seen.join(", "));
        for (event, at) in &self.milestones {
            judgement =
                judgement.evidence(format!("{event} {} after the fault", seconds(at.since(self.began))));
        }
        judgement
    }

    /// From the fault to another node being primary.
    pub fn promotion(&self, clocks: &SentinelClocks) -> Judgement {
        let judged = Judgement::within(self.limits(clocks), self.promoted.map(|at| at.since(self.began)));
        match (&self.leader, judged.verdict) {
            // One that failed is paid for; whether one did, only the sentinels say.
            (None, Verdict::Fail) if self.promoted.is_some() => {
                Judgement { verdict: Verdict::Unknown, ..judged }
                    .evidence("no sentinel was heard of an election")
            }
            _ => judged.evidence(format!("{} failed elections", self.aborted)),
        }
    }

    /// Every election takes an epoch, also one that nobody wins; nothing else does.
    pub fn one_epoch_each(&self, grown: u64) -> Judgement {
        let judged = one_epoch_each(self.aborted + 1, grown);
        match (&self.leader, judged.verdict) {
            (None, Verdict::Fail) => Judgement { verdict: Verdict::Unknown, ..judged }
                .evidence("no sentinel was heard of an election"),
            _ => judged,
        }
    }

    fn limits(&self, clocks: &SentinelClocks) -> Limits {
        let SentinelClocks { down_after, failover_timeout, ping, observe_every, .. } = *clocks;
        let retries = (failover_timeout * 2 + DESYNC) * u32::try_from(self.aborted).unwrap_or(u32::MAX);
        Limits {
            what: "promoted",
            floor: down_after.saturating_sub(ping),
            ceiling: clocks.latest_promotion() + retries,
            resolution: self.uncertainty + observe_every * 2,
            formula: "D − ping … D + ping + ask + 5 ticks of 0.1 s + (2 × failover-timeout + 1 s) per failed election + scheduling",
        }
    }

    /// From the fault to another node being primary, where the first attempt came to nothing: the second
    /// one is due, and no sooner, twice `failover-timeout` after the first one began.
    pub fn second_attempt(&self, clocks: &SentinelClocks) -> Judgement {
        let again = clocks.failover_timeout * 2;
        let limits = Limits {
            what: "promoted",
            floor: clocks.down_after.saturating_sub(clocks.ping) + again,
            formula: "D − ping + 2 × failover-timeout … D + ping + ask + 5 ticks of 0.1 s + (2 × failover-timeout + 1 s) per failed attempt + scheduling",
            ..self.limits(clocks)
        };
        Judgement::within(limits, self.promoted.map(|at| at.since(self.began)))
            .evidence(format!("{} failed attempts", self.aborted))
    }

    /// From promotion to the last of `sentinels` naming the new primary.
    ///
    /// Before its leader says that it was promoted, and before another one believes that, they write their configuration
    /// to disk, sync it, and answer nobody meanwhile (`sentinelFlushConfig`). How long that takes is the disk's affair, up
    /// to where the engine itself calls one busy.
    pub fn advertisement(&self, sentinels: usize, clocks: &SentinelClocks) -> Judgement {
        let saving = self.saving();
        let limits = Limits {
            what: "advertised",
            floor: Duration::ZERO,
            ceiling: INFO + CRON * 2 + saving + clocks.scheduling,
            resolution: clocks.observe_every * 2,
            formula: "one INFO (every second during a failover) + 2 ticks of 0.1 s for the others to hear of it + what the leader and the last one were silent while they saved it (2 s each at most) + scheduling",
        };
        let last = self.last_named().filter(|_| self.advertised.len() == sentinels);
        Judgement::within(limits, last.zip(self.promoted).map(|(at, from)| at.since(from)))
            .evidence(format!("{} of {sentinels} sentinels name the new primary", self.advertised.len()))
            .evidence(format!("{} of silence while it was saved", seconds(saving)))
    }

    /// When the last of those that name the new primary began to.
    pub fn last_named(&self) -> Option<At> {
        self.advertised.values().map(|named| named.at).max()
    }

    /// For how long the leader, and whoever named the new primary last, saved their configuration.
    fn saving(&self) -> Duration {
        let leader = self.leader.as_ref();
        let last = self.advertised.iter().max_by_key(|(_, named)| named.at).map(|(sentinel, _)| sentinel);
        let both: BTreeSet<&NodeId> = leader.into_iter().chain(last).collect();
        let silent = both.into_iter().filter_map(|sentinel| self.advertised.get(sentinel));
        silent.map(|named| named.silent.min(BUSY_DISK)).sum()
    }
}

/// Every election takes an epoch, also one that nobody wins; nothing else does.
pub fn one_epoch_each(elections: usize, grown: u64) -> Judgement {
    let expected = "grew by one for each election";
    let judgement = match grown == elections as u64 {
        true => Judgement::of(true, expected, expected),
        false => Judgement::of(false, expected, format!("grew by {grown} in {elections} elections")),
    };
    judgement.evidence(format!("elections: {elections}"))
}

/// The leader's own milestones, each the last before the next.
fn milestones(said: &[&Announcement], leader: Option<&NodeId>) -> Vec<(String, At)> {
    let of_leader: Vec<_> = said.iter().filter(|said| Some(&said.sentinel) == leader).collect();
    let mut found = Vec::new();
    let mut seen = of_leader.iter();
    for event in MILESTONES {
        if let Some(said) = seen.clone().find(|said| said.event == event) {
            found.push((event.to_owned(), said.at));
            seen.by_ref().find(|said| said.event == event);
        }
    }
    found
}

#[cfg(test)]
mod tests;
