//! A failover within a cluster: fault → failing → elected, by the nodes' own clocks.

use std::time::Duration;

use super::{Judgement, Limits, seconds};
use crate::{
    evidence::{At, Outcome, Role, RoleChange, Timeline, Write},
    ids::NodeId,
};

/// `clusterCron` runs ten times a second: once it notices, once it asks for votes.
const CRON: Duration = Duration::from_millis(100);
/// A node says what it holds of others at least this often, or every NT / 2 if that is shorter: `clusterCron`
/// pings one of five random nodes a second.
const GOSSIP: Duration = Duration::from_secs(1);
/// `cluster-node-timeout` where nobody sets it (`CLUSTER_DEFAULT_NODE_TIMEOUT`).
const DEFAULT_NODE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a promotion takes, to begin a formula with.
macro_rules! promotion {
    () => {
        "NT + delay … 1.5 × NT + min(NT / 2, 1 s) + 2 × delay + 2 ticks of 0.1 s + (max(4 × NT, 4 s) + 2 × delay) per failed election + scheduling"
    };
}
pub(super) use promotion;

/// How long a replica waits before it stands for election, by its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionDelay {
    /// 500 ms, and at random up to as long again: everybody is to hear of the loss first
    /// (`clusterHandleSlaveFailover`).
    Fixed,
    /// The same, but no more than NT / 30: Valkey 9.0.
    ByTimeout,
    /// The same again, and nothing where the best replica knows that all others of its shard take the primary to be
    /// dead, as an only one does: Valkey 9.1 and later (`clusterAllReplicasThinkPrimaryIsFail`).
    AtOnce,
}

impl ElectionDelay {
    /// No engine's is longer.
    const LONGEST: Duration = Duration::from_millis(500);

    /// That of a Valkey with this version. Every Redis has a fixed one.
    pub fn of_valkey(major: u16, minor: u16) -> Self {
        match (major, minor) {
            (..=8, _) => Self::Fixed,
            (9, 0) => Self::ByTimeout,
            _ => Self::AtOnce,
        }
    }

    /// What is waited twice at most.
    fn once(self, node_timeout: Duration) -> Duration {
        match self {
            Self::Fixed => Self::LONGEST,
            Self::ByTimeout | Self::AtOnce => Self::LONGEST.min(node_timeout / 30),
        }
    }

    fn least(self, node_timeout: Duration) -> Duration {
        match self {
            Self::Fixed | Self::ByTimeout => self.once(node_timeout),
            Self::AtOnce => Duration::ZERO,
        }
    }

    fn most(self, node_timeout: Duration) -> Duration {
        self.once(node_timeout) * 2
    }
}

/// The clocks of a cluster. All are configured or built in, not measured.
#[derive(Debug, Clone, Copy)]
pub struct ClusterClocks {
    /// `cluster-node-timeout`: NT.
    pub node_timeout: Duration,
    /// How long a replica waits before it stands for election: in the formulas `delay` at least, and twice that at
    /// most. Where the least is nothing, a formula's floor has none.
    pub election_delay: ElectionDelay,
    /// A role is asked for this often by the observer.
    pub observe_every: Duration,
    /// What a busy machine may add: threads wait for a processor.
    pub scheduling: Duration,
}

impl ClusterClocks {
    /// The soonest that a replica is primary after its primary is lost.
    ///
    /// A node is failing when it has not answered for NT, and the replica waits before it stands for election.
    pub fn soonest_promotion(&self) -> Duration {
        self.node_timeout + self.election_delay.least(self.node_timeout)
    }

    /// The latest that a replica takes its primary to be dead after it is lost.
    ///
    /// The lost node was last asked up to NT / 2 ago. A majority says so in its gossip, within NT / 2 or a
    /// second.
    fn latest_notice(&self) -> Duration {
        let gossip = (self.node_timeout / 2).min(GOSSIP);
        self.node_timeout * 3 / 2 + gossip + CRON * 2 + self.scheduling
    }

    /// The latest that it is primary, if it is elected at all, after this many elections that failed.
    pub fn latest_promotion(&self, failed: u64) -> Duration {
        self.latest_notice() + self.election_delay.most(self.node_timeout) + self.retries(failed)
    }

