//! `report.json`: the report as it is, and the schema that it keeps to.

use crate::report::Report;

/// The report as JSON, indented, with a newline at the end.
pub fn to_json(report: &Report) -> String {
    let mut json = serde_json::to_string_pretty(report).expect("a report has no keys but names");
    json.push('\n');
    json
}

/// The JSON Schema of [`to_json`]'s answer, published as `report.schema.json`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Report).to_value()
}
