//! What listens on a node, by its kernel's tables (`proc(5)`: `/proc/net/tcp`, `/proc/net/tcp6`).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// `TCP_LISTEN`.
const LISTENS: &str = "0A";

/// The ports that somebody listens on where others get to. (Docker's own resolver listens on a loopback
/// address of every container.)
pub(super) fn listening(tables: &str) -> BTreeSet<u16> {
    let sockets = tables.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        (state == LISTENS).then(|| socket(local))?
    });
    sockets.filter(|(address, _)| !address.is_loopback()).map(|(_, port)| port).collect()
}

/// `0100007F:18EB`: the address in words of 32 bits, each in the processor's order, and the port.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let words = (0..address.len()).step_by(8).map(|from| {
        let word = u32::from_str_radix(address.get(from..from + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ipv4Addr::from(bytes).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const TABLES: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:A2C5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 00000000:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0201D50A:18EB 0101D50A:D2A4 01 00000000:00000000 02:00000000 00000000     0        0 3
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:18EC 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000001000000:18ED 00000000000000000000000000000000:0000 0A 00000000:00000000
cat: /proc/net/tcp7: No such file or directory
";

    #[test]
    fn who_listens_for_others_is_told_from_who_does_not() {
        assert_eq!(listening(TABLES), BTreeSet::from([6379, 6380]));
    }
}
