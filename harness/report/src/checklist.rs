//! A checklist: the steps of a lab, the claims that each step judges, and the marks they are worth.
//!
//! Checklists are data, in `fixtures/checklists/`. Reading one proves that it is whole: every check
//! belongs to one step and at least one item, every criterion has a check, and no name is used twice.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::ids::{CheckId, StepId};

/// A checklist as its fixture states it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// Its name: `q5`.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// The lab whose steps it grades: the module of their tests.
    pub lab: String,
    /// The steps, in the order they are read.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
    /// The tasks that carry marks.
    #[serde(rename = "item")]
    pub items: Vec<Item>,
    /// Items without marks, under headings.
    #[serde(rename = "group", default)]
    pub groups: Vec<Group>,
}

/// One step of the lab.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The step's name, of no other checklist's; its test is `<lab>::<name with underscores>`.
    pub id: StepId,
    /// What it shows, in one line.
    pub title: String,
    /// The cases of a parametrised step.
    #[serde(default)]
    pub cases: Vec<String>,
    /// The claims that it judges, in every case.
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
}

/// One gradable claim.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name.
    pub id: CheckId,
    /// What is claimed.
    pub claim: String,
    /// What to do when it does not hold.
    pub hint: String,
    /// The cases that judge it; all of them if empty.
    #[serde(default)]
    pub cases: Vec<String>,
}

/// A task with marks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name.
    pub id: String,
    /// What is to be shown.
    pub title: String,
    /// What a sound deployment shows.
    pub expected: String,
    /// The engine's own tests of the same thing, as `file: name`. None where the engine has none.
    #[serde(default)]
    pub engine_tests: Vec<String>,
    /// Parts of the task; each wins its marks when all of its checks pass.
    #[serde(rename = "criterion")]
    pub criteria: Vec<Criterion>,
}

/// A part of a task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// What it is worth; items of a group carry none.
    #[serde(default)]
    pub marks: u32,
    /// The checks that must all pass.
    pub checks: Vec<CheckId>,
}

/// Items without marks, under a heading.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// Its items.
    #[serde(rename = "item")]
    pub items: Vec<Item>,
}

impl Item {
    /// The marks of all its criteria.
    pub fn marks(&self) -> u32 {
        self.criteria.iter().map(|criterion| criterion.marks).sum()
    }

    /// The checks of all its criteria, in order.
    pub fn checks(&self) -> impl Iterator<Item = &CheckId> {
        self.criteria.iter().flat_map(|criterion| &criterion.checks)
    }
}

impl Step {
    /// The checks that `case` judges.
    pub fn checks_of(&self, case: Option<&str>) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| {
            check.cases.is_empty() || case.is_some_and(|case| check.cases.iter().any(|c| c == case))
        })
    }

    /// `failover-crash`, or `failover` without a case: the name of its evidence folder.
    pub fn run_name(&self, case: Option<&str>) -> String {
        case.map_or_else(|| self.id.to_string(), |case| format!("{}-{case}", self.id))
    }

    /// Its cases, or the single `None` of a step without any.
    pub fn runs(&self) -> Vec<Option<&str>> {
        match self.cases.as_slice() {
            [] => vec![None],
            cases => cases.iter().map(|case| Some(case.as_str())).collect(),
        }
    }
}

impl Checklist {
    /// Reads a checklist; `name` says where it came from, for the error.
    pub fn parse(name: &str, text: &str) -> Result<Self, ChecklistError> {
        let checklist: Self = toml::from_str(text).map_err(|source| ChecklistError::Malformed {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        match checklist.problems() {
            problems if problems.is_empty() => Ok(checklist),
            problems => Err(ChecklistError::Broken { name: name.to_owned(), problems }),
        }
    }

    /// The step with this name.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| &step.id == id)
    }

    /// All items, with and without marks.
    pub fn all_items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().chain(self.groups.iter().flat_map(|group| &group.items))
    }

    /// The marks of all items.
    pub fn marks(&self) -> u32 {
        self.items.iter().map(Item::marks).sum()
    }

    /// The step that judges this check.
    pub fn step_of(&self, check: &CheckId) -> Option<&Step> {
        self.steps.iter().find(|step| step.checks.iter().any(|own| &own.id == check))
    }

    fn problems(&self) -> Vec<String> {
        let (mut problems, owners) = self.problems_of_steps();
        problems.extend(self.problems_of_items(&owners));
        problems.extend(self.names_used_twice());
        problems
    }

    /// Also tells which step judges each check.
    fn problems_of_steps(&self) -> (Vec<String>, BTreeMap<&CheckId, &StepId>) {
        let (mut problems, mut owner) = (Vec::new(), BTreeMap::new());
        for step in &self.steps {
            if step.checks.is_empty() {
                problems.push(format!("step `{}` judges no check", step.id));
            }
            for check in &step.checks {
                if let Some(first) = owner.insert(&check.id, &step.id) {
                    problems.push(format!(
                        "check `{}` is in step `{first}` and again in `{}`",
                        check.id, step.id
                    ));
                }
                for case in check.cases.iter().filter(|case| !step.cases.contains(case)) {
                    problems.push(format!(
                        "check `{}` names `{case}`, which is no case of `{}`",
                        check.id, step.id
                    ));
                }
            }
        }
        (problems, owner)
    }

