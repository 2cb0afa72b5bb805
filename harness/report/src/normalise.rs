//! What stays the same when a step runs again: the form that snapshots hold.
//!
//! Verdicts, roles, the order of events, error texts and formulas stay. Latencies, dates, digests,
//! addresses, and which of several equal nodes it was, do not.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::{Captures, Regex};
use serde::Serialize;
use serde_json::Value;

use crate::{
    evidence::{EndpointName, Role, Source},
    ids::NodeId,
    report::{CheckRecord, NodeSummary, StepRecord},
    verdict::Verdict,
};

#[derive(Serialize)]
struct Step {
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    aborted: Option<String>,
    checks: Vec<Check>,
    events: Vec<String>,
    roles: BTreeMap<String, Vec<Role>>,
    primary_endpoint: Vec<String>,
}

#[derive(Serialize)]
struct Check {
    id: String,
    verdict: Verdict,
    expected: String,
    observed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    formula: Option<String>,
}

/// The step in the form that a snapshot of it holds.
///
/// The primary at boot is `[PRIMARY]`, the node that becomes one `[PROMOTED]`, and the others
/// `[REPLICA-n]` in the order in which they are first named. A formula keeps its lengths of time:
/// they are the server's clocks, and no measurement.
pub fn step(record: &StepRecord) -> Value {
    let names = Names::of(record);
    let text = |raw: &str| redact(&names.replace(raw));
    let step = Step {
        step: record.step.to_string(),
        case: record.case.clone(),
        verdict: record.verdict,
        aborted: record.aborted.as_deref().map(text),
        checks: record.checks.iter().map(|check| self::check(check, &names)).collect(),
        events: events(record).map(text).collect(),
        primary_endpoint: primary_endpoint(record, &names),
        roles: roles(record, &names),
    };
    serde_json::to_value(step).expect("names and texts only")
}

/// The same without what was said about it: on a busy machine some things are tried twice.
///
/// # Panics
/// Never: names and texts only.
pub fn outcome(record: &StepRecord) -> Value {
    let mut whole = step(record);
    whole.as_object_mut().expect("it has fields").remove("events");
    whole
}

/// The same without what happened and who had which role, where that is left to chance.
///
/// # Panics
/// Never: names and texts only.
pub fn checks(record: &StepRecord) -> Value {
    let names = Names::of(record);
    let checks: Vec<Check> = record.checks.iter().map(|check| self::check(check, &names)).collect();
    serde_json::json!({ "step": record.step.to_string(), "verdict": record.verdict, "checks": checks })
}

fn check(check: &CheckRecord, names: &Names) -> Check {
    let text = |raw: &str| redact(&names.replace(raw));
    Check {
        id: check.id.to_string(),
        verdict: check.verdict,
        expected: text(&check.expected),
        observed: text(&check.observed),
        formula: check.bound.as_ref().map(|bound| names.replace(&bound.formula)),
    }
}

fn events(record: &StepRecord) -> impl Iterator<Item = &str> {
    let told = |source| matches!(source, Source::Manager | Source::Fault);
    record.timeline.events.iter().filter(move |event| told(event.source)).map(|event| event.text.as_str())
}

/// Each node's role at boot and at the end. What the observer saw in between is an accident of timing.
fn roles(record: &StepRecord, names: &Names) -> BTreeMap<String, Vec<Role>> {
    let ends = |node: &NodeSummary| {
        if node.role == node.last_role { vec![node.role] } else { vec![node.role, node.last_role] }
    };
    let mut of_node: Vec<(&NodeId, Vec<Role>)> =
        record.nodes.iter().map(|node| (&node.id, ends(node))).collect();
    // Nodes that nothing has named yet get their numbers here: by what they did, not by who they are.
    of_node.sort_by_key(|(_, roles)| roles.iter().map(|role| *role == Role::Primary).collect::<Vec<_>>());
    of_node.into_iter().map(|(node, roles)| (names.of_node(node), roles)).collect()
}

fn primary_endpoint(record: &StepRecord, names: &Names) -> Vec<String> {
    let changes = record.timeline.endpoints.iter().filter(|change| change.endpoint == EndpointName::Primary);
    let mut targets: Vec<_> = changes
        .map(|change| change.targets.iter().map(|node| names.of_node(node)).collect::<Vec<_>>().join(", "))
        .collect();
    targets.dedup();
    targets
}

