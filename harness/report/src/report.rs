//! The report: the one source of every view. `report.json` is this type, written as is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{At, Timeline},
    ids::{CheckId, NodeId, RunId, StepId},
    verdict::Verdict,
};

/// Grows by one with every change that a reader of `report.json` would notice.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole run, judged and graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The worst verdict of all checks.
    pub verdict: Verdict,
    /// What ran, where, and how to run it again.
    pub run: Run,
    /// The graded checklists.
    pub checklists: Vec<GradedChecklist>,
    /// Every step that ran, with its evidence.
    pub steps: Vec<StepRecord>,
}

/// What ran, where, and how to run it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Also the name of the report's folder.
    pub id: RunId,
    /// The environment: `docker`.
    pub target: String,
    /// The engine asked for: `redis:7.0`.
    pub engine: String,
    /// The image that served it.
    pub image: Image,
    /// Seeds every random choice of the run.
    pub seed: u64,
    /// The command that runs it again.
    pub rerun: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Wall time of the whole run.
    #[serde(rename = "duration_ms")]
    pub duration: At,
    /// The machine it ran on.
    pub host: Host,
}

/// An engine image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Name and tag.
    pub reference: String,
    /// The registry's digest, or the image id when it was built here.
    pub digest: String,
    /// `pulled` or `built from Debian <suite>`.
    pub origin: String,
}

/// The machine a run used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Operating system and kernel, as the container engine reports them.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Processors that the container engine can use.
    pub cpus: u64,
    /// Memory that the container engine can use.
    pub memory_bytes: u64,
    /// The container engine and its version.
    pub container_engine: String,
}

/// A checklist with its marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GradedChecklist {
    /// The checklist's name: `q5`.
    pub id: String,
    /// The checklist's heading.
    pub title: String,
    /// Marks won.
    pub marks_awarded: u32,
    /// Marks that could be won.
    pub marks_total: u32,
    /// The tasks that carry the marks.
    pub items: Vec<GradedItem>,
    /// Verification, troubleshooting and clean-up: graded, without marks.
    pub groups: Vec<GradedGroup>,
}

/// Items under one heading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GradedGroup {
    /// The group's name.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// The worst verdict of its items.
    pub verdict: Verdict,
    /// Its items; they carry no marks.
    pub items: Vec<GradedItem>,
}

/// One item of a checklist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GradedItem {
    /// The item's name.
    pub id: String,
    /// What is to be shown.
    pub title: String,
    /// Marks that can be won.
    pub marks: u32,
    /// Marks won: those of each criterion whose every check passed.
    pub marks_awarded: u32,
    /// The worst verdict of its checks.
    pub verdict: Verdict,
    /// What a sound deployment shows.
    pub expected: String,
    /// What was seen: of the worst check, else of all; and which of them did not run.
    pub observed: String,
    /// What to do about it, when it did not pass.
    pub hint: Option<String>,
    /// The engine's own tests of the same thing, as `file: name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engine_tests: Vec<String>,
    /// The checks that prove it.
    pub checks: Vec<CheckId>,
}

/// One step as it ran, or one case of a parametrised step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// The step's name.
    pub step: StepId,
    /// The case of a parametrised step: `crash`, `hold` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// What the step shows.
    pub title: String,
    /// The worst verdict of its checks.
    pub verdict: Verdict,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// From boot to torn down.
    #[serde(rename = "duration_ms")]
    pub duration: At,
    /// The nodes it ran on.
    pub nodes: Vec<NodeSummary>,
    /// The image that served it; none if the step ended before it had one.
    pub image: Option<Image>,
    /// The claims that it judged.
    pub checks: Vec<CheckRecord>,
    /// Figures that no claim depends on.
    pub measurements: Vec<Measurement>,
    /// Why the step ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// What was seen.
    pub timeline: Timeline,
}

impl StepRecord {
    /// `failover-crash`, or `failover` for a step without cases: the name of its evidence folder.
    pub fn name(&self) -> String {
        match &self.case {
            Some(case) => format!("{}-{case}", self.step),
            None => self.step.to_string(),
        }
    }
}

/// A node as the topology placed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeSummary {
    /// Its name.
    pub id: NodeId,
    /// Its availability zone.
    pub zone: String,
    /// The role that it booted with.
    pub role: crate::evidence::Role,
    /// The role that it reported when the step was over.
    pub last_role: crate::evidence::Role,
}

/// A claim, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRecord {
    /// The check's name.
    pub id: CheckId,
    /// What is claimed.
    pub claim: String,
    /// What the evidence says.
    pub verdict: Verdict,
    /// What would have passed.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Raw answers and figures behind `observed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// For a claim about time: the bound and the formula it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// What to do when it does not hold.
    pub hint: String,
}

/// A bound on a length of time, with the formula that proves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// How floor and ceiling follow from the clocks involved.
    pub formula: String,
    /// Shorter than this, it did not happen the way the step says.
    #[serde(rename = "floor_ms")]
    pub floor: At,
    /// Longer than this, the claim does not hold.
    #[serde(rename = "ceiling_ms")]
    pub ceiling: At,
    /// What was measured; none if it did not happen.
    #[serde(rename = "measured_ms")]
    pub measured: Option<At>,
    /// How far the measurement can be off.
    #[serde(rename = "resolution_ms")]
    pub resolution: At,
}

/// A figure that was measured and is not judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// What was measured.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What it means to the reader.
    pub note: String,
}
