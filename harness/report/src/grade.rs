//! From judged steps to marks.

use crate::{
    checklist::{Checklist, Criterion, Item, Step},
    evidence::{At, Timeline},
    ids::{CheckId, StepId},
    report::{
        CheckRecord, GradedChecklist, GradedGroup, GradedItem, Report, Run, SCHEMA_VERSION, StepRecord,
    },
    verdict::Verdict,
};

/// Grades `steps` by `checklists`, which may list more than was asked to run.
///
/// A step that was asked to run and left no record is added as one whose every check is unknown.
/// Of a record that cannot be read, [`unreadable`] makes the one that takes its place.
/// Items whose checks all belong to steps that were not asked for are left out of the marks.
pub fn grade(run: Run, checklists: &[Checklist], asked: &[&Step], mut steps: Vec<StepRecord>) -> Report {
    for step in asked {
        for case in step.runs() {
            if !steps.iter().any(|record| record.step == step.id && record.case.as_deref() == case) {
                let why = "the step left no record: it was stopped, or it never started";
                steps.push(without_record(step, case, why));
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

/// The marks of one checklist, by what `steps` put on record.
///
/// Items none of whose checks any of them judged are left out.
pub fn grade_checklist(checklist: &Checklist, steps: &[StepRecord]) -> GradedChecklist {
    let grade = |items: &[Item]| -> Vec<GradedItem> {
        items.iter().filter_map(|item| grade_item(checklist, item, steps)).collect()
    };
    let items = grade(&checklist.items);
    let groups = checklist.groups.iter().filter_map(|group| {
        let items = grade(&group.items);
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
fn grade_item(checklist: &Checklist, item: &Item, steps: &[StepRecord]) -> Option<GradedItem> {
    let judged = |id: &CheckId| -> Vec<&CheckRecord> {
        steps.iter().flat_map(|step| &step.checks).filter(|check| &check.id == id).collect()
    };
    let verdict_of = |id: &CheckId| Verdict::worst(judged(id).iter().map(|check| check.verdict));
    let records: Vec<_> = item.checks().flat_map(&judged).collect();
    let finding = Finding::of(checklist, item, &records)?;
    // The worst of no checks is unknown, so a criterion without any wins nothing. What the environment cannot
    // exercise cannot be won, and so is not lost; of several cases those count that it can.
    let marks_of = |counts: fn(Verdict) -> bool| {
        let earned = |id: &CheckId| {
            let all = judged(id).into_iter().map(|check| check.verdict);
            let exercised: Vec<Verdict> = all.filter(|verdict| *verdict != Verdict::Skipped).collect();
            if exercised.is_empty() { verdict_of(id) } else { Verdict::worst(exercised) }
        };
        let verdict = |criterion: &Criterion| Verdict::worst(criterion.checks.iter().map(earned));
        item.criteria.iter().filter(|one| counts(verdict(one))).map(|one| one.marks).sum()
    };
    Some(GradedItem {
        id: item.id.clone(),
        title: item.title.clone(),
        marks: marks_of(|verdict| verdict != Verdict::Skipped),
        marks_awarded: marks_of(|verdict| verdict == Verdict::Pass),
        verdict: Verdict::worst(item.checks().map(verdict_of)),
        expected: finding.expected,
        observed: finding.observed,
        hint: finding.hint,
        engine_tests: item.engine_tests.clone(),
        checks: item.checks().cloned().collect(),
    })
}

/// What an item's verdict comes from, in words.
struct Finding {
    expected: String,
    observed: String,
    hint: Option<String>,
}

impl Finding {
    /// Of the worst check; a check of a step that was not asked to run is as unknown as any, and is named.
    fn of(checklist: &Checklist, item: &Item, records: &[&CheckRecord]) -> Option<Self> {
        let worst = records.iter().max_by_key(|check| check.verdict)?;
        let not_run: Vec<&CheckId> =
            item.checks().filter(|id| !records.iter().any(|check| &check.id == *id)).collect();
        let names: Vec<&str> = not_run.iter().map(|id| id.as_str()).collect();
        let aside = format!("not run: {}", names.join(", "));
        let troubled =
            |observed| Self { expected: worst.expected.clone(), observed, hint: Some(worst.hint.clone()) };
        let seen = format!("{}: {}", worst.id, worst.observed);
        Some(match (worst.verdict, not_run.is_empty()) {
            (Verdict::Pass, true) => {
                Self { expected: item.expected.clone(), observed: summary(records), hint: None }
            }
            (Verdict::Pass | Verdict::Skipped, false) => Self {
                expected: item.expected.clone(),
                observed: aside,
                hint: Some(run_all_of(checklist, item)),
            },
            (_, true) => troubled(seen),
            (_, false) => troubled(format!("{seen}; {aside}")),
        })
    }
}

/// The command that runs every step that the item needs.
fn run_all_of(checklist: &Checklist, item: &Item) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in item.checks().filter_map(|check| checklist.step_of(check)) {
        if !steps.contains(&step.id.as_str()) {
            steps.push(step.id.as_str());
        }
    }
    format!("`cargo lab grade {} --step {}` runs all that it takes", checklist.id, steps.join(" --step "))
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

/// Stands in for the record in the evidence folder `name` that cannot be read: nothing is known of it but
/// `why`, and that has to be seen.
pub fn unreadable(checklists: &[Checklist], name: &str, why: &str) -> StepRecord {
    let why = format!("the record of the step cannot be read: {why}");
    for step in checklists.iter().flat_map(|checklist| &checklist.steps) {
        let named = |case: &Option<&str>| step.run_name(*case) == name;
        if let Some(case) = step.runs().into_iter().find(named) {
            return without_record(step, case, &why);
        }
    }
    let unlisted = Step {
        id: StepId::from(name),
        title: "A step that no checklist lists".to_owned(),
        cases: Vec::new(),
        checks: Vec::new(),
    };
    without_record(&unlisted, None, &why)
}

/// The record of a step of which nothing is known, because of `why`.
fn without_record(step: &Step, case: Option<&str>, why: &str) -> StepRecord {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Host, Image};

    const TWO_STEPS: &str = r#"
        id = "small"
        title = "Small"
        lab = "replication"
        [[step]]
        id = "data"
        title = "Data"
        check = [{ id = "data.same", claim = "it is the same", hint = "look at it" }]
        [[step]]
        id = "status"
        title = "Status"
        cases = ["crash", "hold"]
        check = [{ id = "status.role", claim = "it says so", hint = "ask it" }]
        [[item]]
        id = "both"
        title = "Data and status"
        expected = "the same data, and a role"
        criterion = [{ marks = 2, checks = ["data.same"] }, { marks = 1, checks = ["status.role"] }]
    "#;

    fn small() -> Checklist {
        Checklist::parse("small", TWO_STEPS).unwrap()
    }

    fn run() -> Run {
        let image = Image { reference: String::new(), digest: String::new(), origin: String::new() };
        let (os, arch, container_engine) = Default::default();
        Run {
            id: "run".into(),
            target: "docker".into(),
            engine: "redis:7.0".into(),
            image,
            seed: 1,
            rerun: String::new(),
            started_at: String::new(),
            duration: At::default(),
            host: Host { os, arch, cpus: 2, memory_bytes: 0, container_engine },
        }
    }

    /// The record of a step whose every check came out like this.
    fn record(checklist: &Checklist, step: &str, case: Option<&str>, verdict: Verdict) -> StepRecord {
        let step = checklist.step(&step.into()).unwrap();
        let mut record = StepRecord { aborted: None, verdict, ..without_record(step, case, "seen") };
        record.checks.iter_mut().for_each(|check| check.verdict = verdict);
        record
    }

    fn graded(left: Vec<StepRecord>, asked: &[&str]) -> (Report, GradedItem) {
        let checklist = small();
        let asked: Vec<&Step> = asked.iter().map(|id| checklist.step(&(*id).into()).unwrap()).collect();
        let report = grade(run(), std::slice::from_ref(&checklist), &asked, left);
        let item = report.checklists[0].items[0].clone();
        (report, item)
    }

    #[test]
    fn what_was_not_asked_to_run_is_named_with_the_command_that_runs_it() {
        let (report, item) = graded(vec![record(&small(), "data", None, Verdict::Pass)], &["data"]);
        assert_eq!((report.verdict, item.verdict, item.marks_awarded), (Verdict::Pass, Verdict::Unknown, 2));
        assert_eq!(item.observed, "not run: status.role");
        let hint = "`cargo lab grade small --step data --step status` runs all that it takes";
        assert_eq!(item.hint.as_deref(), Some(hint));
    }

    #[test]
    fn what_the_environment_cannot_exercise_is_neither_won_nor_lost() {
        let checklist = small();
        let skipped = |case| record(&checklist, "status", Some(case), Verdict::Skipped);
        let left = |data| vec![record(&checklist, "data", None, data), skipped("crash"), skipped("hold")];
        let (report, item) = graded(left(Verdict::Pass), &["data", "status"]);
        assert_eq!((report.verdict, item.verdict), (Verdict::Skipped, Verdict::Skipped));
        assert_eq!((item.marks_awarded, item.marks), (2, 2));
        let (_, item) = graded(left(Verdict::Fail), &["data", "status"]);
        assert_eq!((item.marks_awarded, item.marks), (0, 2));
    }

    #[test]
    fn of_several_cases_those_win_marks_that_can_be_exercised() {
        let checklist = small();
        let of = |case, verdict| record(&checklist, "status", Some(case), verdict);
        let left = |crash| {
            let data = record(&checklist, "data", None, Verdict::Pass);
            vec![data, of("crash", crash), of("hold", Verdict::Skipped)]
        };
        let (_, item) = graded(left(Verdict::Pass), &["data", "status"]);
        assert_eq!((item.verdict, item.marks_awarded, item.marks), (Verdict::Skipped, 3, 3));
        let (_, item) = graded(left(Verdict::Fail), &["data", "status"]);
        assert_eq!((item.verdict, item.marks_awarded, item.marks), (Verdict::Fail, 2, 3));
    }

    #[test]
    fn what_failed_is_told_before_what_did_not_run() {
        let (_, item) = graded(vec![record(&small(), "data", None, Verdict::Fail)], &["data"]);
        assert_eq!((item.verdict, item.hint.as_deref()), (Verdict::Fail, Some("look at it")));
        assert_eq!(item.observed, "data.same: seen; not run: status.role");
    }

    #[test]
    fn a_step_that_was_asked_for_and_left_nothing_is_unknown() {
        let checklist = small();
        let left = vec![
            record(&checklist, "data", None, Verdict::Pass),
            record(&checklist, "status", Some("crash"), Verdict::Pass),
        ];
        let (report, item) = graded(left, &["data", "status"]);
        assert_eq!(
            (report.verdict, item.verdict, item.marks_awarded),
            (Verdict::Unknown, Verdict::Unknown, 2)
        );
        assert!(report.steps[2].aborted.as_deref().unwrap().contains("left no record"));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_unknown_step_with_the_reason() {
        let checklist = small();
        let left = vec![
            record(&checklist, "data", None, Verdict::Pass),
            record(&checklist, "status", Some("crash"), Verdict::Pass),
            unreadable(std::slice::from_ref(&checklist), "status-hold", "cut off at line 3"),
        ];
        let (report, item) = graded(left, &["data", "status"]);
        assert_eq!((report.verdict, report.steps.len()), (Verdict::Unknown, 3));
        assert!(item.observed.contains("cut off at line 3"), "{}", item.observed);
    }

    #[test]
    fn a_record_that_cannot_be_read_and_belongs_to_nothing_is_not_dropped() {
        let checklist = small();
        let stray = unreadable(std::slice::from_ref(&checklist), "stray", "not JSON");
        let (report, _) = graded(vec![record(&checklist, "data", None, Verdict::Pass), stray], &["data"]);
        assert_eq!(report.verdict, Verdict::Unknown);
    }

    /// No checklist that was parsed has one; the marks do not depend on it.
    #[test]
    fn a_criterion_without_checks_wins_nothing() {
        let mut checklist = small();
        checklist.items[0].criteria.push(Criterion { marks: 5, checks: Vec::new() });
        let left = vec![record(&checklist, "data", None, Verdict::Pass)];
        let report = grade(run(), std::slice::from_ref(&checklist), &[], left);
        assert_eq!((report.checklists[0].marks_awarded, report.checklists[0].marks_total), (2, 8));
    }
}
