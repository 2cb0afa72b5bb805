//! What is to be wrong between participants of a network, as a plain value.

use std::{collections::BTreeMap, fmt, time::Duration};

use lab_report::NodeId;

use super::side::{Place, Side};

/// A part of a hundred, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100);

    /// None unless it is 1 to 100: nothing lost is no fault.
    pub const fn new(percent: u8) -> Option<Self> {
        match percent {
            1..=100 => Some(Self(percent)),
            _ => None,
        }
    }

    /// As a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How much goes through a link in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    kbit: u32,
}

impl Rate {
    /// What goes through a link that was idle before the rate begins to hold.
    pub const BURST_BYTES: u32 = 16 << 10;
    /// A packet goes as a whole once its turn has come: with segmentation left to the network card, it
    /// has up to this much in it.
    const PACKET_BYTES: u32 = 64 << 10;

    /// Thousands of bits per second. None if there are none: that is a split.
    pub const fn kbit(per_second: u32) -> Option<Self> {
        match per_second {
            0 => None,
            kbit => Some(Self { kbit }),
        }
    }

    /// As a number, in thousands of bits per second.
    pub const fn get(self) -> u32 {
        self.kbit
    }

    /// What sending takes at least: `(bytes - burst - packet) / rate`. What is around the bytes only
    /// makes it longer.
    pub fn least(self, bytes: u32) -> Duration {
        let slowed = bytes.saturating_sub(Self::BURST_BYTES + Self::PACKET_BYTES);
        Duration::from_secs_f64(f64::from(slowed) * 8.0 / (f64::from(self.kbit) * 1000.0))
    }
}

/// What becomes of packets on their way from one participant to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Drop,
    Lose(Percent),
    Slow(Rate),
    Delay(Duration),
}

/// Which links are cut, lossy or slow. Nobody else's are: a host of the lab's, this process among them,
/// is on no side.
///
/// ```
/// # use failover_lab::docker::{Node, Relay, Side, Split};
/// # fn split(primary: &Node, sentinel: &Node, client: &Relay, others: &[std::sync::Arc<Node>]) -> Split {
/// // The primary, a sentinel and a client on one side, all others on the other.
/// Split::between(Side::from([primary, sentinel]).and(client), others)
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a split is a plan; a `Partition` makes it happen"]
pub struct Split {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// No side reaches any other.
    Islands(Vec<Side>),
    /// Something is wrong one way.
    Links { from: Side, to: Side, effect: Effect },
}

impl Split {
    /// `left | right`: nobody on one side reaches anybody on the other.
    pub fn between(left: impl Into<Side>, right: impl Into<Side>) -> Self {
        Self::islands([left.into(), right.into()])
    }

    /// The same with any number of sides.
    pub fn islands(sides: impl IntoIterator<Item = Side>) -> Self {
        Self { parts: vec![Part::Islands(sides.into_iter().collect())] }
    }

    /// What `from` sends does not get to `to`. What `to` sends gets to `from`.
    pub fn oneway(from: impl Into<Side>, to: impl Into<Side>) -> Self {
        Self::links(from, to, Effect::Drop)
    }

    /// Of what `from` sends to `to`, this much is lost, packet by packet, at random.
    pub fn lossy(from: impl Into<Side>, to: impl Into<Side>, loss: Percent) -> Self {
        Self::links(from, to, Effect::Lose(loss))
    }

    /// What `from` sends to `to` goes at this rate: each pair of them has it to itself.
    pub fn slow(from: impl Into<Side>, to: impl Into<Side>, rate: Rate) -> Self {
        Self::links(from, to, Effect::Slow(rate))
    }

    /// What `from` sends to `to` is this late. Not every kernel can do that.
    pub fn late(from: impl Into<Side>, to: impl Into<Side>, delay: Duration) -> Self {
        Self::links(from, to, Effect::Delay(delay))
    }

    /// Both at once.
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    fn links(from: impl Into<Side>, to: impl Into<Side>, effect: Effect) -> Self {
        Self { parts: vec![Part::Links { from: from.into(), to: to.into(), effect }] }
    }

    /// Every ordered pair of participants with what is wrong from the first to the second. Nobody is cut
    /// off from himself.
    pub(super) fn pairs(&self) -> Vec<(&Place, &Place, Effect)> {
        let mut pairs = Vec::new();
        for (from, to, effect) in self.parts.iter().flat_map(Part::links) {
            for sender in from.places() {
                let receivers = to.places().iter().filter(|receiver| receiver.address != sender.address);
                pairs.extend(receivers.map(|receiver| (sender, receiver, effect)));
            }
        }
        pairs
    }

    /// The nodes that count as hit, with what hit them: those on every side but the largest. Of sides of
    /// the same size it is the last that is not.
    pub(super) fn hit(&self) -> BTreeMap<NodeId, &'static str> {
        let mut hit = BTreeMap::new();
        for part in &self.parts {
            let (sides, kind) = part.sides();
            let spared = (0..sides.len()).max_by_key(|side| sides[*side].nodes().count());
            let hit_sides = sides.iter().enumerate().filter(|(side, _)| Some(*side) != spared);
            for node in hit_sides.flat_map(|(_, side)| side.nodes()) {
                hit.entry(node.clone()).or_insert(kind);
            }
        }
        hit
    }
}

impl Part {
    fn links(&self) -> Vec<(&Side, &Side, Effect)> {
        match self {
            Self::Links { from, to, effect } => vec![(from, to, *effect)],
            Self::Islands(sides) => {
                let to_others = |(at, from)| {
                    let others = sides.iter().enumerate().filter(move |(other, _)| *other != at);
                    others.map(move |(_, to)| (from, to, Effect::Drop))
                };
                sides.iter().enumerate().flat_map(to_others).collect()
            }
        }
    }

