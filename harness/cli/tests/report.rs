//! `cargo lab report`: a run that died is not one that passed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rstest::{fixture, rstest};

const ID: &str = "20260102T030405Z-000001";

/// A target folder with one run in it, gone when it is dropped.
struct Target(PathBuf);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Target {
    fn run(&self) -> PathBuf {
        self.0.join("lab/runs").join(ID)
    }

    /// A record of the step, whose only check passed.
    fn leave(&self, step: &str, text: &str) {
        let dir = self.run().join("steps").join(step);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("record.json"), text).unwrap();
    }

    /// As a person would call it: with a target folder relative to their own working directory.
    fn report(&self) -> (Output, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.arg("report").env_remove("LAB_TIME_SCALE");
        command.current_dir(self.0.parent().unwrap()).env("CARGO_TARGET_DIR", self.0.file_name().unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.run().join("report.json")).unwrap()).unwrap()
    }
}

/// A run that was asked for two steps.
#[fixture]
fn target() -> Target {
    let unique = std::thread::current().name().unwrap_or_default().replace(':', "-");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
    let target = Target(dir);
    fs::create_dir_all(target.run()).unwrap();
    fs::write(target.run().join("run.json"), RUN).unwrap();
    target
}

const RUN: &str = r#"{
    "run": {
        "id": "20260102T030405Z-000001", "target": "docker", "engine": "redis:7.0",
        "image": { "reference": "redis:7.0", "digest": "sha256:0", "origin": "pulled" },
        "seed": 1, "rerun": "cargo lab grade", "started_at": "2026-01-02T03:04:05Z", "duration_ms": 0,
        "host": { "os": "Linux", "arch": "x86_64", "cpus": 2, "memory_bytes": 1, "container_engine": "Docker" }
    },
    "asked": [{ "checklist": "q5", "steps": ["demoted-connection", "full-resync"] }]
}"#;

const PASSED: &str = r#"{
    "step": "STEP", "title": "A step", "verdict": "pass", "started_at": "2026-01-02T03:04:07Z",
    "duration_ms": 4000, "nodes": [], "image": null, "checks": [], "measurements": [],
    "timeline": { "nodes": [], "events": [], "roles": [], "endpoints": [], "faults": [], "writes": [], "samples": [] }
}"#;

fn passed(step: &str) -> String {
    PASSED.replace("STEP", step)
}

#[rstest]
fn a_step_that_was_asked_for_and_never_ran_is_unknown(target: Target) {
    target.leave("full-resync", &passed("full-resync"));
    let (output, said) = target.report();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(target.json()["steps"][0]["step"], "demoted-connection");
    assert_eq!(target.json()["steps"][0]["verdict"], "unknown");
    assert_eq!(target.json()["run"]["duration_ms"], 6000.0, "until the last step ended");
}

#[rstest]
fn a_record_that_is_cut_off_is_unknown_and_says_so(target: Target) {
    target.leave("full-resync", &passed("full-resync"));
    target.leave("demoted-connection", &passed("demoted-connection")[..60]);
    let (output, said) = target.report();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let why = target.json()["steps"][0]["aborted"].to_string();
    assert!(why.contains("cannot be read") && why.contains("EOF"), "{why}");
}

/// Also that the run is found: the target folder is a relative one.
#[rstest]
fn a_run_that_did_all_it_was_asked_for_passes_and_is_the_latest(target: Target) {
    for step in ["full-resync", "demoted-connection"] {
        target.leave(step, &passed(step));
    }
    let (output, said) = target.report();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(target.0.join("lab/latest/index.html").is_file());
}

#[rstest]
fn a_run_without_a_report_is_not_the_latest(target: Target) {
    fs::write(target.run().join("run.json"), "{}").unwrap();
    let (output, said) = target.report();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(fs::symlink_metadata(target.0.join("lab/latest")).is_err());
}
