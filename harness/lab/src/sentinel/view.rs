//! What a sentinel knows of a node: one map of `SENTINEL MASTER`, `REPLICAS` or `SENTINELS`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::SocketAddrV4,
    str::FromStr,
};

/// A node as a sentinel sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(BTreeMap<String, String>);

/// What a sentinel holds of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// A primary.
    Primary,
    /// A replica.
    Replica,
    /// Another sentinel.
    Sentinel,
    /// It is down, as far as this sentinel can tell.
    SubjectivelyDown,
    /// As many as the quorum agree that it is down.
    ObjectivelyDown,
    /// There is no connection to it.
    Disconnected,
    /// A failover of it is under way.
    FailoverInProgress,
    /// It is the replica that is being promoted.
    Promoted,
    /// It is being told to follow the new primary, or is doing so.
    Reconfiguring,
}

impl Instance {
    /// Of what the server answered.
    pub fn of(fields: HashMap<String, String>) -> Self {
        Self(fields.into_iter().collect())
    }

    /// A field's text.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// A field as a number; none if it is absent or something else.
    pub fn number<T: FromStr>(&self, field: &str) -> Option<T> {
        self.get(field)?.parse().ok()
    }

    /// What the sentinel holds of it.
    pub fn flags(&self) -> BTreeSet<Flag> {
        self.get("flags").unwrap_or_default().split(',').filter_map(flag).collect()
    }

    /// It is nothing but what it should be: no flag of trouble.
    pub fn is_only(&self, flag: Flag) -> bool {
        self.flags() == BTreeSet::from([flag])
    }

    /// Its address or its name, as it announces it.
    pub fn address(&self) -> &str {
        self.get("ip").unwrap_or_default()
    }

    /// The same with its port; none if it announces a name.
    pub fn socket(&self) -> Option<SocketAddrV4> {
        Some(SocketAddrV4::new(self.address().parse().ok()?, self.number("port")?))
    }

    /// Of a replica: its link to the primary is up.
    pub fn link_up(&self) -> bool {
        self.get("master-link-status") == Some("ok")
    }

    /// The configuration epoch of a primary.
    pub fn epoch(&self) -> u64 {
        self.number("config-epoch").unwrap_or(0)
    }
}

/// What a sentinel can count on: what it knows and holds to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usable {
    pub(super) primary: bool,
    pub(super) replicas: usize,
    pub(super) others: usize,
}

impl Usable {
    pub(super) fn as_good_as(&self, other: &Self) -> bool {
        (self.primary || !other.primary) && self.replicas >= other.replicas && self.others >= other.others
    }
}

impl fmt::Display for Usable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primary, replicas, others } = self;
        let primary = if *primary { "the primary" } else { "no primary" };
        write!(f, "{primary}, {replicas} replicas and {others} other sentinels are up")
    }
}

fn flag(word: &str) -> Option<Flag> {
    Some(match word {
        "master" => Flag::Primary,
        "slave" => Flag::Replica,
        "sentinel" => Flag::Sentinel,
        "s_down" => Flag::SubjectivelyDown,
        "o_down" => Flag::ObjectivelyDown,
        "disconnected" => Flag::Disconnected,
        "failover_in_progress" => Flag::FailoverInProgress,
        "promoted" => Flag::Promoted,
        "reconf_sent" | "reconf_inprog" | "reconf_done" => Flag::Reconfiguring,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_apart() {
        let fields = [("flags", "master,s_down,o_down"), ("config-epoch", "3")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let instance = Instance::of(fields.into());
        let expected = [Flag::Primary, Flag::SubjectivelyDown, Flag::ObjectivelyDown];
        assert_eq!(instance.flags(), BTreeSet::from(expected));
        assert!(!instance.is_only(Flag::Primary));
        assert_eq!(instance.epoch(), 3);
    }
}