    fn problems_of_items(&self, owner: &BTreeMap<&CheckId, &StepId>) -> Vec<String> {
        let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
        for item in self.all_items() {
            if item.criteria.is_empty() {
                problems.push(format!("item `{}` has no criterion", item.id));
            }
            // Whatever is said of none of its checks is true: its marks would be won for nothing.
            for empty in item.criteria.iter().filter(|criterion| criterion.checks.is_empty()) {
                problems
                    .push(format!("a criterion of item `{}`, worth {}, has no check", item.id, empty.marks));
            }
            for check in item.checks() {
                if !owner.contains_key(check) {
                    problems.push(format!("item `{}` needs check `{check}`, which no step judges", item.id));
                }
                used.insert(check);
            }
        }
        problems.extend(
            owner.keys().filter(|id| !used.contains(*id)).map(|id| format!("check `{id}` is in no item")),
        );
        problems
    }

    fn names_used_twice(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        let steps = self.steps.iter().map(|step| ("step", step.id.as_str()));
        let groups = self.groups.iter().map(|group| ("group", group.id.as_str()));
        let items = self.all_items().map(|item| ("item", item.id.as_str()));
        steps
            .chain(groups)
            .chain(items)
            .filter(|name| !names.insert(*name))
            .map(|(kind, id)| format!("{kind} `{id}` is there twice"))
            .collect()
    }
}

/// Why a checklist cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChecklistError {
    /// Not the TOML that a checklist is.
    #[error("checklist `{name}` cannot be read")]
    Malformed {
        /// Where it came from.
        name: String,
        /// Line and column.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Readable, and not whole.
    #[error("checklist `{name}` is not whole: {}", problems.join("; "))]
    Broken {
        /// Where it came from.
        name: String,
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"
        id = "small"
        title = "Small"
        lab = "replication"
        [[step]]
        id = "step"
        title = "A step"
        cases = ["crash"]
        check = [{ id = "one", claim = "it holds", hint = "look", cases = ["crash"] }]
        [[item]]
        id = "item"
        title = "An item"
        expected = "it holds"
        criterion = [{ marks = 2, checks = ["one"] }]
        [[group]]
        id = "group"
        title = "A group"
        item = [{ id = "other", title = "Other", expected = "it holds", criterion = [{ checks = ["one"] }] }]
    "#;

    #[test]
    fn a_sound_checklist_is_read() {
        let checklist = Checklist::parse("small", SOUND).unwrap();
        assert_eq!(checklist.marks(), 2);
        assert_eq!(checklist.steps[0].checks_of(Some("crash")).count(), 1);
        assert_eq!(checklist.steps[0].checks_of(Some("hold")).count(), 0);
    }

    #[rstest::rstest]
    #[case::an_item_without_a_criterion(
        r#"criterion = [{ marks = 2, checks = ["one"] }]"#,
        "criterion = []",
        "item `item` has no criterion"
    )]
    #[case::a_criterion_without_a_check(
        r#"{ marks = 2, checks = ["one"] }"#,
        r#"{ marks = 2, checks = ["one"] }, { marks = 3, checks = [] }"#,
        "a criterion of item `item`, worth 3, has no check"
    )]
    #[case::an_item_of_a_group_by_the_name_of_another(
        r#"[[group]]"#,
        r#"[[group]]
        id = "second"
        title = "A second group"
        item = [{ id = "item", title = "Again", expected = "it holds", criterion = [{ checks = ["one"] }] }]
        [[group]]"#,
        "item `item` is there twice"
    )]
    #[case::two_groups_of_a_name(
        r#"[[group]]"#,
        r#"[[group]]
        id = "group"
        title = "A second group"
        item = [{ id = "third", title = "Third", expected = "it holds", criterion = [{ checks = ["one"] }] }]
        [[group]]"#,
        "group `group` is there twice"
    )]
    #[case::a_check_that_no_step_judges(
        r#"checks = ["one"]"#,
        r#"checks = ["one", "two"]"#,
        "no step judges"
    )]
    #[case::a_check_in_no_item(r#"id = "one""#, r#"id = "other""#, "check `other` is in no item")]
    #[case::a_case_that_is_none(r#"cases = ["crash"] }"#, r#"cases = ["hold"] }"#, "no case of `step`")]
    #[case::a_word_that_means_nothing("marks = 2", "mark = 2", "mark")]
    fn what_is_wrong_is_named(#[case] right: &str, #[case] wrong: &str, #[case] named: &str) {
        assert!(SOUND.contains(right));
        let error = Checklist::parse("small", &SOUND.replacen(right, wrong, 1)).unwrap_err();
        let text = format!("{error}: {:?}", std::error::Error::source(&error));
        assert!(text.contains("small") && text.contains(named), "{text}");
    }
}
