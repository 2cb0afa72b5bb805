//! Answers as XML, in the service model's names.

use failover_lab::group::SourceType;
use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::fault::Fault;

const NAMESPACE: &str = "http://elasticache.amazonaws.com/doc/2015-02-02/";

/// The answer to an action that has a result.
pub(crate) fn with_result(action: &str, result: &impl Serialize) -> Result<String, Fault> {
    let root = format!("{action}Result");
    let result = quick_xml::se::to_string_with_root(&root, result)
        .map_err(|error| Fault::Internal(format!("no XML of the answer to {action}: {error}")))?;
    Ok(response(action, &result))
}

/// The answer to one that has none.
pub(crate) fn without_result(action: &str) -> String {
    response(action, "")
}

fn response(action: &str, result: &str) -> String {
    let id = request_id();
    format!(
        "<{action}Response xmlns=\"{NAMESPACE}\">{result}\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// The answer to one that was refused.
pub(crate) fn refused(fault: &Fault) -> String {
    let (code, status) = fault.code();
    let whose = if status.is_server_error() { "Receiver" } else { "Sender" };
    let message = quick_xml::escape::escape(fault.to_string()).into_owned();
    let id = request_id();
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{whose}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    )
}

/// Thirty-two digits in the groups that AWS writes them in.
fn request_id() -> String {
    let digits = format!("{:032x}", fastrand::u128(..));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// An instant as AWS prints it: to the millisecond.
fn instant<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

fn as_shown<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneGroup {
    pub(crate) replication_group: ReplicationGroup,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicationGroups {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<String>,
    pub(crate) replication_groups: Listed<ReplicationGroup>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicationGroup {
    pub(crate) replication_group_id: String,
    pub(crate) description: String,
    pub(crate) status: &'static str,
    pub(crate) pending_modified_values: PendingGroupValues,
    pub(crate) member_clusters: Listed<String>,
    pub(crate) node_groups: Listed<NodeGroup>,
    pub(crate) automatic_failover: &'static str,
    #[serde(rename = "MultiAZ")]
    pub(crate) multi_az: &'static str,
    pub(crate) cluster_enabled: bool,
    pub(crate) cluster_mode: &'static str,
    pub(crate) cache_node_type: String,
    pub(crate) engine: String,
    pub(crate) auth_token_enabled: bool,
    pub(crate) transit_encryption_enabled: bool,
    pub(crate) at_rest_encryption_enabled: bool,
    pub(crate) snapshot_retention_limit: u8,
    pub(crate) auto_minor_version_upgrade: bool,
    #[serde(rename = "ARN")]
    pub(crate) arn: String,
    #[serde(serialize_with = "instant")]
    pub(crate) replication_group_create_time: Timestamp,
}

/// What a group is changing to.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PendingGroupValues {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) primary_cluster_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) automatic_failover_status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NodeGroup {
    pub(crate) node_group_id: &'static str,
    pub(crate) status: &'static str,
    pub(crate) primary_endpoint: Endpoint,
    pub(crate) reader_endpoint: Endpoint,
    pub(crate) node_group_members: Listed<Member>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Member {
    pub(crate) cache_cluster_id: String,
    pub(crate) cache_node_id: &'static str,
    pub(crate) read_endpoint: Endpoint,
    pub(crate) preferred_availability_zone: String,
    pub(crate) current_role: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CacheClusters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<String>,
    pub(crate) cache_clusters: Listed<CacheCluster>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneCluster {
    pub(crate) cache_cluster: CacheCluster,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CacheCluster {
    pub(crate) cache_cluster_id: String,
    pub(crate) cache_node_type: String,
    pub(crate) engine: String,
    pub(crate) engine_version: String,
    pub(crate) cache_cluster_status: &'static str,
    pub(crate) num_cache_nodes: u8,
    pub(crate) preferred_availability_zone: String,
    #[serde(serialize_with = "instant")]
    pub(crate) cache_cluster_create_time: Timestamp,
    pub(crate) pending_modified_values: NoValues,
    pub(crate) cache_subnet_group_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_nodes: Option<Listed<CacheNode>>,
    pub(crate) security_groups: Listed<SecurityGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replication_group_id: Option<String>,
    pub(crate) auto_minor_version_upgrade: bool,
    pub(crate) snapshot_retention_limit: u8,
    pub(crate) auth_token_enabled: bool,
    pub(crate) transit_encryption_enabled: bool,
    pub(crate) at_rest_encryption_enabled: bool,
    #[serde(rename = "ARN")]
    pub(crate) arn: String,
}

/// Nothing is changing.
#[derive(Serialize)]
pub(crate) struct NoValues {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CacheNode {
    pub(crate) cache_node_id: &'static str,
    pub(crate) cache_node_status: &'static str,
    #[serde(serialize_with = "instant")]
    pub(crate) cache_node_create_time: Timestamp,
    pub(crate) endpoint: Endpoint,
    pub(crate) customer_availability_zone: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroup {
    pub(crate) security_group_id: String,
    pub(crate) status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneSubnetGroup {
    pub(crate) cache_subnet_group: SubnetGroup,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetGroups {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<String>,
    pub(crate) cache_subnet_groups: Listed<SubnetGroup>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetGroup {
    pub(crate) cache_subnet_group_name: String,
    pub(crate) cache_subnet_group_description: String,
    pub(crate) vpc_id: &'static str,
    pub(crate) subnets: Listed<Subnet>,
    #[serde(rename = "ARN")]
    pub(crate) arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Subnet {
    pub(crate) subnet_identifier: String,
    pub(crate) subnet_availability_zone: Zone,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Zone {
    pub(crate) name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Events {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<String>,
    pub(crate) events: Listed<Event>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tags {
    pub(crate) tag_list: Listed<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EngineVersions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<String>,
    pub(crate) cache_engine_versions: Listed<EngineVersion>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EngineVersion {
    pub(crate) engine: String,
    pub(crate) engine_version: String,
    pub(crate) cache_parameter_group_family: String,
    pub(crate) cache_engine_description: String,
    pub(crate) cache_engine_version_description: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event {
    pub(crate) source_identifier: String,
    #[serde(serialize_with = "as_shown")]
    pub(crate) source_type: SourceType,
    pub(crate) message: String,
    #[serde(serialize_with = "instant")]
    pub(crate) date: Timestamp,
}

/// A list whose members have the name that the service model gives them: `<NodeGroups><NodeGroup>…`.
pub(crate) struct Listed<T>(pub(crate) Vec<T>);

/// What the members of a list are called.
pub(crate) trait MemberName {
    const NAME: &'static str;
}

macro_rules! member_names {
    ($($of:ty => $name:literal),* $(,)?) => { $(impl MemberName for $of { const NAME: &'static str = $name; })* };
}
member_names! {
    // The only list of plain texts in these answers is `MemberClusters`.
    String => "ClusterId",
    ReplicationGroup => "ReplicationGroup",
    NodeGroup => "NodeGroup",
    Member => "NodeGroupMember",
    CacheCluster => "CacheCluster",
    CacheNode => "CacheNode",
    SecurityGroup => "member",
    SubnetGroup => "CacheSubnetGroup",
    Subnet => "Subnet",
    Tag => "Tag",
    EngineVersion => "CacheEngineVersion",
    Event => "Event",
}

impl<T: Serialize + MemberName> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_struct("", 1)?;
        list.serialize_field(T::NAME, &self.0)?;
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn an_event_is_dated_to_the_millisecond() {
        let event = Event {
            source_identifier: "shop".to_owned(),
            source_type: SourceType::ReplicationGroup,
            message: "a < b".to_owned(),
            date: Timestamp::UNIX_EPOCH + 1.nanoseconds(),
        };
        let told =
            with_result("DescribeEvents", &Events { marker: None, events: Listed(vec![event]) }).unwrap();
        let expected = "<Events><Event><SourceIdentifier>shop</SourceIdentifier>\
            <SourceType>replication-group</SourceType><Message>a &lt; b</Message>\
            <Date>1970-01-01T00:00:00.000Z</Date></Event></Events>";
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn what_is_not_pending_is_not_there_and_a_result_may_not_be_either() {
        let nothing = PendingGroupValues { primary_cluster_id: None, automatic_failover_status: None };
        assert!(with_result("A", &nothing).unwrap().contains("<AResult/>"));
        assert!(!without_result("A").contains("AResult"));
    }
}
