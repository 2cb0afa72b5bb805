//! How soon a subscriber is subscribed again, by the servers' clocks and by its own.

use std::time::Duration;

use super::{ClusterClocks, Judgement, Limits, SlotFailover, Upheaval, slots::promotion};
use crate::evidence::{At, End, Listened};

/// How a subscriber looks after its subscription. All is configured, not measured.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// It asks for a sign of life this often.
    pub ping: Duration,
    /// It gives a node up that has not answered by then, be it a ping or an attempt to subscribe.
    pub patience: Duration,
    /// Before each attempt to subscribe again it waits this long.
    pub pause: Duration,
}

/// How the subscribers of a node that is lost learn of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Their connections are reset, at once.
    Reset,
    /// Nobody answers them any more.
    Silence,
}

impl Habits {
    /// From the loss of a node to its subscriber's subscription at another, to a channel that every node has.
    ///
    /// It has nobody to wait for: every other node will do.
    pub fn elsewhere(
        &self,
        upheaval: &Upheaval,
        notice: Notice,
        clocks: &ClusterClocks,
        took: Option<Duration>,
    ) -> Judgement {
        let subscribes = self.pause + self.patience + clocks.scheduling;
        let (ceiling, formula) = match notice {
            Notice::Reset => (subscribes, "pause + patience (it subscribes) + scheduling"),
            Notice::Silence => (
                self.ping + self.patience + subscribes,
                "ping + patience (it notices) + pause + patience (it subscribes) + scheduling",
            ),
        };
        let what = "subscribed elsewhere";
        let resolution = uncertainty(upheaval);
        Judgement::within(Limits { what, floor: Duration::ZERO, ceiling, resolution, formula }, took)
    }

    /// From the loss of a shard's primary to the subscription to a channel of the shard at its successor, after this
    /// many elections that failed.
    ///
    /// It cannot be there before the slots have another owner, and is looking for one long before. Until then the
    /// node that is lost is named as their owner: it refuses at once, or takes all of the patience.
    pub fn at_the_successor(
        &self,
        failover: &SlotFailover,
        notice: Notice,
        clocks: &ClusterClocks,
        failed: u64,
        took: Option<Duration>,
    ) -> Judgement {
        let promotion = failover.limits(clocks, failed);
        let subscribes = self.pause + self.patience;
        let (ceiling, formula) = match notice {
            Notice::Reset => {
                (promotion.ceiling + subscribes, concat!(promotion!(), " + pause + patience (it subscribes)"))
            }
            Notice::Silence => (
                promotion.ceiling + self.patience + subscribes,
                concat!(
                    promotion!(),
                    " + patience (the attempt under way) + pause + patience (it subscribes)"
                ),
            ),
        };
        let limits = Limits { what: "subscribed again", ceiling, formula, ..promotion };
        Judgement::within(limits, took).evidence(format!("{failed} failed elections"))
    }

    /// From a slot's move to the subscription to a channel of its at its new owner.
    ///
    /// The old owner is told as a part of the move. Its replica hears of it by gossip: a primary that gets a slot tells
    /// everybody at once (`clusterBroadcastPong`), and again with every ping.
    pub fn at_the_new_owner(
        &self,
        upheaval: &Upheaval,
        clocks: &ClusterClocks,
        took: Option<Duration>,
    ) -> Judgement {
        let limits = Limits {
            what: "subscribed again",
            floor: Duration::ZERO,
            ceiling: clocks.node_timeout / 2 + self.pause + self.patience + clocks.scheduling,
            resolution: uncertainty(upheaval),
            formula: "NT / 2 (gossip) + pause + patience (it subscribes) + scheduling",
        };
        Judgement::within(limits, took)
    }
}

fn uncertainty(upheaval: &Upheaval) -> Duration {
    upheaval.in_effect.since(upheaval.from)
}

