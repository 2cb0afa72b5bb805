//! `CLIENT LIST`, parsed.

/// A connection as a server lists it: `id=7 addr=… laddr=… name=… flags=N … cmd=ping …`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// What it calls itself; empty where it does not.
    pub name: String,
    /// The command that it sent last: `set`, `client|list`.
    pub command: String,
    /// The server's port that it came to; none where the server does not say.
    pub port: Option<u16>,
    flags: String,
}

impl Connection {
    /// Reads the text of `CLIENT LIST`, a connection a line.
    pub fn listed(text: &str) -> Vec<Self> {
        text.lines().filter(|line| !line.is_empty()).map(Self::parse).collect()
    }

    fn parse(line: &str) -> Self {
        let mut connection = Self::default();
        for (field, value) in line.split(' ').filter_map(|field| field.split_once('=')) {
            match field {
                "name" => value.clone_into(&mut connection.name),
                "cmd" => value.clone_into(&mut connection.command),
                "flags" => value.clone_into(&mut connection.flags),
                "laddr" => {
                    connection.port = value.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                }
                _ => {}
            }
        }
        connection
    }

    /// A replica gets the stream of writes by it.
    pub fn is_replica(&self) -> bool {
        self.flags.contains('S')
    }

    /// A sentinel gives its commands by it. It has another one, to listen (`-pubsub`).
    pub fn is_sentinel(&self) -> bool {
        self.name.starts_with("sentinel-") && self.name.ends_with("-cmd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a primary, as redis 7.0 writes it (`catClientInfoString`).
    const LIST: &str = "\
        id=4 addr=10.0.0.3:41538 laddr=10.0.0.2:6379 fd=10 name= age=31 idle=0 flags=S db=0 sub=0 psub=0 ssub=0 \
        multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem=1928 \
        events=r cmd=replconf user=default redir=-1 resp=2\n\
        id=7 addr=10.0.0.5:35230 laddr=10.0.0.2:6379 fd=12 name=sentinel-51d0f5c5-cmd age=30 idle=0 flags=N db=0 \
        sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=20474 argv-mem=0 multi-mem=0 rbs=1024 rbp=1024 obl=0 oll=0 \
        omem=0 tot-mem=22298 events=r cmd=publish user=default redir=-1 resp=2\n\
        id=8 addr=10.0.0.5:35232 laddr=10.0.0.2:6379 fd=13 name=sentinel-51d0f5c5-pubsub age=30 idle=0 flags=P db=0 \
        sub=1 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 \
        tot-mem=1928 events=r cmd=subscribe user=default redir=-1 resp=2\n\
        id=19 addr=10.0.0.1:50112 laddr=10.0.0.2:6379 fd=14 name=pool age=1 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 \
        multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem=22306 \
        events=r cmd=client|list user=default redir=-1 resp=2\n";

    #[test]
    fn who_is_connected_is_told_apart() {
        let listed = Connection::listed(LIST);
        let told: Vec<_> = listed.iter().map(|one| (one.is_replica(), one.is_sentinel())).collect();
        assert_eq!(told, [(true, false), (false, true), (false, false), (false, false)]);
        assert_eq!((listed[3].name.as_str(), listed[3].command.as_str()), ("pool", "client|list"));
    }

    #[test]
    fn a_server_may_have_several_ports() {
        let port = |line| Connection::listed(line)[0].port;
        assert_eq!(port("id=1 addr=10.0.0.1:50112 laddr=10.0.0.2:6390 name="), Some(6390));
        assert_eq!(port("id=1 addr=[::1]:50112 laddr=[::1]:6379 name="), Some(6379));
        assert_eq!(port("id=1 addr=10.0.0.1:50112 name="), None);
    }

    proptest::proptest! {
        #[test]
        fn no_list_is_too_strange(text in "\\PC*") {
            let _ = Connection::listed(&text);
        }
    }
}
