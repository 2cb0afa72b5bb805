//! A failover, taken apart: fault → detected → promoted → repointed → first write → redundancy restored.

use std::time::Duration;

use super::{Judgement, Limits, seconds};
use crate::{
    evidence::{At, EndpointName, Outcome, Role, RoleChange, Timeline},
    ids::NodeId,
};

/// From the order to start a host to its server's first answer. Docker 20.10 takes 0.3 s for a container, and 1.2 s for
/// six side by side (measured); 20 ms of that are the server's.
const START: Duration = Duration::from_millis(1200);
/// `replicationCron` runs once a second (`run_with_period(1000)` in server.c). A replica that could not connect tries
/// again then, and a full synchronisation that had to wait begins.
const REPLICATION_CRON: Duration = Duration::from_secs(1);

/// The instants of one failover, as far as the timeline shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// The node that was primary.
    pub old: NodeId,
    /// The node that became primary.
    pub new: Option<NodeId>,
    /// The fault took effect, or the failover was asked for.
    pub began: At,
    /// The fault may have taken effect this much later: what its injection took.
    pub uncertainty: Duration,
    /// The manager held the primary to be dead.
    pub detected: Option<At>,
    /// Another node said that it is primary.
    pub promoted: Option<At>,
    /// The primary name named it, and nobody else; that may be before it was primary.
    pub repointed: Option<At>,
    /// A write was acknowledged again.
    pub first_write: Option<At>,
    /// As many replicas as before were online.
    pub restored: Option<At>,
}

/// The clocks that a failover's bounds follow from. All are configured, not measured.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The manager asks every node this often …
    pub probe_every: Duration,
    /// … waits this long for an answer …
    pub probe_timeout: Duration,
    /// … and holds a node to be dead after this long without one.
    pub dead_after: Duration,
    /// A client keeps a resolved name for this long …
    pub ttl: Duration,
    /// … gives an operation up after this …
    pub patience: Duration,
    /// … and starts one this often.
    pub write_every: Duration,
    /// A role is asked for this often.
    pub observe_every: Duration,
    /// A node's figures are asked for this often.
    pub sample_every: Duration,
    /// What a busy machine may add to each stage: threads wait for a processor.
    pub scheduling: Duration,
}

impl Failover {
    /// Reads the first failover off a timeline; none if nothing began. The first write is the first that
    /// was acknowledged once the name had moved.
    pub fn read(timeline: &Timeline, old: &NodeId) -> Option<Self> {
        Self::read_kept(timeline, old, |_| true)
    }

    /// The same; but of the acknowledged writes only those count that the new primary has, which `kept`
    /// says by their sequence number: an acknowledgement of the old one restores nothing.
    pub fn read_kept(timeline: &Timeline, old: &NodeId, kept: impl Fn(u64) -> bool) -> Option<Self> {
        let fault = timeline.faults.first();
        let began = fault.map(|fault| fault.from).or(timeline.marks.requested)?;
        let uncertainty = fault.map_or(Duration::ZERO, |fault| fault.in_effect.since(fault.from));
        let promotion = timeline
            .roles
            .iter()
            .find(|change| change.at >= began && &change.node != old && change.role == Role::Primary);
        let repointed = promotion.and_then(|promotion| {
            timeline.endpoints.iter().find(|change| {
                let targets = std::slice::from_ref(&promotion.node);
                change.endpoint == EndpointName::Primary && change.at >= began && change.targets == targets
            })
        });
        let first_write = repointed.and_then(|moved| {
            let done = timeline
                .writes
                .iter()
                .filter(|write| write.outcome == Outcome::Acknowledged && kept(write.sequence))
                .map(|write| write.done);
            done.filter(|done| *done >= moved.at).min()
        });
        Some(Self {
            old: old.clone(),
            new: promotion.map(|change| change.node.clone()),
            began,
            uncertainty,
            detected: timeline.marks.detected.filter(|at| *at >= began),
            promoted: promotion.map(|change| change.at),
            repointed: repointed.map(|change| change.at),
            first_write,
            restored: promotion.and_then(|promotion| restored(timeline, old, promotion)),
        })
    }

    /// From the fault to the manager holding the primary dead.
    pub fn detection(&self, clocks: &Clocks) -> Judgement {
        let Clocks { probe_every, probe_timeout, dead_after, scheduling, .. } = *clocks;
        let limits = Limits {
            what: "detected",
            floor: dead_after.saturating_sub(probe_every + probe_timeout),
            ceiling: dead_after + probe_every + probe_timeout + scheduling,
            resolution: self.uncertainty,
            formula: "dead_after − probe_every − probe_timeout … dead_after + probe_every + probe_timeout + scheduling",
        };
        Judgement::within(limits, self.detected.map(|at| at.since(self.began)))
    }

    /// From detection (or from the request) to another node being primary.
    pub fn promotion(&self, clocks: &Clocks) -> Judgement {
        let limits = Limits {
            what: "promoted",
            floor: Duration::ZERO,
            ceiling: clocks.probe_timeout + clocks.observe_every + clocks.scheduling,
            resolution: clocks.observe_every * 2,
            formula: "one round of asking for offsets (≤ probe_timeout) + observe_every + scheduling",
        };
        let from = self.detected.unwrap_or(self.began);
        Judgement::within(limits, self.promoted.map(|at| at.since(from)))
    }

