//! A report made by hand, as a run would leave it.

use std::time::Duration;

use lab_report::{
    Verdict,
    checklist::{Checklist, Step},
    evidence::{
        At, EndpointChange, EndpointName, Event, FaultWindow, Marks, Outcome, Role, RoleChange, Sample,
        Source, Timeline, Write,
    },
    grade::grade,
    report::{Bound, CheckRecord, Host, Image, Measurement, NodeSummary, Report, Run, StepRecord},
};

const CHECKLIST: &str = include_str!("sample.toml");

/// Four steps, graded; one check fails, one is unknown, one was skipped.
pub(crate) fn report() -> Report {
    let checklist = Checklist::parse("sample", CHECKLIST).expect("the sample is whole");
    let asked: Vec<&Step> = checklist.steps.iter().collect();
    let steps = vec![replication(), crash(), hold(), zones()];
    let steps = steps.into_iter().map(|step| titled(step, &checklist)).collect();
    grade(run(), std::slice::from_ref(&checklist), &asked, steps)
}

/// The failover by a crash, as [`report`] has it.
pub(crate) fn failover() -> StepRecord {
    report().steps.into_iter().find(|step| step.case.as_deref() == Some("crash")).expect("the sample has it")
}

fn titled(mut record: StepRecord, checklist: &Checklist) -> StepRecord {
    let step = checklist.step(&record.step).expect("a step of the checklist");
    record.title = step.title.clone();
    for check in &mut record.checks {
        let known = step.checks.iter().find(|known| known.id == check.id).expect("a check of the step");
        (check.claim, check.hint) = (known.claim.clone(), known.hint.clone());
    }
    record.verdict = Verdict::worst(record.checks.iter().map(|check| check.verdict));
    record
}

fn run() -> Run {
    Run {
        id: "20260102T030405Z-k3v9".into(),
        target: "docker".into(),
        engine: "redis:7.0".into(),
        image: image(),
        seed: 42,
        rerun: "cargo lab run q5 --engine redis:7.0 --seed 42".into(),
        started_at: "2026-01-02T03:04:05Z".into(),
        duration: At::from(42_318.0),
        host: Host {
            os: "Debian GNU/Linux 12, Linux 6.1.0".into(),
            arch: "x86_64".into(),
            cpus: 2,
            memory_bytes: 8_160_437_862,
            container_engine: "Docker 27.3.1".into(),
        },
    }
}

fn image() -> Image {
    Image {
        reference: "redis:7.0.15-bookworm".into(),
        digest: "sha256:3f1c5e7a9b2d4860c1e3a5f7092b4d6e8fa0c2e41638597b0d2f4a6c8e0b1d37".into(),
        origin: "pulled".into(),
    }
}

fn blank(step: &str, case: Option<&str>, duration: f64) -> StepRecord {
    let node =
        |id: &str, zone: &str, role| NodeSummary { id: id.into(), zone: zone.into(), role, last_role: role };
    StepRecord {
        step: step.into(),
        case: case.map(str::to_owned),
        title: String::new(),
        verdict: Verdict::Unknown,
        started_at: "2026-01-02T03:04:07Z".into(),
        duration: At::from(duration),
        nodes: vec![
            node("lab-001", "zone-a", Role::Primary),
            node("lab-002", "zone-b", Role::Replica),
            node("lab-003", "zone-c", Role::Replica),
        ],
        image: Some(image()),
        checks: Vec::new(),
        measurements: Vec::new(),
        aborted: None,
        timeline: Timeline::default(),
    }
}

fn check(id: &str, verdict: Verdict, expected: &str, observed: &str) -> CheckRecord {
    CheckRecord {
        id: id.into(),
        claim: String::new(),
        verdict,
        expected: expected.into(),
        observed: observed.into(),
        evidence: Vec::new(),
        bound: None,
        hint: String::new(),
    }
}

fn replication() -> StepRecord {
    let mut in_sync = check(
        "replication.in-sync",
        Verdict::Pass,
        "2 replicas online, 100 of 100 keys on each",
        "2 replicas online, 100 of 100 keys on lab-002, lab-003",
    );
    in_sync.evidence = vec![
        "lab-001 INFO replication:\nrole:master\nconnected_slaves:2".into(),
        "slave0:ip=172.18.0.3,port=6379,state=online,offset=11842,lag=0".into(),
        "slave1:ip=172.18.0.4,port=6379,state=online,offset=11842,lag=0".into(),
    ];
    let refused = check(
        "write.readonly-error",
        Verdict::Pass,
        "READONLY",
        "READONLY You can't write against a read only replica.",
    );
    StepRecord { checks: vec![in_sync, refused], ..blank("replication", None, 5210.0) }
}

