//! What a split means at each participant: nftables rules where packets arrive, traffic control where
//! they leave. Text, and nothing else: no container is touched here.
//!
//! Packets are dropped where they arrive: a sender whose own rules drop them is told, and a cut link is
//! silent.

use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr, time::Duration};

use super::{
    side::Place,
    split::{Effect, Percent, Rate, Split},
};

/// Where shaping is not asked for, but a class has to have a rate: no link here is as fast.
const UNBOUND: &str = "10gbit";
/// Classes of traffic are numbered from here: below are the root and what is not classified.
const FIRST_CLASS: u16 = 0x10;
/// Packets that wait on a slow or late link: more would be late by themselves, fewer would be lost.
const QUEUE: u32 = 1000;

/// What is done at one participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) place: Place,
    table: String,
    /// From whom packets are dropped, and how many in a hundred.
    drops: BTreeMap<Ipv4Addr, Percent>,
    /// To whom packets go slowly.
    shaped: BTreeMap<Ipv4Addr, Shape>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shape {
    rate: Option<Rate>,
    delay: Option<Duration>,
}

/// What is done at each participant that has something wrong with its links. `table` names the rules.
pub(super) fn compile(split: &Split, table: &str) -> Vec<Orders> {
    let mut all: BTreeMap<Place, Orders> = BTreeMap::new();
    for (from, to, effect) in split.pairs() {
        let at = match effect {
            Effect::Drop | Effect::Lose(_) => to,
            Effect::Slow(_) | Effect::Delay(_) => from,
        };
        let orders = all.entry(at.clone()).or_insert_with(|| Orders::none(at, table));
        orders.add(from.address, to.address, effect);
    }
    all.into_values().collect()
}

impl Orders {
    fn none(place: &Place, table: &str) -> Self {
        let table = table.to_owned();
        Self { place: place.clone(), table, drops: BTreeMap::new(), shaped: BTreeMap::new() }
    }

    /// Of two losses the greater counts, of two rates or delays the last.
    fn add(&mut self, from: Ipv4Addr, to: Ipv4Addr, effect: Effect) {
        match effect {
            Effect::Drop => drop(self.drops.insert(from, Percent::ALL)),
            Effect::Lose(loss) => {
                let old = self.drops.entry(from).or_insert(loss);
                *old = loss.max(*old);
            }
            Effect::Slow(rate) => self.shaped.entry(to).or_default().rate = Some(rate),
            Effect::Delay(delay) => self.shaped.entry(to).or_default().delay = Some(delay),
        }
    }

    /// The rules, as `nft --file` takes them; none if nothing is dropped here.
    pub(super) fn ruleset(&self) -> Option<String> {
        if self.drops.is_empty() {
            return None;
        }
        let mut rules = format!(
            "table ip {} {{\n  chain input {{\n    type filter hook input priority 0; policy accept;\n",
            self.table
        );
        for (from, loss) in &self.drops {
            let chance = match loss.get() {
                100 => String::new(),
                percent => format!("numgen random mod 100 < {percent} "),
            };
            writeln!(rules, "    ip saddr {from} {chance}drop").expect("memory takes what it is given");
        }
        rules.push_str("  }\n}\n");
        Some(rules)
    }

    /// The commands of `tc`, without its name, for the device `$dev`; none if nothing is slow here.
    pub(super) fn shaping(&self) -> Vec<String> {
        if self.shaped.is_empty() {
            return Vec::new();
        }
        // What is not classified goes straight through: as many packets of it may wait as on any device,
        // which the device of a container, having no queue of its own, does not say.
        let mut commands = vec![format!("qdisc add dev $dev root handle 1: htb direct_qlen {QUEUE}")];
        for (class, (to, shape)) in (FIRST_CLASS..).zip(&self.shaped) {
            let (id, burst) = (format!("1:{class:x}"), Rate::BURST_BYTES);
            let rate = shape.rate.map_or(UNBOUND.to_owned(), |rate| format!("{}kbit", rate.get()));
            let queue = match shape.delay {
                Some(delay) => format!("netem delay {}us limit {QUEUE}", delay.as_micros()),
                None => format!("pfifo limit {QUEUE}"),
            };
            let limit = format!("rate {rate} burst {burst} cburst {burst} quantum 1514");
            let picked = format!("u32 match ip dst {to}/32");
            commands.extend([
                format!("class add dev $dev parent 1: classid {id} htb {limit}"),
                format!("qdisc add dev $dev parent {id} handle {class:x}: {queue}"),
                format!("filter add dev $dev parent 1: protocol ip prio 1 {picked} flowid {id}"),
            ]);
        }
        commands
    }

    /// Something here is late, and not only slow.
    pub(super) fn delays(&self) -> bool {
        self.shaped.values().any(|shape| shape.delay.is_some())
    }

