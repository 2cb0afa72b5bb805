//! From judged steps to marks.

use crate::{
    checklist::{Checklist, Item, Step},
    evidence::{At, Timeline},
    ids::CheckId,
    report::{
        CheckRecord, GradedChecklist, GradedGroup, GradedItem, Report, Run, SCHEMA_VERSION, StepRecord,
    },
    verdict::Verdict,
};

/// Grades `steps` by `checklists`, which may list more than was asked to run.
///
/// A step that was asked to run and left no record is added as one whose every check is unknown.
/// Items whose checks all belong to steps that were not asked for are left out of the marks.
pub fn grade(run: Run, checklists: &[Checklist], asked: &[&Step], mut steps: Vec<StepRecord>) -> Report {
    for step in asked {
        for case in step.runs() {
            if !steps.iter().any(|record| record.step == step.id && record.case.as_deref() == case) {
                steps.push(missing(step, case));
            }
        }
    }
    let listed: Vec<&Step> = checklists.iter().flat_map(|checklist| &checklist.steps).collect();
    let order = |record: &StepRecord| {
        let step = listed.iter().position(|step| step.id == record.step);
        let case = step.and_then(|at| listed[at].cases.iter().position(|c| record.case.as_ref() == Some(c)));
        (step, case)
    };
    steps.sort_by_key(order);
    let graded = checklists.iter().map(|checklist| grade_checklist(checklist, &steps)).collect();
    let verdict = Verdict::worst(steps.iter().map(|step| step.verdict));
    Report { schema_version: SCHEMA_VERSION, verdict, run, checklists: graded, steps }
}

fn grade_checklist(checklist: &Checklist, steps: &[StepRecord]) -> GradedChecklist {
    let items: Vec<_> = checklist.items.iter().filter_map(|item| grade_item(item, steps)).collect();
    let groups = checklist.groups.iter().filter_map(|group| {
        let items: Vec<_> = group.items.iter().filter_map(|item| grade_item(item, steps)).collect();
        let verdict = Verdict::worst(items.iter().map(|item| item.verdict));
        (!items.is_empty()).then(|| GradedGroup {
            id: group.id.clone(),
            title: group.title.clone(),
            verdict,
            items,
        })
    });
    GradedChecklist {
        id: checklist.id.clone(),
        title: checklist.title.clone(),
        marks_awarded: items.iter().map(|item| item.marks_awarded).sum(),
        marks_total: items.iter().map(|item| item.marks).sum(),
        groups: groups.collect(),
        items,
    }
}

/// None when no step that ran judges any of the item's checks.
fn grade_item(item: &Item, steps: &[StepRecord]) -> Option<GradedItem> {
    let judged = |id: &CheckId| -> Vec<&CheckRecord> {
        steps.iter().flat_map(|step| &step.checks).filter(|check| &check.id == id).collect()
    };
    let verdict_of = |id: &CheckId| Verdict::worst(judged(id).iter().map(|check| check.verdict));
    let records: Vec<_> = item.checks().flat_map(&judged).collect();
    let worst = records.iter().max_by_key(|check| check.verdict)?;
    // A check of a step that was not asked to run leaves its criterion unearned, and says so.
    let verdict = Verdict::worst(item.checks().map(verdict_of));
    let marks_awarded = item
        .criteria
        .iter()
        .filter(|criterion| criterion.checks.iter().all(|id| verdict_of(id) == Verdict::Pass))
        .map(|criterion| criterion.marks)
        .sum();
    let troubled = worst.verdict != Verdict::Pass;
    Some(GradedItem {
        id: item.id.clone(),
        title: item.title.clone(),
        marks: item.marks(),
        marks_awarded,
        verdict,
        expected: if troubled { worst.expected.clone() } else { item.expected.clone() },
        observed: if troubled { format!("{}: {}", worst.id, worst.observed) } else { summary(&records) },
        hint: troubled.then(|| worst.hint.clone()),
        checks: item.checks().cloned().collect(),
    })
}

/// What was seen, in one line of at most this many bytes.
const LINE: usize = 160;

fn summary(records: &[&CheckRecord]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for record in records {
        if !seen.contains(&record.observed.as_str()) {
            seen.push(&record.observed);
        }
    }
    match seen.join("; ") {
        // Four cases of eleven checks are nothing to read in one line; each is in its step.
        long if long.len() > LINE => format!("all {} checks passed", records.len()),
        line => line,
    }
}

/// The record of a step that left none: it ended before it could say anything.
fn missing(step: &Step, case: Option<&str>) -> StepRecord {
    let why = "the step left no record: it was stopped, or it never started";
    let checks = step.checks_of(case).map(|check| CheckRecord {
        id: check.id.clone(),
        claim: check.claim.clone(),
        verdict: Verdict::Unknown,
        expected: check.claim.clone(),
        observed: why.to_owned(),
        evidence: Vec::new(),
        bound: None,
        hint: check.hint.clone(),
    });
    StepRecord {
        step: step.id.clone(),
        case: case.map(str::to_owned),
        title: step.title.clone(),
        verdict: Verdict::Unknown,
        started_at: String::new(),
        duration: At::default(),
        nodes: Vec::new(),
        image: None,
        checks: checks.collect(),
        measurements: Vec::new(),
        aborted: Some(why.to_owned()),
        timeline: Timeline::default(),
    }
}
