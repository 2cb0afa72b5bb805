//! Subnet groups: made, shown and deleted.

use std::sync::Arc;

use super::page::Page;
use crate::{
    answer::{self, Listed},
    fault::Fault,
    plane::{ControlPlane, SubnetGroup, Tags},
    request::Form,
};

pub(super) fn create(plane: &ControlPlane, mut form: Form) -> Result<answer::OneSubnetGroup, Fault> {
    let name = form.required("CacheSubnetGroupName")?;
    let description = form.required("CacheSubnetGroupDescription")?;
    let subnets = form.list("SubnetIds");
    let tags = Tags::of(form.pairs("Tags"))?;
    form.end()?;
    let made = plane.create_subnet_group(&name, description, subnets, tags)?;
    Ok(answer::OneSubnetGroup { cache_subnet_group: described(plane, &made) })
}

pub(super) fn describe(plane: &ControlPlane, mut form: Form) -> Result<answer::SubnetGroups, Fault> {
    let (name, page) = (form.text("CacheSubnetGroupName"), Page::take(&mut form)?);
    form.end()?;
    let found: Vec<Arc<SubnetGroup>> = match name {
        Some(name) => vec![plane.subnet_group(&name)?],
        None => plane.subnet_groups(),
    };
    let (found, marker) = page.of(found, |group| group.name.clone());
    let cache_subnet_groups = Listed(found.iter().map(|group| described(plane, group)).collect());
    Ok(answer::SubnetGroups { marker, cache_subnet_groups })
}

pub(super) fn delete(plane: &ControlPlane, mut form: Form) -> Result<(), Fault> {
    let name = form.required("CacheSubnetGroupName")?;
    form.end()?;
    plane.delete_subnet_group(&name)
}

fn described(plane: &ControlPlane, group: &SubnetGroup) -> answer::SubnetGroup {
    let subnets = group.subnets.iter().map(|(subnet, zone)| answer::Subnet {
        subnet_identifier: subnet.clone(),
        subnet_availability_zone: answer::Zone { name: zone.clone() },
    });
    answer::SubnetGroup {
        cache_subnet_group_name: group.name.clone(),
        cache_subnet_group_description: group.description.clone(),
        vpc_id: "vpc-lab",
        subnets: Listed(subnets.collect()),
        arn: plane.arn("subnetgroup", &group.name),
    }
}
