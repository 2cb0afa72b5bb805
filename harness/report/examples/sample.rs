//! Writes the sample report of the tests as a page and a JSON file, to look at without running a lab:
//! `cargo run -p lab-report --example sample -- /tmp/sample`

#[path = "../tests/views/sample.rs"]
mod sample;

use std::{fs, path::PathBuf};

use lab_report::render::{html, json, markdown, timeline};

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/sample".to_owned()));
    fs::create_dir_all(&folder)?;
    let report = sample::report();
    fs::write(folder.join("index.html"), html::render(&report))?;
    fs::write(folder.join("report.json"), json::to_json(&report))?;
    fs::write(folder.join("report.md"), markdown::render(&report))?;
    fs::write(folder.join("timeline.svg"), timeline::svg(&sample::failover()).unwrap_or_default())
}
