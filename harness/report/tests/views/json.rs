use std::path::Path;

use lab_report::{
    render::json::{schema, to_json},
    report::Report,
};

use crate::sample;

#[test]
fn a_report_comes_back_as_it_went_in() {
    let report = sample::report();
    let back: Report = serde_json::from_str(&to_json(&report)).expect("our own JSON");
    assert_eq!(back, report);
}

#[test]
fn the_published_schema_is_the_one_of_this_report() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("report.schema.json");
    let generated = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &generated).expect("the schema is in this repository");
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == generated,
        "report.schema.json is out of date\nhint: UPDATE_SCHEMA=1 cargo test -p lab-report"
    );
}

#[test]
fn a_report_keeps_to_the_schema() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    let json: serde_json::Value = serde_json::from_str(&to_json(&sample::report())).expect("our own JSON");
    let errors: Vec<_> =
        validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// An item that passed has nothing to be done about it, and says so.
#[test]
fn every_item_holds_a_hint_or_null() {
    let json = serde_json::to_value(sample::report()).expect("our own JSON");
    let items = json["checklists"][0]["items"].as_array().expect("the sample has items");
    let held = |item: &serde_json::Value| match (item["verdict"] == "pass", item.get("hint")) {
        (true, hint) => hint == Some(&serde_json::Value::Null),
        (false, hint) => hint.is_some_and(serde_json::Value::is_string),
    };
    assert!(items.iter().all(held), "{items:#?}");
    assert!(items.iter().any(|item| item["verdict"] == "pass"), "the sample has an item that passed");
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    let mut json = serde_json::to_value(sample::report()).expect("our own JSON");
    json["steps"][0]["verdict"] = "maybe".into();
    assert!(!validator.is_valid(&json));
}
