//! The grader is graded. `fixtures/broken/` holds set-ups that are wrong on purpose; each says which
//! check it fails, which claims it leaves untested, and which marks that costs. Nothing else may change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use failover_lab::session::root;
use lab_report::{
    CheckId, Verdict,
    checklist::{Checklist, Step},
    grade::{grade_checklist, unreadable},
    report::StepRecord,
};
use rstest::rstest;
use serde::Deserialize;

use crate::{
    client::*,
    cluster::*,
    replication::*,
    sentinel::*,
    step::{AnyStep, checklist, describe, figures},
};

const CHECKLISTS: [&str; 4] = ["q5", "sentinel", "cluster", "client"];

/// Every step of a checklist, in its order.
pub(crate) fn steps(checklist: &str) -> &'static [&'static dyn AnyStep] {
    match checklist {
        "q5" => REPLICATION,
        "sentinel" => SENTINEL,
        "cluster" => CLUSTER,
        "client" => CLIENT,
        other => panic!("no steps for the checklist `{other}`"),
    }
}

const REPLICATION: &[&dyn AnyStep] = &[
    &replication_group::STEP,
    &subnet_group::STEP,
    &security_group::STEP,
    &data_replication::STEP,
    &replication_status::STEP,
    &reader_endpoint::STEP,
    &write_rejection::STEP,
    &failover::STEP,
    &monitoring::STEP,
    &replica_choice::STEP,
    &stale_address::STEP,
    &demoted_connection::STEP,
    &manual_promotion::STEP,
    &partial_resync::STEP,
    &full_resync::STEP,
    &held_replica::STEP,
    &clean_up::STEP,
];

const SENTINEL: &[&dyn AnyStep] = &[
    &discovery::STEP,
    &as_configured::STEP,
    &health::STEP,
    &sentinel_failover::STEP,
    &restore::STEP,
    &replica_priority::STEP,
    &priority_zero::STEP,
    &larger_offset::STEP,
    &stale_replica::STEP,
    &quorum::STEP,
    &authority::STEP,
    &split_brain::STEP,
    &min_replicas::STEP,
    &manual_failover::STEP,
    &handover::STEP,
    &alerts::STEP,
    &persistence::STEP,
    &persistence_always::STEP,
    &fast_reboot::STEP,
    &fast_reboot_persistent::STEP,
    &late_sentinel::STEP,
    &second_failover::STEP,
    &parallel_syncs::STEP,
    &security::STEP,
    &replica_dies_mid_failover::STEP,
    &read_write_splitting::STEP,
    &connection_pools::STEP,
    &pipelining::STEP,
    &announced_hostnames::STEP,
    &tls::STEP,
];

const CLUSTER: &[&dyn AnyStep] = &[
    &cluster_creation::STEP,
    &sharding::STEP,
    &redirections::STEP,
    &cross_slot::STEP,
    &cluster_replication::STEP,
    &slot_failover::STEP,
    &own_clocks::STEP,
    &cluster_recovery::STEP,
    &returns_during_outage::STEP,
    &scale_out::STEP,
    &scale_in::STEP,
    &half_moved_slot::STEP,
    &cluster_manual_failover::STEP,
    &best_offset::STEP,
    &validity_factor::STEP,
    &replica_migration::STEP,
    &minority::STEP,
    &majority_lost::STEP,
    &double_fault::STEP,
    &full_coverage::STEP,
    &reads_when_down::STEP,
    &serial_failures::STEP,
    &twenty_crashes::STEP,
    &pubsub_failover::STEP,
    &pubsub_slot_move::STEP,
    &insurance_data::STEP,
    &cluster_tls::STEP,
    &cluster_acl::STEP,
    &throughput::STEP,
    &cluster_alerts::STEP,
];

const CLIENT: &[&dyn AnyStep] = &[
    &client_profiles::STEP,
    &wait_one::STEP,
    &bounded_loss::STEP,
    &graceful::STEP,
    &stream_consumers::STEP,
    &messages_lost::STEP,
    &client_chaos::STEP,
];

