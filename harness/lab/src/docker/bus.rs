//! The bus of a cluster's nodes, tried without TLS.
//!
//! A server's own `PING` is nothing to it: the bus closes the connection, encrypted or not. So it is sent what its
//! nodes send each other, by one that it does not know, and which it answers all the same
//! (`clusterProcessPacket`: "Anyway reply with a PONG").

use std::sync::Arc;

use super::{
    Attempt, Docker, DockerError, Node, Participant,
    sidecar::{Privilege, Sidecar},
};

/// The bus listens this far above the port: `CLUSTER_PORT_INCR`.
pub(crate) const BUS: u16 = 10_000;
/// What every message begins with.
const SIGNATURE: &str = "RCmb";
/// The rest of what says something in a ping (`clusterMsg`): its length of 2256 bytes, the protocol's version 1, no
/// port, type 0, and no gossip.
const PING: &str = r"\0\0\10\320\0\1\0\0\0\0\0\0";
/// A sender without a name, slots or a primary is all zeros.
const ZEROS: u16 = 2240;

/// Sends a ping without TLS to the bus of each of `nodes`, from the place of `from`.
///
/// # Errors
/// The container engine refused.
pub async fn ping_buses(
    docker: &Docker,
    from: &impl Participant,
    nodes: &[Arc<Node>],
) -> Result<Vec<Attempt>, DockerError> {
    let sidecar = Sidecar::join(docker, &from.place(), "bus", Privilege::None).await?;
    let mut attempts = Vec::new();
    for node in nodes {
        let target = format!("TCP4:{}:{}", node.address(), node.port() + BUS);
        let ping = format!("{{ printf '{SIGNATURE}{PING}'; head -c {ZEROS} /dev/zero; }}");
        // Five seconds without a word are silence. And nothing is said of there being no more to send: a busy node
        // reads that together with the ping, and drops the link before it answers (`clusterReadHandler`).
        let socat = format!("socat -t 5 -T 5 - {target},connect-timeout=5,shut-none,readbytes=4");
        let sent = format!("{ping} | {socat} 2>/tmp/said");
        attempts.push(read(&sidecar.run(&format!("{sent}; cat /tmp/said")).await?.text));
    }
    sidecar.leave().await?;
    Ok(attempts)
}

/// What came back: the first bytes of it, or what the tool says.
fn read(heard: &str) -> Attempt {
    match heard {
        "" => Attempt::Silence,
        pong if pong.starts_with(SIGNATURE) => Attempt::Answered("a pong".to_owned()),
        other => Attempt::Refused(other.escape_debug().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_of_the_bus_is_an_answer() {
        assert_eq!(read(""), Attempt::Silence);
        assert_eq!(read("RCmb"), Attempt::Answered("a pong".to_owned()));
        assert_eq!(read("\u{15}\u{3}\u{3}"), Attempt::Refused(r"\u{15}\u{3}\u{3}".to_owned()));
    }
}
