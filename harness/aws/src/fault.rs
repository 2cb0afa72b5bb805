//! What the API refuses, and how: the codes and HTTP status of the service model.

use axum::http::StatusCode;
use failover_lab::group::GroupError;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("Request is missing Authentication Token")]
    MissingAuthenticationToken,
    #[error("{0}")]
    IncompleteSignature(String),
    #[error("Credential should be scoped to a valid region, not '{0}'.")]
    OtherRegion(String),
    #[error("Credential should be scoped to correct service: 'elasticache', not '{0}'.")]
    OtherService(String),
    #[error("Missing Action")]
    MissingAction,
    #[error("The action {0} is not valid for this web service.")]
    InvalidAction(String),
    #[error("Could not find operation {action} for version {version}")]
    OtherVersion { action: String, version: String },
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(&'static str),
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("{0}")]
    InvalidParameterCombination(String),
    #[error("Replication group already exists for replicationGroupId {0}")]
    ReplicationGroupAlreadyExists(String),
    #[error("ReplicationGroup {0} not found.")]
    ReplicationGroupNotFound(String),
    #[error("{0}")]
    InvalidReplicationGroupState(String),
    #[error("{0}")]
    NoOperation(String),
    #[error("{0}")]
    InvalidCacheClusterState(String),
    #[error("CacheCluster not found: {0}")]
    CacheClusterNotFound(String),
    #[error("NodeGroup {0} not found.")]
    NodeGroupNotFound(String),
    #[error("{0}")]
    TestFailoverNotAvailable(String),
    #[error("at most {limit} node groups in {hours} hours: the next one can fail over in {minutes} minutes")]
    ApiCallRateExceeded { limit: usize, hours: i64, minutes: i64 },
    #[error("Cache subnet group {0} already exists.")]
    SubnetGroupAlreadyExists(String),
    #[error("Cache Subnet Group {0} does not exist.")]
    SubnetGroupNotFound(String),
    #[error("Cache subnet group {group} is currently in use by {user}.")]
    SubnetGroupInUse { group: String, user: String },
    #[error("`{0}` is the name of nothing that has tags here.")]
    InvalidArn(String),
    #[error("There is no tag with the key {0}.")]
    TagNotFound(String),
    #[error("A resource has at most {most} tags.")]
    TagQuotaExceeded { most: usize },
    #[error("This control plane is shutting down.")]
    Ending,
    #[error("{0}")]
    Internal(String),
}

impl Fault {
    /// The code that clients tell refusals apart by, and the HTTP status that it comes with.
    pub(crate) fn code(&self) -> (&'static str, StatusCode) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::MissingAuthenticationToken => ("MissingAuthenticationToken", StatusCode::FORBIDDEN),
            Self::IncompleteSignature(_) => ("IncompleteSignature", bad),
            Self::OtherRegion(_) | Self::OtherService(_) => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            Self::MissingAction => ("MissingAction", bad),
            Self::InvalidAction(_) | Self::OtherVersion { .. } => ("InvalidAction", bad),
            Self::MissingParameter(_) => ("MissingParameter", bad),
            Self::InvalidParameterValue(_) => ("InvalidParameterValue", bad),
            Self::InvalidParameterCombination(_) => ("InvalidParameterCombination", bad),
            Self::ReplicationGroupAlreadyExists(_) => ("ReplicationGroupAlreadyExists", bad),
            Self::ReplicationGroupNotFound(_) => ("ReplicationGroupNotFoundFault", StatusCode::NOT_FOUND),
            Self::InvalidReplicationGroupState(_) => ("InvalidReplicationGroupState", bad),
            Self::InvalidCacheClusterState(_) => ("InvalidCacheClusterState", bad),
            Self::NoOperation(_) => ("NoOperationFault", bad),
            Self::CacheClusterNotFound(_) => ("CacheClusterNotFound", StatusCode::NOT_FOUND),
            Self::NodeGroupNotFound(_) => ("NodeGroupNotFoundFault", StatusCode::NOT_FOUND),
            Self::TestFailoverNotAvailable(_) => ("TestFailoverNotAvailableFault", bad),
            Self::ApiCallRateExceeded { .. } => ("APICallRateForCustomerExceeded", bad),
            Self::SubnetGroupAlreadyExists(_) => ("CacheSubnetGroupAlreadyExists", bad),
            Self::SubnetGroupNotFound(_) => ("CacheSubnetGroupNotFoundFault", bad),
            Self::SubnetGroupInUse { .. } => ("CacheSubnetGroupInUse", bad),
            Self::InvalidArn(_) => ("InvalidARN", bad),
            Self::TagNotFound(_) => ("TagNotFound", StatusCode::NOT_FOUND),
            Self::TagQuotaExceeded { .. } => ("TagQuotaPerResourceExceeded", bad),
            Self::Ending => ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal(_) => ("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl From<GroupError> for Fault {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::NodeGroupNotFound(id) => Self::NodeGroupNotFound(id),
            GroupError::CacheClusterNotFound(id) => Self::CacheClusterNotFound(id.to_string()),
            GroupError::InvalidCacheClusterState(..) => Self::InvalidCacheClusterState(error.to_string()),
            GroupError::InvalidReplicationGroupState(_) => {
                Self::InvalidReplicationGroupState(error.to_string())
            }
            GroupError::InvalidParameterValue(text) => Self::InvalidParameterValue(text),
            GroupError::InvalidParameterCombination(text) => Self::InvalidParameterCombination(text),
            GroupError::NoReplica => Self::TestFailoverNotAvailable(error.to_string()),
            GroupError::Node(_) | GroupError::TimedOut(_) => Self::Internal(error.to_string()),
        }
    }
}