/// All nodes that the record knows of, once each.
fn nodes(record: &StepRecord) -> Vec<&NodeId> {
    let timeline = &record.timeline;
    let all = record.nodes.iter().map(|node| &node.id).chain(&timeline.nodes);
    let all = all.chain(timeline.roles.iter().map(|change| &change.node));
    let all = all.chain(timeline.endpoints.iter().flat_map(|change| &change.targets));
    let mut seen = BTreeSet::new();
    all.filter(|node| seen.insert(*node)).collect()
}

/// Placeholders for a record's nodes. Numbers are given out as the nodes are first named.
struct Names {
    pattern: Option<Regex>,
    meaning: BTreeMap<String, &'static str>,
    given: RefCell<BTreeMap<String, String>>,
}

impl Names {
    fn of(record: &StepRecord) -> Self {
        let mut ids: Vec<_> = nodes(record).into_iter().map(NodeId::as_str).collect();
        // The longest first: `lab-1` must not be found in `lab-1-0`.
        ids.sort_by_key(|id| std::cmp::Reverse(id.len()));
        let any = ids.iter().map(|id| regex::escape(id)).collect::<Vec<_>>().join("|");
        let pattern = Regex::new(&format!(r"\b(?:{any})\b")).expect("escaped names");
        let meaning =
            nodes(record).into_iter().map(|node| (node.to_string(), meaning(record, node))).collect();
        Self { pattern: (!ids.is_empty()).then_some(pattern), meaning, given: RefCell::default() }
    }

    fn of_node(&self, node: &NodeId) -> String {
        self.placeholder(node.as_str())
    }

    /// `text` with placeholders for node ids, and each enumeration of them in the placeholders' order.
    fn replace(&self, text: &str) -> String {
        static ENUMERATION: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\[[A-Z]+(?:-\d+)?\](?:, \[[A-Z]+(?:-\d+)?\])+").expect("a constant")
        });
        let Some(pattern) = &self.pattern else { return text.to_owned() };
        let named = pattern.replace_all(text, |found: &Captures<'_>| self.placeholder(&found[0]));
        let sorted = |found: &Captures<'_>| {
            let mut nodes: Vec<_> = found[0].split(", ").collect();
            nodes.sort_unstable();
            nodes.join(", ")
        };
        ENUMERATION.replace_all(&named, sorted).into_owned()
    }

    fn placeholder(&self, id: &str) -> String {
        if let Some(given) = self.given.borrow().get(id) {
            return given.clone();
        }
        let meaning = self.meaning.get(id).copied().unwrap_or("NODE");
        let like = |kind: &str| self.meaning.values().filter(|meaning| **meaning == kind).count();
        let before =
            self.given.borrow().keys().filter(|other| self.meaning.get(*other) == Some(&meaning)).count();
        // There is always a second replica to think of; there seldom is a second primary.
        let placeholder = match meaning {
            "PRIMARY" | "PROMOTED" if like(meaning) == 1 => format!("[{meaning}]"),
            _ => format!("[{meaning}-{}]", before + 1),
        };
        self.given.borrow_mut().insert(id.to_owned(), placeholder.clone());
        placeholder
    }
}

/// What a node was at boot, or has become.
fn meaning(record: &StepRecord, node: &NodeId) -> &'static str {
    let promoted =
        || record.timeline.roles.iter().any(|seen| &seen.node == node && seen.role == Role::Primary);
    match record.nodes.iter().find(|summary| &summary.id == node) {
        Some(summary) if summary.role == Role::Sentinel => "SENTINEL",
        Some(summary) if summary.role == Role::Primary => "PRIMARY",
        Some(summary) if summary.last_role == Role::Primary || promoted() => "PROMOTED",
        Some(_) => "REPLICA",
        None => "NODE",
    }
}