fn crash() -> StepRecord {
    let promoted = check(
        "failover.promoted",
        Verdict::Pass,
        "one of 2 replicas becomes primary",
        "lab-002 became primary after 1.09 s; lab-003 follows it",
    );
    let mut in_time = check(
        "failover.in-time",
        Verdict::Pass,
        "the first acknowledged write between 0.9 s and 2.5 s after the fault",
        "acknowledged after 1.3 s",
    );
    in_time.bound = Some(bound(900.0, 2500.0, Some(1300.0)));
    let mut split = check(
        "failover.no-split-brain",
        Verdict::Unknown,
        "0 writes acknowledged by lab-001 after 2.09 s",
        "lab-001 was down from then on, so it could acknowledge nothing",
    );
    split.evidence = vec!["lab-001 (172.18.0.2:6379): connection refused".into()];
    StepRecord {
        checks: vec![promoted, in_time, split],
        measurements: vec![
            figure("writes lost", 3.0, "writes", "acknowledged before the fault, absent afterwards"),
            figure("p99 latency, before", 2.41, "ms", "from the intended send time"),
            figure("replication throughput", 184_320.0, "B/s", "of the primary, from its own offset"),
        ],
        timeline: timeline(),
        ..blank("failover", Some("crash"), 12_640.0)
    }
}

fn hold() -> StepRecord {
    let promoted = check(
        "failover.promoted",
        Verdict::Pass,
        "one of 2 replicas becomes primary",
        "lab-003 became primary",
    );
    let mut in_time = check(
        "failover.in-time",
        Verdict::Fail,
        "the first acknowledged write between 0.9 s and 2.5 s after the fault",
        "acknowledged after 6.02 s; until then the client held on to lab-001 <script>alert('held')</script> & waited",
    );
    in_time.bound = Some(bound(900.0, 2500.0, Some(6020.0)));
    in_time.evidence = vec![
        "12 writes timed out after 500 ms each on a socket to 172.18.0.2:6379".into(),
        "<script>alert('evidence')</script> | `tick` | *star*".into(),
    ];
    let split = check(
        "failover.no-split-brain",
        Verdict::Pass,
        "0 writes acknowledged by lab-001 after the promotion",
        "0 of 12 writes acknowledged",
    );
    StepRecord { checks: vec![promoted, in_time, split], ..blank("failover", Some("hold"), 21_900.0) }
}

fn zones() -> StepRecord {
    let spread = check(
        "zones.spread",
        Verdict::Skipped,
        "3 nodes in 3 zones",
        "skipped: `docker` has no availability zones of its own",
    );
    StepRecord { checks: vec![spread], ..blank("zones", None, 310.0) }
}

fn figure(name: &str, value: f64, unit: &str, note: &str) -> Measurement {
    Measurement { name: name.into(), value, unit: unit.into(), note: note.into() }
}

fn bound(floor: f64, ceiling: f64, measured: Option<f64>) -> Bound {
    Bound {
        formula: "detection (1 s ± 0.1 s) + promotion (≤ 0.3 s) + DNS TTL (1 s) + poll (0.1 s)".into(),
        floor: At::from(floor),
        ceiling: At::from(ceiling),
        measured: measured.map(At::from),
        resolution: At::from(60.0),
    }
}

