use lab_report::{evidence::At, normalise, report::StepRecord};
use proptest::prelude::*;

use crate::sample;

#[test]
fn the_failover_of_the_sample() {
    insta::assert_json_snapshot!(normalise::step(&sample::failover()));
}

/// The same record with other names for its nodes, wherever they occur.
fn renamed(record: &StepRecord, names: [&str; 3]) -> StepRecord {
    let json = serde_json::to_string(record).expect("our own JSON");
    let old = regex::Regex::new("lab-00([123])").expect("a constant");
    let new = |found: &regex::Captures<'_>| names[found[1].parse::<usize>().expect("a digit") - 1].to_owned();
    serde_json::from_str(&old.replace_all(&json, new)).expect("our own JSON")
}

#[rstest::rstest]
#[case(["lab-003", "lab-002", "lab-001"])]
#[case(["lab-1", "lab-1-0", "lab-10"])]
#[case(["10.0.0.3", "10.0.0.30", "10.0.0.1"])]
fn it_does_not_matter_which_node_it_was(#[case] names: [&str; 3]) {
    let record = sample::failover();
    let other = renamed(&record, names);
    assert_eq!(normalise::step(&other), normalise::step(&record));
}

#[test]
fn nor_in_which_order_an_enumeration_names_them() {
    let record = sample::failover();
    let mut other = record.clone();
    for event in &mut other.timeline.events {
        event.text = event.text.replace("lab-002, lab-003", "lab-003, lab-002");
    }
    assert_eq!(normalise::step(&other), normalise::step(&record));
}

proptest! {
    #[test]
    fn nor_how_long_it_took(stretch in 0.2..5.0f64, elapsed in 0.01..99.0f64) {
        let record = sample::failover();
        let mut other = record.clone();
        other.duration = At::from(record.duration.millis() * stretch);
        for event in &mut other.timeline.events {
            event.at = At::from(event.at.millis() * stretch);
        }
        other.checks[1].observed = format!("acknowledged after {elapsed:.2} s");
        if let Some(bound) = &mut other.checks[1].bound {
            bound.measured = Some(At::from(elapsed * 1000.0));
        }
        prop_assert_eq!(normalise::step(&other), normalise::step(&record));
    }
}

#[test]
fn but_what_happened_does() {
    let record = sample::failover();
    let mut swapped = record.clone();
    swapped.timeline.events.swap(3, 4);
    let mut never = record.clone();
    never.nodes[1].last_role = lab_report::evidence::Role::Unreachable;
    let mut lost = record.clone();
    lost.checks[0].observed = lost.checks[0].observed.replace("lab-003 follows it", "lab-003 does not");
    for other in [swapped, never, lost] {
        assert_ne!(normalise::step(&other), normalise::step(&record));
    }
}