    /// Its sides, and what such a fault is called.
    fn sides(&self) -> (Vec<&Side>, &'static str) {
        match self {
            Self::Islands(sides) => (sides.iter().collect(), "partition"),
            Self::Links { from, to, effect } => (vec![from, to], effect.kind()),
        }
    }
}

impl Effect {
    fn kind(self) -> &'static str {
        match self {
            Self::Drop => "partition",
            Self::Lose(_) => "loss",
            Self::Slow(_) | Self::Delay(_) => "slow",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("; "))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Islands(sides) => {
                let sides: Vec<String> = sides.iter().map(ToString::to_string).collect();
                write!(f, "partition {}", sides.join(" | "))
            }
            Self::Links { from, to, effect } => match effect {
                Effect::Drop => write!(f, "partition {from} → {to}"),
                Effect::Lose(percent) => write!(f, "loss of {} % {from} → {to}", percent.0),
                Effect::Slow(rate) => write!(f, "slow at {} kbit/s {from} → {to}", rate.kbit),
                Effect::Delay(delay) => write!(f, "slow by {} ms {from} → {to}", delay.as_millis()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rstest::rstest;

    use super::*;
    use crate::docker::Participant;

    /// A participant whose name is its address' last number; clients are named in capitals.
    struct Somebody(&'static str, u8);

    const A: Somebody = Somebody("a", 2);
    const B: Somebody = Somebody("b", 3);
    const C: Somebody = Somebody("c", 4);
    const CLIENT: Somebody = Somebody("CLIENT", 5);

    impl Participant for Somebody {
        fn place(&self) -> Place {
            let node = (self.0 != "CLIENT").then(|| NodeId::from(self.0));
            let (name, container) = (self.0.to_owned(), format!("lab-{}", self.0));
            Place { name, container, address: Ipv4Addr::new(10, 213, 0, self.1), node, lent: false }
        }
    }

    fn pairs(split: &Split) -> Vec<String> {
        let pairs = split.pairs();
        pairs.iter().map(|(from, to, _)| format!("{}→{}", from.name, to.name)).collect()
    }

    fn hit(split: &Split) -> Vec<String> {
        split.hit().into_iter().map(|(node, kind)| format!("{kind} {node}")).collect()
    }

    #[test]
    fn a_split_cuts_both_ways_across_and_nothing_within() {
        let split = Split::between(&A, [&B, &C]);
        assert_eq!(pairs(&split), ["a→b", "a→c", "b→a", "c→a"]);
        assert!(split.pairs().iter().all(|(_, _, effect)| *effect == Effect::Drop));
        assert_eq!(split.to_string(), "partition a | b, c");
    }

    #[test]
    fn many_sides_are_cut_off_from_each_other() {
        let split = Split::islands([Side::from(&A), Side::from(&B), Side::from(&C)]);
        assert_eq!(pairs(&split), ["a→b", "a→c", "b→a", "b→c", "c→a", "c→b"]);
        assert_eq!(hit(&split), ["partition a", "partition b"]);
    }

    #[test]
    fn one_way_is_one_way() {
        let split = Split::oneway([&A, &B], &C);
        assert_eq!(pairs(&split), ["a→c", "b→c"]);
        assert_eq!(split.to_string(), "partition a, b → c");
    }

    #[test]
    fn nobody_is_cut_off_from_himself() {
        assert_eq!(pairs(&Split::between([&A, &B], [&B, &C])), ["a→b", "a→c", "b→c", "b→a", "c→a", "c→b"]);
    }

    #[rstest]
    #[case::the_smaller_side(Split::between([&A, &B], &C), &["partition c"])]
    #[case::the_first_of_two_alike(Split::between(&A, &B), &["partition a"])]
    #[case::a_client_is_no_node(Split::between(Side::from(&A).and(&CLIENT), [&B, &C]), &["partition a"])]
    #[case::a_client_alone_hits_nobody(Split::between(&CLIENT, [&A, &B]), &[])]
    #[case::loss(Split::lossy(&A, [&B, &C], Percent::ALL), &["loss a"])]
    #[case::rate(Split::slow([&A, &B], &C, Rate::kbit(8).unwrap()), &["slow c"])]
    #[case::once(Split::oneway(&A, &B).and(Split::late(&A, &B, Duration::from_millis(5))), &["partition a"])]
    fn those_on_the_smaller_side_are_hit(#[case] split: Split, #[case] expected: &[&str]) {
        assert_eq!(hit(&split), expected);
    }

    #[test]
    fn it_is_said_in_words() {
        let half = Percent::new(50).unwrap();
        let split = Split::lossy(&A, &B, half)
            .and(Split::slow(&A, &C, Rate::kbit(400).unwrap()))
            .and(Split::late(&C, &A, Duration::from_millis(50)));
        assert_eq!(split.to_string(), "loss of 50 % a → b; slow at 400 kbit/s a → c; slow by 50 ms c → a");
    }

    #[test]
    fn nothing_and_more_than_all_are_no_parts() {
        assert_eq!((Percent::new(0), Percent::new(101), Rate::kbit(0)), (None, None, None));
        assert_eq!(Percent::new(100), Some(Percent::ALL));
    }

    #[test]
    fn a_rate_holds_after_the_burst() {
        let rate = Rate::kbit(8).unwrap();
        assert_eq!(rate.least(80 << 10), Duration::ZERO);
        assert_eq!(rate.least((80 << 10) + 3000), Duration::from_secs(3));
    }
}
