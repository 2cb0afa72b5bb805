//! Shards that share slots, and a load: whether evenly, and whether anything was left on the way.

use super::{Judgement, Loss};
use crate::ids::NodeId;

/// Nothing that was acknowledged to any of several clients is gone.
pub fn none_lost(losses: &[Loss]) -> Judgement {
    let expected = "0 acknowledged writes lost";
    let acknowledged: usize = losses.iter().map(|loss| loss.acknowledged).sum();
    let lost: usize = losses.iter().map(|loss| loss.lost).sum();
    match acknowledged {
        0 => Judgement::unknown(expected, "nothing was acknowledged"),
        _ => Judgement::equal(expected, format!("{lost} acknowledged writes lost"))
            .evidence(format!("{acknowledged} were acknowledged")),
    }
}

/// Every primary's part of `what`, `slots` or another thing to count, is within this many per cent of an even share.
pub fn balanced(parts: &[(NodeId, u64)], what: &str, percent: f64) -> Judgement {
    let expected = format!("every primary within {percent} % of an even share");
    let all: u64 = parts.iter().map(|(_, part)| part).sum();
    if all == 0 {
        return Judgement::unknown(expected, format!("nobody has {what}"));
    }
    let even = all as f64 / parts.len() as f64;
    let off = |part: u64| (part as f64 / even - 1.0) * 100.0;
    let uneven: Vec<String> = (parts.iter().filter(|(_, part)| off(*part).abs() > percent))
        .map(|(node, part)| format!("{node}: {:+.0} %", off(*part)))
        .collect();
    let observed = if uneven.is_empty() { expected.clone() } else { uneven.join(", ") };
    let judgement = Judgement::equal(expected, observed);
    parts
        .iter()
        .fold(judgement, |judgement, (node, part)| judgement.evidence(format!("{node}: {part} {what}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    #[rstest]
    #[case::even(&[4096, 4096, 4096, 4096], Verdict::Pass)]
    #[case::near_the_limit(&[981, 1019, 1000], Verdict::Pass)]
    #[case::beyond_it(&[979, 1021, 1000], Verdict::Fail)]
    #[case::one_has_nothing(&[5461, 5462, 5461, 0], Verdict::Fail)]
    #[case::nobody_has_any(&[0, 0], Verdict::Unknown)]
    fn shares_are_even(#[case] slots: &[u64], #[case] verdict: Verdict) {
        let owned: Vec<_> = slots.iter().map(|slots| (NodeId::from("lab-0001-001"), *slots)).collect();
        assert_eq!(balanced(&owned, "slots", 2.0).verdict, verdict);
    }

    #[rstest]
    #[case::all_kept(&[(10, 0), (5, 0)], Verdict::Pass)]
    #[case::one_lost(&[(10, 0), (5, 1)], Verdict::Fail)]
    #[case::nothing_written(&[(0, 0)], Verdict::Unknown)]
    fn every_client_counts(#[case] losses: &[(usize, usize)], #[case] verdict: Verdict) {
        let losses: Vec<_> = losses
            .iter()
            .map(|&(acknowledged, lost)| Loss { acknowledged, lost, ..Loss::default() })
            .collect();
        assert_eq!(none_lost(&losses).verdict, verdict);
    }
}
