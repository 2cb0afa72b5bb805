//! Hash slots: which of them a key is in, and sets of them.
//!
//! The rules are those of the Redis Cluster specification, "Key distribution model" and "Hash tags"
//! (`keyHashSlot` in `src/cluster.c`).

use std::{fmt, str::FromStr};

use crc::{CRC_16_XMODEM, Crc};

/// CRC16 as the specification defines it.
const CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// One of the 16384 slots that keys are divided over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// How many there are: `CLUSTER_SLOTS`.
    pub const COUNT: u16 = 16384;

    /// The slot with this number; none if there is no such slot.
    pub fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// The slot of a key.
    pub fn of(key: &str) -> Self {
        Self(CRC16.checksum(hashed(key).as_bytes()) % Self::COUNT)
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The part of a key that is hashed: what is between the first `{` and the first `}` after it, if there is
/// anything; else all of it.
pub fn hashed(key: &str) -> &str {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// A set of slots, as `CLUSTER NODES` writes one: `0-5460 5462`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots(Vec<(u16, u16)>);

/// Text that is no set of slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no slot and no range of slots: 0 to 16383, as in `0-5460`")]
pub struct SlotsError(String);

impl Slots {
    /// The slots from one to another, both of them included.
    pub fn between(first: Slot, last: Slot) -> Self {
        Self(vec![(first.0, last.0)])
    }

    /// An even share for each of `parts`: what `redis-cli --cluster create` gives (`clusterManagerCommandCreate`).
    pub fn shares(parts: usize) -> Vec<Self> {
        let each = f64::from(Slot::COUNT) / parts as f64;
        let ends: Vec<u16> = (1..=parts).map(|part| (each * part as f64 - 1.0).round() as u16).collect();
        let firsts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
        firsts.zip(&ends).map(|(first, last)| Self(vec![(first, *last)])).collect()
    }

    /// Whether a slot is in it.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&slot.0))
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }

    /// There are none in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those in it.
    pub fn iter(&self) -> impl Iterator<Item = Slot> {
        self.0.iter().flat_map(|(first, last)| (*first..=*last).map(Slot))
    }
}

impl FromStr for Slots {
    type Err = SlotsError;

    fn from_str(text: &str) -> Result<Self, SlotsError> {
        let range = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let number = |text: &str| text.parse().ok().and_then(Slot::new).map(Slot::number);
            let both = number(first).zip(number(last)).filter(|(first, last)| first <= last);
            both.ok_or_else(|| SlotsError(word.to_owned()))
        };
        text.split_whitespace().map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.0.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        f.pad(&ranges.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// From the specification, appendix A (`123456789`), and its tutorial.
    #[rstest]
    #[case("123456789", 0x31C3)]
    #[case("foo", 12182)]
    #[case("hello", 866)]
    #[case("", 0)]
    fn known_vectors(#[case] key: &str, #[case] slot: u16) {
        assert_eq!(Slot::of(key).number(), slot);
    }

    /// From the specification, "Hash tags".
    #[rstest]
    #[case("{user1000}.following", "user1000")]
    #[case("foo{}{bar}", "foo{}{bar}")]
    #[case("foo{{bar}}zap", "{bar")]
    #[case("foo{bar}{zap}", "bar")]
    #[case("foo{bar", "foo{bar")]
    #[case("foo}bar{zap", "foo}bar{zap")]
    fn tags(#[case] key: &str, #[case] part: &str) {
        assert_eq!(hashed(key), part);
    }

    #[rstest]
    #[case(1, "0-16383")]
    #[case(3, "0-5460, 5461-10922, 10923-16383")]
    #[case(4, "0-4095, 4096-8191, 8192-12287, 12288-16383")]
    fn shares_are_even(#[case] parts: usize, #[case] expected: &str) {
        let shares: Vec<String> = Slots::shares(parts).iter().map(Slots::to_string).collect();
        assert_eq!(shares.join(", "), expected);
    }

    #[rstest]
    #[case("16384")]
    #[case("5-1")]
    #[case("a-b")]
    #[case("[93-<-id]")]
    fn what_is_no_slot_is_refused(#[case] text: &str) {
        assert!(text.parse::<Slots>().is_err());
    }

    proptest! {
        #[test]
        fn shares_cover_every_slot_once(parts in 1usize..=1000) {
            let all: Vec<Slot> = Slots::shares(parts).iter().flat_map(|share| share.iter().collect::<Vec<_>>()).collect();
            prop_assert!(all.into_iter().eq(Slot::all()));
        }

        #[test]
        fn a_set_is_read_as_it_is_written(bounds in prop::collection::vec((0u16..Slot::COUNT, 0u16..100), 0..5)) {
            let ranges = bounds.into_iter().map(|(first, length)| (first, (first + length).min(Slot::COUNT - 1)));
            let slots = Slots(ranges.collect());
            prop_assert_eq!(slots.to_string().parse(), Ok(slots.clone()));
            prop_assert_eq!(slots.iter().count(), slots.len());
            prop_assert!(slots.iter().all(|slot| slots.contains(slot)));
        }

        #[test]
        fn keys_with_one_tag_are_together(tag in "[^{}]{1,8}", a in "[^{}]{0,8}", b in "[^{}]{0,8}") {
            prop_assert_eq!(Slot::of(&format!("{{{tag}}}{a}")), Slot::of(&format!("{b}{{{tag}}}")));
        }
    }
}