/// From an instant until the last of several subscribers was subscribed again, each of which lost its subscription in
/// one of these ways. None if one of them did not, or is not back.
pub fn renewed<'a>(
    listened: impl IntoIterator<Item = &'a Listened>,
    from: At,
    ways: &[End],
) -> Option<Duration> {
    let took = |listened: &Listened| {
        let (ended, next) = listened.renewed_after(from)?;
        ended.ended.filter(|(_, how)| ways.contains(how))?;
        Some(next?.confirmed.since(from))
    };
    listened.into_iter().map(took).try_fold(Duration::ZERO, |longest, took| Some(longest.max(took?)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        evidence::Subscription,
        judge::{Cause, ElectionDelay},
        verdict::Verdict,
    };

    const HABITS: Habits = Habits {
        ping: Duration::from_millis(250),
        patience: Duration::from_secs(1),
        pause: Duration::from_millis(50),
    };
    const CLOCKS: ClusterClocks = ClusterClocks {
        node_timeout: Duration::from_secs(2),
        election_delay: ElectionDelay::Fixed,
        observe_every: Duration::ZERO,
        scheduling: Duration::ZERO,
    };

    const fn at(millis: u64) -> At {
        At(Duration::from_millis(millis))
    }

    fn upheaval() -> Upheaval {
        Upheaval { cause: Cause::Moved, from: at(1000), in_effect: at(1010), passing_on: Duration::ZERO }
    }

    #[rstest]
    #[case::at_once(Notice::Reset, Some(2), Verdict::Pass)]
    #[case::after_an_attempt(Notice::Reset, Some(1_060), Verdict::Pass)]
    #[case::too_late(Notice::Reset, Some(1_061), Verdict::Fail)]
    #[case::never(Notice::Reset, None, Verdict::Fail)]
    #[case::after_a_silence(Notice::Silence, Some(2_310), Verdict::Pass)]
    #[case::after_a_long_silence(Notice::Silence, Some(2_311), Verdict::Fail)]
    fn another_node_will_do(#[case] notice: Notice, #[case] millis: Option<u64>, #[case] verdict: Verdict) {
        let took = millis.map(Duration::from_millis);
        assert_eq!(HABITS.elsewhere(&upheaval(), notice, &CLOCKS, took).verdict, verdict);
    }

    #[rstest]
    #[case::before_anybody_can_be_elected(Notice::Reset, 2_499, 0, Verdict::Fail)]
    #[case::at_the_floor(Notice::Reset, 2_500, 0, Verdict::Pass)]
    #[case::at_the_ceiling(Notice::Reset, 6_250, 0, Verdict::Pass)]
    #[case::too_late(Notice::Reset, 6_251, 0, Verdict::Fail)]
    #[case::after_an_election_that_failed(Notice::Reset, 15_250, 1, Verdict::Pass)]
    #[case::after_a_silence(Notice::Silence, 7_250, 0, Verdict::Pass)]
    #[case::after_a_long_silence(Notice::Silence, 7_251, 0, Verdict::Fail)]
    fn a_successor_has_to_be_elected(
        #[case] notice: Notice,
        #[case] millis: u64,
        #[case] failed: u64,
        #[case] verdict: Verdict,
    ) {
        let failover =
            SlotFailover { began: at(1000), uncertainty: Duration::ZERO, new: None, promoted: None };
        let took = Some(Duration::from_millis(millis));
        assert_eq!(HABITS.at_the_successor(&failover, notice, &CLOCKS, failed, took).verdict, verdict);
    }

    #[rstest]
    #[case::at_the_ceiling(2_060, Verdict::Pass)]
    #[case::too_late(2_061, Verdict::Fail)]
    fn a_new_owner_is_known_by_gossip(#[case] millis: u64, #[case] verdict: Verdict) {
        let took = Some(Duration::from_millis(millis));
        assert_eq!(HABITS.at_the_new_owner(&upheaval(), &CLOCKS, took).verdict, verdict);
    }

    fn listened(ends: &[(u64, End)], begins: &[u64]) -> Listened {
        let subscription = |(index, begin): (usize, &u64)| Subscription {
            node: "lab-0001-001".into(),
            confirmed: at(*begin),
            received: Vec::new(),
            ended: ends.get(index).map(|(millis, how)| (at(*millis), *how)),
        };
        let subscriptions = begins.iter().enumerate().map(subscription).collect();
        Listened { subscriber: "a".to_owned(), subscriptions }
    }

    #[test]
    fn the_last_one_to_be_back_counts() {
        let quick = listened(&[(500, End::Broken), (1100, End::Told)], &[0, 600, 1120]);
        let slow = listened(&[(1100, End::Told)], &[0, 1300]);
        assert_eq!(renewed([&quick, &slow], at(1000), &[End::Told]), Some(Duration::from_millis(300)));
        let broken = listened(&[(1100, End::Broken)], &[0, 1200]);
        assert_eq!(renewed([&slow, &broken], at(1000), &[End::Told]), None, "it was not told");
        let away = listened(&[(1100, End::Told)], &[0]);
        assert_eq!(renewed([&slow, &away], at(1000), &[End::Told]), None, "it is not back");
        let untouched = listened(&[], &[0]);
        assert_eq!(renewed([&untouched], at(1000), &[End::Told]), None);
    }
}
