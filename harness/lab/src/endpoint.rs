//! Endpoints: names whose records change, with a time to live, as ElastiCache's do.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lab_report::{NodeId, evidence::EndpointName};
use redis::{RedisFuture, io::AsyncDNSResolver};

use crate::{docker::Node, record::Recorder};

/// The records of a group's names. Clones see the same records.
#[derive(Clone)]
pub struct Records {
    ttl: Duration,
    group: String,
    recorder: Recorder,
    table: Arc<Mutex<HashMap<EndpointName, Record>>>,
}

#[derive(Default)]
struct Record {
    targets: Vec<Arc<Node>>,
    turn: usize,
}

impl Records {
    /// No records yet; answers will be good for `ttl`.
    pub fn new(group: &str, ttl: Duration, recorder: Recorder) -> Self {
        Self { ttl, group: group.to_owned(), recorder, table: Arc::default() }
    }

    /// The name that clients resolve.
    pub fn name(&self, endpoint: EndpointName) -> String {
        match endpoint {
            EndpointName::Primary => format!("{}.lab.internal", self.group),
            EndpointName::Reader => format!("{}-ro.lab.internal", self.group),
        }
    }

    /// How long an answer is good for.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    pub(crate) fn point(&self, endpoint: EndpointName, targets: Vec<Arc<Node>>) {
        let ids: Vec<NodeId> = targets.iter().map(|node| node.id().clone()).collect();
        let mut table = self.table.lock().expect("no panic while held");
        let record = table.entry(endpoint).or_default();
        if record.targets.iter().map(|node| node.id()).ne(ids.iter()) {
            record.targets = targets;
            self.recorder.endpoint(endpoint, ids);
        }
    }

    /// Where the name points, each answer starting one further on.
    pub fn look_up(&self, endpoint: EndpointName) -> Option<Arc<Node>> {
        let mut table = self.table.lock().expect("no panic while held");
        let record = table.get_mut(&endpoint)?;
        let node = record.targets.get(record.turn % record.targets.len().max(1)).cloned();
        record.turn += 1;
        node
    }

    /// Everything that the name names.
    pub fn targets(&self, endpoint: EndpointName) -> Vec<NodeId> {
        let table = self.table.lock().expect("no panic while held");
        table
            .get(&endpoint)
            .map(|record| record.targets.iter().map(|node| node.id().clone()).collect())
            .unwrap_or_default()
    }

    fn endpoint(&self, name: &str) -> Option<EndpointName> {
        [EndpointName::Primary, EndpointName::Reader]
            .into_iter()
            .find(|endpoint| self.name(*endpoint) == name)
    }
}

/// How long a client keeps an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// For its time to live.
    ByTtl,
    /// For ever: as a client that resolves once, at start.
    Forever,
}

/// One client's resolver, with its cache.
#[derive(Clone)]
pub struct Resolver {
    records: Records,
    caching: Caching,
    cache: Arc<Mutex<HashMap<EndpointName, (SocketAddr, Instant)>>>,
}

impl Resolver {
    /// An empty cache before `records`.
    pub fn new(records: &Records, caching: Caching) -> Self {
        Self { records: records.clone(), caching, cache: Arc::default() }
    }

    fn look_up(&self, endpoint: EndpointName) -> Option<SocketAddr> {
        let mut cache = self.cache.lock().expect("no panic while held");
        if let Some((address, until)) = cache.get(&endpoint)
            && (self.caching == Caching::Forever || Instant::now() < *until)
        {
            return Some(*address);
        }
        let address = self.records.look_up(endpoint)?.reach();
        cache.insert(endpoint, (address, Instant::now() + self.records.ttl));
        Some(address)
    }
}

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let address = self.records.endpoint(host).and_then(|endpoint| self.look_up(endpoint));
            match address {
                Some(address) => Ok(Box::new(std::iter::once(address)) as Box<_>),
                None => Err(redis::RedisError::from((
                    redis::ErrorKind::Io,
                    "the name has no address",
                    host.to_owned(),
                ))),
            }
        })
    }
}