    /// What this many elections cost that nobody won: each is tried again after four NT, or 4 s
    /// (`auth_retry_time`).
    pub(super) fn retries(&self, failed: u64) -> Duration {
        let delay = self.election_delay.most(self.node_timeout);
        let retry = (self.node_timeout * 4).max(Duration::from_secs(4)) + delay;
        retry * u32::try_from(failed).unwrap_or(u32::MAX)
    }

    /// The longest node timeout with which a replica is primary within `promise`, if its first election succeeds:
    /// [`Self::latest_promotion`], solved for NT, with the longest delay that there is.
    fn longest_timeout_for(&self, promise: Duration) -> Duration {
        promise.saturating_sub(GOSSIP + CRON * 2 + self.scheduling + ElectionDelay::LONGEST * 2) * 2 / 3
    }
}

/// The instants of one failover of a shard, as far as the timeline shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotFailover {
    /// The fault took effect after this.
    pub began: At,
    /// The fault may have taken effect this much later: what its injection took.
    pub uncertainty: Duration,
    /// The node that became primary.
    pub new: Option<NodeId>,
    /// When it said so itself.
    pub promoted: Option<At>,
}

impl SlotFailover {
    /// Reads the first failover after the last fault of `old`; none if there was no fault.
    pub fn read(timeline: &Timeline, old: &NodeId) -> Option<Self> {
        let fault = timeline.faults.iter().rfind(|fault| &fault.node == old)?;
        let promotion = timeline.roles.iter().find(|change| {
            // A primary of another shard that was out of sight for a moment has not become one, whenever that began.
            let known = |earlier: &&RoleChange| {
                earlier.at < fault.from && earlier.node == change.node && earlier.role != Role::Unreachable
            };
            let before = timeline.roles.iter().rfind(known);
            change.at >= fault.from
                && change.role == Role::Primary
                && &change.node != old
                && before.is_some_and(|before| before.role != Role::Primary)
        });
        Some(Self {
            began: fault.from,
            uncertainty: fault.in_effect.since(fault.from),
            new: promotion.map(|change| change.node.clone()),
            promoted: promotion.map(|change| change.at),
        })
    }

    /// From the fault to the replica taking its primary to be dead (`fail`), at this instant: whatever it does about
    /// it comes after that.
    ///
    /// That a single node suspects another (`fail?`) is nobody else's business, and has no bound of its own.
    pub fn noticed(&self, clocks: &ClusterClocks, at: Option<At>) -> Judgement {
        let limits = Limits {
            what: "taken to be dead",
            floor: clocks.node_timeout,
            ceiling: clocks.latest_notice(),
            resolution: self.uncertainty + clocks.observe_every * 2,
            formula: "NT … 1.5 × NT + min(NT / 2, 1 s) + 2 ticks of 0.1 s + scheduling",
        };
        Judgement::within(limits, at.map(|at| at.since(self.began)))
    }

    /// From the fault to the replica being primary, after this many elections that failed.
    pub fn promotion(&self, clocks: &ClusterClocks, failed: u64) -> Judgement {
        let ClusterClocks { node_timeout, election_delay, .. } = *clocks;
        let [least, most] =
            [election_delay.least(node_timeout), election_delay.most(node_timeout)].map(seconds);
        Judgement::within(self.limits(clocks, failed), self.promoted.map(|at| at.since(self.began)))
            .evidence(format!("{failed} failed elections"))
            .evidence(format!("with its engine a replica waits for {least} to {most} before it stands"))
    }

    pub(super) fn limits(&self, clocks: &ClusterClocks, failed: u64) -> Limits {
        Limits {
            what: "promoted",
            floor: clocks.soonest_promotion(),
            ceiling: clocks.latest_promotion(failed),
            resolution: self.uncertainty + clocks.observe_every * 2,
            formula: promotion!(),
        }
    }

    /// From the replica being primary to the first of `writes`, the lost shard's, that is acknowledged after that.
    pub fn first_write(&self, writes: &[Write]) -> Option<Duration> {
        let promoted = self.promoted?;
        let again = |write: &&Write| write.outcome == Outcome::Acknowledged && write.done >= promoted;
        writes.iter().filter(again).map(|write| write.done.since(promoted)).min()
    }

