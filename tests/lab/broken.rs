//! The grader is graded. `fixtures/broken/` holds set-ups that are wrong on purpose; each says which
//! check it fails, which claims it leaves untested, and which marks that costs. Nothing else may change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use failover_lab::session::root;
use lab_report::{CheckId, Verdict, checklist::Checklist};
use rstest::rstest;
use serde::Deserialize;

use crate::{
    replication::*,
    step::{Step, checklist, describe},
};

/// Every step, by its name in the checklist.
const STEPS: [&Step; 17] = [
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
async fn fails_exactly_its_check(#[files("../fixtures/broken/*.toml")] path: PathBuf) {
    let broken = read(&path);
    let step = STEPS.into_iter().find(|step| step.id == broken.step).expect("the fixture names a step");
    let topology = (step.topology)().with_changes(&broken.topology).unwrap_or_else(|e| panic!("{e}"));
    let name = path.file_stem().expect("a fixture has a name").to_string_lossy().into_owned();
    let record = step.run(broken.case.as_deref(), topology, format!("broken/{name}")).await;

    let world =
        || record.checks.iter().map(describe).chain(record.aborted.clone()).collect::<Vec<_>>().join("\n");
    let with = |verdict| -> BTreeSet<CheckId> {
        record.checks.iter().filter(|check| check.verdict == verdict).map(|check| check.id.clone()).collect()
    };
    assert_eq!(record.aborted, None, "the step has to end by itself\n{}", world());
    assert_eq!(with(Verdict::Fail), BTreeSet::from([broken.fails]), "failed checks\n{}", world());
    assert_eq!(with(Verdict::Unknown), broken.unknown, "unknown checks\n{}", world());
    let not_passed = with(Verdict::Fail).union(&with(Verdict::Unknown)).cloned().collect();
    assert_eq!(lost_marks(&checklist(), &not_passed), broken.lost, "lost marks");
}

/// The marks of every criterion that needs one of `checks`.
fn lost_marks(checklist: &Checklist, checks: &BTreeSet<CheckId>) -> BTreeMap<String, u32> {
    let mut lost = BTreeMap::new();
    for item in &checklist.items {
        let of_item =
            item.criteria.iter().filter(|criterion| criterion.checks.iter().any(|id| checks.contains(id)));
        let marks: u32 = of_item.map(|criterion| criterion.marks).sum();
        if marks > 0 {
            lost.insert(item.id.clone(), marks);
        }
    }
    lost
}

#[test]
fn every_check_has_a_broken_set_up() {
    let proved: BTreeSet<CheckId> = fixtures().iter().map(|path| read(path).fails).collect();
    let checklist = checklist();
    let checks: BTreeSet<CheckId> =
        checklist.steps.iter().flat_map(|step| &step.checks).map(|check| check.id.clone()).collect();
    assert_eq!(
        checks.difference(&proved).collect::<Vec<_>>(),
        Vec::<&CheckId>::new(),
        "checks that nothing fails"
    );
}

#[test]
fn the_checklist_and_the_tests_name_the_same_steps() {
    let checklist = checklist();
    let listed: Vec<&str> = checklist.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(listed, STEPS.map(|step| step.id));
}

#[test]
fn the_marks_are_those_of_the_exercise() {
    let checklist = checklist();
    let marks: Vec<u32> = checklist.items.iter().map(|item| item.marks()).collect();
    assert_eq!(marks, [3, 2, 2, 3, 2, 2, 3, 2]);
    assert_eq!(checklist.marks(), 19);
}

fn fixtures() -> Vec<PathBuf> {
    let dir = fs::read_dir(root().join("fixtures/broken")).expect("there are broken set-ups");
    dir.map(|entry| entry.expect("a readable folder").path()).collect()
}

fn read(path: &Path) -> Broken {
    let text = fs::read_to_string(path).expect("a readable fixture");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
