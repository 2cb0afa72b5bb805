//! A relay: a client's own place on the lab's network.
//!
//! This process has none: it reaches every node, whatever the nodes can reach. A client that goes through
//! a relay is where the relay is, on one side of a partition or the other.
//!
//! Two things are different from a client that lives there: a connection is taken at once, also one to a
//! node that is cut off (it is silent from then on, and closed after five seconds), and a node's reset
//! arrives as an end.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use lab_report::NodeId;

use super::{Addressing, Docker, DockerError, Network, Node, Participant, Place, container, node};
use crate::{
    image,
    wait::{self, Seen},
};

/// PID 1 of a relay; see the script.
const SCRIPT: &str = include_str!("relay.sh");
/// The port for the first node; the others have those after it.
const FIRST_PORT: u16 = 7000;
/// A few processes are started: milliseconds, on a busy machine seconds.
const START: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(10);

/// A container with an address on the lab's network, and a way to each node from there.
pub struct Relay {
    docker: Docker,
    network: Network,
    name: String,
    container: String,
    address: Ipv4Addr,
    ways: BTreeMap<NodeId, Way>,
}

/// From this process, by the relay, to a node.
#[derive(Debug, Clone, Copy)]
struct Way {
    port: u16,
    target: SocketAddr,
    reach: SocketAddr,
}

impl Relay {
    /// Joins the network, with a way to each of `nodes`. `index` fixes the address, as it does for a
    /// node, and has to be nobody else's; on somebody else's network the bridge hands one out.
    ///
    /// # Errors
    /// The container engine refused, or the relay does not listen.
    pub async fn join(
        docker: &Docker,
        network: &Network,
        name: &str,
        index: Option<usize>,
        nodes: &[Arc<Node>],
    ) -> Result<Self, DockerError> {
        let address = index.map(|index| network.address(index));
        // Until it is known.
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let ways = (FIRST_PORT..).zip(nodes).map(|(port, node)| {
            let target = (node.address(), node.port()).into();
            (node.id().clone(), Way { port, target, reach: unknown })
        });
        let mut relay = Self {
            docker: docker.clone(),
            network: network.clone(),
            name: name.to_owned(),
            container: format!("{}-{name}", docker.labels().lab),
            address: Ipv4Addr::UNSPECIFIED,
            ways: ways.collect(),
        };
        match relay.start(address).await {
            Ok(()) => Ok(relay),
            Err(error) => {
                // The lab's teardown is there for what this leaves.
                let _ = relay.leave().await;
                Err(error)
            }
        }
    }

    /// Where this process connects to get to that node from the relay's place.
    ///
    /// # Panics
    /// The relay was not told of that node.
    pub fn reach(&self, node: &NodeId) -> SocketAddr {
        self.ways.get(node).unwrap_or_else(|| panic!("relay `{}` has no way to {node}", self.name)).reach
    }

    /// The same for a node that is known by what the network calls it: as a sentinel names a primary.
    pub fn reach_address(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.ways.values().find(|way| way.target == address).map(|way| way.reach)
    }

    /// How people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the lab's network: where the nodes see its clients come from.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Removes the container.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn leave(self) -> Result<(), DockerError> {
        let _turn = self.network.turn().await;
        container::remove(&self.docker, &self.container).await
    }

    async fn start(&mut self, address: Option<Ipv4Addr>) -> Result<(), DockerError> {
        let image = image::tools(self.docker.api(), &|_| ()).await?;
        let mut command: Vec<String> = ["sh", "-c", SCRIPT, "relay"].map(str::to_owned).into();
        command.extend(self.ways.values().flat_map(|way| [way.port.to_string(), way.target.to_string()]));
        let plan = container::Plan {
            name: &self.container,
            image: &image,
            address,
            ports: self.ways.values().map(|way| way.port).collect(),
            command,
            labels: self.docker.labels().to_map(),
            hosts: Vec::new(),
            in_memory: None,
            lasting: false,
        };
        container::create(&self.docker, &self.network, plan).await?;
        container::start(&self.docker, &self.network, &self.container).await?;
        self.address = match address {
            Some(address) => address,
            None => container::address(&self.docker, &self.container, &self.network).await?,
        };
        self.listens().await?;
        match self.docker.addressing() {
            Addressing::Direct => {
                let reach = |way: &mut Way| way.reach = (self.address, way.port).into();
                self.ways.values_mut().for_each(reach);
            }
            Addressing::Mapped => self.find_ports().await?,
        }
        Ok(())
    }

    /// Asks the relay's own kernel: a connection would be one to a node, and a published port takes one
    /// before anybody listens.
    async fn listens(&self) -> Result<(), DockerError> {
        let what = format!("relay `{}` to listen", self.name);
        let listening = wait::until(&what, START, PACE, async || {
            let sockets = match node::exec(&self.docker, &self.container, &["ss", "-Hltn"]).await {
                Ok(sockets) => sockets,
                Err(error) => return Seen::NotYet(error.to_string()),
            };
            let open = |way: &Way| sockets.contains(&format!(":{} ", way.port));
            match self.ways.values().all(open) {
                true => Seen::Ready(()),
                false => Seen::NotYet(sockets),
            }
        });
        listening.await.map_err(|late| self.failed(late))
    }

    async fn find_ports(&mut self) -> Result<(), DockerError> {
        let mut ways = self.ways.clone();
        for way in ways.values_mut() {
            let port = wait::until("a relay's published port", START, PACE, async || {
                container::published(&self.docker, &self.container, way.port).await
            });
            let port = port.await.map_err(|late| self.failed(late))?;
            way.reach = (Ipv4Addr::LOCALHOST, port).into();
        }
        self.ways = ways;
        Ok(())
    }

    fn failed(&self, late: wait::TimedOut) -> DockerError {
        DockerError::Api { doing: format!("starting relay `{}`", self.name), source: Box::new(late) }
    }
}

impl Participant for Relay {
    fn place(&self) -> Place {
        Place {
            name: self.name.clone(),
            container: self.container.clone(),
            address: self.address,
            node: None,
            lent: false,
        }
    }
}