    /// What takes the rules away, whether they are there or not.
    pub(super) fn removal(&self) -> String {
        format!("table ip {0}\ndelete table ip {0}\n", self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::Participant;

    struct Number(u8);

    impl Participant for Number {
        fn place(&self) -> Place {
            let (name, container) = (self.0.to_string(), format!("lab-{}", self.0));
            Place { name, container, address: Ipv4Addr::new(10, 213, 0, self.0), node: None, lent: false }
        }
    }

    fn orders(split: &Split) -> Vec<(String, Orders)> {
        compile(split, "cut").into_iter().map(|orders| (orders.place.name.clone(), orders)).collect()
    }

    #[test]
    fn a_split_is_rules_at_every_receiver() {
        let orders = orders(&Split::between(&Number(2), [&Number(3), &Number(4)]));
        let names: Vec<&str> = orders.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["2", "3", "4"]);
        assert_eq!(
            orders[0].1.ruleset().unwrap(),
            "table ip cut {\n  chain input {\n    \
             type filter hook input priority 0; policy accept;\n    \
             ip saddr 10.213.0.3 drop\n    \
             ip saddr 10.213.0.4 drop\n  }\n}\n"
        );
        assert!(orders[1].1.ruleset().unwrap().contains("\n    ip saddr 10.213.0.2 drop\n  }"));
        assert!(orders.iter().all(|(_, orders)| orders.shaping().is_empty() && !orders.delays()));
    }

    #[test]
    fn one_way_is_a_rule_at_the_receiver_alone() {
        let orders = orders(&Split::oneway(&Number(2), &Number(3)));
        assert_eq!(orders.len(), 1);
        assert_eq!(orders[0].0, "3");
        assert!(orders[0].1.ruleset().unwrap().contains("ip saddr 10.213.0.2 drop"));
    }

    #[test]
    fn loss_is_by_chance_and_the_greater_counts() {
        let loss = |percent| {
            let split = Split::lossy(&Number(2), &Number(3), Percent::new(percent).unwrap());
            split.and(Split::lossy(&Number(2), &Number(3), Percent::new(10).unwrap()))
        };
        let rules = |split| orders(&split)[0].1.ruleset().unwrap();
        assert!(rules(loss(30)).contains("ip saddr 10.213.0.2 numgen random mod 100 < 30 drop\n"));
        assert!(rules(loss(100)).contains("ip saddr 10.213.0.2 drop\n"), "all of them is a cut");
        let cut = loss(30).and(Split::oneway(&Number(2), &Number(3))).and(loss(30));
        assert!(rules(cut).contains("ip saddr 10.213.0.2 drop\n"));
    }

    #[test]
    fn slow_links_are_shaped_by_the_sender_one_class_each() {
        let rate = Rate::kbit(400).unwrap();
        let split = Split::slow(&Number(2), [&Number(3), &Number(4)], rate)
            .and(Split::late(&Number(2), &Number(4), Duration::from_millis(50)))
            .and(Split::late(&Number(2), &Number(5), Duration::from_micros(1500)));
        let orders = orders(&split);
        assert_eq!(orders.len(), 1);
        let (name, orders) = &orders[0];
        assert_eq!((name.as_str(), orders.ruleset(), orders.delays()), ("2", None, true));
        let class = "class add dev $dev parent 1: classid";
        let filter = "filter add dev $dev parent 1: protocol ip prio 1 u32 match ip dst";
        let expected = [
            "qdisc add dev $dev root handle 1: htb direct_qlen 1000".to_owned(),
            format!("{class} 1:10 htb rate 400kbit burst 16384 cburst 16384 quantum 1514"),
            "qdisc add dev $dev parent 1:10 handle 10: pfifo limit 1000".to_owned(),
            format!("{filter} 10.213.0.3/32 flowid 1:10"),
            format!("{class} 1:11 htb rate 400kbit burst 16384 cburst 16384 quantum 1514"),
            "qdisc add dev $dev parent 1:11 handle 11: netem delay 50000us limit 1000".to_owned(),
            format!("{filter} 10.213.0.4/32 flowid 1:11"),
            format!("{class} 1:12 htb rate 10gbit burst 16384 cburst 16384 quantum 1514"),
            "qdisc add dev $dev parent 1:12 handle 12: netem delay 1500us limit 1000".to_owned(),
            format!("{filter} 10.213.0.5/32 flowid 1:12"),
        ];
        assert_eq!(orders.shaping(), expected);
    }

    #[test]
    fn rules_are_taken_away_whether_they_are_there_or_not() {
        let orders = orders(&Split::oneway(&Number(2), &Number(3)));
        assert_eq!(orders[0].1.removal(), "table ip cut\ndelete table ip cut\n");
    }
}
