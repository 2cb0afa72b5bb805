//! The part of PromQL that alerting rules here need, evaluated.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use promql_parser::{
    label::Matchers,
    parser::{BinaryExpr, Expr, LabelModifier, VectorMatchCardinality, VectorSelector},
};

use super::{Labels, Round, Series};

/// What an expression may say.
pub(super) enum Query {
    /// `metric{label="value"}`, at the last scrape. What that did not find any more is stale.
    Select(Selector),
    /// `increase(counter[5m]) > 0`
    Grew(Selector, Duration),
    /// `vector > 0.85`: what the comparison holds for.
    Compare(Box<Query>, Comparison, f64),
    /// `vector / vector`, by all labels or those of `on (…)`.
    Divide(Box<Query>, Box<Query>, Option<Vec<String>>),
    /// `vector and vector`, by all labels or those of `on (…)`.
    And(Box<Query>, Box<Query>, Option<Vec<String>>),
}

/// A part of an expression that is not evaluated here.
#[derive(Debug, thiserror::Error)]
#[error("`{0}`: only selectors, comparisons with a number, `/`, `and`, `on (…)` and `increase(…) > 0` are")]
pub struct Unsupported(String);

pub(super) struct Selector {
    metric: String,
    matchers: Matchers,
}

#[derive(Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value, and the labels that it is of.
pub(super) struct Found {
    pub(super) labels: Labels,
    value: f64,
}

impl Query {
    pub(super) fn of(expr: &Expr) -> Result<Self, Unsupported> {
        match expr {
            Expr::Paren(inner) => Self::of(&inner.expr),
            Expr::VectorSelector(selector) => Ok(Self::Select(Selector::of(selector)?)),
            Expr::Binary(binary) => Self::of_binary(expr, binary),
            other => Err(unsupported(other)),
        }
    }

    fn of_binary(expr: &Expr, binary: &BinaryExpr) -> Result<Self, Unsupported> {
        let on = match &binary.modifier {
            None => None,
            Some(modifier) => {
                let grouped = matches!(
                    modifier.card,
                    VectorMatchCardinality::ManyToOne(_) | VectorMatchCardinality::OneToMany(_)
                );
                let filled = modifier.fill_values.lhs.or(modifier.fill_values.rhs).is_some();
                match &modifier.matching {
                    _ if modifier.return_bool || grouped || filled => return Err(unsupported(expr)),
                    Some(LabelModifier::Exclude(_)) => return Err(unsupported(expr)),
                    Some(LabelModifier::Include(labels)) => Some(labels.labels.clone()),
                    None => None,
                }
            }
        };
        let operator = binary.op.to_string();
        match (operator.as_str(), binary.rhs.as_ref()) {
            ("/", right) => Ok(Self::Divide(boxed(&binary.lhs)?, boxed(right)?, on)),
            ("and", right) => Ok(Self::And(boxed(&binary.lhs)?, boxed(right)?, on)),
            (operator, Expr::NumberLiteral(number)) => {
                let comparison = Comparison::of(operator).ok_or_else(|| unsupported(expr))?;
                match growth(&binary.lhs)? {
                    // Prometheus extrapolates an increase to the ends of its range: only its sign is exact.
                    Some((selector, range)) if operator == ">" && number.val == 0.0 => {
                        Ok(Self::Grew(selector, range))
                    }
                    Some(_) => Err(unsupported(expr)),
                    None => Ok(Self::Compare(boxed(&binary.lhs)?, comparison, number.val)),
                }
            }
            _ => Err(unsupported(expr)),
        }
    }

