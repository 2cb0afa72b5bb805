//! What differs between topologies when they are measured: how a client gets in, whom a fault hits, and when
//! everything has settled.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use failover_lab::{
    Clusters, Lab, Replicated, Sentinels, StepError, Topology,
    docker::{Access, Node, PORT},
    endpoint::{Caching, Resolver},
    front::Front,
    group::{Condition, NODE_GROUP, Status},
    wait::Seen,
};
use lab_load::{Endpoint, Login, Place, Target, workload::Homes};
use lab_report::evidence::{EndpointName, Role};

/// Far above every bound: an election that fails costs ten seconds, a dataset is small.
const SETTLES: Duration = Duration::from_secs(60);

/// How a client gets in, and whatever has to be there for as long as it is.
pub struct Entrance {
    /// What a client is told.
    pub target: Target,
    pub(crate) _front: Option<Front>,
}

/// A topology that can be measured.
#[expect(
    async_fn_in_trait,
    reason = "every stage is in this file, and nobody sends one of these futures away"
)]
pub trait Stage: Topology {
    /// Which shard the victim is of, in the order of the homes; none where there are no shards.
    const SHARD_OF_THE_VICTIM: Option<usize> = None;

    /// How a client gets in.
    async fn entrance(lab: &Lab<Self>) -> Result<Entrance, StepError>;

    /// Whom a fault hits.
    fn victim(lab: &Lab<Self>) -> Arc<Node>;

    /// Has a healthy primary replaced, as an operator would.
    async fn fail_over(lab: &Lab<Self>) -> Result<(), StepError>;

    /// The nodes that have data, and how many of them are to be primaries.
    fn data(lab: &Lab<Self>) -> (Vec<Arc<Node>>, usize);

    /// All nodes: those that a victim is cut off from.
    fn nodes(lab: &Lab<Self>) -> Vec<Arc<Node>> {
        Self::data(lab).0
    }

    /// What is told apart when something is down.
    fn homes(_lab: &Lab<Self>) -> Homes {
        Homes::default()
    }

    /// How clients are set up where that is not as a step has it.
    fn clients(lab: &Lab<Self>) -> &BTreeMap<String, String>;

    /// Whether whoever looks after the nodes has come to rest, too; else how things stand.
    async fn rests(lab: &Lab<Self>) -> Result<(), String>;
}

/// Waits until every fault is a thing of the past: as many primaries as there should be, and every other node
/// follows one of them.
pub(crate) async fn settled<T: Stage>(lab: &Lab<T>) -> Result<(), StepError> {
    let look = async || match stands::<T>(lab).await {
        Ok(()) => Seen::Ready(()),
        Err(why) => Seen::NotYet(why),
    };
    Ok(lab.wait("everything to settle", SETTLES, look).await?)
}

/// Whether everything is as it should be; else how it stands.
///
/// # Errors
/// It is not.
pub async fn stands<T: Stage>(lab: &Lab<T>) -> Result<(), String> {
    let (nodes, wanted) = T::data(lab);
    whole(&nodes, wanted).await?;
    T::rests(lab).await
}

/// Whether so many of these nodes are primaries, and every other one follows one of them and is known there; else how
/// things stand.
pub(crate) async fn whole(nodes: &[Arc<Node>], wanted: usize) -> Result<(), String> {
    let (mut primaries, mut online) = (0, 0);
    for node in nodes {
        let info = node.info().await.map_err(|error| error.to_string())?;
        match (info.role(), info.link_up()) {
            (Role::Primary, _) => {
                primaries += 1;
                online += info.replicas().iter().filter(|replica| replica.state == "online").count();
            }
            (Role::Replica, Some(true)) => {}
            _ => return Err(format!("{}: {}", node.id(), info.standing())),
        }
    }
    match (primaries == wanted, online == nodes.len() - wanted) {
        (true, true) => Ok(()),
        _ => Err(format!("{primaries} primaries, {online} replicas online")),
    }
}

/// What an application is told of how to get in.
pub(crate) fn login(access: &Access) -> Login {
    Login {
        user: access.user.clone(),
        password: access.password.as_ref().map(|password| password.reveal().to_owned()),
    }
}

impl Stage for Replicated {
    async fn entrance(lab: &Lab<Self>) -> Result<Entrance, StepError> {
        let records = lab.group().records();
        let front = Front::listen(records, EndpointName::Primary, 0).await?;
        let endpoint = Endpoint {
            name: records.name(EndpointName::Primary),
            port: PORT,
            resolver: lab_load::Resolver::new(Resolver::new(records, Caching::ByTtl)),
            front: front.address(),
        };
        let target =
            Target { place: Place::Endpoint(endpoint), login: login(lab.group().primary().access()) };
        Ok(Entrance { target, _front: Some(front) })
    }

