//! Node metrics through a failover: taken often enough, and honest about the outage.

use std::time::Duration;

use super::{Judgement, seconds};
use crate::{
    evidence::{At, Sample, Timeline},
    ids::NodeId,
};

/// Every node has samples at least every `limit`, for as long as nothing was wrong with it.
///
/// Judged by the 95th percentile of the gaps between two samples of a node: a single gap belongs to a busy
/// machine, one in twenty to the sampler. Gaps that a fault of the node reaches into are the fault's.
pub fn recorded(timeline: &Timeline, limit: Duration) -> Judgement {
    let expected = format!("samples of every node at most {} apart", seconds(limit));
    if timeline.nodes.is_empty() {
        return Judgement::unknown(expected, "there were no nodes");
    }
    let gaps: Vec<(&NodeId, Option<Duration>)> =
        timeline.nodes.iter().map(|node| (node, usual_gap(timeline, node))).collect();
    let worst = gaps.iter().max_by_key(|(_, gap)| gap.unwrap_or(Duration::MAX)).expect("there are nodes");
    let observed = match worst.1 {
        Some(gap) => format!("95 % of the gaps of the slowest node within {}", seconds(gap)),
        None => format!("{} has no samples", worst.0),
    };
    Judgement::of(worst.1.is_some_and(|gap| gap <= limit), expected, observed)
        .evidence(format!("{} samples", timeline.samples.len()))
}

fn usual_gap(timeline: &Timeline, node: &NodeId) -> Option<Duration> {
    let times: Vec<At> = of(timeline, node).map(|sample| sample.at).collect();
    let faulty = |from: At, until: At| {
        let mut faults = timeline.faults.iter().filter(|fault| &fault.node == node);
        faults.any(|fault| fault.from <= until && fault.until.is_none_or(|end| end >= from))
    };
    let pairs = times.windows(2).filter(|pair| !faulty(pair[0], pair[1]));
    let mut gaps: Vec<Duration> = pairs.map(|pair| pair[1].since(pair[0])).collect();
    gaps.sort_unstable();
    gaps.get((gaps.len() * 95).div_ceil(100).saturating_sub(1)).copied()
}

fn of<'a>(timeline: &'a Timeline, node: &'a NodeId) -> impl Iterator<Item = &'a Sample> {
    timeline.samples.iter().filter(move |sample| &sample.node == node)
}

/// Commands a second of a node between two instants; none with fewer than two samples in there.
fn rate(timeline: &Timeline, node: &NodeId, window: Window) -> Option<f64> {
    let inside: Vec<&Sample> =
        of(timeline, node).filter(|sample| sample.at >= window.0 && sample.at <= window.1).collect();
    let length = inside.last()?.at.since(inside.first()?.at).as_secs_f64();
    // A counter that fell belongs to a server that was started again, and counts from nothing.
    let grew = |pair: &[&Sample]| match pair[1].commands.checked_sub(pair[0].commands) {
        Some(more) => more,
        None => pair[1].commands,
    };
    let commands: u64 = inside.windows(2).map(grew).sum();
    (length > 0.0).then(|| commands as f64 / length)
}

/// A stretch of the timeline.
pub type Window = (At, At);

/// While the old primary was down its metrics show it: no samples, or next to no commands.
pub fn dip(timeline: &Timeline, old: &NodeId, before: Window, down: Window) -> Judgement {
    let expected = "the old primary's rate falls below 10 % of what it was";
    let Some(usual) = rate(timeline, old, before).filter(|rate| *rate > 0.0) else {
        return Judgement::unknown(expected, "the old primary served nothing before the fault");
    };
    // A sampler that has stopped altogether shows a gap for everybody.
    let others = timeline.nodes.iter().filter(|node| *node != old);
    if others.clone().count() > 0 && others.clone().all(|node| rate(timeline, node, down).is_none()) {
        return Judgement::unknown(expected, "nothing was sampled while it was down");
    }
    let during = rate(timeline, old, down);
    let observed = match during {
        None => "no samples of it while it was down".to_owned(),
        Some(during) if during < 0.1 * usual => "it falls below 10 %".to_owned(),
        Some(during) => format!("it only falls to {:.0} %", 100.0 * during / usual),
    };
    Judgement::of(during.is_none_or(|during| during < 0.1 * usual), expected, observed)
        .evidence(format!("before {usual:.0} commands/s, while down {:.0}", during.unwrap_or(0.0)))
}

