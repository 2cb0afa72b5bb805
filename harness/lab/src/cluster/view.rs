//! What a node holds of its cluster: `CLUSTER NODES`, read.

use std::{collections::BTreeMap, str::FromStr};

use lab_report::slots::{Slot, Slots, SlotsError};

/// A node's view of the cluster, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View(Vec<Member>);

/// A node as another sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in the cluster: 40 hexadecimal digits.
    pub id: String,
    /// What it announces to clients.
    pub host: String,
    /// The same.
    pub port: u16,
    /// It is the one whose view this is.
    pub myself: bool,
    /// The name of whom it follows; none of a primary.
    pub follows: Option<String>,
    /// What is held of its health.
    pub health: Health,
    /// Its configuration epoch; a replica has its primary's.
    pub epoch: u64,
    /// The link to it is up.
    pub connected: bool,
    /// The slots that it owns.
    pub slots: Slots,
    /// The slots that are on their way, from it or to it, and the other node's name.
    pub moving: BTreeMap<Slot, Way>,
}

/// What a node is held to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Up.
    Up,
    /// Whoever holds this view has not heard of it for the node timeout (`fail?`).
    Suspected,
    /// A majority of the primaries has not (`fail`).
    Failed,
    /// It is only just being met.
    Handshake,
}

/// Where a slot is going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To the node with this name.
    To(String),
    /// From it.
    From(String),
}

/// Text that is no `CLUSTER NODES`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A line lacks something.
    #[error("no node in `{0}`: name, address, flags, primary, two times, epoch, link and slots are expected")]
    Line(String),
    /// Its slots make no sense.
    #[error(transparent)]
    Slots(#[from] SlotsError),
}

impl View {
    /// The nodes, by name.
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    /// The node whose view this is.
    pub fn myself(&self) -> Option<&Member> {
        self.0.iter().find(|member| member.myself)
    }

    /// The node with this name.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.0.iter().find(|member| member.id == id)
    }

    /// Who owns a slot.
    pub fn owner(&self, slot: Slot) -> Option<&Member> {
        self.0.iter().find(|member| member.slots.contains(slot))
    }

    /// The primaries that own slots.
    pub fn shards(&self) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(|member| member.follows.is_none() && !member.slots.is_empty())
    }

    /// Who follows the node with this name.
    pub fn replicas_of(&self, id: &str) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(move |member| member.follows.as_deref() == Some(id))
    }

    /// The configuration epoch of every primary that owns slots, by name.
    pub fn epochs(&self) -> BTreeMap<String, u64> {
        self.shards().map(|member| (member.id.clone(), member.epoch)).collect()
    }

    /// What all nodes should agree on, in words: who is who, of whom, and owns what. Epochs and health are a
    /// node's own opinion for a while.
    pub fn configuration(&self) -> String {
        let line = |member: &Member| {
            let role =
                member.follows.as_deref().map_or("primary".to_owned(), |id| format!("replica of {id}"));
            format!("{} {}:{} {role} {}", member.id, member.host, member.port, member.slots)
                .trim_end()
                .to_owned()
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl FromStr for View {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        let mut members: Vec<Member> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        members.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Self(members))
    }
}

impl FromStr for Member {
    type Err = ViewError;

    fn from_str(line: &str) -> Result<Self, ViewError> {
        let missing = || ViewError::Line(line.to_owned());
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, address, flags, primary, _, _, epoch, link, slots @ ..] = words.as_slice() else {
            return Err(missing());
        };
        // `host:port@bus-port,hostname`
        let (host, port) =
            address.split('@').next().and_then(|socket| socket.rsplit_once(':')).ok_or_else(missing)?;
        let flags: Vec<&str> = flags.split(',').collect();
        let (owned, moving): (Vec<&str>, Vec<&str>) = slots.iter().partition(|word| !word.starts_with('['));
        Ok(Self {
            id: (*id).to_owned(),
            host: host.to_owned(),
            port: port.parse().map_err(|_| missing())?,
            myself: flags.contains(&"myself"),
            follows: (*primary != "-").then(|| (*primary).to_owned()),
            health: health(&flags),
            epoch: epoch.parse().map_err(|_| missing())?,
            connected: *link == "connected",
            slots: owned.join(" ").parse()?,
            moving: moving.iter().map(|word| way(word).ok_or_else(missing)).collect::<Result<_, _>>()?,
        })
    }
}

fn health(flags: &[&str]) -> Health {
    match flags {
        flags if flags.contains(&"fail") => Health::Failed,
        flags if flags.contains(&"fail?") => Health::Suspected,
        flags if flags.contains(&"handshake") || flags.contains(&"noaddr") => Health::Handshake,
        _ => Health::Up,
    }
}

/// `[93->-name]` or `[93-<-name]`
fn way(word: &str) -> Option<(Slot, Way)> {
    let inner = word.strip_prefix('[')?.strip_suffix(']')?;
    let slot = |number: &str| number.parse().ok().and_then(Slot::new);
    match inner.split_once("->-") {
        Some((number, to)) => Some((slot(number)?, Way::To(to.to_owned()))),
        None => inner
            .split_once("-<-")
            .and_then(|(number, from)| Some((slot(number)?, Way::From(from.to_owned())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
aaaa 10.0.0.3:6379@16379 master - 0 1700000000000 2 connected 5461-10922 [93-<-bbbb]
bbbb 10.0.0.2:6379@16379,name myself,master - 0 0 1 connected 0-92 94-5460 [93->-aaaa]
cccc 10.0.0.5:6379@16379 slave,fail? bbbb 1700000000000 1700000000000 1 disconnected
dddd :0@0 master,noaddr,fail - 1700000000000 1700000000000 3 disconnected";

    #[test]
    fn a_view_is_read() {
        let view: View = NODES.parse().unwrap();
        let myself = view.myself().unwrap();
        assert_eq!((myself.host.as_str(), myself.port, myself.slots.len()), ("10.0.0.2", 6379, 5460));
        let moving = Slot::new(93).unwrap();
        assert_eq!(myself.moving[&moving], Way::To("aaaa".to_owned()));
        assert_eq!(view.member("aaaa").unwrap().moving[&moving], Way::From("bbbb".to_owned()));
        assert_eq!(view.owner(moving), None);
        assert_eq!(view.shards().count(), 2);
        let replica = view.replicas_of("bbbb").next().unwrap();
        assert_eq!((replica.health, replica.connected), (Health::Suspected, false));
        assert_eq!(view.member("dddd").unwrap().health, Health::Failed);
    }

    #[test]
    fn views_are_compared_by_what_they_agree_on() {
        let view: View = NODES.parse().unwrap();
        let others = NODES
            .replace("myself,", "")
            .replace("fail?", "fail")
            .lines()
            .rev()
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(view.configuration(), others.parse::<View>().unwrap().configuration());
        let moved = NODES.replace("0-92 ", "0-93 ");
        assert_ne!(view.configuration(), moved.parse::<View>().unwrap().configuration());
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let _ = text.parse::<View>();
        }
    }
}
