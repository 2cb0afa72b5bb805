//! Which nodes a topology has, as far as it matters to what may happen to them at the same time.

use std::iter::repeat_n;

use crate::{
    cell::TopologyName,
    experiment::shape::{Shape, shape},
};

/// What a node is a part of, whatever its role is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Nodes with the same data.
    Shard(usize),
    /// The sentinels.
    Sentinel,
}

impl Part {
    /// Whether it has data.
    pub(super) fn is_shard(self) -> bool {
        self != Self::Sentinel
    }
}

/// The nodes of a topology, in the order in which the deployment has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout(Vec<Part>);

impl Layout {
    /// Of a topology as it is measured.
    pub fn of(topology: TopologyName) -> Self {
        let sound = shape(topology, &toml::Table::new()).expect("nothing is changed");
        Self(match sound {
            Shape::Replication(group) => repeat_n(Part::Shard(0), usize::from(group.replicas) + 1).collect(),
            Shape::Sentinel(group) => {
                let data = repeat_n(Part::Shard(0), usize::from(group.replicas) + 1);
                data.chain(repeat_n(Part::Sentinel, group.sentinels.into())).collect()
            }
            Shape::Cluster(cluster) => {
                (0..cluster.members()).map(|index| Part::Shard(cluster.shard_of(index))).collect()
            }
        })
    }

    /// What each node is a part of.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        let mut shards: Vec<&Part> = self.0.iter().filter(|part| part.is_shard()).collect();
        shards.sort_unstable();
        shards.dedup();
        shards.len()
    }

    /// How many sentinels there are.
    pub fn sentinels(&self) -> usize {
        self.0.iter().filter(|part| !part.is_shard()).count()
    }

    /// The places of all nodes that have the same data as this one, itself included; none of a sentinel.
    pub(super) fn shard_of(&self, node: usize) -> Vec<usize> {
        let own = self.0[node];
        (0..self.0.len()).filter(|other| own.is_shard() && self.0[*other] == own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topology_has_its_shards() {
        let shape = |topology| {
            let layout = Layout::of(topology);
            (layout.parts().len(), layout.shards(), layout.sentinels())
        };
        assert_eq!(shape(TopologyName::Replication), (3, 1, 0));
        assert_eq!(shape(TopologyName::Sentinel), (6, 1, 3));
        assert_eq!(shape(TopologyName::Cluster), (6, 3, 0));
        assert_eq!(Layout::of(TopologyName::Cluster).shard_of(4), [1, 4]);
        assert!(Layout::of(TopologyName::Sentinel).shard_of(4).is_empty());
    }
}
