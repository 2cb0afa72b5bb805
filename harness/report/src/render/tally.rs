//! What every view counts.

use std::fmt;

use crate::{
    report::{CheckRecord, GradedItem, Report, StepRecord},
    verdict::Verdict,
};

/// The verdicts in the order that they are counted out.
pub(crate) const VERDICTS: [Verdict; 4] = [Verdict::Pass, Verdict::Fail, Verdict::Unknown, Verdict::Skipped];

/// How many checks there are of each verdict: `51 checks: 51 pass, 0 fail, 0 unknown, 0 skipped`.
pub(crate) struct Tally([usize; 4]);

impl Tally {
    pub(crate) fn of(report: &Report) -> Self {
        let checks = || report.steps.iter().flat_map(|step| &step.checks);
        Self(VERDICTS.map(|verdict| checks().filter(|check| check.verdict == verdict).count()))
    }

    pub(crate) fn total(&self) -> usize {
        self.0.iter().sum()
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (Verdict, usize)> {
        VERDICTS.into_iter().zip(self.0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.each().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        write!(f, "{}: {}", plural(self.total(), "check"), counts.join(", "))
    }
}

/// Marks won and marks that could be won, of all checklists.
pub(crate) fn marks(report: &Report) -> (u32, u32) {
    report.checklists.iter().fold((0, 0), |(won, of), list| (won + list.marks_awarded, of + list.marks_total))
}

/// Every check that did not pass, with its step; the worst first.
pub(crate) fn troubled(report: &Report) -> Vec<(&StepRecord, &CheckRecord)> {
    let all = report.steps.iter().flat_map(|step| step.checks.iter().map(move |check| (step, check)));
    let mut troubled: Vec<_> = all.filter(|(_, check)| check.verdict != Verdict::Pass).collect();
    troubled.sort_by_key(|(_, check)| std::cmp::Reverse(check.verdict));
    troubled
}

/// The records of an item's checks: one for each case that judged it.
pub(crate) fn records<'a>(
    report: &'a Report,
    item: &'a GradedItem,
) -> impl Iterator<Item = (&'a StepRecord, &'a CheckRecord)> {
    item.checks.iter().flat_map(|id| {
        let steps = report.steps.iter();
        steps.flat_map(move |step| {
            step.checks.iter().filter(move |check| &check.id == id).map(move |c| (step, c))
        })
    })
}

/// `1 check`, `2 checks`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
