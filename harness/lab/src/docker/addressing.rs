//! How the nodes are reached from here: at the addresses of their bridge, or through published ports.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    str::FromStr,
};

use bollard::{Docker as Api, models::Ipam, query_parameters::InspectNetworkOptions};

use crate::setting::{self, SettingError};

/// Chooses by hand, where it is set and not empty.
const VARIABLE: &str = "LAB_ADDRESSING";

/// How the host reaches the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// At the addresses of the bridge, as on Linux.
    Direct,
    /// Through ports published on localhost, as with Docker Desktop.
    Mapped,
}

/// Why the nodes are reached as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Somebody chose, by `LAB_ADDRESSING`.
    Chosen(Addressing),
    /// This machine is the gateway of the bridges, and so on each of them.
    Gateway(Subnet),
    /// Bridges are somebody else's: of a virtual machine, of another user's network namespace (rootless
    /// Docker), or of the host around the container that this process runs in.
    NotOurs(Subnet),
    /// The container engine does not say what its bridge is.
    Unknown(String),
}

impl FromStr for Addressing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "direct" => Ok(Self::Direct),
            "mapped" => Ok(Self::Mapped),
            _ => Err(()),
        }
    }
}

impl Addressing {
    /// What somebody chose by `LAB_ADDRESSING`, if anybody did.
    ///
    /// # Errors
    /// It has a value that means nothing.
    pub fn from_env() -> Result<Option<Self>, SettingError> {
        setting::value(VARIABLE, "direct or mapped")
    }
}

impl Route {
    /// How to reach the nodes then.
    pub fn addressing(&self) -> Addressing {
        match self {
            Self::Chosen(addressing) => *addressing,
            Self::Gateway(_) => Addressing::Direct,
            Self::NotOurs(_) | Self::Unknown(_) => Addressing::Mapped,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.addressing() {
            Addressing::Direct => "containers are reached directly",
            Addressing::Mapped => "containers are reached through published ports",
        };
        match self {
            Self::Chosen(_) => write!(f, "by {VARIABLE}: {how}"),
            Self::Gateway(subnet) => write!(f, "this machine is on the bridge ({subnet}): {how}"),
            Self::NotOurs(subnet) => write!(f, "the bridge ({subnet}) is not this machine's: {how}"),
            Self::Unknown(why) => write!(f, "{why}: {how}"),
        }
    }
}

/// How the nodes are reached from here. Whether the kernel is shared says nothing about that: it is shared
/// with rootless Docker, and inside a container that was given the socket, and the bridge is in neither.
///
/// # Errors
/// `LAB_ADDRESSING` has a value that means nothing.
pub async fn route(api: &Api) -> Result<Route, SettingError> {
    if let Some(addressing) = Addressing::from_env()? {
        return Ok(Route::Chosen(addressing));
    }
    Ok(match api.inspect_network("bridge", None::<InspectNetworkOptions>).await {
        Ok(network) => through(network.ipam.unwrap_or_default()),
        Err(error) => Route::Unknown(format!("the bridge network cannot be looked at ({error})")),
    })
}

fn through(bridge: Ipam) -> Route {
    let configs = bridge.config.unwrap_or_default();
    let found = configs.into_iter().find_map(|config| {
        let subnet = config.subnet?.parse::<Subnet>().ok()?;
        let gateway = config.gateway.and_then(|gateway| gateway.parse().ok());
        Some((subnet, gateway.unwrap_or_else(|| subnet.host(1))))
    });
    match found {
        Some((subnet, gateway)) if subnet.address_here() == Some(gateway) => Route::Gateway(subnet),
        Some((subnet, _)) => Route::NotOurs(subnet),
        None => Route::Unknown("the bridge has no IPv4 subnet".to_owned()),
    }
}

/// An IPv4 subnet: `172.17.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: Ipv4Addr,
    length: u32,
}

impl Subnet {
    fn host(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits().wrapping_add(number))
    }

    /// The address that this machine would speak from to a member of it. Nothing is sent.
    fn address_here(self) -> Option<Ipv4Addr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((self.host(2), 9)).ok()?;
        match socket.local_addr().ok()?.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        Ok(Self { address: address.parse().map_err(drop)?, length: length.parse().map_err(drop)? })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::IpamConfig;

    use super::*;

    fn bridge(subnet: &str, gateway: Option<&str>) -> Ipam {
        let (subnet, gateway) = (Some(subnet.to_owned()), gateway.map(str::to_owned));
        Ipam {
            config: Some(vec![IpamConfig { subnet, gateway, ..Default::default() }]),
            ..Default::default()
        }
    }

    #[test]
    fn the_gateway_reaches_containers_directly() {
        // Whoever speaks to a loopback address does so from 127.0.0.1, or from that address itself.
        let route = through(bridge("127.0.0.0/8", Some("127.0.0.1")));
        assert_eq!(route.addressing(), Addressing::Direct, "{route}");
        // Older daemons do not say who the gateway is: the first address.
        let route = through(bridge("127.0.0.0/8", None));
        assert_eq!(route.addressing(), Addressing::Direct, "{route}");
    }

    #[test]
    fn a_member_that_is_not_the_gateway_does_not() {
        let route = through(bridge("127.0.0.0/8", Some("127.9.9.9")));
        assert_eq!(route.addressing(), Addressing::Mapped, "{route}");
    }

    #[test]
    fn a_bridge_elsewhere_is_not_ours() {
        // For documentation, nobody's.
        let route = through(bridge("198.51.100.0/24", None));
        assert_eq!(route.addressing(), Addressing::Mapped, "{route}");
        assert!(matches!(through(bridge("fd00::/64", None)), Route::Unknown(_)));
    }
}
