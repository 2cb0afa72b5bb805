//! A primary that is gone, and nobody in its place.

use super::Judgement;
use crate::{
    evidence::{At, Role, RoleChange, Timeline},
    ids::NodeId,
};

/// Whether no node but `old` was primary from `since` on. Unknown where there is no other, or one gave no answer at the
/// end: of those that answer then a moment's silence hides nothing, because who was promoted stays so.
pub fn nobody_promoted(timeline: &Timeline, old: &NodeId, since: At) -> Judgement {
    let expected = "no other node was primary";
    let others: Vec<&NodeId> = timeline.nodes.iter().filter(|node| *node != old).collect();
    let seen = |node: &NodeId| -> Vec<Role> {
        let of_node: Vec<&RoleChange> = timeline.roles.iter().filter(|change| &change.node == node).collect();
        let (before, during) = of_node.split_at(of_node.partition_point(|change| change.at <= since));
        before.last().into_iter().chain(during).map(|change| change.role).collect()
    };
    let promoted = others.iter().find(|node| seen(node).contains(&Role::Primary));
    let silent = others.iter().find(|node| matches!(seen(node).last(), None | Some(Role::Unreachable)));
    match (promoted, silent) {
        _ if others.is_empty() => Judgement::unknown(expected, "there is no other node"),
        (Some(node), _) => Judgement::of(false, expected, format!("{node} was primary")),
        (None, Some(node)) => Judgement::unknown(expected, format!("{node} did not always answer")),
        (None, None) => Judgement::of(true, expected, expected),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    const SINCE: u64 = 1_000;

    fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    /// The primary `a`, which dies, and `b`, whose roles are these.
    fn timeline(of_b: &[(u64, Role)]) -> Timeline {
        let role = |node: &str, (millis, role)| RoleChange { at: at(millis), node: node.into(), role };
        let of_a = [(0, Role::Primary), (900, Role::Unreachable)].map(|change| role("a", change));
        let mut roles: Vec<RoleChange> =
            of_a.into_iter().chain(of_b.iter().map(|change| role("b", *change))).collect();
        roles.sort_by_key(|change| change.at);
        Timeline { nodes: vec!["a".into(), "b".into()], roles, ..Timeline::default() }
    }

    #[rstest]
    #[case::it_stays_what_it_is(&[(0, Role::Replica)], Verdict::Pass)]
    #[case::it_is_promoted(&[(0, Role::Replica), (1_500, Role::Primary)], Verdict::Fail)]
    #[case::it_was_promoted_before(&[(0, Role::Replica), (950, Role::Primary)], Verdict::Fail)]
    #[case::for_a_moment_only(
        &[(0, Role::Replica), (1_500, Role::Primary), (1_600, Role::Replica)],
        Verdict::Fail
    )]
    #[case::that_was_over_before(&[(0, Role::Primary), (950, Role::Replica)], Verdict::Pass)]
    #[case::it_is_silent_for_a_moment(
        &[(0, Role::Replica), (1_500, Role::Unreachable), (1_600, Role::Replica)],
        Verdict::Pass
    )]
    #[case::it_is_silent_at_the_end(
        &[(0, Role::Replica), (1_500, Role::Unreachable)],
        Verdict::Unknown
    )]
    #[case::nobody_ever_saw_it(&[], Verdict::Unknown)]
    fn of_the_others_nobody_may_be_primary(#[case] of_b: &[(u64, Role)], #[case] verdict: Verdict) {
        assert_eq!(nobody_promoted(&timeline(of_b), &"a".into(), at(SINCE)).verdict, verdict);
    }

    #[test]
    fn where_there_is_nobody_else_nothing_is_shown() {
        let alone = Timeline { nodes: vec!["a".into()], ..Timeline::default() };
        assert_eq!(nobody_promoted(&alone, &"a".into(), at(SINCE)).verdict, Verdict::Unknown);
    }
}
