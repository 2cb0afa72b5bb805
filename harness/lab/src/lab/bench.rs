//! The bench: where a step's claims are put on record as they are judged.

use std::time::Instant;

use lab_report::{
    CheckId, Verdict,
    checklist::Step,
    evidence::{At, Timeline},
    judge::Judgement,
    report::{CheckRecord, Measurement, NodeSummary, StepRecord},
};

use super::Plan;
use crate::session::{News, Session};

/// The checks of a step, and how they came out so far.
pub(super) struct Bench {
    pub(super) session: Session,
    step: Step,
    pub(super) case: Option<String>,
    pub(super) name: String,
    pub(super) folder: String,
    pub(super) checks: Vec<CheckRecord>,
    pub(super) measurements: Vec<Measurement>,
    /// What the environment lacks for the rest of the step.
    lacking: Option<String>,
}

impl Bench {
    pub(super) fn new(session: &Session, plan: &Plan<'_, impl Sized>) -> Self {
        let name = match plan.case {
            Some(case) => format!("{}-{case}", plan.step.id),
            None => plan.step.id.to_string(),
        };
        Self {
            session: session.clone(),
            step: plan.step.clone(),
            case: plan.case.map(str::to_owned),
            name,
            folder: plan.folder.clone(),
            checks: Vec::new(),
            measurements: Vec::new(),
            lacking: None,
        }
    }

    pub(super) fn says(&self, news: News) {
        self.session.report(&self.name, news);
    }

    pub(super) fn add(&mut self, id: &str, judgement: Judgement) {
        let id = CheckId::from(id);
        assert!(!self.checks.iter().any(|check| check.id == id), "check `{id}` is judged twice");
        let declared = self.step.checks_of(self.case.as_deref()).find(|check| check.id == id);
        let declared =
            declared.unwrap_or_else(|| panic!("the checklist lists no check `{id}` for `{}`", self.name));
        self.says(News::Check { id: id.to_string(), verdict: judgement.verdict });
        self.checks.push(CheckRecord {
            id,
            claim: declared.claim.clone(),
            verdict: judgement.verdict,
            expected: judgement.expected,
            observed: judgement.observed,
            evidence: judgement.evidence,
            bound: judgement.bound,
            hint: declared.hint.clone(),
        });
    }

    /// The rest of the step cannot be exercised here.
    pub(super) fn lacks(&mut self, capability: String) {
        self.lacking = Some(capability);
    }

    /// Claims that the environment cannot exercise are skipped. Others that were not judged are unknown: the step ended before it could.
    pub(super) fn into_record(
        mut self,
        started_at: String,
        start: Instant,
        seen: Option<(Vec<NodeSummary>, Timeline)>,
        aborted: Option<String>,
    ) -> StepRecord {
        let last = self
            .checks
            .iter()
            .rev()
            .find(|check| check.verdict != Verdict::Pass)
            .map(|check| check.id.clone());
        let why = match (&aborted, last) {
            (Some(why), _) => {
                format!("not exercised: the step ended early ({})", why.lines().next().unwrap_or_default())
            }
            (None, Some(last)) => format!("not exercised: the step ended at `{last}`"),
            (None, None) => "not exercised: the step never judged it".to_owned(),
        };
        let open: Vec<_> = self
            .step
            .checks_of(self.case.as_deref())
            .filter(|check| !self.checks.iter().any(|judged| judged.id == check.id))
            .map(|check| {
                let judgement = match &self.lacking {
                    Some(capability) => Judgement::skipped(check.claim.clone(), capability),
                    None => Judgement::unknown(check.claim.clone(), why.clone()),
                };
                (check.id.to_string(), judgement)
            })
            .collect();
        for (id, judgement) in open {
            self.add(&id, judgement);
        }
        let mut verdict = Verdict::worst(self.checks.iter().map(|check| check.verdict));
        if aborted.is_some() {
            verdict = verdict.max(Verdict::Unknown);
        }
        self.says(News::Finished(verdict));
        let (nodes, timeline) = seen.unwrap_or_default();
        StepRecord {
            step: self.step.id,
            case: self.case,
            title: self.step.title,
            verdict,
            started_at,
            duration: At(start.elapsed()),
            nodes,
            image: None,
            checks: self.checks,
            measurements: self.measurements,
            aborted,
            timeline,
        }
    }
}
