//! What was seen while a step ran: recorded once by the harness, judged and drawn afterwards.
//!
//! All instants are offsets on one monotonic clock that starts with the step.

mod messages;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use messages::{End, Listened, Publish, Published, Received, Subscription, Traffic};

use crate::ids::NodeId;

/// An instant, as the time since the step began. Written as milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(into = "f64", from = "f64")]
pub struct At(pub Duration);

impl At {
    /// Milliseconds since the step began, to the microsecond.
    pub fn millis(self) -> f64 {
        (self.0.as_micros() as f64) / 1000.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<At> for f64 {
    fn from(at: At) -> Self {
        at.millis()
    }
}

impl From<f64> for At {
    fn from(millis: f64) -> Self {
        Self(Duration::from_micros((millis.max(0.0) * 1000.0).round() as u64))
    }
}

impl JsonSchema for At {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Millis".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "description": "milliseconds since the step began, or a length in milliseconds" })
    }
}

/// A role as a node itself reports it, or `Unreachable` when it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes writes (`role:master`).
    Primary,
    /// Follows a primary (`role:slave`).
    Replica,
    /// Watches a primary and its replicas, and holds no data.
    Sentinel,
    /// Gave no answer within the observer's time limit.
    Unreachable,
}

/// Who said that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The step itself.
    Lab,
    /// The fault injector.
    Fault,
    /// The replication-group manager.
    Manager,
    /// A node, as seen by the observer.
    Observer,
    /// A sentinel, on its own pub/sub.
    Sentinel,
    /// A client of the endpoints.
    Client,
}

/// Something that happened at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When it was seen.
    #[serde(rename = "at_ms")]
    pub at: At,
    /// Who saw it.
    pub source: Source,
    /// What happened, in words.
    pub text: String,
}

/// A node's role from `at` on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoleChange {
    /// When the observer first saw the role.
    #[serde(rename = "at_ms")]
    pub at: At,
    /// Whose role.
    pub node: NodeId,
    /// The role from here on.
    pub role: Role,
}

/// The endpoint names of a replication group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndpointName {
    /// Names the node that takes writes.
    Primary,
    /// Names the replicas, in rotation.
    Reader,
}

/// An endpoint name's targets from `at` on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointChange {
    /// When the record was changed.
    #[serde(rename = "at_ms")]
    pub at: At,
    /// Which name.
    pub endpoint: EndpointName,
    /// What it names from here on.
    pub targets: Vec<NodeId>,
}

/// A fault from injection to heal; open-ended if it never healed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultWindow {
    /// `crash`, `stop`, `hold` …
    pub kind: String,
    /// The node it hit.
    pub node: NodeId,
    /// It took effect after this …
    #[serde(rename = "from_ms")]
    pub from: At,
    /// … and by this: what the injection itself took is the resolution of everything measured from it.
    #[serde(rename = "in_effect_ms")]
    pub in_effect: At,
    /// When it was healed, by the step or by the manager's recovery.
    #[serde(rename = "until_ms")]
    pub until: Option<At>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The server said so.
    Acknowledged,
    /// Definitely not applied: it was refused, or never sent.
    Failed,
    /// Sent, and no answer: it may or may not have been applied.
    Indeterminate,
}

/// One write of the open-loop writer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Write {
    /// Its place in the writer's sequence; also the value written.
    pub sequence: u64,
    /// When the schedule said to send it.
    #[serde(rename = "intended_ms")]
    pub intended: At,
    /// When its outcome was known.
    #[serde(rename = "done_ms")]
    pub done: At,
    /// What became of it.
    pub outcome: Outcome,
    /// The error's class, where it was not acknowledged: the server's code (`READONLY`), `not sent` or `no answer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Write {
    /// From the intended send time, so that a stall does not hide the writes behind it.
    pub fn latency(&self) -> Duration {
        self.done.since(self.intended)
    }
}

/// One node's figures at one instant, from its own `INFO`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// When the answer arrived.
    #[serde(rename = "at_ms")]
    pub at: At,
    /// Whose figures.
    pub node: NodeId,
    /// The role that it reports.
    pub role: Role,
    /// `connected_clients`.
    pub connections: u64,
    /// `total_commands_processed`, a counter.
    pub commands: u64,
    /// `used_cpu_sys + used_cpu_user`, in seconds, a counter.
    pub cpu_seconds: f64,
    /// `used_memory`, in bytes.
    pub memory_bytes: u64,
    /// `master_repl_offset`, in bytes: what a primary has produced, what a replica has applied.
    pub offset: u64,
    /// Bytes of the replication stream behind the primary's offset when that was last sampled; none on a
    /// primary, and where no primary was sampled yet.
    pub lag_bytes: Option<u64>,
    /// The replicas that a primary lists as online; none on a replica.
    pub replicas_online: Option<u64>,
    /// The replicas that a primary lists as waiting for its data, or getting it; none on a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_syncing: Option<u64>,
}

/// Something that a sentinel said on its own pub/sub: `+sdown`, `+odown`, `+switch-master` …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Announcement {
    /// When it arrived.
    #[serde(rename = "at_ms")]
    pub at: At,
    /// Which sentinel said it.
    pub sentinel: NodeId,
    /// The channel, which is the event's name.
    pub event: String,
    /// The message, with the nodes' ids in the place of their addresses.
    pub about: String,
}

/// The node that a sentinel names when it is asked for the primary, from `at` on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advertised {
    /// When the answer first was this one.
    #[serde(rename = "at_ms")]
    pub at: At,
    /// Which sentinel.
    pub sentinel: NodeId,
    /// The primary, as it says.
    pub primary: NodeId,
    /// For how long it had answered nobody before that.
    #[serde(rename = "silent_ms", default)]
    pub silent: At,
}

/// Instants that only one party knows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Marks {
    /// A failover was asked for.
    #[serde(rename = "requested_ms")]
    pub requested: Option<At>,
    /// The manager held the primary to be dead.
    #[serde(rename = "detected_ms")]
    pub detected: Option<At>,
}

/// Everything a step saw, on one clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// The nodes, in the topology's order.
    pub nodes: Vec<NodeId>,
    /// Single happenings, in order.
    pub events: Vec<Event>,
    /// Role changes, in order.
    pub roles: Vec<RoleChange>,
    /// Endpoint changes, in order.
    pub endpoints: Vec<EndpointChange>,
    /// Fault windows, in order of injection.
    pub faults: Vec<FaultWindow>,
    /// The writer's operations, by sequence.
    pub writes: Vec<Write>,
    /// Node metrics, in order.
    pub samples: Vec<Sample>,
    /// What the sentinels said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announcements: Vec<Announcement>,
    /// Whom each sentinel named as primary, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advertised: Vec<Advertised>,
    /// Instants that only one party knows.
    #[serde(default)]
    pub marks: Marks,
}
