//! Which faults there are to be, and when: a pure function of a seed.

use std::time::Duration;

use fastrand::Rng;

use super::layout::{Layout, Part};
use crate::{
    measure::{BEFORE, HEALED},
    scenario::Harm,
};

/// Between two faults pass this long at most.
const PAUSE: Duration = Duration::from_secs(6);
/// A fault lasts this long at least. Some are over before anybody notices them.
const SHORTEST: Duration = Duration::from_millis(500);
/// And this long at most: time for a failover.
const LONGEST: Duration = Duration::from_secs(8);
/// A node that was healed is given this long before something else happens to its shard: its replica is to have its
/// data by then.
const REST: Duration = Duration::from_secs(5);

/// How much may be out at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Never a whole shard, nor a majority of the primaries or of the sentinels: one node of each shard, and less than
    /// half of the shards and of the sentinels; where there is one shard, that one.
    OneOfEach,
    /// Everything, one fault to each node.
    Everything,
}

/// A fault that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What happens.
    pub harm: Harm,
    /// To which node: its place in the [`Layout`].
    pub node: usize,
    /// When, from the beginning of the load.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
}

impl Planned {
    /// Whether it is not over at this moment, and has not been for some time.
    fn troubles(&self, at: Duration, rest: Duration) -> bool {
        self.until + rest > at
    }
}

/// Random faults of the nodes of `layout` within `duration`, in the order in which they begin. The same seed gives the
/// same faults. For some time before the end all of them are healed.
pub fn plan(seed: u64, layout: &Layout, duration: Duration, limit: Limit) -> Vec<Planned> {
    let mut rng = Rng::with_seed(seed);
    let end = duration.saturating_sub(HEALED);
    let mut planned: Vec<Planned> = Vec::new();
    let mut at = BEFORE;
    loop {
        at += somewhere(&mut rng, SHORTEST, PAUSE);
        if at + SHORTEST > end {
            return planned;
        }
        let until = (at + somewhere(&mut rng, SHORTEST, LONGEST)).min(end);
        let free: Vec<usize> =
            (0..layout.parts().len()).filter(|node| may_be_hit(*node, at, &planned, layout, limit)).collect();
        // A partition is between nodes that are there.
        let alone = planned.iter().all(|earlier| !earlier.troubles(at, Duration::ZERO));
        let harms: Vec<Harm> =
            Harm::ALL.into_iter().filter(|harm| alone || *harm != Harm::Partition).collect();
        let (node, harm) = (rng.choice(free), rng.choice(harms));
        if let (Some(node), Some(harm)) = (node, harm) {
            planned.push(Planned { harm, node, from: at, until });
        }
    }
}

/// Whether a fault of a node may begin, after those that have been planned.
fn may_be_hit(node: usize, at: Duration, planned: &[Planned], layout: &Layout, limit: Limit) -> bool {
    let troubled = || planned.iter().filter(|earlier| earlier.troubles(at, REST));
    if troubled().any(|earlier| earlier.node == node) {
        return false;
    }
    let parts = layout.parts();
    match (limit, parts[node]) {
        (Limit::Everything, _) => true,
        (Limit::OneOfEach, Part::Sentinel) => {
            let (all, out) =
                (layout.sentinels(), troubled().filter(|other| parts[other.node] == Part::Sentinel));
            out.count() < less_than_half(all)
        }
        (Limit::OneOfEach, Part::Shard(_)) => {
            let mut out: Vec<Part> =
                troubled().map(|other| parts[other.node]).filter(|part| part.is_shard()).collect();
            let same = out.contains(&parts[node]);
            out.sort_unstable();
            out.dedup();
            !same && out.len() < less_than_half(layout.shards())
        }
    }
}

/// How many of so many can be out without a majority being; of one or two, one, or nothing ever happened.
fn less_than_half(count: usize) -> usize {
    (count.saturating_sub(1) / 2).max(1)
}

