//! `cargo lab matrix` says what is wrong with an experiment before it starts anything.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use rstest::rstest;

/// A target folder of its own, gone with the test.
struct Target(PathBuf);

impl Target {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("failover-lab-matrix-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.join("trial.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn matrix(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        // No container engine: whatever looks for one before the input is understood fails differently.
        command.arg("matrix").args(words).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        for name in ["LAB_ENGINE", "LAB_SEED", "LAB_RUN", "LAB_KEEP", "LAB_TIME_SCALE", "LAB_ATTACH"] {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", &self.0).output().unwrap()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SOUND: &str = r#"title = "Trial"
question = "Does it?"
compares = "profiles"
[[block]]
topologies = ["replication"]
faults = ["crash"]
clients = ["redis"]
profiles = ["naive", "hardened"]
"#;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[rstest]
#[case::fault("crash", "crush", "trial.toml:6: `faults`: there is no fault `crush`")]
#[case::setting("question", "questions", "trial.toml:2: unknown field `questions`")]
#[case::profile("naive", "brave", "trial.toml:8: `profiles`: there is no profile `brave`")]
fn a_malformed_experiment_is_one_clear_error(#[case] sound: &str, #[case] broken: &str, #[case] named: &str) {
    let target = Target::new(sound);
    let file = target.file(&SOUND.replacen(sound, broken, 1));
    let output = target.matrix(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).starts_with("error: ") && said(&output).contains(named), "{}", said(&output));
    assert!(said(&output).contains("\nhint: "), "{}", said(&output));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = Target::new("none").matrix(&["no.toml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).starts_with("error: no.toml: "), "{}", said(&output));
}

#[test]
fn of_what_was_not_measured_there_is_no_page_and_no_folder() {
    let target = Target::new("page");
    let file = target.file(SOUND);
    let output = target.matrix(&[file.to_str().unwrap(), "--page-only"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("nothing was measured of `trial`"), "{}", said(&output));
    // Nor where there is nothing to measure with.
    let output = target.matrix(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(!target.0.join("lab/experiments").exists());
}
