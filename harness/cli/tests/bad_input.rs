//! Bad input gets one clear error that names what was wrong, and what to do; nothing is started.

use std::process::{Command, Output};

use rstest::rstest;

fn lab(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    // No container engine: whatever looks for one before the input is understood fails differently.
    command.args(words).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let ours = ["ENGINE", "SEED", "RUN", "KEEP", "TIME_SCALE", "ATTACH", "ADDRESSING"];
    for name in ours.map(|name| format!("LAB_{name}")) {
        command.env_remove(name);
    }
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
#[case::attached_to_nothing(&["grade", "sentinel", "--attach", "shop"], "cannot attach to `shop`")]
#[case::no_project(&["grade", "sentinel", "--attach", "compose:"], "it names no project")]
#[case::no_url(&["grade", "sentinel", "--attach", "redis://host:port"], "it is no redis URL")]
#[case::tls(&["grade", "sentinel", "--attach", "rediss://host"], "TLS is not supported")]
#[case::attached_group(&["grade", "q5", "--attach", "compose:shop"], "`q5` need a deployment of the lab's own")]
#[case::attached_cluster(&["grade", "cluster", "--attach", "compose:shop"], "`cluster` need a deployment of the lab's own")]
#[case::chaos_on(&["chaos", "--topology", "ring"], "there is no topology `ring`")]
#[case::chaos_too_short(&["chaos", "--duration", "5s"], "5s is too short for faults to come and go")]
#[case::engine_of_bench(&["bench", "throughput", "--engine", "redes"], "redes")]
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
#[case::engine_of_somebody_else(&["grade", "sentinel", "--attach", "compose:x", "--engine", "redis:7.0"])]
#[case::faults_of_ones_own(&["grade", "sentinel", "--allow-faults"])]
#[case::bench_of_nothing(&["bench"])]
#[case::no_rounds(&["bench", "recording", "--rounds", "0"])]
#[case::nothing(&[])]
fn what_cannot_be_understood_is_bad_usage(#[case] words: &[&str]) {
    let output = lab(words).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}

#[rstest]
#[case::engine("LAB_ENGINE", "redes", "unknown engine `redes` in LAB_ENGINE")]
#[case::seed("LAB_SEED", "seven", "`LAB_SEED=seven` is not a whole number")]
#[case::scale("LAB_TIME_SCALE", "abc", "`LAB_TIME_SCALE=abc` is not a number from 1 to 100")]
#[case::scale_below_one("LAB_TIME_SCALE", "0.5", "`LAB_TIME_SCALE=0.5` is not a number from 1 to 100")]
#[case::scale_of_nothing("LAB_TIME_SCALE", "NaN", "`LAB_TIME_SCALE=NaN` is not")]
#[case::addressing("LAB_ADDRESSING", "tunnel", "`LAB_ADDRESSING=tunnel` is not direct or mapped")]
fn a_variable_that_means_nothing_is_named(
    #[values("grade", "prepare")] word: &str,
    #[case] name: &str,
    #[case] value: &str,
    #[case] named: &str,
) {
    let output = lab(&[word]).env(name, value).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.starts_with("error: ") && said.contains(named) && said.contains("\nhint: "), "{said}");
}

/// What is missing is the container engine: no variable was taken amiss.
#[rstest]
fn an_empty_variable_is_unset(#[values("grade", "prepare")] word: &str) {
    let mut command = lab(&[word]);
    for name in ["LAB_ENGINE", "LAB_SEED", "LAB_RUN", "LAB_TIME_SCALE"] {
        command.env(name, "");
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
}

/// Before the container engine is looked for: an image takes minutes.
#[test]
fn a_missing_test_runner_is_noticed_first() {
    let output = lab(&["grade"]).env("CARGO", "false").output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.starts_with("error: cargo-nextest is missing"), "{said}");
}

#[rstest]
#[case::grade(&["grade"])]
#[case::attach(&["grade", "sentinel", "--attach", "compose:shop"])]
#[case::up(&["up", "replication"])]
#[case::down(&["down"])]
#[case::reap(&["reap"])]
#[case::chaos(&["chaos"])]
#[case::bench(&["bench", "recording"])]
fn without_a_container_engine_there_is_one_error_and_a_hint(#[case] words: &[&str]) {
    let output = lab(words).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(69), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
    let hints = said.lines().filter(|line| line.starts_with("hint: ")).count();
    assert_eq!((errors, hints), (1, 1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Nobody listens at port 1.
#[test]
fn an_endpoint_that_cannot_be_reached_is_named_without_its_password() {
    let words = ["grade", "sentinel", "--attach", "redis://me:secret@127.0.0.1:1"];
    let output = lab(&words).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("error: 127.0.0.1:1 cannot be reached") && said.contains("\nhint: "), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

/// A password in the wrong place is not shown either.
#[rstest]
#[case::scheme("http://me:secret@host")]
#[case::no_scheme("me:secret@host")]
#[case::port("redis://me:secret@host:port")]
fn a_password_is_never_shown(#[case] spec: &str) {
    let output = lab(&["grade", "sentinel", "--attach", spec]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
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