    /// The same against the clocks of a client that gives an attempt up after `patience`.
    ///
    /// The attempt that is under way at the promotion may be at the lost primary, and so may the next one, if who is
    /// asked has not heard.
    pub fn answered(&self, clocks: &ClusterClocks, patience: Duration, writes: &[Write]) -> Judgement {
        let limits = Limits {
            what: "acknowledged again",
            floor: Duration::ZERO,
            ceiling: patience * 2 + clocks.scheduling,
            resolution: clocks.observe_every * 2,
            formula: "2 × patience (the attempt under way, and one more) + scheduling, after the promotion",
        };
        Judgement::within(limits, self.first_write(writes))
    }

    /// From the fault to the first of `writes`, the lost shard's, that is acknowledged again, against what was
    /// `promised`. An election that nobody won is no part of the promise.
    pub fn kept(
        &self,
        clocks: &ClusterClocks,
        failed: u64,
        promised: Duration,
        writes: &[Write],
    ) -> Judgement {
        let limits = Limits {
            what: "acknowledged again",
            floor: clocks.soonest_promotion(),
            ceiling: promised + clocks.retries(failed),
            resolution: self.uncertainty,
            formula: "NT + delay … what was promised + (max(4 × NT, 4 s) + 2 × delay) per failed election",
        };
        let lost = At(self.began.0 + self.uncertainty);
        let again = |write: &&Write| write.outcome == Outcome::Acknowledged && write.intended >= lost;
        let again = writes.iter().filter(again).map(|write| write.done).min();
        let (soonest, latest) =
            (seconds(clocks.soonest_promotion()), seconds(clocks.latest_promotion(failed)));
        let by_default = ClusterClocks { node_timeout: DEFAULT_NODE_TIMEOUT, ..*clocks };
        Judgement::within(limits, again.map(|at| at.since(self.began)))
            .evidence(format!("{failed} failed elections"))
            .evidence(format!("by its clocks a replica is primary after {soonest} to {latest}"))
            .evidence(format!(
                "a cluster-node-timeout of up to {} keeps the promise; with the default of {} it takes {} at least",
                seconds(clocks.longest_timeout_for(promised)),
                seconds(DEFAULT_NODE_TIMEOUT),
                seconds(by_default.soonest_promotion()),
            ))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{evidence::FaultWindow, verdict::Verdict};

    const CLOCKS: ClusterClocks = ClusterClocks {
        node_timeout: Duration::from_secs(2),
        election_delay: ElectionDelay::Fixed,
        observe_every: Duration::ZERO,
        scheduling: Duration::ZERO,
    };

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    fn timeline(promoted: u64) -> Timeline {
        let change = |millis, node: &str, role| RoleChange { at: at(millis), node: node.into(), role };
        Timeline {
            faults: vec![FaultWindow {
                kind: "crash".to_owned(),
                node: "lab-0001-001".into(),
                from: at(1000),
                in_effect: at(1000),
                until: None,
            }],
            roles: vec![
                change(0, "lab-0002-001", Role::Primary),
                change(0, "lab-0003-001", Role::Primary),
                change(0, "lab-0001-002", Role::Replica),
                change(900, "lab-0003-001", Role::Unreachable),
                change(1010, "lab-0003-001", Role::Primary),
                change(1100, "lab-0002-001", Role::Unreachable),
                change(1200, "lab-0002-001", Role::Primary),
                change(1000 + promoted, "lab-0001-002", Role::Primary),
            ],
            ..Timeline::default()
        }
    }

    #[rstest]
    #[case::too_soon(2_499, 0, Verdict::Fail)]
    #[case::at_the_floor(2_500, 0, Verdict::Pass)]
    #[case::at_the_ceiling(5_200, 0, Verdict::Pass)]
    #[case::too_late(5_201, 0, Verdict::Fail)]
    #[case::after_an_election_that_failed(14_200, 1, Verdict::Pass)]
    fn a_promotion_has_its_bounds(#[case] millis: u64, #[case] failed: u64, #[case] verdict: Verdict) {
        let failover = SlotFailover::read(&timeline(millis), &"lab-0001-001".into()).unwrap();
        assert_eq!(failover.new, Some("lab-0001-002".into()), "not a primary that was out of sight");
        assert_eq!(failover.promotion(&CLOCKS, failed).verdict, verdict);
    }

    #[rstest]
    #[case::of_the_eighth(8, 1, 2_500, 5_200)]
    #[case::of_the_ninth(9, 0, 2_066, 4_333)]
    #[case::of_the_one_after_that(9, 1, 2_000, 4_333)]
    #[case::of_any_later_one(10, 0, 2_000, 4_333)]
    fn a_promotion_has_the_bounds_of_its_engine(
        #[case] major: u16,
        #[case] minor: u16,
        #[case] soonest: u128,
        #[case] latest: u128,
    ) {
        let clocks = ClusterClocks { election_delay: ElectionDelay::of_valkey(major, minor), ..CLOCKS };
        let bounds = (clocks.soonest_promotion(), clocks.latest_promotion(0));
        assert_eq!((bounds.0.as_millis(), bounds.1.as_millis()), (soonest, latest));
    }

    #[rstest]
    #[case::too_soon(Some(1_999), Verdict::Fail)]
    #[case::at_the_floor(Some(2_000), Verdict::Pass)]
    #[case::at_the_ceiling(Some(4_200), Verdict::Pass)]
    #[case::too_late(Some(4_201), Verdict::Fail)]
    #[case::never(None, Verdict::Fail)]
    fn a_loss_is_noticed_within_its_bounds(#[case] millis: Option<u64>, #[case] verdict: Verdict) {
        let failover = SlotFailover::read(&timeline(3_000), &"lab-0001-001".into()).unwrap();
        let noticed = millis.map(|millis| at(1_000 + millis));
        assert_eq!(failover.noticed(&CLOCKS, noticed).verdict, verdict);
    }

    fn write(millis: u64, outcome: Outcome) -> Write {
        Write { sequence: millis, intended: at(millis), done: at(millis), outcome, error: None }
    }

    /// A promotion at 4 s, and a client with a quarter of a second that is answered again this long after it.
    #[rstest]
    #[case::in_time(Some(500), Verdict::Pass)]
    #[case::too_late(Some(501), Verdict::Fail)]
    #[case::never(None, Verdict::Fail)]
    fn a_client_is_answered_as_soon_as_it_can_be(#[case] again: Option<u64>, #[case] verdict: Verdict) {
        let failover = SlotFailover::read(&timeline(3_000), &"lab-0001-001".into()).unwrap();
        let before = [write(999, Outcome::Acknowledged), write(4_100, Outcome::Failed)];
        let again = again.map(|millis| write(4_000 + millis, Outcome::Acknowledged));
        let writes: Vec<_> = before.into_iter().chain(again).collect();
        let judged = failover.answered(&CLOCKS, Duration::from_millis(250), &writes);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }

    /// A fault at 1 s, and a client that is answered again this long after it.
    #[rstest]
    #[case::in_time(Some(15_000), 0, Verdict::Pass)]
    #[case::too_late(Some(15_001), 0, Verdict::Fail)]
    #[case::sooner_than_anybody_could(Some(2_499), 0, Verdict::Fail)]
    #[case::after_an_election_that_failed(Some(24_000), 1, Verdict::Pass)]
    #[case::never(None, 0, Verdict::Fail)]
    fn a_promise_is_kept_or_not(#[case] again: Option<u64>, #[case] failed: u64, #[case] verdict: Verdict) {
        let failover = SlotFailover::read(&timeline(3_000), &"lab-0001-001".into()).unwrap();
        let before = [write(999, Outcome::Acknowledged), write(1_500, Outcome::Failed)];
        let again = again.map(|millis| write(1_000 + millis, Outcome::Acknowledged));
        let writes: Vec<_> = before.into_iter().chain(again).collect();
        let judged = failover.kept(&CLOCKS, failed, Duration::from_secs(15), &writes);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }

    #[test]
    fn the_longest_timeout_keeps_the_promise_and_a_longer_one_does_not() {
        let promise = Duration::from_secs(15);
        let longest = CLOCKS.longest_timeout_for(promise);
        let latest = |node_timeout| ClusterClocks { node_timeout, ..CLOCKS }.latest_promotion(0);
        assert!(latest(longest) <= promise, "{longest:?}");
        assert!(latest(longest + Duration::from_millis(1)) > promise, "{longest:?}");
    }
}