/// After the failover the new primary serves what the old one did.
///
/// Whoever observes costs a node as many commands before as after; a load that never arrives is missing.
pub fn recovery(timeline: &Timeline, old: (&NodeId, Window), new: (&NodeId, Window)) -> Judgement {
    let expected = "the new primary reaches 70 % of the old one's rate";
    let Some(before) = rate(timeline, old.0, old.1).filter(|rate| *rate > 0.0) else {
        return Judgement::unknown(expected, "the old primary served nothing before the fault");
    };
    let Some(after) = rate(timeline, new.0, new.1) else {
        return Judgement::unknown(expected, "no samples of the new primary");
    };
    let holds = after >= 0.7 * before;
    let observed = if holds {
        "the new primary reaches that rate".to_owned()
    } else {
        format!("it reaches {:.0} %", 100.0 * after / before)
    };
    Judgement::of(holds, expected, observed)
        .evidence(format!("before {before:.0} commands/s, after {after:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evidence::Role, verdict::Verdict};

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    /// A sample every 50 ms, at 300 commands a second, for as long as `up` says.
    fn samples(node: &str, up: impl Fn(u64) -> bool) -> Vec<Sample> {
        let sample = |millis: u64| Sample {
            at: at(millis),
            node: node.into(),
            role: Role::Primary,
            connections: 5,
            commands: millis * 3 / 10,
            cpu_seconds: 0.0,
            memory_bytes: 1,
            offset: millis,
            lag_bytes: None,
            replicas_online: None,
            replicas_syncing: None,
        };
        (0..=80).map(|tick| tick * 50).filter(|millis| up(*millis)).map(sample).collect()
    }

    fn of_one(samples: Vec<Sample>) -> Timeline {
        Timeline { nodes: vec!["a".into()], samples, ..Timeline::default() }
    }

    #[test]
    fn a_node_that_is_down_leaves_a_gap() {
        let (before, down) = ((at(0), at(1000)), (at(1001), at(2000)));
        let gap = of_one(samples("a", |millis| !(1001..2000).contains(&millis)));
        assert_eq!(dip(&gap, &"a".into(), before, down).verdict, Verdict::Pass);
        let smooth = of_one(samples("a", |_| true));
        assert_eq!(dip(&smooth, &"a".into(), before, down).verdict, Verdict::Fail);
        let silent = of_one(Vec::new());
        assert_eq!(dip(&silent, &"a".into(), before, down).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_sampler_that_died_shows_no_dip() {
        let mut timeline = of_one(samples("a", |millis| millis <= 1000));
        timeline.nodes.push("b".into());
        timeline.samples.extend(samples("b", |millis| millis <= 1000));
        let (before, down) = ((at(0), at(1000)), (at(1001), at(2000)));
        assert_eq!(dip(&timeline, &"a".into(), before, down).verdict, Verdict::Unknown);
        timeline.samples.extend(samples("b", |millis| millis > 1000));
        assert_eq!(dip(&timeline, &"a".into(), before, down).verdict, Verdict::Pass);
    }

    #[test]
    fn one_long_gap_in_ten_is_the_samplers() {
        let limit = Duration::from_millis(100);
        let gappy = of_one(samples("a", |millis| millis % 500 != 250 && millis % 500 != 300));
        assert_eq!(recorded(&gappy, limit).verdict, Verdict::Fail);
    }

    #[test]
    fn a_counter_that_starts_again_is_no_dip() {
        let mut timeline = of_one(samples("a", |_| true));
        timeline
            .samples
            .iter_mut()
            .filter(|sample| sample.at > at(1500))
            .for_each(|sample| sample.commands -= 450);
        let verdict = dip(&timeline, &"a".into(), (at(0), at(1000)), (at(1001), at(2000))).verdict;
        assert_eq!(verdict, Verdict::Fail);
    }

    #[test]
    fn sampling_is_judged_by_the_slowest_node() {
        let limit = Duration::from_millis(100);
        assert_eq!(recorded(&of_one(samples("a", |_| true)), limit).verdict, Verdict::Pass);
        let slow = of_one(samples("a", |millis| millis % 500 == 0));
        assert_eq!(recorded(&slow, limit).verdict, Verdict::Fail);
        assert_eq!(recorded(&of_one(Vec::new()), limit).verdict, Verdict::Fail);
    }

    #[test]
    fn a_load_that_never_arrives_is_no_recovery() {
        let timeline = of_one(samples("a", |_| true));
        let (early, late, never) = ((at(0), at(1000)), (at(3000), at(4000)), (at(9000), at(9500)));
        let a: NodeId = "a".into();
        assert_eq!(recovery(&timeline, (&a, early), (&a, late)).verdict, Verdict::Pass);
        assert_eq!(recovery(&timeline, (&a, early), (&a, never)).verdict, Verdict::Unknown);
    }
}
