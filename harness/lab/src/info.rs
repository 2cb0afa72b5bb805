//! `INFO`, parsed; beside it what else a server is asked about itself.

mod clients;
mod memory;
mod quorum;
mod slowlog;

pub use clients::Connection;
pub use memory::MemoryReport;
pub use quorum::Quorum;
pub use slowlog::SlowCommand;

use std::{collections::BTreeMap, str::FromStr};

use lab_report::evidence::Role;

/// A node's `INFO`: fields by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info(BTreeMap<String, String>);

/// A replica as its primary lists it: `slave0:ip=…,port=…,state=online,offset=…,lag=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaLine {
    /// Its address, as it announces it.
    pub ip: String,
    /// `wait_bgsave`, `send_bulk` or `online`.
    pub state: String,
    /// What it has acknowledged, in bytes of the replication stream.
    pub offset: u64,
    /// Whole seconds since its last acknowledgement; 0 before it is online.
    pub lag: u64,
}

impl ReplicaLine {
    /// It has the primary's data, and gets what is written.
    pub fn is_online(&self) -> bool {
        self.state == "online"
    }
}

/// How often a command was called, by whomever: `cmdstat_get:calls=…,…,rejected_calls=…,failed_calls=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Carried out. At a replica, what its primary sent is among them.
    pub carried_out: u64,
    /// Refused before that, as a write at a replica is.
    pub refused: u64,
}

impl Info {
    /// Reads the text of `INFO`; lines that are no field are left out.
    pub fn parse(text: &str) -> Self {
        let fields =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
    }

    /// A field's text.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// A field as a number; none if it is absent or something else.
    pub fn number<T: FromStr>(&self, field: &str) -> Option<T> {
        self.get(field)?.parse().ok()
    }

    /// The version that the server gives: `valkey_version`, else `redis_version`.
    ///
    /// Valkey goes on reporting `redis_version:7.2.4` for clients that look for it.
    pub fn version(&self) -> &str {
        self.get("valkey_version").or(self.get("redis_version")).unwrap_or("unknown")
    }

    /// `role:master` or `role:slave`; a sentinel has none, and says how many primaries it watches.
    pub fn role(&self) -> Role {
        match self.get("role") {
            Some("master") => Role::Primary,
            Some("slave") => Role::Replica,
            None if self.get("sentinel_masters").is_some() => Role::Sentinel,
            _ => Role::Unreachable,
        }
    }

    /// The end of the replication stream, as far as this node has it.
    pub fn offset(&self) -> u64 {
        // On a replica `master_repl_offset` is what it has applied; on a primary what it has produced.
        self.number("master_repl_offset").unwrap_or(0)
    }

    /// The link to the primary is up; none on a primary.
    pub fn link_up(&self) -> Option<bool> {
        self.get("master_link_status").map(|status| status == "up")
    }

    /// The replicas that a primary lists.
    pub fn replicas(&self) -> Vec<ReplicaLine> {
        (0..).map_while(|index| self.get(&format!("slave{index}"))).filter_map(replica_line).collect()
    }

    /// The calls of a command since the server started, where the section was asked for.
    pub fn calls(&self, command: &str) -> Calls {
        let fields = pairs(self.get(&format!("cmdstat_{command}")).unwrap_or_default());
        let number = |field| fields.get(field).and_then(|value| value.parse().ok()).unwrap_or(0);
        Calls { carried_out: number("calls"), refused: number("rejected_calls") }
    }

    /// How often clients were answered with an error of this code since the server started: `errorstat_MOVED:count=…`.
    pub fn errors(&self, code: &str) -> u64 {
        let fields = pairs(self.get(&format!("errorstat_{code}")).unwrap_or_default());
        fields.get("count").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// How the node stands, in a line for a person.
    pub fn standing(&self) -> String {
        match self.get("master0") {
            Some(watched) => format!("sentinel of {watched}"),
            None => self.replication(),
        }
    }

    /// The whole replication section, as raw evidence.
    pub fn replication(&self) -> String {
        let fields =
            ["role", "connected_slaves", "master_link_status", "master_repl_offset", "repl_backlog_size"];
        let known = fields.into_iter().filter_map(|field| Some(format!("{field}:{}", self.get(field)?)));
        let slaves = (0..).map_while(|i| Some(format!("slave{i}:{}", self.get(&format!("slave{i}"))?)));
        known.chain(slaves).collect::<Vec<_>>().join(" ")
    }
}

fn replica_line(line: &str) -> Option<ReplicaLine> {
    let fields = pairs(line);
    Some(ReplicaLine {
        ip: (*fields.get("ip")?).to_owned(),
        state: (*fields.get("state")?).to_owned(),
        offset: fields.get("offset")?.parse().ok()?,
        lag: fields.get("lag")?.parse().ok()?,
    })
}

/// `name=value,name=value`
fn pairs(line: &str) -> BTreeMap<&str, &str> {
    line.split(',').filter_map(|pair| pair.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_lists_its_replicas() {
        let info = Info::parse(
            "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
             slave0:ip=10.0.0.3,port=6379,state=online,offset=84,lag=0\r\n\
             slave1:ip=10.0.0.4,port=6379,state=wait_bgsave,offset=0,lag=3\r\nmaster_repl_offset:98\r\n",
        );
        assert_eq!(info.role(), Role::Primary);
        assert_eq!(info.offset(), 98);
        let states: Vec<_> =
            info.replicas().into_iter().map(|replica| (replica.state, replica.offset)).collect();
        assert_eq!(states, [("online".to_owned(), 84), ("wait_bgsave".to_owned(), 0)]);
        let online: Vec<_> =
            info.replicas().iter().map(|replica| (replica.is_online(), replica.lag)).collect();
        assert_eq!(online, [(true, 0), (false, 3)]);
    }

    #[test]
    fn calls_are_counted_by_command() {
        let info = Info::parse(
            "cmdstat_get:calls=7,usec=9,usec_per_call=1.29,rejected_calls=0,failed_calls=0\r\n\
             cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=2,failed_calls=0\r\n",
        );
        assert_eq!(info.calls("get"), Calls { carried_out: 7, refused: 0 });
        assert_eq!(info.calls("set"), Calls { carried_out: 0, refused: 2 });
        assert_eq!(info.calls("del"), Calls::default());
    }

    #[test]
    fn errors_are_counted_by_code() {
        let info = Info::parse("# Errorstats\r\nerrorstat_ASK:count=3\r\nerrorstat_MOVED:count=12\r\n");
        assert_eq!(["ASK", "MOVED", "TRYAGAIN"].map(|code| info.errors(code)), [3, 12, 0]);
    }

    #[test]
    fn valkey_is_known_by_its_own_version() {
        assert_eq!(Info::parse("redis_version:7.2.4\r\nvalkey_version:8.1.1\r\n").version(), "8.1.1");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let info = Info::parse(&text);
            let _ = (info.role(), info.replicas(), info.replication(), info.version());
        }
    }
}
