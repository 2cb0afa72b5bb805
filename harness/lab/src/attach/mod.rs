//! Finding out what a Sentinel deployment consists of that somebody else made. Nothing is changed by it.

mod ask;
mod compose;
mod endpoints;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::SocketAddrV4,
    time::Duration,
};

use bollard::Docker as Api;
use lab_report::{evidence::Role, report::Image};
use redis::aio::MultiplexedConnection;

use self::ask::Answer;
use crate::{
    docker::{Addressing, DockerError, Found, Standing},
    environment::{Capability, Environment},
    sentinel::Instance,
    topology::sentinels::{Sentinels, Timers},
    writer::KEYS,
};

/// A deployment as it was found.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Its shape and its clocks, as its sentinels say them.
    pub topology: Sentinels,
    /// Its servers: the primary, the other data nodes, the sentinels.
    pub nodes: Vec<Found>,
    /// How many of them hold data.
    pub data_nodes: usize,
    /// The engine of the primary: `redis:7.0.15`.
    pub engine: String,
    /// The image of the primary.
    pub image: Image,
}

/// Why a deployment cannot be attached to.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The container engine refused, or there is none.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// No container is of that project.
    #[error("there is no compose project `{project}`")]
    NoProject {
        /// What was asked for.
        project: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Its containers are all down.
    #[error(
        "nothing runs in the compose project `{project}`: it has {containers} containers, all of them down"
    )]
    NothingRuns {
        /// What was asked for.
        project: String,
        /// How many it has.
        containers: usize,
    },
    /// A server wants a password that was not given.
    #[error("{who} wants another password: {says}")]
    Locked {
        /// Which server.
        who: String,
        /// What it said.
        says: String,
    },
    /// A server does not answer.
    #[error("{who} cannot be reached: {says}")]
    Unreachable {
        /// Which server.
        who: String,
        /// What happened instead.
        says: String,
    },
    /// There are servers, and no sentinel among them.
    #[error("{there} answer, and none is a sentinel that watches a primary")]
    NoSentinel {
        /// What there is.
        there: String,
    },
    /// Its sentinels watch more than one primary.
    #[error("the sentinels watch several primaries: {}", .names.join(", "))]
    SeveralPrimaries {
        /// How they call them.
        names: Vec<String>,
    },
    /// Its sentinels name a primary that is none of its servers.
    #[error("the sentinels name {named} as primary, and no server is there")]
    NoPrimary {
        /// The address that they name.
        named: String,
    },
}

/// What to do about it, and whose fault it is.
impl AttachError {
    /// The command was wrong, and not what it was to act on.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoProject { .. } | Self::Locked { .. } | Self::SeveralPrimaries { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Docker(error) => error.hint(),
            Self::NoProject { known, .. } if known.is_empty() => {
                "there is none at all: start it with `docker compose up --detach`".to_owned()
            }
            Self::NoProject { known, .. } => format!("there is {}", known.join(", ")),
            Self::NothingRuns { project, .. } => {
                format!("`docker compose --project-name {project} up --detach` starts it")
            }
            Self::Locked { .. } => "LAB_ATTACH_PASSWORD gives the data nodes' password, \
                LAB_ATTACH_SENTINEL_PASSWORD the sentinels' where that is another, LAB_ATTACH_USER the user"
                .to_owned(),
            Self::Unreachable { .. } => "see whether `redis-cli -h <host> -p <port> ping` answers from here; \
                a container that has no published port is reached through its project: --attach compose:<project>"
                .to_owned(),
            Self::NoSentinel { .. } => "the checklist is about sentinels: start them, or give the address of one; \
                they have to have seen their primary"
                .to_owned(),
            Self::SeveralPrimaries { .. } => {
                "a deployment with one primary is graded: attach to one that has its own sentinels".to_owned()
            }
            Self::NoPrimary { .. } => "is it down, behind a translated address, or announced by a name? Start it, \
                or run where the deployment's own addresses can be reached"
                .to_owned(),
        }
    }
}

/// A server of the deployment.
struct Member {
    name: String,
    /// Where other nodes may know it.
    addresses: Vec<SocketAddrV4>,
    answer: Answer,
    /// What its container runs: name, and id.
    image: (String, String),
    standing: Option<Standing>,
}

/// Asks whoever is there who it is. `docker` is the way to the container engine, where there is one.
///
/// # Errors
/// There is no such deployment, it does not let us in, or it has no sentinel or no primary.
pub async fn survey(
    environment: &Environment,
    docker: Option<(&Api, Addressing)>,
) -> Result<Survey, AttachError> {
    let mut members = match (environment, docker) {
        (Environment::Compose { project, terms }, Some((api, addressing))) => {
            compose::members(api, addressing, project, terms).await?
        }
        (Environment::Endpoints { servers, terms }, _) => endpoints::members(servers, terms).await?,
        _ => Vec::new(),
    };
    members.sort_by(|one, other| one.name.cmp(&other.name));
    describe(environment, members).await
}

