//! Where keys are at home: what is an outage of one shard is none of the others.

use std::ops::RangeInclusive;

use fred::util::redis_keyslot;

/// Parts of a deployment whose outages are told apart. Each is a client of its own in the record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Homes(Vec<RangeInclusive<u16>>);

impl Homes {
    /// The shards of a cluster, by their slots.
    pub fn of_shards(shards: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        Self(shards.into_iter().collect())
    }

    /// What a client is called in the record, at each of them: by its own name where there is but one.
    pub fn names(&self, client: &str) -> Vec<String> {
        match self.0.len() {
            0 => vec![client.to_owned()],
            shards => (1..=shards).map(|shard| format!("{client}, shard {shard}")).collect(),
        }
    }

    /// Where a key is at home: the place of a name in [`names`](Self::names). What is in no shard is in the first.
    pub fn of(&self, key: &str) -> usize {
        let slot = redis_keyslot(key.as_bytes());
        self.0.iter().position(|slots| slots.contains(&slot)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's vectors: `foo` is in slot 12182, `123456789` in 12739 (0x31C3).
    #[test]
    fn a_key_is_at_home_in_the_shard_that_has_its_slot() {
        let homes = Homes::of_shards([0..=5460, 5461..=12181, 12182..=16383]);
        assert_eq!([homes.of("foo"), homes.of("{foo}bar"), homes.of("123456789")], [2, 2, 2]);
        let homes = Homes::of_shards([0..=12182, 12183..=16383]);
        assert_eq!([homes.of("foo"), homes.of("123456789")], [0, 1]);
        assert_eq!(homes.names("x"), ["x, shard 1", "x, shard 2"]);
    }

    #[test]
    fn where_there_are_no_shards_there_is_one_home() {
        assert_eq!((Homes::default().of("foo"), Homes::default().names("x")), (0, vec!["x".to_owned()]));
    }
}
