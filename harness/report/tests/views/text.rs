use lab_report::render::{
    markdown,
    terminal::{WIDTH, checklist},
};

use crate::sample;

#[test]
fn markdown_of_the_sample() {
    insta::assert_snapshot!(markdown::render(&sample::report()));
}

#[test]
fn terminal_of_the_sample() {
    insta::assert_snapshot!(checklist(&sample::report(), false));
}

#[test]
fn no_terminal_line_is_too_wide_or_ends_in_space() {
    let mut report = sample::report();
    report.checklists[0].items[2].title = "a title that goes on for very much longer than a line ".repeat(4);
    report.checklists[0].items[2].observed = "x".repeat(300);
    for line in checklist(&report, false).lines() {
        assert!(line.chars().count() <= WIDTH, "{line:?}");
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let report = sample::report();
    let coloured = checklist(&report, true);
    let escape = regex::Regex::new("\x1b\\[[0-9;]*m").expect("a constant");
    let bare: String =
        escape.replace_all(&coloured, "").lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_ne!(coloured, bare);
    assert_eq!(bare, checklist(&report, false));
}

#[test]
fn a_server_cannot_steer_the_terminal() {
    let mut report = sample::report();
    report.checklists[0].items[2].observed = "\x1b[2J\rgone\u{7}".into();
    let shown = checklist(&report, false);
    assert!(shown.contains("[2J gone"));
    assert!(!shown.contains(['\x1b', '\r', '\u{7}']));
}

#[test]
fn a_server_cannot_break_out_of_markdown() {
    let mut report = sample::report();
    report.steps[0].checks[0].observed = "a | b\n\n# c <img src=x> [d](e) `f` *g* snake_case".into();
    report.steps[0].checks[0].evidence = vec!["```\n# out".into()];
    let shown = markdown::render(&report);
    assert!(shown.contains(r"observed: a \| b # c &lt;img src=x&gt; \[d\](e) \`f\` \*g\* snake_case"));
    assert!(
        shown.contains("  ````\n  ```\n  # out\n  ````"),
        "the fence has to be longer than what it holds"
    );
}
