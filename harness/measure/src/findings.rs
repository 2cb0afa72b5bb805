//! What a comparison proves, and what it does not.
//!
//! Contenders are compared under each of some conditions in a figure, the less the better. One is *shown* to be worse
//! than another where their 95 % intervals do not overlap; where they do, nothing is claimed. That is stricter than a
//! test at 5 %: intervals may overlap a little although the medians differ.

use std::collections::BTreeSet;

use crate::statistics::Estimate;

/// What a contender came to under a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<C> {
    /// Who: a profile, a durability.
    pub contender: String,
    /// Under what, and in which figure.
    pub condition: C,
    /// What it came to.
    pub estimate: Estimate,
}

/// What follows for all conditions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recommendation {
    /// Every other one is shown to be worse somewhere, and this one nowhere.
    Best(String),
    /// These are shown to be worse nowhere, and no difference between them is shown that would decide.
    NoDifference(Vec<String>),
    /// Each is shown to be worse than another somewhere.
    Depends,
    /// There is one contender only.
    Alone,
    /// There are too few runs for intervals, or a contender is missing somewhere.
    TooLittle,
}

/// Under one condition: who is best, and whom that is shown against.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence<C> {
    /// Under what, and in which figure.
    pub condition: C,
    /// The entry with the least median.
    pub best: Entry<C>,
    /// Those that are shown to be worse than it, the least first.
    pub worse: Vec<Entry<C>>,
    /// Those of which no difference to it is shown, the least first.
    pub open: Vec<Entry<C>>,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings<C> {
    /// What follows.
    pub recommendation: Recommendation,
    /// From what, condition by condition, in the order in which they came.
    pub evidence: Vec<Evidence<C>>,
}

/// Compares contenders, each under every condition.
pub fn compare<C: Clone + PartialEq>(entries: &[Entry<C>]) -> Findings<C> {
    let mut conditions: Vec<&C> = Vec::new();
    for entry in entries {
        if !conditions.contains(&&entry.condition) {
            conditions.push(&entry.condition);
        }
    }
    let evidence: Vec<Evidence<C>> =
        conditions.into_iter().filter_map(|condition| evidence(entries, condition)).collect();
    Findings { recommendation: recommend(entries, evidence.len()), evidence }
}

fn evidence<C: Clone + PartialEq>(entries: &[Entry<C>], condition: &C) -> Option<Evidence<C>> {
    let mut here: Vec<&Entry<C>> = entries.iter().filter(|entry| entry.condition == *condition).collect();
    here.sort_by(|one, other| one.estimate.median.order(&other.estimate.median));
    let (best, others) = here.split_first()?;
    let (worse, open) = others
        .iter()
        .map(|entry| (*entry).clone())
        .partition(|entry: &Entry<C>| best.estimate.is_shown_below(&entry.estimate));
    Some(Evidence { condition: condition.clone(), best: (*best).clone(), worse, open })
}

fn recommend<C: PartialEq>(entries: &[Entry<C>], conditions: usize) -> Recommendation {
    let contenders: BTreeSet<&str> = entries.iter().map(|entry| entry.contender.as_str()).collect();
    let is_whole = entries.len() == contenders.len() * conditions
        && entries.iter().all(|entry| entry.estimate.interval.is_some());
    match (contenders.len(), is_whole) {
        (0, _) | (_, false) => return Recommendation::TooLittle,
        (1, true) => return Recommendation::Alone,
        (_, true) => {}
    }
    let is_beaten = |contender: &str| {
        entries.iter().filter(|own| own.contender == contender).any(|own| {
            let is_better = |other: &Entry<C>| {
                other.condition == own.condition && other.estimate.is_shown_below(&own.estimate)
            };
            entries.iter().any(is_better)
        })
    };
    let unbeaten: Vec<String> =
        contenders.into_iter().filter(|contender| !is_beaten(contender)).map(str::to_owned).collect();
    match <[String; 1]>::try_from(unbeaten) {
        Ok([best]) => Recommendation::Best(best),
        Err(none) if none.is_empty() => Recommendation::Depends,
        Err(several) => Recommendation::NoDifference(several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Reading;

    /// Ten runs from `from` on, one apart.
    fn entry(contender: &str, condition: &str, from: f64) -> Entry<String> {
        runs(contender, condition, from, 10)
    }

    fn runs(contender: &str, condition: &str, from: f64, count: u32) -> Entry<String> {
        let readings = (0..count).map(|n| Reading::Exactly(from + f64::from(n)));
        let estimate = Estimate::of(readings).unwrap();
        Entry { contender: contender.to_owned(), condition: condition.to_owned(), estimate }
    }

    fn recommended(entries: &[Entry<String>]) -> Recommendation {
        compare(entries).recommendation
    }

    #[test]
    fn whoever_is_worse_nowhere_is_best() {
        let entries = [
            entry("naive", "crash", 100.0),
            entry("hardened", "crash", 10.0),
            entry("naive", "hold", 12.0),
            entry("hardened", "hold", 11.0),
        ];
        assert_eq!(recommended(&entries), Recommendation::Best("hardened".to_owned()));
        let [crash, hold] = &compare(&entries).evidence[..] else { panic!("there are two conditions") };
        assert_eq!((crash.best.contender.as_str(), crash.worse.len(), crash.open.len()), ("hardened", 1, 0));
        assert_eq!((hold.worse.len(), hold.open.len()), (0, 1), "a median that is less proves nothing");
    }

    #[test]
    fn intervals_that_overlap_prove_nothing() {
        let both = vec!["a".to_owned(), "b".to_owned()];
        let close = [entry("b", "crash", 1.0), entry("a", "crash", 8.0)];
        assert_eq!(recommended(&close), Recommendation::NoDifference(both.clone()), "2 to 9, and 9 to 16");
        let third = entry("c", "crash", 50.0);
        let with_a_third = [close[0].clone(), close[1].clone(), third];
        assert_eq!(recommended(&with_a_third), Recommendation::NoDifference(both));
    }

    #[test]
    fn where_each_loses_once_it_depends() {
        let entries = [
            entry("a", "crash", 1.0),
            entry("b", "crash", 50.0),
            entry("a", "hold", 50.0),
            entry("b", "hold", 1.0),
        ];
        assert_eq!(recommended(&entries), Recommendation::Depends);
    }

    #[test]
    fn without_intervals_nothing_is_recommended() {
        let few = [runs("a", "crash", 1.0, 5), runs("b", "crash", 100.0, 5)];
        assert_eq!(recommended(&few), Recommendation::TooLittle);
        assert_eq!(compare(&few).evidence[0].open.len(), 1);
        let missing = [entry("a", "crash", 1.0), entry("b", "crash", 90.0), entry("b", "hold", 1.0)];
        assert_eq!(recommended(&missing), Recommendation::TooLittle, "nobody knows how `a` fares there");
        assert_eq!(recommended(&[entry("a", "crash", 1.0)]), Recommendation::Alone);
        assert_eq!(recommended(&[]), Recommendation::TooLittle);
    }
}