/// A set-up that is wrong on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    /// The step that it is put to.
    step: String,
    /// The case, of a parametrised step.
    case: Option<String>,
    /// The one check that fails.
    fails: CheckId,
    /// The checks that the step then cannot exercise.
    #[serde(default)]
    unknown: BTreeSet<CheckId>,
    /// The marks that this costs, by item.
    #[serde(default)]
    lost: BTreeMap<String, u32>,
    /// What is wrong, as changes to the step's topology.
    topology: toml::Table,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fails_exactly_its_check(#[files("../fixtures/broken/*/*.toml")] path: PathBuf) {
    let broken = read(&path);
    let (list, name) = (part(&path, 1), part(&path, 0));
    let mut all = steps(list).iter();
    let step = all.find(|step| step.id() == broken.step).expect("the fixture names a step");
    let folder = format!("broken/{list}/{name}");
    let record = step.run_changed(broken.case.as_deref(), &broken.topology, folder).await;

    let world = || {
        record
            .checks
            .iter()
            .map(describe)
            .chain(record.aborted.clone())
            .chain(figures(&record))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let with = |verdict| -> BTreeSet<CheckId> {
        record.checks.iter().filter(|check| check.verdict == verdict).map(|check| check.id.clone()).collect()
    };
    assert_eq!(record.aborted, None, "the step has to end by itself\n{}", world());
    assert_eq!(with(Verdict::Fail), BTreeSet::from([broken.fails]), "failed checks\n{}", world());
    assert_eq!(with(Verdict::Unknown), broken.unknown, "unknown checks\n{}", world());
    assert_eq!(lost_marks(&checklist(list), record), broken.lost, "lost marks");
}

/// A part of a fixture's path, from its end: the name without its extension, or the checklist's folder.
fn part(path: &Path, from_end: usize) -> &str {
    let part = path.ancestors().nth(from_end).and_then(Path::file_stem).and_then(|stem| stem.to_str());
    part.expect("a fixture lies in its checklist's folder")
}

/// The marks that the grader takes away for one step's record, by item, where all the others pass.
fn lost_marks(checklist: &Checklist, record: StepRecord) -> BTreeMap<String, u32> {
    let runs_of = |step: &Step| step.runs().into_iter().map(|case| step.run_name(case)).collect::<Vec<_>>();
    let names = checklist.steps.iter().flat_map(runs_of);
    let others = names.filter(|name| *name != record.name()).map(|name| passed(checklist, &name));
    let steps: Vec<StepRecord> = others.collect::<Vec<_>>().into_iter().chain([record]).collect();
    let graded = grade_checklist(checklist, &steps).items.into_iter();
    graded.map(|item| (item.id, item.marks - item.marks_awarded)).filter(|(_, lost)| *lost > 0).collect()
}

/// The record of a step whose every check passed.
fn passed(checklist: &Checklist, name: &str) -> StepRecord {
    let mut record = unreadable(std::slice::from_ref(checklist), name, "it never ran");
    record.checks.iter_mut().for_each(|check| check.verdict = Verdict::Pass);
    record
}

#[rstest]
fn every_check_has_a_broken_set_up(#[values("q5", "sentinel", "cluster", "client")] list: &str) {
    let proved: BTreeSet<CheckId> = fixtures(list).iter().map(|path| read(path).fails).collect();
    let checklist = checklist(list);
    let checks: BTreeSet<CheckId> =
        checklist.steps.iter().flat_map(|step| &step.checks).map(|check| check.id.clone()).collect();
    assert_eq!(
        checks.difference(&proved).collect::<Vec<_>>(),
        Vec::<&CheckId>::new(),
        "checks that nothing fails"
    );
}

#[rstest]
fn the_checklist_and_the_tests_name_the_same_steps(
    #[values("q5", "sentinel", "cluster", "client")] list: &str,
) {
    let checklist = checklist(list);
    let listed: Vec<&str> = checklist.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(listed, steps(list).iter().map(|step| step.id()).collect::<Vec<_>>());
}

/// A run's records are in one folder, by the steps' names.
#[test]
fn no_two_checklists_have_a_step_of_the_same_name() {
    let all: Vec<&str> = CHECKLISTS.iter().flat_map(|list| steps(list)).map(|step| step.id()).collect();
    assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "{all:?}");
}

#[test]
fn the_marks_are_those_of_the_exercise() {
    let checklist = checklist("q5");
    let marks: Vec<u32> = checklist.items.iter().map(|item| item.marks()).collect();
    assert_eq!(marks, [3, 2, 2, 3, 2, 2, 3, 2]);
    assert_eq!(checklist.marks(), 19);
    let verified = checklist.groups.iter().filter(|group| group.id.starts_with("verify-"));
    assert_eq!(verified.count(), 9, "the exercise has nine things to verify");
}

fn fixtures(list: &str) -> Vec<PathBuf> {
    let dir = fs::read_dir(root().join("fixtures/broken").join(list)).expect("there are broken set-ups");
    dir.map(|entry| entry.expect("a readable folder").path()).collect()
}

fn read(path: &Path) -> Broken {
    let text = fs::read_to_string(path).expect("a readable fixture");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
