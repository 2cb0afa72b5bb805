//! Bad input gets one clear error that names what was wrong, and what to do; nothing is started.

use std::process::{Command, Output};

use rstest::rstest;

fn lab(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    // No container engine: whatever looks for one before the input is understood fails differently.
    command.args(words).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command.env_remove("LAB_ENGINE").env_remove("LAB_SEED").env_remove("LAB_RUN");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[rstest]
#[case::checklist(&["grade", "q6"], "there is no checklist `q6`")]
#[case::step(&["grade", "q5", "--step", "failovr"], "has no step `failovr`")]
#[case::engine(&["grade", "--engine", "redis:6.9"], "redis:6.9")]
#[case::engine_of_up(&["up", "replication", "--engine", "redes"], "redes")]
#[case::run(&["report", "yesterday"], "there is no run in")]
fn what_does_not_exist_is_named(#[case] words: &[&str], #[case] named: &str) {
    let output = lab(words).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.starts_with("error: ") && said.contains(named), "{said}");
    assert!(said.contains("\nhint: "), "{said}");
}

#[rstest]
#[case::command(&["grad"])]
#[case::topology(&["up", "cluster"])]
#[case::replicas(&["up", "replication", "--replicas", "9"])]
#[case::seed(&["grade", "--seed", "seven"])]
#[case::nothing(&[])]
fn what_cannot_be_understood_is_bad_usage(#[case] words: &[&str]) {
    let output = lab(words).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}

#[rstest]
#[case::grade(&["grade"])]
#[case::up(&["up", "replication"])]
#[case::down(&["down"])]
#[case::reap(&["reap"])]
fn without_a_container_engine_there_is_one_error_and_a_hint(#[case] words: &[&str]) {
    let output = lab(words).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(69), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
    let hints = said.lines().filter(|line| line.starts_with("hint: ")).count();
    assert_eq!((errors, hints), (1, 1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn the_doctor_says_what_is_missing_and_goes_on() {
    let output = lab(&["doctor"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("✗ fail") && said.contains("hint: "), "{said}");
}

#[test]
fn the_list_needs_nothing() {
    let output = lab(&["list"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(said.contains("q5") && said.contains("failover") && said.contains("valkey:8.1"), "{said}");
}
