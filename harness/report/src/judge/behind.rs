//! How far behind a primary lists a replica, and whether that grows.

use super::Judgement;

/// A replica's place in its primary's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Whole seconds since its last acknowledgement.
    pub seconds: u64,
    /// Bytes of the stream that it has not acknowledged.
    pub bytes: u64,
}

/// Whether a replica is listed at two looks, and further behind at the later one: by less than `enough` seconds at
/// first, by that many then, and by more bytes. None stands for a list that it is not in. Unknown if it was that far
/// behind at the first look already.
pub fn falls_behind(first: Option<Behind>, later: Option<Behind>, enough: u64) -> Judgement {
    let expected = "listed, and further behind";
    let judgement = match (first, later) {
        (Some(first), _) if first.seconds >= enough => {
            Judgement::unknown(expected, "the first look came too late to see it grow")
        }
        (Some(first), Some(later)) if later.seconds >= enough && later.bytes > first.bytes => {
            Judgement::of(true, expected, expected)
        }
        (Some(_), Some(_)) => Judgement::of(false, expected, "listed, and no further behind"),
        _ => Judgement::of(false, expected, "not listed"),
    };
    [first, later].into_iter().fold(judgement, |judgement, look| judgement.evidence(told(look)))
}

fn told(look: Option<Behind>) -> String {
    match look {
        Some(Behind { seconds, bytes }) => format!("{seconds} s and {bytes} bytes behind"),
        None => "not listed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    #[rstest]
    #[case::it_grows(Some((1, 300)), Some((4, 3_000)), Verdict::Pass)]
    #[case::it_grows_from_nothing(Some((0, 0)), Some((5, 1)), Verdict::Pass)]
    #[case::not_by_enough_seconds(Some((1, 300)), Some((3, 3_000)), Verdict::Fail)]
    #[case::not_by_a_byte(Some((1, 300)), Some((4, 300)), Verdict::Fail)]
    #[case::dropped_meanwhile(Some((1, 300)), None, Verdict::Fail)]
    #[case::never_listed(None, None, Verdict::Fail)]
    #[case::listed_in_the_end(None, Some((4, 300)), Verdict::Fail)]
    #[case::looked_at_too_late(Some((4, 300)), Some((5, 3_000)), Verdict::Unknown)]
    fn a_lag_is_seen_to_grow(
        #[case] first: Option<(u64, u64)>,
        #[case] later: Option<(u64, u64)>,
        #[case] verdict: Verdict,
    ) {
        let behind = |look: Option<(u64, u64)>| look.map(|(seconds, bytes)| Behind { seconds, bytes });
        assert_eq!(falls_behind(behind(first), behind(later), 4).verdict, verdict);
    }
}
