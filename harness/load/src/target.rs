//! What a client is set before: servers, as far as an application is told of them.

use std::{net::SocketAddr, sync::Arc};

use redis::{RedisFuture, io::AsyncDNSResolver};

/// What an application is told of a deployment.
#[derive(Clone)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// What its servers want to see.
    pub login: Login,
}

/// Where a deployment is.
#[derive(Clone)]
pub enum Place {
    /// Behind a name whose record moves.
    Endpoint(Endpoint),
    /// Wherever sentinels say.
    Sentinels {
        /// Any of them.
        sentinels: Vec<SocketAddr>,
        /// What the primary is called by them.
        service: String,
        /// What they want to see.
        login: Login,
    },
    /// At some nodes of a cluster, which know the others.
    Cluster {
        /// Any of them.
        nodes: Vec<SocketAddr>,
    },
}

/// What a server wants to see of a client; nothing where it lets everybody in.
#[derive(Clone, Default)]
pub struct Login {
    /// The user, where it is not the default one.
    pub user: Option<String>,
    /// The password, where there is one.
    pub password: Option<String>,
}

/// A name, and how it is resolved.
#[derive(Clone)]
pub struct Endpoint {
    /// The name.
    pub name: String,
    /// The servers' port.
    pub port: u16,
    /// Knows the name's record.
    pub resolver: Resolver,
    /// For clients that take no resolver: behaves as the name does.
    pub front: SocketAddr,
}

impl Endpoint {
    /// An address that goes by a name: it never moves.
    pub fn fixed(address: SocketAddr) -> Self {
        let (name, resolver) = (address.ip().to_string(), Resolver::new(Fixed(address)));
        Self { name, port: address.port(), resolver, front: address }
    }
}

/// Knows one address, whatever it is asked.
struct Fixed(SocketAddr);

impl AsyncDNSResolver for Fixed {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move { Ok(Box::new(std::iter::once(self.0)) as Box<_>) })
    }
}

/// Knows names that nobody else knows. Clones share it.
#[derive(Clone)]
pub struct Resolver(Arc<dyn AsyncDNSResolver>);

impl Resolver {
    /// One that any client can be given.
    pub fn new(resolver: impl AsyncDNSResolver) -> Self {
        Self(Arc::new(resolver))
    }
}

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        self.0.resolve(host, port)
    }
}

#[async_trait::async_trait]
impl fred::types::Resolve for Resolver {
    async fn resolve(
        &self,
        host: fred::bytes_utils::Str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, fred::error::Error> {
        match self.0.resolve(&host, port).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(fred::error::Error::new(fred::error::ErrorKind::IO, error.to_string())),
        }
    }
}

impl Place {
    /// In a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "endpoint",
            Self::Sentinels { .. } => "sentinels",
            Self::Cluster { .. } => "cluster",
        }
    }
}
