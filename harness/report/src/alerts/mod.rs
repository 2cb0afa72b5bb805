//! Alerting rules, as Prometheus has them, over scrapes that were taken from real nodes.
//!
//! Pure: rules and series in, alerts out. The rules are read from the file that Prometheus would load; of
//! PromQL only what `query.rs` says is understood, and everything else is an error when the file is read.

mod query;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use promql_parser::parser;
use serde::{Deserialize, Serialize};

use self::query::Query;
pub use self::query::Unsupported;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// From one scrape to the next (`scrape_interval`), and from one evaluation to the next.
pub const INTERVAL: Duration = Duration::from_secs(15);
/// No rule looks further back: a day.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A metric of one instance at one scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// `redis_up`
    pub metric: String,
    /// `instance`, and whatever else tells it apart.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// What a topology changes about a rule: a way of being set up wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Another condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// Another time that the condition has to hold.
    #[serde(default, rename = "for", with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
}

/// Why a file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It is no file of rules.
    #[error("the rules cannot be read")]
    File(#[from] Box<serde_saphyr::Error>),
    /// An expression is no PromQL.
    #[error("`{alert}`: {message}")]
    Syntax {
        /// Whose expression.
        alert: String,
        /// What the parser says.
        message: String,
    },
    /// An expression is PromQL, but more of it than is evaluated here.
    #[error("`{alert}` is not evaluated here")]
    Unsupported {
        /// Whose expression.
        alert: String,
        /// Which part.
        #[source]
        part: Unsupported,
    },
    /// A change names a rule that there is not.
    #[error("no alert is named `{0}`")]
    NoSuchAlert(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Written>,
}

/// A rule as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    alert: String,
    expr: String,
    #[serde(default, rename = "for", with = "humantime_serde")]
    hold: Option<Duration>,
    #[serde(default, rename = "labels")]
    _labels: Labels,
    #[serde(default, rename = "annotations")]
    _annotations: Labels,
}

struct Rule {
    alert: String,
    query: Query,
    hold: Duration,
    /// Since when the condition is true, by the labels that it is true for.
    since: BTreeMap<Labels, Duration>,
}

/// One scrape of all instances.
struct Round {
    at: Duration,
    series: Vec<Series>,
}

/// The names of the alerts that fire, and the instances that they fire for.
pub type Firing = BTreeSet<(String, String)>;

/// Rules, and what has been scraped so far.
pub struct Alerts {
    rules: Vec<Rule>,
    rounds: VecDeque<Round>,
}

impl Alerts {
    /// Reads files of rules, with changes to some of them.
    ///
    /// # Errors
    /// One is none, or says something that is not evaluated here.
    pub fn read(files: &[&str], changes: &BTreeMap<String, Change>) -> Result<Self, RulesError> {
        let mut written: Vec<Written> = Vec::new();
        for text in files {
            let file: File = serde_saphyr::from_str(text).map_err(Box::new)?;
            written.extend(file.groups.into_iter().flat_map(|group| group.rules));
        }
        if let Some(name) = changes.keys().find(|name| !written.iter().any(|rule| &rule.alert == *name)) {
            return Err(RulesError::NoSuchAlert(name.clone()));
        }
        let rules: Result<_, _> =
            written.iter().map(|rule| rule_of(rule, changes.get(&rule.alert))).collect();
        Ok(Self { rules: rules?, rounds: VecDeque::new() })
    }

    /// The names of the alerts, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.alert.as_str())
    }

    /// Takes the next scrape, [`INTERVAL`] after the last one; returns what fires then.
    pub fn scraped(&mut self, series: Vec<Series>) -> Firing {
        let at = self.rounds.back().map_or(Duration::ZERO, |last| last.at + INTERVAL);
        self.rounds.retain(|round| at - round.at <= KEPT);
        self.rounds.push_back(Round { at, series });
        let mut firing = Firing::new();
        for rule in &mut self.rules {
            let now: BTreeSet<Labels> =
                rule.query.on(&self.rounds).into_iter().map(|found| found.labels).collect();
            rule.since.retain(|labels, _| now.contains(labels));
            for labels in now {
                let instance = labels.get("instance").cloned().unwrap_or_default();
                let since = *rule.since.entry(labels).or_insert(at);
                if at - since >= rule.hold {
                    firing.insert((rule.alert.clone(), instance));
                }
            }
        }
        firing
    }
}

fn rule_of(written: &Written, change: Option<&Change>) -> Result<Rule, RulesError> {
    let alert = written.alert.clone();
    let expr = change.and_then(|change| change.expr.as_ref()).unwrap_or(&written.expr);
    let hold = change.and_then(|change| change.hold).or(written.hold).unwrap_or_default();
    let parsed = parser::parse(expr)
        .map_err(|message| RulesError::Syntax { alert: alert.clone(), message: message.to_string() })?;
    let query = Query::of(&parsed).map_err(|part| RulesError::Unsupported { alert: alert.clone(), part })?;
    Ok(Rule { alert, query, hold, since: BTreeMap::new() })
}

#[cfg(test)]
mod tests;