    /// From promotion to the primary name naming the new primary.
    ///
    /// The name's change is known to the moment, the promotion when the observer sees it: by so much the name may seem to
    /// be early. A name that was any earlier sent its clients to a node that took no writes.
    pub fn repointing(&self, clocks: &Clocks) -> Judgement {
        let limits = Limits {
            what: "repointed",
            floor: Duration::ZERO,
            ceiling: clocks.scheduling,
            resolution: clocks.observe_every * 2,
            formula: "a change of the record table: scheduling only; no sooner than the promotion, which is seen up to 2 × observe_every + scheduling late",
        };
        let early = self.promoted.zip(self.repointed).map(|(promoted, moved)| promoted.since(moved));
        if let Some(early) = early.filter(|early| *early > limits.resolution + clocks.scheduling) {
            let observed = format!("{} before the promotion", seconds(early));
            return Judgement { observed, ..Judgement::within(limits, None) };
        }
        Judgement::within(limits, self.repointed.zip(self.promoted).map(|(at, from)| at.since(from)))
    }

    /// From repointing to the first acknowledged write of a client that resolves by TTL.
    pub fn first_write(&self, clocks: &Clocks) -> Judgement {
        let limits = Limits {
            what: "first write",
            floor: Duration::ZERO,
            ceiling: clocks.ttl + clocks.patience * 2 + clocks.write_every + clocks.scheduling,
            resolution: Duration::from_millis(1),
            formula: "ttl of the old answer + one connect and one operation that time out (patience each) + write_every + scheduling",
        };
        Judgement::within(limits, self.first_write.zip(self.repointed).map(|(at, from)| at.since(from)))
    }

    /// From promotion to as many replicas online as before.
    pub fn redundancy(&self, clocks: &Clocks) -> Judgement {
        let limits = Limits {
            what: "redundancy restored",
            floor: Duration::ZERO,
            ceiling: START
                + clocks.probe_every
                + clocks.probe_timeout
                + REPLICATION_CRON * 2
                + clocks.scheduling * 3,
            resolution: clocks.sample_every,
            formula: "start of the old primary's host and server (1.2 s) + probe_every + probe_timeout (it is seen to be back, and told whom to follow) + 2 × replicationCron (1 s each: the link is tried again, the synchronisation begins) + 3 × scheduling",
        };
        Judgement::within(limits, self.restored.zip(self.promoted).map(|(at, from)| at.since(from)))
    }

    /// From the fault to the first write: what a client without an error budget calls downtime.
    pub fn downtime(&self) -> Option<Duration> {
        self.first_write.map(|at| at.since(self.began))
    }
}