    /// What it yields at the last of `rounds`.
    pub(super) fn on(&self, rounds: &VecDeque<Round>) -> Vec<Found> {
        let Some(last) = rounds.back() else { return Vec::new() };
        match self {
            Self::Select(selector) => selector.in_series(&last.series).map(found).collect(),
            Self::Grew(selector, range) => {
                let from = last.at.saturating_sub(*range);
                grew(selector, rounds.iter().filter(|round| round.at >= from))
            }
            Self::Compare(inner, comparison, number) => {
                let all = inner.on(rounds).into_iter();
                all.filter(|found| comparison.holds(found.value, *number)).collect()
            }
            Self::Divide(left, right, on) => {
                let right = by_key(right.on(rounds), on.as_deref());
                let quotient = |left: Found| {
                    let labels = key(&left.labels, on.as_deref());
                    Some(Found { value: left.value / right.get(&labels)?, labels })
                };
                left.on(rounds).into_iter().filter_map(quotient).collect()
            }
            Self::And(left, right, on) => {
                let right = by_key(right.on(rounds), on.as_deref());
                let has = |left: &Found| right.contains_key(&key(&left.labels, on.as_deref()));
                left.on(rounds).into_iter().filter(has).collect()
            }
        }
    }
}

impl Selector {
    fn of(selector: &VectorSelector) -> Result<Self, Unsupported> {
        let plain =
            selector.offset.is_none() && selector.at.is_none() && selector.matchers.or_matchers.is_empty();
        match &selector.name {
            Some(metric) if plain => Ok(Self { metric: metric.clone(), matchers: selector.matchers.clone() }),
            _ => Err(Unsupported(selector.to_string())),
        }
    }

    fn in_series<'a>(&'a self, series: &'a [Series]) -> impl Iterator<Item = &'a Series> {
        series.iter().filter(|series| {
            series.metric == self.metric
                && self.matchers.matchers.iter().all(|matcher| {
                    matcher.is_match(series.labels.get(&matcher.name).map_or("", String::as_str))
                })
        })
    }
}

impl Comparison {
    fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

fn boxed(expr: &Expr) -> Result<Box<Query>, Unsupported> {
    Query::of(expr).map(Box::new)
}

fn unsupported(expr: &Expr) -> Unsupported {
    Unsupported(expr.to_string())
}

/// `increase(counter[5m])`; none if it is something else.
fn growth(expr: &Expr) -> Result<Option<(Selector, Duration)>, Unsupported> {
    match expr {
        Expr::Paren(inner) => growth(&inner.expr),
        Expr::Call(call) if call.func.name == "increase" => match call.args.first().as_deref() {
            Some(Expr::MatrixSelector(matrix)) => Ok(Some((Selector::of(&matrix.vs)?, matrix.range))),
            _ => Err(unsupported(expr)),
        },
        _ => Ok(None),
    }
}

/// The counters that grew from one of `rounds` to a later one.
fn grew<'a>(selector: &Selector, rounds: impl Iterator<Item = &'a Round>) -> Vec<Found> {
    let mut values: BTreeMap<&Labels, Vec<f64>> = BTreeMap::new();
    for round in rounds {
        for series in selector.in_series(&round.series) {
            values.entry(&series.labels).or_default().push(series.value);
        }
    }
    // A counter that fell belongs to a server that was started again, and counts from nothing.
    let step = |pair: &[f64]| if pair[1] >= pair[0] { pair[1] - pair[0] } else { pair[1] };
    let increase = |values: &[f64]| values.windows(2).map(step).sum::<f64>();
    values
        .into_iter()
        .map(|(labels, values)| Found { labels: labels.clone(), value: increase(&values) })
        .filter(|found| found.value > 0.0)
        .collect()
}

fn found(series: &Series) -> Found {
    Found { labels: series.labels.clone(), value: series.value }
}

fn by_key(found: Vec<Found>, on: Option<&[String]>) -> BTreeMap<Labels, f64> {
    found.into_iter().map(|found| (key(&found.labels, on), found.value)).collect()
}

/// The labels that two vectors are matched by.
fn key(labels: &Labels, on: Option<&[String]>) -> Labels {
    match on {
        None => labels.clone(),
        Some(on) => {
            let named = labels.iter().filter(|(name, _)| on.contains(name));
            named.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
    }
}
