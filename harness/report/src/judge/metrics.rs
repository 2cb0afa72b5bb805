//! Node metrics through a failover: taken often enough, honest about the outage, and afterwards as they were.

use std::time::Duration;

use super::{Judgement, Limits, seconds};
use crate::{
    evidence::{At, Role, Sample, Timeline},
    ids::NodeId,
    verdict::Verdict,
};

/// A stretch of the timeline.
pub type Window = (At, At);

/// The clocks that samples are taken by.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// A node is asked for its figures this often …
    pub every: Duration,
    /// … and the answer given up after this.
    pub patience: Duration,
    /// What a busy machine may add: threads wait for a processor.
    pub scheduling: Duration,
}

/// Every node has samples at least every `limit`, for as long as nothing was wrong with it; also from when it is back.
///
/// Judged by the 95th percentile of the gaps between two samples of a node: a single gap belongs to a busy machine, one
/// in twenty to the sampler. A single one has its own limit: one answer is given up, and the next comes just in time.
pub fn recorded(timeline: &Timeline, whole: Window, limit: Duration, sampling: &Sampling) -> Judgement {
    let single = Limits {
        what: "the longest gap",
        floor: Duration::ZERO,
        ceiling: sampling.every + sampling.patience * 2 + sampling.scheduling,
        resolution: Duration::ZERO,
        formula: "sample_every + 2 × patience (one answer is given up, the next comes just in time) + scheduling",
    };
    let expected = format!(
        "95 % of the gaps between samples within {}, the longest within {}, for every node",
        seconds(limit),
        seconds(single.ceiling)
    );
    if timeline.nodes.is_empty() {
        return Judgement::unknown(expected, "there were no nodes");
    }
    let gaps: Result<Vec<_>, String> =
        timeline.nodes.iter().map(|node| gaps(timeline, node, whole, limit)).collect();
    let gaps = match gaps {
        Ok(gaps) => gaps,
        Err(missing) => return Judgement::of(false, expected, missing),
    };
    let longest = gaps.iter().flatten().max().copied();
    let usual = gaps.into_iter().filter_map(usual).max();
    let (Some(usual), Some(longest)) = (usual, longest) else {
        return Judgement::unknown(expected, "something was wrong with every node all the time");
    };
    let judged = Judgement::within(single, Some(longest));
    let holds = usual <= limit && judged.verdict == Verdict::Pass;
    let observed = format!("95 % within {}, the longest {}", seconds(usual), seconds(longest));
    Judgement { verdict: Verdict::of(holds), expected, observed, ..judged }
        .evidence(format!("{} samples", timeline.samples.len()))
}

/// The gaps between the samples of a node, and from the ends of each stretch in which nothing was wrong with it.
fn gaps(
    timeline: &Timeline,
    node: &NodeId,
    whole: Window,
    shortest: Duration,
) -> Result<Vec<Duration>, String> {
    let mut gaps = Vec::new();
    for stretch in sound(timeline, node, whole) {
        // One that is no longer than a gap may be has no sample by right.
        if stretch.1.since(stretch.0) <= shortest {
            continue;
        }
        let inside = inside(timeline, node, stretch);
        if inside.is_empty() {
            let since = if stretch.0 == whole.0 { "" } else { " since it is back" };
            return Err(format!("no samples of {node}{since}"));
        }
        let taken = inside.iter().map(|sample| sample.at);
        let times: Vec<At> = std::iter::once(stretch.0).chain(taken).chain([stretch.1]).collect();
        gaps.extend(times.windows(2).map(|pair| pair[1].since(pair[0])));
    }
    Ok(gaps)
}

/// What its faults leave of the whole.
fn sound(timeline: &Timeline, node: &NodeId, whole: Window) -> Vec<Window> {
    let (mut stretches, mut from) = (Vec::new(), whole.0);
    for fault in timeline.faults.iter().filter(|fault| &fault.node == node) {
        stretches.push((from, fault.from));
        let Some(until) = fault.until else { return stretches };
        from = from.max(until);
    }
    stretches.push((from, whole.1));
    stretches
}

/// What 95 % of the values do not exceed, by nearest rank.
fn usual<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get((values.len() * 95).div_ceil(100).saturating_sub(1)).copied()
}

fn inside<'a>(timeline: &'a Timeline, node: &NodeId, window: Window) -> Vec<&'a Sample> {
    let taken = |sample: &&Sample| &sample.node == node && (window.0..=window.1).contains(&sample.at);
    timeline.samples.iter().filter(taken).collect()
}

/// How many seconds the samples span; none with fewer than two.
fn span(samples: &[&Sample]) -> Option<f64> {
    let length = samples.last()?.at.since(samples.first()?.at).as_secs_f64();
    (length > 0.0).then_some(length)
}

/// The commands that a node carried out from the first of these samples to the last.
fn commands(samples: &[&Sample]) -> u64 {
    // A counter that fell belongs to a server that was started again, and counts from nothing.
    let grew = |pair: &[&Sample]| match pair[1].commands.checked_sub(pair[0].commands) {
        Some(more) => more,
        None => pair[1].commands,
    };
    samples.windows(2).map(grew).sum()
}

/// Commands a second of a node between two instants; none with fewer than two samples in there.
fn rate(timeline: &Timeline, node: &NodeId, window: Window) -> Option<f64> {
    let inside = inside(timeline, node, window);
    Some(commands(&inside) as f64 / span(&inside)?)
}