fn somewhere(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    // In milliseconds, as they are shown.
    let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.u64(millis(least)..=millis(most)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::cell::TopologyName;

    fn topology() -> impl Strategy<Value = TopologyName> {
        prop::sample::select(TopologyName::ALL)
    }

    fn limit() -> impl Strategy<Value = Limit> {
        prop_oneof![Just(Limit::OneOfEach), Just(Limit::Everything)]
    }

    /// What lasts at the moment at which this one begins, itself included.
    fn lasting<'a>(all: &'a [Planned], one: &'a Planned) -> impl Iterator<Item = &'a Planned> {
        all.iter().filter(|other| other.from <= one.from && one.from < other.until)
    }

    proptest! {
        #[test]
        fn the_same_seed_plans_the_same_and_everything_is_healed_before_the_end(
            seed: u64, topology in topology(), seconds in 0_u64..300, limit in limit(),
        ) {
            let (layout, duration) = (Layout::of(topology), Duration::from_secs(seconds));
            let planned = plan(seed, &layout, duration, limit);
            prop_assert_eq!(&planned, &plan(seed, &layout, duration, limit));
            prop_assert!(planned.is_sorted_by_key(|one| one.from));
            for one in &planned {
                prop_assert!(one.from >= BEFORE && one.from + SHORTEST <= one.until);
                prop_assert!(one.until + HEALED <= duration && one.until - one.from <= LONGEST);
            }
        }

        #[test]
        fn no_shard_has_two_faults_and_no_majority_is_out(
            seed: u64, topology in topology(), seconds in 20_u64..600,
        ) {
            let layout = Layout::of(topology);
            let planned = plan(seed, &layout, Duration::from_secs(seconds), Limit::OneOfEach);
            for one in &planned {
                let parts: Vec<Part> = lasting(&planned, one).map(|other| layout.parts()[other.node]).collect();
                let shards: Vec<&Part> = parts.iter().filter(|part| part.is_shard()).collect();
                let different: BTreeSet<_> = shards.iter().collect();
                prop_assert_eq!(different.len(), shards.len(), "one node of each shard");
                prop_assert!(shards.len() <= 1.max((layout.shards() - 1) / 2));
                let sentinels = parts.len() - shards.len();
                prop_assert!(sentinels * 2 < layout.sentinels() || sentinels == 0);
            }
        }

        #[test]
        fn a_node_has_one_fault_at_a_time_and_a_partition_begins_between_nodes_that_are_there(
            seed: u64, topology in topology(), limit in limit(),
        ) {
            let planned = plan(seed, &Layout::of(topology), Duration::from_secs(300), limit);
            for one in &planned {
                let others = || lasting(&planned, one).filter(|other| *other != one);
                prop_assert!(others().all(|other| other.node != one.node));
                prop_assert!(one.harm != Harm::Partition || others().next().is_none());
            }
        }
    }

    /// In five minutes: once in twelve seconds or so where there is one shard, with every fault and every node.
    #[test]
    fn something_happens_to_everybody() {
        for topology in TopologyName::ALL {
            let layout = Layout::of(*topology);
            let planned: Vec<Planned> = (0..5)
                .flat_map(|seed| plan(seed, &layout, Duration::from_secs(300), Limit::OneOfEach))
                .collect();
            assert!(planned.len() > 5 * 300 / 20, "{topology}: {}", planned.len());
            let nodes: BTreeSet<usize> = planned.iter().map(|one| one.node).collect();
            assert_eq!(nodes.len(), layout.parts().len(), "{topology}");
            assert!(Harm::ALL.iter().all(|harm| planned.iter().any(|one| one.harm == *harm)), "{topology}");
        }
    }

    #[test]
    fn whole_shards_are_lost_where_that_is_allowed() {
        let layout = Layout::of(TopologyName::Cluster);
        let planned = plan(1, &layout, Duration::from_secs(600), Limit::Everything);
        let both = planned.iter().any(|one| {
            let shard = layout.parts()[one.node];
            lasting(&planned, one).filter(|other| layout.parts()[other.node] == shard).count() == 2
        });
        assert!(both);
    }
}
