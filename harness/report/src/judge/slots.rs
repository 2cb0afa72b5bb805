//! A failover within a cluster: fault → failing → elected, by the nodes' own clocks.

use std::{collections::BTreeMap, time::Duration};

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

/// The clocks of a cluster. All are configured or built in, not measured.
#[derive(Debug, Clone, Copy)]
pub struct ClusterClocks {
    /// `cluster-node-timeout`: NT.
    pub node_timeout: Duration,
    /// A replica waits this long before it stands for election, and at random up to as long again
    /// (`clusterHandleSlaveFailover`: 500 ms; Valkey 9.0 and later no more than NT / 30).
    pub election_delay: Duration,
    /// A role is asked for this often by the observer.
    pub observe_every: Duration,
    /// What a busy machine may add: threads wait for a processor.
    pub scheduling: Duration,
}

impl ClusterClocks {
    /// The soonest that a replica is primary after its primary is lost.
    ///
    /// A node is failing when it has not answered for NT, and the replica waits before it stands for election.
    pub(super) fn soonest_promotion(&self) -> Duration {
        self.node_timeout + self.election_delay
    }

    /// The latest, if it is elected at all, after this many elections that failed.
    ///
    /// The lost node was last asked up to NT / 2 ago. A majority says so in its gossip, within NT / 2 or a
    /// second.
    pub fn latest_promotion(&self, failed: u64) -> Duration {
        let gossip = (self.node_timeout / 2).min(GOSSIP);
        self.node_timeout * 3 / 2 + gossip + self.voting() + self.retries(failed)
    }

    /// What this many elections cost that nobody won: each is tried again after four NT, or 4 s
    /// (`auth_retry_time`).
    pub(super) fn retries(&self, failed: u64) -> Duration {
        let retry = (self.node_timeout * 4).max(Duration::from_secs(4)) + self.election_delay * 2;
        retry * u32::try_from(failed).unwrap_or(u32::MAX)
    }

    /// The longest node timeout with which a replica is primary within `promise`, if its first election succeeds:
    /// [`Self::latest_promotion`], solved for NT.
    fn longest_timeout_for(&self, promise: Duration) -> Duration {
        promise.saturating_sub(GOSSIP + self.voting()) * 2 / 3
    }

    /// From a majority's knowing to the votes.
    fn voting(&self) -> Duration {
        self.election_delay * 2 + CRON * 2 + self.scheduling
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

    /// From the fault to the replica being primary, after this many elections that failed.
    pub fn promotion(&self, clocks: &ClusterClocks, failed: u64) -> Judgement {
        Judgement::within(self.limits(clocks, failed), self.promoted.map(|at| at.since(self.began)))
            .evidence(format!("{failed} failed elections"))
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
        Judgement::within(limits, again.map(|at| at.since(self.began)))
            .evidence(format!("{failed} failed elections"))
            .evidence(format!("by its clocks a replica is primary after {soonest} to {latest}"))
            .evidence(format!(
                "a cluster-node-timeout of up to {} keeps the promise; with the default of {} it takes {} at least",
                seconds(clocks.longest_timeout_for(promised)),
                seconds(DEFAULT_NODE_TIMEOUT),
                seconds(DEFAULT_NODE_TIMEOUT + clocks.election_delay),
            ))
    }
}

/// Every request of a client was acknowledged: a failover elsewhere is none of its business.
pub fn undisturbed(expected: &str, writes: &[Vec<Write>]) -> Judgement {
    let all: Vec<&Write> = writes.iter().flatten().collect();
    let failed: Vec<&&Write> = all.iter().filter(|write| write.error.is_some()).collect();
    if all.is_empty() {
        return Judgement::unknown(expected, "nothing was sent");
    }
    let mut errors: Vec<&str> = failed.iter().filter_map(|write| write.error.as_deref()).collect();
    errors.sort_unstable();
    errors.dedup();
    let observed = match failed.is_empty() {
        true => expected.to_owned(),
        false => format!("not acknowledged: {}", errors.join(", ")),
    };
    Judgement::of(failed.is_empty(), expected, observed).evidence(format!(
        "{} of {} requests were not acknowledged",
        failed.len(),
        all.len()
    ))
}

/// No request of a client was acknowledged, though some were answered: whoever they went to had no right to.
pub fn none_acknowledged(expected: &str, writes: &[Write]) -> Judgement {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for write in writes {
        *counts.entry(write.error.as_deref().unwrap_or("acknowledged")).or_default() += 1;
    }
    let acknowledged = writes.iter().filter(|write| write.outcome == Outcome::Acknowledged).count();
    // An error in capitals is the server's own.
    let refused = counts.keys().any(|class| class.starts_with(|first: char| first.is_ascii_uppercase()));
    let judgement = match (acknowledged, refused) {
        (0, true) => Judgement::equal(expected, expected),
        (0, false) => Judgement::unknown(expected, "no request was answered"),
        _ => Judgement::of(false, expected, "some are acknowledged"),
    };
    counts.iter().fold(judgement, |judgement, (class, count)| judgement.evidence(format!("{count} {class}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{evidence::FaultWindow, verdict::Verdict};

    const CLOCKS: ClusterClocks = ClusterClocks {
        node_timeout: Duration::from_secs(2),
        election_delay: Duration::from_millis(500),
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

    fn write(sequence: u64, outcome: Outcome, error: Option<&str>) -> Write {
        let (intended, done) = (at(sequence), at(sequence + 1));
        Write { sequence, intended, done, outcome, error: error.map(str::to_owned) }
    }

    #[rstest]
    #[case::refused(&[Some("not sent"), Some("CLUSTERDOWN"), Some("MOVED")], Verdict::Pass)]
    #[case::acknowledged_once(&[Some("CLUSTERDOWN"), None, Some("MOVED")], Verdict::Fail)]
    #[case::nobody_there(&[Some("not sent"), Some("no answer")], Verdict::Unknown)]
    #[case::nothing_sent(&[], Verdict::Unknown)]
    fn a_refusal_is_an_answer(#[case] errors: &[Option<&str>], #[case] verdict: Verdict) {
        let outcome = |error: Option<&str>| error.map_or(Outcome::Acknowledged, |_| Outcome::Failed);
        let writes: Vec<Write> =
            (0..).zip(errors).map(|(sequence, error)| write(sequence, outcome(*error), *error)).collect();
        assert_eq!(none_acknowledged("none", &writes).verdict, verdict);
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
        let write = |millis| Write { done: at(millis), ..write(millis, Outcome::Acknowledged, None) };
        let refused = Write { outcome: Outcome::Failed, ..write(1_500) };
        let writes: Vec<_> =
            [write(999), refused].into_iter().chain(again.map(|ms| write(1_000 + ms))).collect();
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

    #[test]
    fn one_error_is_a_disturbance_and_no_request_is_no_proof() {
        let mut writes =
            vec![vec![write(1, Outcome::Acknowledged, None)], vec![write(1, Outcome::Acknowledged, None)]];
        assert_eq!(undisturbed("all", &writes).verdict, Verdict::Pass);
        writes[1].push(write(2, Outcome::Failed, Some("CLUSTERDOWN")));
        assert_eq!(undisturbed("all", &writes).observed, "not acknowledged: CLUSTERDOWN");
        assert_eq!(undisturbed("all", &[]).verdict, Verdict::Unknown);
    }
}