/// Bytes a second by which a primary's replication stream grew; none with fewer than two samples.
fn stream(timeline: &Timeline, node: &NodeId, window: Window) -> Option<f64> {
    let inside = inside(timeline, node, window);
    let grew = inside.last()?.offset.saturating_sub(inside.first()?.offset);
    Some(grew as f64 / span(&inside)?)
}

/// While the old primary was down its metrics show it: no samples, or next to no commands.
///
/// What a node served is known to a gap between two samples, so that much of the time before may be counted to the
/// outage: `gap`, which is what is claimed of the gaps. Of an outage of a second that is a tenth.
pub fn dip(timeline: &Timeline, old: &NodeId, before: Window, down: Window, gap: Duration) -> Judgement {
    let expected = format!("while it is down the old primary serves no more than in {} before", seconds(gap));
    let Some(usual) = rate(timeline, old, before).filter(|rate| *rate > 0.0) else {
        return Judgement::unknown(expected, "the old primary served nothing before the fault");
    };
    if down.1.since(down.0) <= gap {
        return Judgement::unknown(expected, "it was down for no longer than that");
    }
    // A sampler that has stopped altogether shows a gap for everybody.
    let others = timeline.nodes.iter().filter(|node| *node != old);
    if others.clone().count() > 0 && others.clone().all(|node| rate(timeline, node, down).is_none()) {
        return Judgement::unknown(expected, "nothing was sampled while it was down");
    }
    let during = inside(timeline, old, down);
    let served = commands(&during);
    let worth = span(&during).map(|_| Duration::from_secs_f64(served as f64 / usual));
    let observed = match worth {
        None => "no samples of it while it was down".to_owned(),
        Some(worth) => format!("it serves as much as in {}", seconds(worth)),
    };
    Judgement::of(worth.is_none_or(|worth| worth <= gap), expected, observed)
        .evidence(format!("before {usual:.0} commands/s, while down {served} commands"))
}

/// After the failover the new primary serves what the old one did: of a load of one write `every` so often less than
/// half is missing, which is as far from a load that is there as from one that is not.
///
/// Whoever observes costs a node as many commands before as after, so what is missing of the rate is missing of the load.
pub fn recovery(
    timeline: &Timeline,
    old: (&NodeId, Window),
    new: (&NodeId, Window),
    every: Duration,
) -> Judgement {
    let expected = "less than half of the load is missing at the new primary";
    let load = 1.0 / every.as_secs_f64();
    let Some(before) = rate(timeline, old.0, old.1).filter(|rate| *rate > load / 2.0) else {
        return Judgement::unknown(expected, "the load was not there before the fault either");
    };
    let Some(after) = rate(timeline, new.0, new.1) else {
        return Judgement::unknown(expected, "no samples of the new primary");
    };
    let missing = (before - after) / load;
    let holds = missing < 0.5;
    let observed =
        if holds { "the load is there".to_owned() } else { format!("{:.0} % is missing", 100.0 * missing) };
    Judgement::of(holds, expected, observed).evidence(format!(
        "before {before:.0} commands/s, after {after:.0}; the load is {load:.0} of them, the rest is the lab's own: observer and manager"
    ))
}

/// After the recovery every replica is as far as the new primary again, but for what it may be behind at any time: `lag`.
///
/// The lag in bytes becomes a length of time by the rate at which the new primary's stream grows. As of the gaps, 95 % of
/// the samples count, and all of them are a replica's. Where the stream hardly grows nobody can fall behind.
pub fn lag_returns(
    timeline: &Timeline,
    old: (&NodeId, Window),
    new: (&NodeId, Window),
    lag: Duration,
    sampling: &Sampling,
) -> Judgement {
    let limits = Limits {
        what: "lag",
        floor: Duration::ZERO,
        ceiling: lag + sampling.scheduling,
        resolution: sampling.every,
        formula: "lag_bytes ÷ bytes/s of the new primary's stream: replication lag of 100 ms + scheduling",
    };
    let unknown = |why: String| Judgement::unknown(format!("lag within {}", seconds(limits.ceiling)), why);
    let Some(before) = stream(timeline, old.0, old.1).filter(|rate| *rate > 0.0) else {
        return unknown("nothing was written before the fault".to_owned());
    };
    let Some(now) = stream(timeline, new.0, new.1).filter(|now| *now >= before / 2.0) else {
        return unknown("next to nothing was written after the recovery".to_owned());
    };
    let mut worst: Option<(u64, &NodeId)> = None;
    for replica in timeline.nodes.iter().filter(|node| *node != new.0) {
        let taken = inside(timeline, replica, new.1);
        let as_replica = taken.iter().filter(|sample| sample.role == Role::Replica);
        let lags: Vec<u64> = as_replica.filter_map(|sample| sample.lag_bytes).collect();
        let Some(bytes) = usual(lags) else {
            return unknown(format!("{replica} has no samples as a replica"));
        };
        worst = worst.max(Some((bytes, replica)));
    }
    let Some((bytes, replica)) = worst else { return unknown("there is no replica".to_owned()) };
    Judgement::within(limits, Some(Duration::from_secs_f64(bytes as f64 / now))).evidence(format!(
        "95 % of the samples of {replica}, the last of all, show at most {bytes} bytes; {now:.0} bytes/s are written"
    ))
}

#[cfg(test)]
mod tests;
