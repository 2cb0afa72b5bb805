//! Replication groups: made, shown, changed, failed over and deleted.

use std::{cmp::Ordering, net::SocketAddr, sync::Arc};

use failover_lab::group::{Member, NODE_GROUP, Retain};
use lab_report::NodeId;

use super::{page::Page, served, settings};
use crate::{
    answer::{self, Listed},
    fault::Fault,
    plane::{Change, ControlPlane, Group, Life, Notes, Standing, Tags, Taken},
    request::Form,
};

/// The only node of a cache cluster.
pub(super) const NODE_ID: &str = "0001";

pub(super) fn create(plane: &ControlPlane, mut form: Form) -> Result<answer::OneGroup, Fault> {
    let notes = Notes {
        description: form.required("ReplicationGroupDescription")?,
        tags: Tags::of(form.pairs("Tags"))?,
    };
    let wish = settings::take(plane, &mut form)?;
    form.end()?;
    Ok(one(plane, &plane.create(wish, notes)?))
}

pub(super) fn describe(plane: &ControlPlane, mut form: Form) -> Result<answer::ReplicationGroups, Fault> {
    let (id, page) = (form.text("ReplicationGroupId"), Page::take(&mut form)?);
    form.end()?;
    let found: Vec<Arc<Group>> = match id {
        Some(id) => vec![plane.group(&id)?],
        None => plane.groups(),
    };
    let (found, marker) = page.of(found, |group| group.wish.id.clone());
    let replication_groups =
        Listed(found.iter().map(|group| described(plane, group, &group.life())).collect());
    Ok(answer::ReplicationGroups { marker, replication_groups })
}

pub(super) fn delete(plane: &ControlPlane, mut form: Form) -> Result<answer::OneGroup, Fault> {
    let id = form.required("ReplicationGroupId")?;
    let retain = match form.value("RetainPrimaryCluster")?.unwrap_or(false) {
        true => Retain::Primary,
        false => Retain::Nothing,
    };
    form.end()?;
    Ok(one(plane, &plane.delete(&id, retain)?))
}

pub(super) fn modify(plane: &ControlPlane, mut form: Form) -> Result<answer::OneGroup, Fault> {
    let id = form.required("ReplicationGroupId")?;
    let at_once = form.value("ApplyImmediately")?.unwrap_or(false);
    if form.is_empty() {
        let text = format!("Nothing of {id} is to be modified.");
        return Err(Fault::InvalidParameterCombination(text));
    }
    served::take(&mut form)?;
    let wanted = Change {
        description: form.text("ReplicationGroupDescription"),
        automatic_failover: form.value("AutomaticFailoverEnabled")?,
        multi_az: form.value("MultiAZEnabled")?,
        primary: form.text("PrimaryClusterId").map(|id| NodeId::from(id.to_lowercase())),
        at_once,
    };
    form.end()?;
    Ok(one(plane, &plane.modify(&id, wanted)?))
}

pub(super) fn test_failover(plane: &ControlPlane, mut form: Form) -> Result<answer::OneGroup, Fault> {
    let id = form.required("ReplicationGroupId")?;
    let node_group = form.required("NodeGroupId")?;
    form.end()?;
    Ok(one(plane, &plane.test_failover(&id, &node_group)?))
}

pub(super) fn increase_replicas(plane: &ControlPlane, form: Form) -> Result<answer::OneGroup, Fault> {
    scale(plane, form, Ordering::Greater)
}

pub(super) fn decrease_replicas(plane: &ControlPlane, form: Form) -> Result<answer::OneGroup, Fault> {
    scale(plane, form, Ordering::Less)
}

fn scale(plane: &ControlPlane, mut form: Form, way: Ordering) -> Result<answer::OneGroup, Fault> {
    let id = form.required("ReplicationGroupId")?;
    let at_once: bool = form.value("ApplyImmediately")?.ok_or(Fault::MissingParameter("ApplyImmediately"))?;
    let wanted: Option<usize> = form.value("NewReplicaCount")?;
    form.end()?;
    // API reference: "ApplyImmediately=False is not currently supported".
    if !at_once {
        return Err(Fault::InvalidParameterValue("ApplyImmediately has to be true.".to_owned()));
    }
    let Some(wanted) = wanted else {
        let text = "NewReplicaCount has to be there: replicas cannot be named one by one.".to_owned();
        return Err(Fault::InvalidParameterCombination(text));
    };
    Ok(one(plane, &plane.scale(&id, wanted, way)?))
}

/// A group as what was just taken on leaves it: by now that may be done.
fn one(plane: &ControlPlane, taken: &Taken) -> answer::OneGroup {
    answer::OneGroup { replication_group: described(plane, &taken.group, &taken.life) }
}

fn described(plane: &ControlPlane, group: &Group, life: &Life) -> answer::ReplicationGroup {
    let wish = &group.wish;
    let pending = life.pending();
    answer::ReplicationGroup {
        replication_group_id: wish.id.clone(),
        description: group.notes().description.clone(),
        status: life.status(),
        pending_modified_values: answer::PendingGroupValues {
            primary_cluster_id: pending.primary.map(|id| id.to_string()),
            automatic_failover_status: pending.automatic_failover.map(switch),
        },
        member_clusters: Listed(group.clusters().into_iter().map(|cluster| cluster.id).collect()),
        node_groups: Listed(
            group.standing().map(|standing| node_group(standing, life.status())).into_iter().collect(),
        ),
        automatic_failover: automatic_failover(group, life),
        multi_az: switch(group.failover().is_across_zones()),
        cluster_enabled: false,
        cluster_mode: "disabled",
        cache_node_type: wish.node_type.clone(),
        engine: plane.docker().engine().family().to_string(),
        auth_token_enabled: false,
        transit_encryption_enabled: false,
        at_rest_encryption_enabled: false,
        snapshot_retention_limit: 0,
        auto_minor_version_upgrade: true,
        arn: plane.arn("replicationgroup", &wish.id),
        replication_group_create_time: group.began,
    }
}

fn switch(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

/// What it is, or on its way to.
fn automatic_failover(group: &Group, life: &Life) -> &'static str {
    let now = group.failover().is_automatic();
    match (life, life.pending().automatic_failover) {
        (Life::Creating, _) if now => "enabling",
        (_, Some(true)) => "enabling",
        (_, Some(false)) => "disabling",
        (_, None) => switch(now),
    }
}

fn node_group(standing: &Standing, status: &'static str) -> answer::NodeGroup {
    let member = |member: &Member| {
        let node = standing.manager.node(&member.id).ok()?;
        Some(answer::Member {
            cache_cluster_id: member.id.to_string(),
            cache_node_id: NODE_ID,
            read_endpoint: endpoint(node.reach()),
            preferred_availability_zone: member.zone.clone(),
            current_role: if member.primary { "primary" } else { "replica" },
        })
    };
    answer::NodeGroup {
        node_group_id: NODE_GROUP,
        status,
        primary_endpoint: endpoint(standing.primary.address()),
        reader_endpoint: endpoint(standing.reader.address()),
        node_group_members: Listed(standing.manager.describe().members.iter().filter_map(member).collect()),
    }
}

pub(super) fn endpoint(address: SocketAddr) -> answer::Endpoint {
    answer::Endpoint { address: address.ip().to_string(), port: address.port() }
}
