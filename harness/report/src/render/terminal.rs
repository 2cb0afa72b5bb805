//! The checklist on a terminal, at most [`WIDTH`] columns wide.

use crate::{
    render::{
        tally::{Tally, marks},
        units,
    },
    report::{GradedChecklist, GradedGroup, GradedItem, Report},
    verdict::Verdict,
};

/// No line is wider than this.
pub const WIDTH: usize = 100;

const LABEL: usize = "expected  ".len();

/// Every item with its mark; what was expected and observed where it did not pass; one line to sum up.
pub fn checklist(report: &Report, colour: bool) -> String {
    let mut view = View { text: String::new(), colour };
    for list in &report.checklists {
        view.list(list);
    }
    let (won, of) = marks(report);
    let wall = units::wall(report.run.duration.0);
    view.line(&format!("{} · {} · {wall}", view.bold(&format!("{won}/{of} marks")), Tally::of(report)));
    view.text
}

struct View {
    text: String,
    colour: bool,
}

impl View {
    fn list(&mut self, list: &GradedChecklist) {
        self.line(&self.bold(&plain(&list.title)));
        self.line("");
        for item in &list.items {
            let marks = format!("{}/{}", item.marks_awarded, item.marks);
            self.headed(2, item.verdict, &item.title, &marks);
            self.trouble(6, item);
        }
        if !list.groups.is_empty() {
            self.line("");
        }
        for group in &list.groups {
            self.group(group);
        }
        self.line("");
    }

    /// One line, and the items that did not pass.
    fn group(&mut self, group: &GradedGroup) {
        let passed = group.items.iter().filter(|item| item.verdict == Verdict::Pass).count();
        self.headed(2, group.verdict, &group.title, &format!("{passed} of {}", group.items.len()));
        for item in group.items.iter().filter(|item| item.verdict != Verdict::Pass) {
            self.headed(6, item.verdict, &item.title, "");
            self.trouble(10, item);
        }
    }

    /// The verdict's mark, a title that may take several lines, and a word at the right edge.
    fn headed(&mut self, indent: usize, verdict: Verdict, title: &str, right: &str) {
        let room = WIDTH - indent - 2 - right.len().max(8) - 2;
        let title = plain(title);
        let mut lines = units::wrap(&title, room).into_iter();
        let first = lines.next().unwrap_or_default();
        let gap = WIDTH - indent - 2 - textwrap::core::display_width(&first) - right.len();
        let mark = self.paint(verdict, &verdict.mark().to_string());
        self.line(&format!("{:indent$}{mark} {first}{:gap$}{right}", "", ""));
        for line in lines {
            self.line(&format!("{:1$}{line}", "", indent + 2));
        }
    }

    fn trouble(&mut self, indent: usize, item: &GradedItem) {
        if item.verdict == Verdict::Pass {
            return;
        }
        self.labelled(indent, "expected", &item.expected);
        self.labelled(indent, "observed", &item.observed);
        if let Some(hint) = &item.hint {
            self.labelled(indent, "hint", hint);
        }
    }

    fn labelled(&mut self, indent: usize, label: &str, text: &str) {
        let text = plain(text);
        for (at, line) in units::wrap(&text, WIDTH - indent - LABEL).iter().enumerate() {
            let label = self.dim(&format!("{:LABEL$}", if at == 0 { label } else { "" }));
            self.line(&format!("{:indent$}{label}{line}", ""));
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn paint(&self, verdict: Verdict, text: &str) -> String {
        self.sgr(
            match verdict {
                Verdict::Pass => "32",
                Verdict::Fail => "1;31",
                Verdict::Unknown => "33",
                Verdict::Skipped => "2",
            },
            text,
        )
    }

    fn bold(&self, text: &str) -> String {
        self.sgr("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.sgr("2", text)
    }

    fn sgr(&self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// On one line, and without anything that a terminal would obey.
fn plain(text: &str) -> String {
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}