    fn victim(lab: &Lab<Self>) -> Arc<Node> {
        lab.group().primary()
    }

    async fn fail_over(lab: &Lab<Self>) -> Result<(), StepError> {
        Ok(lab.group().test_failover(NODE_GROUP).await?)
    }

    fn data(lab: &Lab<Self>) -> (Vec<Arc<Node>>, usize) {
        (lab.group().nodes(), 1)
    }

    fn clients(lab: &Lab<Self>) -> &BTreeMap<String, String> {
        &lab.group().topology().clients
    }

    async fn rests(lab: &Lab<Self>) -> Result<(), String> {
        let (status, nodes) = (lab.group().describe().status, lab.group().nodes());
        let sound = |node: &Arc<Node>| lab.group().condition(node.id()) == Some(Condition::Sound);
        match status == Status::Available && nodes.iter().all(sound) {
            true => Ok(()),
            false => Err(format!("the group is {status}")),
        }
    }
}

impl Stage for Sentinels {
    async fn entrance(lab: &Lab<Self>) -> Result<Entrance, StepError> {
        let group = lab.deployment();
        let sentinels = group.sentinels();
        let place = Place::Sentinels {
            sentinels: sentinels.iter().map(|sentinel| sentinel.reach()).collect(),
            service: group.name().to_owned(),
            login: login(sentinels[0].access()),
        };
        let target = Target { place, login: login(group.first_primary().access()) };
        Ok(Entrance { target, _front: None })
    }

    fn victim(lab: &Lab<Self>) -> Arc<Node> {
        Arc::clone(lab.deployment().first_primary())
    }

    async fn fail_over(lab: &Lab<Self>) -> Result<(), StepError> {
        let name = lab.deployment().name();
        Ok(lab.deployment().sentinels()[0].ask::<()>(&["SENTINEL", "FAILOVER", name]).await?)
    }

    fn data(lab: &Lab<Self>) -> (Vec<Arc<Node>>, usize) {
        (lab.deployment().data().to_vec(), 1)
    }

    fn clients(lab: &Lab<Self>) -> &BTreeMap<String, String> {
        &lab.deployment().topology().clients
    }

    fn nodes(lab: &Lab<Self>) -> Vec<Arc<Node>> {
        let (data, sentinels) = (lab.deployment().data(), lab.deployment().sentinels());
        data.iter().chain(sentinels).cloned().collect()
    }

    async fn rests(lab: &Lab<Self>) -> Result<(), String> {
        for sentinel in lab.deployment().sentinels() {
            let named = lab.deployment().master(sentinel).await.map_err(|error| error.to_string())?;
            let mut primary = None;
            for node in lab.deployment().data() {
                if node.info().await.is_ok_and(|info| info.role() == Role::Primary) {
                    primary = Some(node);
                }
            }
            let port = named.number("port").unwrap_or_default();
            if !primary.is_some_and(|primary| primary.is_at(named.address(), port)) {
                return Err(format!("{} names {}", sentinel.id(), named.address()));
            }
        }
        Ok(())
    }
}

impl Stage for Clusters {
    const SHARD_OF_THE_VICTIM: Option<usize> = Some(0);

    async fn entrance(lab: &Lab<Self>) -> Result<Entrance, StepError> {
        let members = lab.deployment().members();
        let place = Place::Cluster { nodes: members.iter().map(|node| node.reach()).collect() };
        Ok(Entrance { target: Target { place, login: login(members[0].access()) }, _front: None })
    }

    fn victim(lab: &Lab<Self>) -> Arc<Node> {
        Arc::clone(&lab.deployment().primaries()[0])
    }

    async fn fail_over(lab: &Lab<Self>) -> Result<(), StepError> {
        Ok(lab.deployment().replicas()[0].ask::<()>(&["CLUSTER", "FAILOVER"]).await?)
    }

    fn data(lab: &Lab<Self>) -> (Vec<Arc<Node>>, usize) {
        (lab.deployment().members().to_vec(), lab.deployment().primaries().len())
    }

    fn clients(lab: &Lab<Self>) -> &BTreeMap<String, String> {
        &lab.deployment().topology().clients
    }

    fn homes(lab: &Lab<Self>) -> Homes {
        let shares = lab.deployment().topology().shares();
        let range = |slots: lab_report::Slots| {
            let numbers = || slots.iter().map(lab_report::Slot::number);
            numbers().min().unwrap_or(0)..=numbers().max().unwrap_or(0)
        };
        Homes::of_shards(shares.into_iter().map(range))
    }

    async fn rests(lab: &Lab<Self>) -> Result<(), String> {
        lab.deployment().stands().await.map_err(|late| late.last_seen)
    }
}
