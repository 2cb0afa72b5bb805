//! Combinations that make no sense, and why.

use failover_lab::engine::{Engine, Version};
use lab_load::{
    client::Library,
    workload::{Durability, Sort},
};

use super::shape::Shape;
use crate::cell::{Cell, TopologyName};

/// `WAITAOF` came with Redis 7.2, which Valkey 7.2 is a copy of.
const WAITAOF: Version = Version::new(7, 2);

/// Why a cell makes no sense; none if it does.
pub(super) fn senseless(cell: &Cell, engine: &Engine) -> Option<String> {
    let (topology, durability) = (cell.topology, cell.load.durability);
    if cell.library == Library::RedisManager && topology != TopologyName::Replication {
        return Some(format!("{} knows no {topology}: it connects to one address", cell.library));
    }
    if cell.load.sort == Sort::ShardedPubSub && topology != TopologyName::Cluster {
        return Some(format!("{} is a cluster's", cell.load.sort));
    }
    if matches!(cell.load.sort, Sort::PubSub | Sort::ShardedPubSub) && durability != Durability::None {
        return Some("nobody keeps a message: there is nothing to wait for".to_owned());
    }
    let shape = Shape::of(cell);
    let asked = match durability {
        Durability::None => return None,
        Durability::Wait(replicas) => replicas,
        Durability::WaitAof(_) if engine.version() < WAITAOF => {
            return Some(format!("{engine} has no WAITAOF: Redis and Valkey have it from {WAITAOF} on"));
        }
        Durability::WaitAof(_) if !shape.keeps_a_file() => {
            return Some("WAITAOF needs appendonly yes, and nothing sets it".to_owned());
        }
        Durability::WaitAof(replicas) => replicas,
    };
    let there = shape.replicas();
    (asked > there).then(|| format!("{durability} asks for {asked} replicas, and a primary has {there}"))
}
