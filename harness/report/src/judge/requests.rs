//! What became of clients' requests, where something happened that was, or was not, their business.

use std::collections::BTreeMap;

use super::Judgement;
use crate::evidence::{At, Outcome, Write};

/// A client that was there when something happened.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'a> {
    /// What became of its requests.
    pub writes: &'a [Write],
    /// It happened after this …
    pub from: At,
    /// … and was over by this.
    pub until: At,
}

impl<'a> Witness<'a> {
    /// Its requests, but for those that were answered before it happened.
    fn since(self) -> impl Iterator<Item = &'a Write> {
        self.writes.iter().filter(move |write| write.done >= self.from)
    }

    /// When it asked for nothing, if there was such a time.
    fn silence(self) -> Option<&'static str> {
        let mut times = [("before it happened", false), ("while it happened", false), ("afterwards", false)];
        for write in self.writes {
            let time = usize::from(write.intended >= self.from) + usize::from(write.intended >= self.until);
            times[time].1 = true;
        }
        times.into_iter().find(|(_, asked)| !asked).map(|(when, _)| when)
    }
}

/// Every request of a client was acknowledged that was not answered before something happened: a failover elsewhere is
/// none of its business.
///
/// Who asks for nothing is refused nothing, and shows nothing: the claim is *unknown* unless each client had requests
/// before it happened, while it did, and afterwards.
pub fn undisturbed<'a>(expected: &str, witnesses: impl IntoIterator<Item = Witness<'a>>) -> Judgement {
    let witnesses: Vec<Witness<'_>> = witnesses.into_iter().collect();
    let since: Vec<&Write> = witnesses.iter().flat_map(|witness| witness.since()).collect();
    let mut errors: Vec<&str> = since.iter().filter_map(|write| write.error.as_deref()).collect();
    let failed = errors.len();
    errors.sort_unstable();
    errors.dedup();
    let judged = match (failed, witnesses.iter().find_map(|witness| witness.silence())) {
        (0, Some(when)) => Judgement::unknown(expected, format!("a client asked for nothing {when}")),
        (0, None) if witnesses.is_empty() => Judgement::unknown(expected, "there was no client"),
        (0, None) => Judgement::equal(expected, expected),
        _ => Judgement::of(false, expected, format!("not acknowledged: {}", errors.join(", "))),
    };
    judged.evidence(format!("{failed} of {} requests were not acknowledged", since.len()))
}

/// No request of a client was acknowledged, though some were answered: whoever they went to had no right to.
pub fn none_acknowledged(expected: &str, writes: &[Write]) -> Judgement {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for write in writes {
        *counts.entry(write.error.as_deref().unwrap_or("acknowledged")).or_default() += 1;
    }
    let acknowledged = writes.iter().filter(|write| write.outcome == Outcome::Acknowledged).count();
    // An error in capitals is the server's own.
    let refused = counts.keys().any(|class| class.starts_with(|first: char| first.is_ascii_uppercase()));
    let judgement = match (acknowledged, refused) {
        (0, true) => Judgement::equal(expected, expected),
        (0, false) => Judgement::unknown(expected, "no request was answered"),
        _ => Judgement::of(false, expected, "some are acknowledged"),
    };
    counts.iter().fold(judgement, |judgement, (class, count)| judgement.evidence(format!("{count} {class}")))
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, time::Duration};

    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    /// A request that was answered a millisecond after it was due.
    fn write(millis: u64, error: Option<&str>) -> Write {
        let outcome = if error.is_some() { Outcome::Failed } else { Outcome::Acknowledged };
        let (intended, done) = (at(millis), at(millis + 1));
        Write { sequence: millis, intended, done, outcome, error: error.map(str::to_owned) }
    }

    /// A client that asked every 10 ms for 60 ms, but not at these times.
    fn client(silent: Range<u64>) -> Vec<Write> {
        let times = (0..60).step_by(10).filter(|millis| !silent.contains(millis));
        times.map(|millis| write(millis, None)).collect()
    }

    /// What happened lasted from 20 to 40 ms.
    fn judged(clients: &[Vec<Write>]) -> Judgement {
        undisturbed("all", clients.iter().map(|writes| Witness { writes, from: at(20), until: at(40) }))
    }

    #[rstest]
    #[case::never(60..70, Verdict::Pass)]
    #[case::before(0..20, Verdict::Unknown)]
    #[case::meanwhile(20..40, Verdict::Unknown)]
    #[case::afterwards(40..60, Verdict::Unknown)]
    #[case::from_the_middle_on(30..60, Verdict::Unknown)]
    #[case::all_the_time(0..60, Verdict::Unknown)]
    fn one_client_that_is_silent_shows_nothing(#[case] silent: Range<u64>, #[case] verdict: Verdict) {
        let judged = judged(&[client(60..70), client(silent)]);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }

    #[rstest]
    #[case::answered_before_it_happened(18, Verdict::Pass)]
    #[case::answered_when_it_happened(19, Verdict::Fail)]
    #[case::afterwards(55, Verdict::Fail)]
    fn one_error_is_a_disturbance(#[case] millis: u64, #[case] verdict: Verdict) {
        let mut writes = client(60..70);
        writes.push(write(millis, Some("CLUSTERDOWN")));
        assert_eq!(judged(&[client(60..70), writes]).verdict, verdict);
    }

    #[test]
    fn who_was_refused_is_disturbed_though_others_were_silent() {
        let refused =
            vec![write(30, Some("MOVED")), write(31, Some("CLUSTERDOWN")), write(32, Some("MOVED"))];
        let judged = judged(&[refused, Vec::new()]);
        assert_eq!(
            (judged.verdict, judged.observed.as_str()),
            (Verdict::Fail, "not acknowledged: CLUSTERDOWN, MOVED")
        );
        assert_eq!(undisturbed("all", []).verdict, Verdict::Unknown);
    }

    #[rstest]
    #[case::refused(&[Some("not sent"), Some("CLUSTERDOWN"), Some("MOVED")], Verdict::Pass)]
    #[case::acknowledged_once(&[Some("CLUSTERDOWN"), None, Some("MOVED")], Verdict::Fail)]
    #[case::nobody_there(&[Some("not sent"), Some("no answer")], Verdict::Unknown)]
    #[case::nothing_sent(&[], Verdict::Unknown)]
    fn a_refusal_is_an_answer(#[case] errors: &[Option<&str>], #[case] verdict: Verdict) {
        let writes: Vec<Write> = (0..).zip(errors).map(|(millis, error)| write(millis, *error)).collect();
        assert_eq!(none_acknowledged("none", &writes).verdict, verdict);
    }
}