/// The redactions, in order: what contains a number goes before what is one.
static REDACTIONS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    const TABLE: [(&str, &str); 9] = [
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?", "[DATE]"),
        (r"\b(?:sha256:)?(?:[0-9a-f]{64}|[0-9a-f]{40})\b", "[DIGEST]"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?:(?::|,port=| port )\d+)?", "[ADDRESS]"),
        (r"(localhost|\]):\d{2,5}\b", "$1:[PORT]"),
        (
            r"NUMBER ?(?:ns|µs|us|ms|s|sec|seconds?|min|minutes?|h|hours?)\b(?: NUMBER ?(?:s|ms)\b)?",
            "[ELAPSED]",
        ),
        (r"NUMBER ?(?:bytes?|[kMGKT]i?B|B|keys|ops|writes|commands|reads)(?:/s)\b", "[SIZE]"),
        (r"NUMBER ?×", "[RATIO]"),
        (r"NUMBER ?% of requests\b", "[SHARE] of requests"),
        (r"NUMBER ?(?:bytes?|[kMGKT]i?B|B)\b|(?P<offset>\boffset[=: ]+)NUMBER", "$offset[SIZE]"),
    ];
    // A figure, or a range of them before the unit: `1,320`, `0.5`, `0.5–1.5`.
    let number =
        r"\b\d+(?:[,\u{202f}]\d{3})*(?:\.\d+)?(?: ?(?:–|-|to|\.\.=?) ?\d+(?:[,\u{202f}]\d{3})*(?:\.\d+)?)?";
    let compiled = |pattern: &str| Regex::new(&pattern.replace("NUMBER", number)).expect("a constant");
    TABLE.map(|(pattern, placeholder)| (compiled(pattern), placeholder)).into()
});

fn redact(text: &str) -> String {
    REDACTIONS.iter().fold(text.to_owned(), |text, (pattern, placeholder)| {
        pattern.replace_all(&text, *placeholder).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("first write after 1.32 s", "first write after [ELAPSED]")]
    #[case("87 ms, then 12.4 ms, at most 870 µs", "[ELAPSED], then [ELAPSED], at most [ELAPSED]")]
    #[case("within 0.5–1.5 s; took 2 min 5 s", "within [ELAPSED]; took [ELAPSED]")]
    #[case("slave0:ip=172.18.0.3,port=6379,lag=0", "slave0:ip=[ADDRESS],lag=0")]
    #[case("10.0.0.2:6379 refused", "[ADDRESS] refused")]
    #[case("localhost:49153 refused", "localhost:[PORT] refused")]
    #[case("lag 128 bytes at 1,024 B/s and 250 keys/s", "lag [SIZE] at [SIZE] and [SIZE]")]
    #[case("offset=11842, used 7.6 MiB", "offset=[SIZE], used [SIZE]")]
    #[case(
        "2.6 ×; 97.12 % of requests, within 10 % of a share",
        "[RATIO]; [SHARE] of requests, within 10 % of a share"
    )]
    #[case("at 2026-01-02T03:04:05.123Z", "at [DATE]")]
    #[case("2 replicas of 3 nodes in 3 zones, 1 down", "2 replicas of 3 nodes in 3 zones, 1 down")]
    #[case(
        "slot 866 of 16384, epoch 7, 100 writes, 0 lost",
        "slot 866 of 16384, epoch 7, 100 writes, 0 lost"
    )]
    fn redactions(#[case] raw: &str, #[case] expected: &str) {
        assert_eq!(redact(raw), expected);
    }

    proptest! {
        #[test]
        fn no_length_of_time_gets_through(before in "[a-z ]{0,8}", value in 0.0..1e5f64, decimals in 0usize..4, unit in "ms|s|µs|min") {
            let raw = format!("{before} {value:.decimals$} {unit} later");
            prop_assert_eq!(redact(&raw), format!("{before} [ELAPSED] later"));
        }

        #[test]
        fn a_count_always_gets_through(count in 0u64..100_000, noun in "replicas|nodes|writes|keys|zones|slots") {
            let raw = format!("{count} {noun}, lag={count}");
            prop_assert_eq!(redact(&raw), raw.clone());
        }

        #[test]
        fn redacting_twice_changes_nothing(raw in "([0-9]{1,3}[.:, –-]?|[a-z]{1,3}| ms| s| bytes|[.]){0,12}") {
            let once = redact(&raw);
            prop_assert_eq!(redact(&once), once.clone());
        }
    }
}
