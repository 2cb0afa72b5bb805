//! `cargo lab check`: what a history shows, as a table, as JSON, and as an exit code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rstest::rstest;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/histories")
}

fn broken(name: &str) -> PathBuf {
    fixtures().join("broken").join(name).with_extension("jsonl")
}

fn check(file: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.arg("check").arg(file).args(words).env_remove("LAB_TIME_SCALE").env("NO_COLOR", "1");
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of the test's own.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[rstest]
#[case::nothing_is_wrong(fixtures().join("clean.jsonl"), &[], 0)]
#[case::something_is_lost(broken("registers-lost"), &[], 1)]
#[case::something_else_is_asked(broken("registers-lost"), &["--judge", "availability"], 0)]
#[case::nothing_of_that_sort_was_done(broken("registers-lost"), &["--judge", "streams"], 2)]
#[case::it_was_to_be_expected(broken("registers-stale"), &["--allow", "registers.stale"], 0)]
#[case::only_that_was(broken("registers-lost"), &["--allow", "registers.stale"], 1)]
#[case::nobody_waited(broken("channels-missed"), &["--allow", "channels.missed"], 0)]
fn the_exit_code_is_the_verdict(#[case] file: PathBuf, #[case] words: &[&str], #[case] code: i32) {
    let output = check(&file, words);
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn the_table_lines_up() {
    let output = check(&broken("registers-lost"), &[]);
    let said = stdout(&output);
    let rows: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("  writes that were") || line.contains("  acknowledged writes"))
        .collect();
    assert!(rows.len() >= 2, "{said}");
    let column = |line: &str| line.chars().take_while(|c| !c.is_ascii_alphabetic()).count();
    assert!(rows.windows(2).all(|two| column(two[0]) == column(two[1])), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
    assert!(said.contains("✗ registers") && said.contains("lost"), "{said}");
    assert!(said.contains("app/0 write register:0: 0.2 (300 µs, redis-1)"), "which one was lost: {said}");
}

#[test]
fn the_json_says_what_the_table_says() {
    let output = check(&broken("registers-lost"), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json["verdict"], "fail");
    assert_eq!(json["ending"], "whole");
    let registers =
        json["judges"].as_array().unwrap().iter().find(|judge| judge["judge"] == "registers").unwrap();
    assert_eq!(registers["figures"]["lost"], 2);
    assert_eq!(registers["figures"]["rollbacks"][0]["operations"], 2);
    let lost =
        registers["witnesses"].as_array().unwrap().iter().filter(|witness| witness["anomaly"] == "lost");
    let values: Vec<_> = lost.map(|witness| witness["operation"]["value"].clone()).collect();
    assert_eq!(values, [serde_json::json!([0, 2]), serde_json::json!([0, 3])]);
}

#[test]
fn an_export_is_what_was_read() {
    let clean = fixtures().join("clean.jsonl");
    let once = check(&clean, &["--export"]);
    let twice = check(&file("exported.jsonl", &once.stdout), &["--export"]);
    assert_eq!((once.status.code(), stdout(&once)), (Some(0), stdout(&twice)));
    assert_eq!(stdout(&once).lines().filter(|line| line.starts_with(r#"{"op""#)).count(), 25);
}

/// A run that was killed: what is there is counted, and shows nothing.
#[test]
fn a_history_that_was_cut_off_is_unknown() {
    let text = fs::read_to_string(broken("registers-lost")).unwrap();
    let cut = file("cut.jsonl", &text.as_bytes()[..text.len() - 20]);
    let output = check(&cut, &[]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cut off after") && said.contains("unknown, the history was cut off"), "{said}");
}

#[rstest]
#[case::missing("missing", None, "No such file")]
#[case::empty("empty", Some(""), "it is no history")]
#[case::something_else("text", Some("hello\n"), "it is no history")]
#[case::other_json("other.json", Some("{\"name\":\"x\"}\n"), "no header of a history")]
#[case::only_its_beginning("beginning", Some("LABHIST\n"), "ends before its header")]
#[case::damaged("damaged", Some("LABHIST\n\x01\0\0\0\0\0\0\0"), "damaged at byte 0")]
#[case::a_line("line.jsonl", Some("{\"schema\":1,\"run\":\"x\",\"seed\":1}\n{\"op\":\"wirte\"}\n"), "line 2")]
fn a_file_that_is_none_is_named(#[case] name: &str, #[case] text: Option<&str>, #[case] named: &str) {
    let path = text.map_or_else(|| PathBuf::from(name), |text| file(name, text.as_bytes()));
    let output = check(&path, &[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.starts_with("error: ") && said.contains(name) && said.contains(named), "{said}");
    assert!(said.contains("\nhint: "), "{said}");
}

#[rstest]
#[case::judge(&["--judge", "register"], "there is no judge `register`")]
#[case::anomaly(&["--allow", "stale"], "there is no anomaly `stale`")]
#[case::no_time(&["--cap", "soon"], "invalid value 'soon'")]
#[case::two_at_once(&["--json", "--export"], "cannot be used with")]
fn what_does_not_exist_is_named(#[case] words: &[&str], #[case] named: &str) {
    let output = check(&fixtures().join("clean.jsonl"), words);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains(named), "{}", stderr(&output));
}
