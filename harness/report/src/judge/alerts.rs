//! Alerts: each fires when its condition is true, alone, and stops with it.

use std::collections::BTreeSet;

use super::Judgement;
use crate::alerts::Firing;

/// Nothing fires at any of the scrapes.
pub fn quiet(seen: &[Firing]) -> Judgement {
    let expected = "nothing fires";
    if seen.is_empty() {
        return Judgement::unknown(expected, "nothing was scraped");
    }
    let fired = names(seen);
    let observed = if fired.is_empty() { expected.to_owned() } else { format!("{} fires", listed(&fired)) };
    with_evidence(Judgement::of(fired.is_empty(), expected, observed), seen)
}

/// While its condition was true `alert` fired; afterwards it stopped; nothing else fired at any scrape.
pub fn alone(alert: &str, during: &[Firing], after: &[Firing]) -> Judgement {
    among(alert, &[], during, after)
}

/// The same of an alert with a threshold: just `below` it nothing fired.
pub fn alone_beyond(alert: &str, below: &[Firing], during: &[Firing], after: &[Firing]) -> Judgement {
    let judgement = alone(alert, during, after);
    let fired = names(below);
    match (below, fired.is_empty()) {
        ([], _) => Judgement::unknown(judgement.expected, "nothing was scraped below its threshold"),
        (_, true) => judgement.evidence(format!("silent at {} scrapes below its threshold", below.len())),
        (_, false) => {
            let observed = format!("{} fires below its threshold", listed(&fired));
            with_evidence(Judgement::of(false, judgement.expected, observed), below)
        }
    }
}

/// The same where the conditions of `others` may have become true with its own: afterwards nothing fires.
pub fn among(alert: &str, others: &[&str], during: &[Firing], after: &[Firing]) -> Judgement {
    let expected = match others {
        [] => format!("{alert} fires, nothing else does, and it stops"),
        others => format!("{alert} fires, nothing else but {} does, and it stops", others.join(" and ")),
    };
    let both = [during, after].concat();
    let fired = during.iter().any(|firing| firing.iter().any(|(name, _)| name == alert));
    let known = |name: &str| name == alert || others.contains(&name);
    let others: BTreeSet<&str> = names(&both).into_iter().filter(|name| !known(name)).collect();
    let stopped = after.last().is_some_and(|firing| firing.is_empty());
    let observed = match (fired, others.is_empty(), stopped) {
        (true, true, true) => expected.clone(),
        (_, false, _) => format!("{} fires", listed(&others)),
        (false, ..) => "it does not fire".to_owned(),
        (true, true, false) => "it does not stop".to_owned(),
    };
    with_evidence(Judgement::of(fired && others.is_empty() && stopped, expected, observed), &both)
}

fn names(seen: &[Firing]) -> BTreeSet<&str> {
    seen.iter().flatten().map(|(alert, _)| alert.as_str()).collect()
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(" and ")
}

/// For each alert and instance, at how many scrapes it fired.
fn with_evidence(judgement: Judgement, seen: &[Firing]) -> Judgement {
    let all: BTreeSet<_> = seen.iter().flatten().collect();
    let judgement = judgement.evidence(format!("{} scrapes", seen.len()));
    all.into_iter().fold(judgement, |judgement, fired| {
        let times = seen.iter().filter(|firing| firing.contains(fired)).count();
        judgement.evidence(format!("{} for {} at {times} of them", fired.0, fired.1))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    /// A scrape for each word; `.` is one at which nothing fires.
    fn scrapes(text: &str) -> Vec<Firing> {
        let names = |word: &str| -> Firing {
            word.split('+')
                .filter(|name| *name != ".")
                .map(|name| (name.to_owned(), "a".to_owned()))
                .collect()
        };
        text.split_whitespace().map(names).collect()
    }

    #[rstest]
    #[case::as_it_should(". A", "A .", Verdict::Pass)]
    #[case::never(". .", ".", Verdict::Fail)]
    #[case::too_late(".", "A .", Verdict::Fail)]
    #[case::does_not_stop("A", "A", Verdict::Fail)]
    #[case::with_another("A+B", ".", Verdict::Fail)]
    #[case::another_afterwards("A", "B .", Verdict::Fail)]
    #[case::not_looked_at("A", "", Verdict::Fail)]
    fn an_alert_is_alone(#[case] during: &str, #[case] after: &str, #[case] verdict: Verdict) {
        assert_eq!(alone("A", &scrapes(during), &scrapes(after)).verdict, verdict);
    }

    #[rstest]
    #[case::only_beyond(". .", Verdict::Pass)]
    #[case::below_as_well(". A", Verdict::Fail)]
    #[case::another_below("B", Verdict::Fail)]
    #[case::not_looked_at("", Verdict::Unknown)]
    fn a_threshold_has_two_sides(#[case] below: &str, #[case] verdict: Verdict) {
        assert_eq!(alone_beyond("A", &scrapes(below), &scrapes("A"), &scrapes(".")).verdict, verdict);
    }

    #[rstest]
    #[case::with_what_comes_with_it(". B A+B", "A B .", Verdict::Pass)]
    #[case::without_it("A", ".", Verdict::Pass)]
    #[case::only_what_comes_with_it("B", ".", Verdict::Fail)]
    #[case::that_does_not_stop("A+B", "B", Verdict::Fail)]
    #[case::with_another("A+B+C", ".", Verdict::Fail)]
    fn an_alert_has_company(#[case] during: &str, #[case] after: &str, #[case] verdict: Verdict) {
        assert_eq!(among("A", &["B"], &scrapes(during), &scrapes(after)).verdict, verdict);
    }

    #[test]
    fn silence_is_only_known_by_listening() {
        assert_eq!(quiet(&[]).verdict, Verdict::Unknown);
        assert_eq!(quiet(&scrapes(".")).verdict, Verdict::Pass);
        assert_eq!(quiet(&scrapes(". A")).verdict, Verdict::Fail);
    }
}