/// What the sentinels say of the deployment, all of them together.
#[derive(Default)]
struct Views {
    names: BTreeSet<String>,
    /// Each sentinel's own view of the primary.
    primaries: Vec<Instance>,
    replicas: usize,
    others: usize,
    addresses: BTreeSet<SocketAddrV4>,
}

impl Views {
    async fn of(members: &mut [Member]) -> Self {
        let mut views = Self::default();
        for member in members.iter_mut().filter(|member| member.answer.role == Role::Sentinel) {
            let connection = &mut member.answer.connection;
            for name in watched(connection).await {
                let primary = listing(connection, "MASTERS", None).await;
                let replicas = listing(connection, "REPLICAS", Some(&name)).await;
                let others = listing(connection, "SENTINELS", Some(&name)).await;
                views.replicas = views.replicas.max(replicas.len());
                views.others = views.others.max(others.len());
                let all = primary.iter().chain(&replicas).chain(&others);
                views.addresses.extend(all.filter_map(Instance::socket));
                views.primaries.extend(primary.into_iter().filter(|one| one.get("name") == Some(&name)));
                views.names.insert(name);
            }
        }
        views
    }

    /// Whom most of them name.
    fn primary(&self) -> Option<&Instance> {
        let mut votes: BTreeMap<Option<SocketAddrV4>, usize> = BTreeMap::new();
        for view in &self.primaries {
            *votes.entry(view.socket()).or_default() += 1;
        }
        let (named, _) = votes.into_iter().max_by_key(|(_, votes)| *votes)?;
        self.primaries.iter().find(|view| view.socket() == named)
    }
}

async fn describe(environment: &Environment, mut members: Vec<Member>) -> Result<Survey, AttachError> {
    let views = Views::of(&mut members).await;
    let Some(view) = views.primary() else {
        let there: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let there = if there.is_empty() { "no servers".to_owned() } else { there.join(", ") };
        return Err(AttachError::NoSentinel { there });
    };
    let [name] = views.names.iter().collect::<Vec<_>>()[..] else {
        return Err(AttachError::SeveralPrimaries { names: views.names.into_iter().collect() });
    };
    let named = view.socket();
    let is_primary = |member: &Member| named.is_some_and(|address| member.addresses.contains(&address));
    let Some(primary) = members.iter().position(is_primary) else {
        let port = view.get("port").unwrap_or_default();
        return Err(AttachError::NoPrimary { named: format!("{}:{port}", view.address()) });
    };
    members[..=primary].rotate_right(1);
    members.sort_by_key(|member| member.answer.role == Role::Sentinel);
    let data_nodes = members.iter().filter(|member| member.answer.role != Role::Sentinel).count();
    let millis = |field| Duration::from_millis(view.number(field).unwrap_or(0));
    let small = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    let topology = Sentinels {
        name: name.clone(),
        // Those that are down are part of it as well: the others remember them.
        sentinels: small((members.len() - data_nodes).max(views.others + 1)),
        replicas: small((data_nodes - 1).max(views.replicas)),
        zones: vec![environment.to_string()],
        quorum: view.number("quorum").unwrap_or(0),
        down_after: millis("down-after-milliseconds"),
        failover_timeout: millis("failover-timeout"),
        parallel_syncs: view.number("parallel-syncs").unwrap_or(0),
        timers: Timers::STOCK,
        ..Sentinels::default()
    };
    let info = &members[0].answer.info;
    let kind = if info.get("valkey_version").is_some() { "valkey" } else { "redis" };
    let (reference, digest) = members[0].image.clone();
    let image = Image { reference, digest, origin: "found running".to_owned() };
    let engine = format!("{kind}:{}", info.version());
    let found = |member| found(member, &views.addresses, environment);
    Ok(Survey { topology, nodes: members.into_iter().map(found).collect(), data_nodes, engine, image })
}

fn found(member: Member, known: &BTreeSet<SocketAddrV4>, environment: &Environment) -> Found {
    let Member { name, addresses, answer, standing, .. } = member;
    // In several networks it has several addresses: that by which the others know it is its name.
    let address = addresses.iter().find(|address| known.contains(address)).or(addresses.first());
    let address = *address.expect("a server was reached at an address");
    Found {
        id: name.into(),
        zone: environment.to_string(),
        address: *address.ip(),
        port: address.port(),
        reach: answer.reach,
        access: answer.access,
        standing,
    }
}