/// When the new primary's own figures first listed as many replicas online as the old one's ever had.
fn restored(timeline: &Timeline, old: &NodeId, promotion: &RoleChange) -> Option<At> {
    let of = |node: &NodeId| {
        let node = node.clone();
        timeline.samples.iter().filter(move |sample| sample.node == node)
    };
    let before = of(old)
        .filter(|sample| sample.at < promotion.at)
        .filter_map(|sample| sample.replicas_online)
        .max()?;
    let mut after = of(&promotion.node).filter(|sample| sample.at >= promotion.at);
    after.find(|sample| sample.replicas_online.is_some_and(|online| online >= before)).map(|sample| sample.at)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        evidence::{EndpointChange, FaultWindow, Sample, Write},
        verdict::Verdict,
    };

    const CLOCKS: Clocks = Clocks {
        probe_every: Duration::from_millis(100),
        probe_timeout: Duration::from_millis(250),
        dead_after: Duration::from_secs(1),
        ttl: Duration::from_millis(200),
        patience: Duration::from_millis(250),
        write_every: Duration::from_millis(10),
        observe_every: Duration::from_millis(10),
        sample_every: Duration::from_millis(50),
        scheduling: Duration::from_millis(200),
    };

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    fn timeline() -> Timeline {
        let (old, new) = (NodeId::from("lab-001"), NodeId::from("lab-002"));
        let write = |sequence, done, outcome| Write {
            sequence,
            intended: at(done),
            done: at(done),
            outcome,
            error: None,
        };
        let mut timeline = Timeline {
            roles: vec![
                RoleChange { at: at(5), node: old.clone(), role: Role::Primary },
                RoleChange { at: at(2050), node: new.clone(), role: Role::Primary },
            ],
            endpoints: vec![
                EndpointChange { at: at(1), endpoint: EndpointName::Primary, targets: vec![old.clone()] },
                EndpointChange { at: at(2060), endpoint: EndpointName::Primary, targets: vec![new] },
            ],
            faults: vec![FaultWindow {
                kind: "crash".to_owned(),
                node: old,
                from: at(1000),
                in_effect: at(1020),
                until: None,
            }],
            writes: vec![
                write(0, 900, Outcome::Acknowledged),
                write(1, 1100, Outcome::Failed),
                write(2, 2070, Outcome::Acknowledged),
            ],
            ..Timeline::default()
        };
        timeline.marks.detected = Some(at(2030));
        timeline.samples =
            vec![listing("lab-001", 900, 2), listing("lab-002", 2500, 1), listing("lab-002", 3000, 2)];
        timeline
    }

    /// A primary that lists so many replicas online.
    fn listing(node: &str, millis: u64, online: u64) -> Sample {
        Sample {
            at: at(millis),
            node: node.into(),
            role: Role::Primary,
            connections: 1,
            commands: 0,
            cpu_seconds: 0.0,
            memory_bytes: 1,
            offset: 0,
            lag_bytes: None,
            replicas_online: Some(online),
            replicas_syncing: Some(0),
        }
    }

    #[test]
    fn every_stage_is_measured_from_the_one_before() {
        let failover = Failover::read(&timeline(), &NodeId::from("lab-001")).unwrap();
        let stages = [
            failover.detection(&CLOCKS),
            failover.promotion(&CLOCKS),
            failover.repointing(&CLOCKS),
            failover.first_write(&CLOCKS),
            failover.redundancy(&CLOCKS),
        ];
        let measured: Vec<_> =
            stages.iter().map(|stage| stage.bound.as_ref().unwrap().measured.unwrap()).collect();
        assert_eq!(measured, [at(1030), at(20), at(10), at(10), at(950)]);
        assert!(stages.iter().all(|stage| stage.verdict == Verdict::Pass));
        assert_eq!(failover.downtime(), Some(Duration::from_millis(1070)));
    }

    #[test]
    fn a_primary_detected_dead_too_soon_was_not_watched_as_configured() {
        let mut timeline = timeline();
        timeline.marks.detected = Some(at(1600));
        let failover = Failover::read(&timeline, &NodeId::from("lab-001")).unwrap();
        assert_eq!(failover.detection(&CLOCKS).verdict, Verdict::Fail);
    }

    #[test]
    fn an_acknowledgement_before_the_name_moved_is_not_the_first_write() {
        let mut timeline = timeline();
        timeline.writes[1].outcome = Outcome::Acknowledged;
        let failover = Failover::read(&timeline, &NodeId::from("lab-001")).unwrap();
        assert_eq!(failover.first_write, Some(at(2070)));
    }

    #[test]
    fn a_write_that_the_new_primary_does_not_have_restores_nothing() {
        let mut timeline = timeline();
        timeline.writes.push(Write {
            sequence: 3,
            intended: at(2080),
            done: at(2090),
            ..timeline.writes[2].clone()
        });
        let old = NodeId::from("lab-001");
        let failover = Failover::read_kept(&timeline, &old, |sequence| sequence != 2).unwrap();
        assert_eq!(failover.first_write, Some(at(2090)));
    }

    #[rstest]
    #[case::as_soon_as_the_observer_may_see_it(1830, Verdict::Pass)]
    #[case::sooner(1829, Verdict::Fail)]
    #[case::as_late_as_may_be(2270, Verdict::Pass)]
    #[case::later(2271, Verdict::Fail)]
    fn the_name_moves_with_the_promotion(#[case] millis: u64, #[case] verdict: Verdict) {
        let mut timeline = timeline();
        timeline.endpoints[1].at = at(millis);
        let failover = Failover::read(&timeline, &NodeId::from("lab-001")).unwrap();
        assert_eq!(failover.repointing(&CLOCKS).verdict, verdict);
    }

    #[rstest]
    #[case::nobody(&[])]
    #[case::the_other_replica(&["lab-003"])]
    #[case::both_replicas(&["lab-002", "lab-003"])]
    fn a_name_that_names_somebody_else_has_not_moved(#[case] targets: &[&str]) {
        let mut timeline = timeline();
        let old = NodeId::from("lab-001");
        timeline.endpoints[1].targets = targets.iter().copied().map(NodeId::from).collect();
        let failover = Failover::read(&timeline, &old).unwrap();
        assert_eq!((failover.repointed, failover.first_write), (None, None));
        let targets = vec![NodeId::from("lab-002")];
        timeline.endpoints.push(EndpointChange { at: at(2065), endpoint: EndpointName::Primary, targets });
        assert_eq!(Failover::read(&timeline, &old).unwrap().repointed, Some(at(2065)));
    }

    #[test]
    fn redundancy_takes_a_start_and_two_turns_of_the_cron() {
        let restored = |millis: u64| Failover {
            restored: Some(at(2050 + millis)),
            ..Failover::read(&timeline(), &NodeId::from("lab-001")).unwrap()
        };
        // 1.2 s + 0.1 s + 0.25 s + 2 s + 3 × 0.2 s, to 50 ms.
        assert_eq!(restored(4_200).redundancy(&CLOCKS).verdict, Verdict::Pass);
        assert_eq!(restored(4_201).redundancy(&CLOCKS).verdict, Verdict::Fail);
    }

    #[test]
    fn without_a_fault_there_is_no_failover() {
        let mut timeline = timeline();
        timeline.faults.clear();
        assert_eq!(Failover::read(&timeline, &NodeId::from("lab-001")), None);
    }
}
