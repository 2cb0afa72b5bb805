//! The actions, by the names that the API gives them.

mod clusters;
mod engines;
mod events;
mod groups;
mod page;
mod served;
mod settings;
mod subnets;
mod tags;

use crate::{
    answer::{with_result, without_result},
    fault::Fault,
    plane::ControlPlane,
    request::Form,
};

/// Does what a form asks for, and says what came of it.
pub(crate) fn perform(plane: &ControlPlane, form: Form) -> Result<String, Fault> {
    let action = form.action().to_owned();
    match action.as_str() {
        "CreateReplicationGroup" => with_result(&action, &groups::create(plane, form)?),
        "DescribeReplicationGroups" => with_result(&action, &groups::describe(plane, form)?),
        "DeleteReplicationGroup" => with_result(&action, &groups::delete(plane, form)?),
        "ModifyReplicationGroup" => with_result(&action, &groups::modify(plane, form)?),
        "TestFailover" => with_result(&action, &groups::test_failover(plane, form)?),
        "IncreaseReplicaCount" => with_result(&action, &groups::increase_replicas(plane, form)?),
        "DecreaseReplicaCount" => with_result(&action, &groups::decrease_replicas(plane, form)?),
        "DescribeCacheClusters" => with_result(&action, &clusters::describe(plane, form)?),
        "DeleteCacheCluster" => with_result(&action, &clusters::delete(plane, form)?),
        "CreateCacheSubnetGroup" => with_result(&action, &subnets::create(plane, form)?),
        "DescribeCacheSubnetGroups" => with_result(&action, &subnets::describe(plane, form)?),
        "DeleteCacheSubnetGroup" => {
            subnets::delete(plane, form)?;
            Ok(without_result(&action))
        }
        "DescribeEvents" => with_result(&action, &events::describe(plane, form)?),
        "DescribeCacheEngineVersions" => with_result(&action, &engines::describe(plane, form)?),
        "AddTagsToResource" => with_result(&action, &tags::add(plane, form)?),
        "ListTagsForResource" => with_result(&action, &tags::list(plane, form)?),
        "RemoveTagsFromResource" => with_result(&action, &tags::remove(plane, form)?),
        _ => Err(Fault::InvalidAction(action)),
    }
}