/// Crash at 1.0 s; detected 2.05, promoted 2.09, repointed 2.10, first write 2.3, redundant again 3.4.
fn timeline() -> Timeline {
    let at = |seconds: f64| At::from(seconds * 1000.0);
    let event = |seconds, source, text: &str| Event { at: at(seconds), source, text: text.into() };
    let role = |seconds, node: &str, role| RoleChange { at: at(seconds), node: node.into(), role };
    let name = |seconds, endpoint, targets: &[&str]| EndpointChange {
        at: at(seconds),
        endpoint,
        targets: targets.iter().map(|id| (*id).into()).collect(),
    };
    Timeline {
        nodes: ["lab-001", "lab-002", "lab-003"].map(Into::into).into(),
        events: vec![
            event(0.02, Source::Lab, "the writer starts, 100 writes/s"),
            event(1.0, Source::Fault, "crash lab-001"),
            event(1.003, Source::Client, "connection reset"),
            event(2.05, Source::Manager, "lab-001 failed 10 pings in a row over 1.04 s: failover starts"),
            event(
                2.09,
                Source::Manager,
                "promoted lab-002, offset 11842, the least behind of lab-002, lab-003",
            ),
            event(2.1, Source::Manager, "primary endpoint now names lab-002"),
            event(2.12, Source::Manager, "lab-003 follows lab-002"),
            event(3.1, Source::Manager, "replaced lab-001"),
            event(3.4, Source::Manager, "lab-001 in sync: redundancy restored"),
        ],
        roles: vec![
            role(0.0, "lab-001", Role::Primary),
            role(0.0, "lab-002", Role::Replica),
            role(0.0, "lab-003", Role::Replica),
            role(1.05, "lab-001", Role::Unreachable),
            role(2.11, "lab-002", Role::Primary),
            role(3.15, "lab-001", Role::Replica),
        ],
        endpoints: vec![
            name(0.0, EndpointName::Primary, &["lab-001"]),
            name(0.0, EndpointName::Reader, &["lab-002", "lab-003"]),
            name(2.1, EndpointName::Primary, &["lab-002"]),
            name(2.1, EndpointName::Reader, &["lab-003"]),
            name(3.4, EndpointName::Reader, &["lab-003", "lab-001"]),
        ],
        faults: vec![FaultWindow {
            kind: "crash".into(),
            node: "lab-001".into(),
            from: at(1.0),
            in_effect: at(1.02),
            until: Some(at(3.15)),
        }],
        writes: (0..1000).map(write).collect(),
        samples: samples(),
        announcements: Vec::new(),
        advertised: Vec::new(),
        marks: Marks { requested: None, detected: Some(at(2.05)) },
    }
}

/// The `n`th write, ten milliseconds after the one before it.
fn write(n: u64) -> Write {
    let intended = Duration::from_millis(20 + 10 * n);
    // Without a source of chance: a spread between 0.6 and 2.2 ms, and every 97th write slower.
    let usual = Duration::from_micros(600 + (n * 7919) % 1600 + if n.is_multiple_of(97) { 9000 } else { 0 });
    let (outcome, latency, error) = match intended.as_millis() {
        990..=1000 => (Outcome::Indeterminate, Duration::from_millis(500), Some("no answer")),
        1001..2100 => (Outcome::Failed, Duration::from_micros(400), Some("not sent")),
        2100..2180 => (Outcome::Failed, Duration::from_micros(700), Some("READONLY")),
        2180..2300 => (Outcome::Acknowledged, Duration::from_millis(2300) - intended + usual, None),
        _ => (Outcome::Acknowledged, usual, None),
    };
    Write {
        sequence: n,
        intended: At(intended),
        done: At(intended + latency),
        outcome,
        error: error.map(str::to_owned),
    }
}

/// Every 100 ms: the primary answers the writer, the replicas follow, a new process counts from nothing.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (place, node) in ["lab-001", "lab-002", "lab-003"].into_iter().enumerate() {
        let mut commands = 1000;
        for tick in 0..100 {
            let seconds = f64::from(tick) * 0.1;
            let down = (1.0..2.3).contains(&seconds);
            match (place, seconds) {
                (0, 1.0..3.1) => {
                    commands = 40;
                    continue;
                }
                (0, 3.1..) => commands += 11,
                (1, 2.3..) => commands += 24 + u64::from(tick % 3 == 0),
                (0, _) => commands += 23 + u64::from(tick % 4 == 0),
                _ => commands += if down { 1 } else { 11 },
            }
            samples.push(Sample {
                at: At::from(seconds * 1000.0 + 3.0),
                node: node.into(),
                role: if (place == 0 && seconds < 2.0) || (place == 1 && seconds > 2.0) {
                    Role::Primary
                } else {
                    Role::Replica
                },
                connections: 4,
                commands,
                cpu_seconds: 0.1 + seconds / 7.0,
                memory_bytes: 1_572_864 + u64::from(tick as u32) * 512,
                offset: 0,
                replicas_online: None,
                replicas_syncing: None,
                lag_bytes: (place > 0).then_some(u64::from(tick as u32 % 3) * 64),
            });
        }
    }
    samples.sort_by_key(|sample| sample.at);
    samples
}