/// The names of the primaries that a sentinel watches.
async fn watched(sentinel: &mut MultiplexedConnection) -> Vec<String> {
    let listed = listing(sentinel, "MASTERS", None).await;
    listed.iter().filter_map(|primary| primary.get("name").map(str::to_owned)).collect()
}

/// A list of a sentinel's; nothing if it does not answer.
async fn listing(sentinel: &mut MultiplexedConnection, what: &str, name: Option<&str>) -> Vec<Instance> {
    let mut command = redis::cmd("SENTINEL");
    command.arg(what).arg(name);
    let listed = command.query_async::<Vec<_>>(sentinel).await;
    listed.unwrap_or_default().into_iter().map(Instance::of).collect()
}

impl Survey {
    /// What was found, and what grading it will do to it, for its owner to read before anything happens.
    pub fn announcement(&self, environment: &Environment) -> String {
        let mut text = format!("{environment}: {}, primary `{}`\n", self.engine, self.topology.name);
        for (index, node) in self.nodes.iter().enumerate() {
            let role = match index {
                0 => "primary",
                index if index < self.data_nodes => "replica",
                _ => "sentinel",
            };
            let container = node.standing.as_ref().map(|standing| format!("  container {}", standing.name));
            let address = SocketAddrV4::new(node.address, node.port).to_string();
            let line = format!(
                "  {:<14} {role:<9} {address:<22}{}",
                node.id.as_str(),
                container.unwrap_or_default()
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let all = usize::from(self.topology.replicas) + 1 + usize::from(self.topology.sentinels);
        if let silent @ 1.. = all.saturating_sub(self.nodes.len()) {
            let _ = writeln!(text, "  and {silent} that the sentinels know, and that gave no answer");
        }
        text.push_str(
            "the lab asks every server for its role, state and settings, listens to the sentinels, and tries to get in \
             without a password\n",
        );
        if environment.needs(Capability::Changes).is_err() {
            text.push_str("it writes nothing and breaks nothing; --allow-faults would let it\n");
            return text;
        }
        let _ = writeln!(text, "it WRITES keys that begin with `{KEYS}`, and removes them again");
        text.push_str("it makes the sentinels FAIL OVER: another node is primary afterwards\n");
        if environment.needs(Capability::Faults).is_ok() {
            text.push_str(
                "it KILLS, PAUSES and CUTS OFF these containers, one by one and once all together, and brings each back as \
                 it was\n\
                 it DROPS PACKETS between them, by rules that containers beside them load, and take back\n\
                 it puts a client of its own on their network, and removes it again\n\
                 every failover is an outage for whoever writes, and may lose acknowledged writes\n",
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::environment::Terms;

    fn found(id: &str, last: u8, port: u16) -> Found {
        let address = Ipv4Addr::new(10, 0, 0, last);
        Found {
            id: id.into(),
            zone: String::new(),
            address,
            port,
            reach: (address, port).into(),
            access: crate::docker::Access::default(),
            standing: None,
        }
    }

    fn survey() -> Survey {
        let nodes = [("redis-2", 12, 6379), ("redis-1", 11, 6379), ("sentinel-1", 21, 26379)];
        Survey {
            topology: Sentinels { replicas: 1, sentinels: 3, ..Sentinels::default() },
            nodes: nodes.map(|(id, last, port)| found(id, last, port)).to_vec(),
            data_nodes: 2,
            engine: "redis:7.0.15".to_owned(),
            image: Image { reference: String::new(), digest: String::new(), origin: String::new() },
        }
    }

    fn announced(spec: &str, allow_faults: bool) -> String {
        let terms = Terms { allow_faults, ..Terms::default() };
        survey().announcement(&Environment::attached(spec, terms).unwrap())
    }

    #[test]
    fn its_owner_reads_what_was_found_and_that_nothing_is_done_to_it() {
        let text = announced("compose:shop", false);
        assert!(text.contains("redis-2        primary   10.0.0.12:6379\n"), "{text}");
        assert!(text.contains("sentinel-1     sentinel  10.0.0.21:26379\n"), "{text}");
        assert!(text.contains("and 2 that the sentinels know"), "{text}");
        assert!(text.contains("it writes nothing and breaks nothing"), "{text}");
        assert!(!text.contains("KILLS") && !text.contains("WRITES"), "{text}");
    }

    #[test]
    fn its_owner_reads_what_will_be_done_to_it() {
        let containers = announced("compose:shop", true);
        assert!(containers.contains("WRITES") && containers.contains("KILLS"), "{containers}");
        let endpoints = announced("redis://10.0.0.21:26379", true);
        assert!(endpoints.contains("FAIL OVER") && !endpoints.contains("KILLS"), "{endpoints}");
    }
}
