//! Cache clusters: the nodes of groups, and what was left of some.

use std::sync::Arc;

use super::{
    groups::{NODE_ID, endpoint},
    page::Page,
};
use crate::{
    answer::{self, Listed, NoValues},
    fault::Fault,
    plane::{Cluster, ControlPlane, Group},
    request::Form,
};

/// What is shown of one besides itself.
#[derive(Clone, Copy)]
struct Shown {
    nodes: bool,
    /// It is of a group.
    member: bool,
}

pub(super) fn describe(plane: &ControlPlane, mut form: Form) -> Result<answer::CacheClusters, Fault> {
    let id = form.text("CacheClusterId").map(|id| id.to_lowercase());
    let nodes = form.value("ShowCacheNodeInfo")?.unwrap_or(false);
    let alone = form.value("ShowCacheClustersNotInReplicationGroups")?.unwrap_or(false);
    let page = Page::take(&mut form)?;
    form.end()?;
    let groups = if alone { Vec::new() } else { plane.groups() };
    let of = |groups: Vec<Arc<Group>>, member| -> Vec<_> {
        groups.iter().flat_map(|group| all_of(plane, group, Shown { nodes, member })).collect()
    };
    let mut found = of(groups, true);
    found.extend(of(plane.alone(), false));
    found.sort_by(|one, other| one.cache_cluster_id.cmp(&other.cache_cluster_id));
    if let Some(id) = id {
        found.retain(|cluster| cluster.cache_cluster_id == id);
        if found.is_empty() {
            return Err(Fault::CacheClusterNotFound(id));
        }
    }
    let (found, marker) = page.of(found, |cluster| cluster.cache_cluster_id.clone());
    Ok(answer::CacheClusters { marker, cache_clusters: Listed(found) })
}

pub(super) fn delete(plane: &ControlPlane, mut form: Form) -> Result<answer::OneCluster, Fault> {
    let id = form.required("CacheClusterId")?;
    form.end()?;
    let (group, going) = plane.delete_cluster(&id)?;
    let shown = Shown { nodes: false, member: false };
    Ok(answer::OneCluster { cache_cluster: described(plane, &group, going, shown) })
}

fn all_of(plane: &ControlPlane, group: &Group, shown: Shown) -> Vec<answer::CacheCluster> {
    group.clusters().into_iter().map(|cluster| described(plane, group, cluster, shown)).collect()
}

fn described(plane: &ControlPlane, group: &Group, cluster: Cluster, shown: Shown) -> answer::CacheCluster {
    let engine = plane.docker().engine();
    let security = |id: &String| answer::SecurityGroup { security_group_id: id.clone(), status: "active" };
    answer::CacheCluster {
        arn: plane.arn("cluster", &cluster.id),
        cache_nodes: shown.nodes.then(|| Listed(node(&cluster).into_iter().collect())),
        cache_cluster_id: cluster.id,
        cache_node_type: group.wish.node_type.clone(),
        engine: engine.family().to_string(),
        engine_version: engine.version().to_string(),
        cache_cluster_status: cluster.status,
        num_cache_nodes: 1,
        preferred_availability_zone: cluster.zone,
        cache_cluster_create_time: cluster.created,
        pending_modified_values: NoValues {},
        cache_subnet_group_name: group.subnet_group.name.clone(),
        security_groups: Listed(group.wish.security_groups.iter().map(security).collect()),
        replication_group_id: shown.member.then(|| group.wish.id.clone()),
        auto_minor_version_upgrade: true,
        snapshot_retention_limit: 0,
        auth_token_enabled: false,
        transit_encryption_enabled: false,
        at_rest_encryption_enabled: false,
    }
}

/// Its node: API reference, DescribeCacheClusters, shown while it is neither coming nor going.
fn node(cluster: &Cluster) -> Option<answer::CacheNode> {
    let reach = cluster.endpoint.filter(|_| cluster.status == "available")?;
    Some(answer::CacheNode {
        cache_node_id: NODE_ID,
        cache_node_status: cluster.status,
        cache_node_create_time: cluster.created,
        endpoint: endpoint(reach),
        customer_availability_zone: cluster.zone.clone(),
    })
}
