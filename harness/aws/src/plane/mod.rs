//! The control plane: which replication groups and subnet groups there are, and what happened to them.

mod changes;
mod clusters;
mod create;
mod delete;
mod groups;
mod history;
mod life;
mod quota;
mod subnets;
mod tags;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use failover_lab::docker::Docker;
use tokio::task::JoinSet;

pub(crate) use changes::Change;
pub(crate) use clusters::Cluster;
pub(crate) use create::Wish;
pub(crate) use groups::{Group, Notes, Standing, Taken};
pub(crate) use history::{Event, KEPT_DAYS, Place, Wanted};
pub(crate) use life::Life;
pub(crate) use subnets::SubnetGroup;
pub(crate) use tags::Tags;

use crate::fault::Fault;
use quota::Failovers;

/// A control plane over real nodes. Clones are the same one.
#[derive(Clone)]
pub struct ControlPlane(Arc<Inner>);

struct Inner {
    docker: Docker,
    region: String,
    book: Mutex<Book>,
    work: Mutex<Work>,
}

/// What the control plane knows. Of its locks this one is taken first, then that of a group's life, then its manager's.
struct Book {
    groups: BTreeMap<String, Arc<Group>>,
    /// Primaries that were retained when their groups were deleted, by their own ids.
    alone: BTreeMap<String, Arc<Group>>,
    subnet_groups: BTreeMap<String, Arc<SubnetGroup>>,
    /// Every subnet that was ever named, in order: its place says in which zone it is.
    subnets: Vec<String>,
    /// Of groups that are gone, or never came up.
    past: Vec<Event>,
    failovers: Failovers,
    /// Groups that there ever were.
    made: u64,
}

/// What was taken on, and is under way.
#[derive(Default)]
struct Work {
    tasks: JoinSet<()>,
    /// Nothing more is taken on.
    closed: bool,
}

impl ControlPlane {
    /// One that has nothing yet; its nodes will be containers of `docker`.
    pub fn new(docker: Docker, region: &str) -> Self {
        let book = Mutex::new(Book::new(region));
        Self(Arc::new(Inner { docker, region: region.to_owned(), book, work: Mutex::default() }))
    }

    /// The region that it is taken for.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Where the containers are.
    pub(crate) fn docker(&self) -> &Docker {
        &self.0.docker
    }

    /// Takes nothing more on, waits for what is under way, and ends the managers of all groups: what makes nodes, or
    /// brings them back, is over then, and they can be removed.
    pub async fn retire(&self) {
        let mut under_way = {
            let mut work = self.0.work.lock().expect("no panic while held");
            work.closed = true;
            std::mem::take(&mut work.tasks)
        };
        while under_way.join_next().await.is_some() {}
        for standing in self.with_nodes().iter().filter_map(|group| group.standing()) {
            standing.manager.retire().await;
        }
    }

    /// The name that other services know a thing by.
    pub(crate) fn arn(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.arns())
    }

    /// What such a name is made of, if it is one of this control plane's. Names of things are kept in lower case.
    fn kind_and_name<'a>(&self, arn: &'a str) -> Option<(&'a str, String)> {
        let (kind, name) = arn.strip_prefix(&self.arns())?.split_once(':')?;
        Some((kind, name.to_lowercase()))
    }

    /// How they begin. The account is the one of AWS' own examples.
    fn arns(&self) -> String {
        format!("arn:aws:elasticache:{}:123456789012:", self.0.region)
    }

    /// Does something while the client has its answer already.
    fn meanwhile(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Fault> {
        let mut under_way = self.0.work.lock().expect("no panic while held");
        if under_way.closed {
            return Err(Fault::Ending);
        }
        while under_way.tasks.try_join_next().is_some() {}
        under_way.tasks.spawn(work);
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().expect("no panic while held")
    }
}

impl Book {
    fn new(region: &str) -> Self {
        let default = Arc::new(SubnetGroup::default_of(region));
        Self {
            groups: BTreeMap::new(),
            alone: BTreeMap::new(),
            subnet_groups: BTreeMap::from([(default.name.clone(), default)]),
            subnets: Vec::new(),
            past: Vec::new(),
            failovers: Failovers::default(),
            made: 0,
        }
    }

    /// Groups, and what was left of some.
    fn with_nodes(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values().chain(self.alone.values())
    }
}
