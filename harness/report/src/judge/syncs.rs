//! How many replicas are turned to a new primary at once: as the leader tells it, and as that primary
//! lists them.

use std::collections::BTreeSet;

use super::{Judgement, seconds};
use crate::{
    evidence::{At, Timeline},
    ids::NodeId,
};

/// A leader tells a replica whom to follow, and another one only while fewer than `limit` are neither
/// done nor given up (`sentinelFailoverReconfNextSlave`).
pub fn told(timeline: &Timeline, from: At, limit: usize) -> Judgement {
    let expected = format!("at most {limit} at once");
    let (mut all, mut open, mut most) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut evidence = Vec::new();
    for said in timeline.announcements.iter().filter(|said| said.at >= from) {
        let replica = (&said.sentinel, said.about.as_str());
        match said.event.as_str() {
            // The last resort of a leader whose time is over: everybody who is left, at once.
            "+slave-reconf-sent" | "+slave-reconf-sent-be" => {
                all.insert(replica);
                open.insert(replica);
            }
            "+slave-reconf-done" | "-slave-reconf-sent-timeout" => {
                open.remove(&replica);
            }
            _ => continue,
        }
        most = most.max(open.len());
        evidence.push(format!("{} {} after {}", said.event, said.about, seconds(said.at.since(from))));
    }
    let judgement = match all.len() {
        // Of one alone there is nothing to see.
        0 | 1 => Judgement::unknown(expected, format!("{} was told", all.len())),
        _ => Judgement::of(most <= limit, expected, format!("at most {most} at once")),
    };
    evidence.into_iter().fold(judgement, Judgement::evidence)
}

/// The new primary sends its data to at most `limit` replicas at once.
pub fn served(timeline: &Timeline, primary: &NodeId, from: At, limit: u64) -> Judgement {
    let expected = format!("at most {limit} at once");
    let of_primary = timeline.samples.iter().filter(|sample| &sample.node == primary && sample.at >= from);
    let seen: Vec<u64> = of_primary.filter_map(|sample| sample.replicas_syncing).collect();
    let most = seen.iter().copied().max().unwrap_or(0);
    let begun = [0].iter().chain(&seen).zip(&seen).filter(|(before, after)| before < after).count();
    let judgement = match begun {
        _ if most > limit => Judgement::of(false, expected, format!("{most} at once")),
        0 | 1 => Judgement::unknown(expected, format!("{begun} synchronisations were seen")),
        _ => Judgement::of(true, expected.clone(), expected),
    };
    judgement.evidence(format!("{begun} synchronisations in {} samples", seen.len()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::{
        evidence::{Announcement, Role, Sample},
        verdict::Verdict,
    };

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    /// `+a` is told, `~a` is on its way, `-a` is done, `?a` is given up.
    fn announced(words: &str) -> Timeline {
        let said = |(millis, word): (u64, &str)| {
            let (sign, replica) = word.split_at(1);
            let event = match sign {
                "+" => "+slave-reconf-sent",
                "~" => "+slave-reconf-inprog",
                "?" => "-slave-reconf-sent-timeout",
                _ => "+slave-reconf-done",
            };
            Announcement {
                at: at(millis),
                sentinel: "sentinel-1".into(),
                event: event.to_owned(),
                about: replica.to_owned(),
            }
        };
        Timeline { announcements: (0..).zip(words.split(' ')).map(said).collect(), ..Timeline::default() }
    }

    #[rstest]
    #[case::one_by_one("+a ~a -a +b ~b -b", Verdict::Pass)]
    #[case::one_given_up("+a ?a +b ~b -b", Verdict::Pass)]
    #[case::two_at_once("+a +b ~a -a -b", Verdict::Fail)]
    #[case::the_next_before_the_last_is_done("+a ~a +b -a -b", Verdict::Fail)]
    #[case::only_one("+a ~a -a", Verdict::Unknown)]
    fn replicas_are_told_one_by_one(#[case] words: &str, #[case] verdict: Verdict) {
        assert_eq!(told(&announced(words), at(0), 1).verdict, verdict);
    }

    #[test]
    fn two_at_once_may_be_asked_for() {
        assert_eq!(told(&announced("+a +b -a -b"), at(0), 2).verdict, Verdict::Pass);
    }

    fn sampled(syncing: &[u64]) -> Timeline {
        let sample = |(millis, syncing): (u64, &u64)| Sample {
            at: at(millis),
            node: "lab-002".into(),
            role: Role::Primary,
            connections: 0,
            commands: 0,
            cpu_seconds: 0.0,
            memory_bytes: 0,
            offset: 0,
            lag_bytes: None,
            replicas_online: Some(0),
            replicas_syncing: Some(*syncing),
        };
        Timeline { samples: (0..).zip(syncing).map(sample).collect(), ..Timeline::default() }
    }

    #[rstest]
    #[case::one_by_one(&[0, 1, 1, 0, 1, 0], Verdict::Pass)]
    #[case::from_the_first_sample_on(&[1, 0, 1], Verdict::Pass)]
    #[case::two_at_once(&[0, 1, 2, 0], Verdict::Fail)]
    #[case::all_at_once(&[0, 3, 0], Verdict::Fail)]
    #[case::only_one(&[0, 1, 1, 0], Verdict::Unknown)]
    #[case::none(&[0, 0], Verdict::Unknown)]
    #[case::nobody_looked(&[], Verdict::Unknown)]
    fn replicas_are_served_one_by_one(#[case] syncing: &[u64], #[case] verdict: Verdict) {
        assert_eq!(served(&sampled(syncing), &"lab-002".into(), at(0), 1).verdict, verdict);
    }

    #[test]
    fn what_another_node_served_does_not_count() {
        let timeline = sampled(&[0, 2, 0]);
        assert_eq!(served(&timeline, &"lab-001".into(), at(0), 1).verdict, Verdict::Unknown);
        assert_eq!(served(&timeline, &"lab-002".into(), at(2), 1).verdict, Verdict::Unknown);
    }
}
