//! What a group is asked to be: the parameters of CreateReplicationGroup.

use failover_lab::group::Failover;

use super::served;
use crate::{
    fault::Fault,
    plane::{ControlPlane, Wish},
    request::Form,
};

/// The longest id of a replication group, in characters: API reference, CreateReplicationGroup.
const LONGEST_ID: usize = 40;

pub(super) fn take(plane: &ControlPlane, form: &mut Form) -> Result<Wish, Fault> {
    served::take(form)?;
    check_engine(plane, form)?;
    let automatic = form.value("AutomaticFailoverEnabled")?.unwrap_or(false);
    let multi_az = form.value("MultiAZEnabled")?.unwrap_or(false);
    Ok(Wish {
        id: group_id(&form.required("ReplicationGroupId")?)?,
        node_type: node_type(form)?,
        nodes: form.value("NumCacheClusters")?.unwrap_or(1),
        failover: Failover::of(automatic, multi_az)?,
        subnet_group: form.text("CacheSubnetGroupName"),
        security_groups: form.list("SecurityGroupIds"),
        placement: form.list("PreferredCacheClusterAZs"),
    })
}

/// Letters, digits and hyphens, from a letter on; no hyphen last, nor two in a row. Kept in lower case.
fn group_id(id: &str) -> Result<String, Fault> {
    let sound = id.len() <= LONGEST_ID
        && id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
        && !id.ends_with('-')
        && !id.contains("--");
    match sound {
        true => Ok(id.to_lowercase()),
        false => Err(Fault::InvalidParameterValue(format!("`{id}` is no id of a replication group"))),
    }
}

/// The nodes run what the control plane was started with.
fn check_engine(plane: &ControlPlane, form: &mut Form) -> Result<(), Fault> {
    let engine = plane.docker().engine();
    let family = form.text("Engine");
    let version = form.text("EngineVersion");
    let served = family.as_ref().is_none_or(|family| *family == engine.family().to_string())
        && version.as_ref().is_none_or(|version| *version == engine.version().to_string());
    match served {
        true => Ok(()),
        false => Err(Fault::InvalidParameterValue(format!(
            "{} {} is not served here: this control plane runs {engine}",
            family.unwrap_or_default(),
            version.unwrap_or_default()
        ))),
    }
}

/// `cache.t3.micro`: of three parts. The model has it optional, for groups that are made from something that has one.
fn node_type(form: &mut Form) -> Result<String, Fault> {
    let Some(wanted) = form.text("CacheNodeType") else {
        let text =
            "CacheNodeType has to be there, too: the group is made from nothing that has one.".to_owned();
        return Err(Fault::InvalidParameterCombination(text));
    };
    let parts: Vec<&str> = wanted.split('.').collect();
    let word = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric());
    match parts[..] {
        ["cache", family, size] if word(family) && word(size) => Ok(wanted),
        _ => Err(Fault::InvalidParameterValue(format!("`{wanted}` is no type of a cache node"))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::request::tests::form;

    #[rstest]
    #[case::lower("shop", Some("shop"))]
    #[case::upper("Shop-1", Some("shop-1"))]
    #[case::longest(
        "a123456789012345678901234567890123456789",
        Some("a123456789012345678901234567890123456789")
    )]
    #[case::too_long("a1234567890123456789012345678901234567890", None)]
    #[case::digit_first("1shop", None)]
    #[case::hyphen_last("shop-", None)]
    #[case::two_hyphens("shop--1", None)]
    #[case::other_letters("shöp", None)]
    #[case::nothing("", None)]
    fn ids_are_as_the_api_wants_them(#[case] id: &str, #[case] kept: Option<&str>) {
        assert_eq!(group_id(id).ok().as_deref(), kept);
    }

    #[rstest]
    #[case::of_three_parts("&CacheNodeType=cache.r6gd.16xlarge", None)]
    #[case::none("", Some("InvalidParameterCombination"))]
    #[case::prefix_alone("&CacheNodeType=cache.", Some("InvalidParameterValue"))]
    #[case::no_size("&CacheNodeType=cache.t3", Some("InvalidParameterValue"))]
    #[case::of_ec2("&CacheNodeType=t3.micro", Some("InvalidParameterValue"))]
    fn node_types_look_like_node_types(#[case] field: &str, #[case] code: Option<&str>) {
        let taken = node_type(&mut form(&format!("Action=CreateReplicationGroup{field}")));
        assert_eq!(taken.err().map(|fault| fault.code().0), code);
    }
}
