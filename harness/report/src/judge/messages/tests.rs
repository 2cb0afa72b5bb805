use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::evidence::Received;

/// Between two messages, in milliseconds.
const EVERY: u64 = 10;
/// Messages in a history.
const COUNT: u64 = 200;

fn at(millis: u64) -> At {
    At(Duration::from_millis(millis))
}

fn message(sequence: u64, outcome: Outcome) -> Publish {
    Publish {
        sequence,
        asked: at(sequence * EVERY),
        answered: at(sequence * EVERY + 2),
        outcome,
        receivers: Some(1),
        error: (outcome != Outcome::Acknowledged).then(|| "no answer".to_owned()),
    }
}

fn published(outcomes: &[Outcome]) -> Published {
    let messages = (0..).zip(outcomes).map(|(sequence, outcome)| message(sequence, *outcome));
    Published { publisher: 1, messages: messages.collect() }
}

fn subscription(node: &str, confirmed: u64, sequences: &[u64], ended: Option<(u64, End)>) -> Subscription {
    let received =
        |sequence: &u64| Received { at: at(sequence * EVERY + 1), publisher: 1, sequence: *sequence };
    Subscription {
        node: node.into(),
        confirmed: at(confirmed),
        received: sequences.iter().map(received).collect(),
        ended: ended.map(|(millis, how)| (at(millis), how)),
    }
}

fn traffic(published: Published, subscriptions: Vec<Subscription>) -> Traffic {
    let listened = Listened { subscriber: "a".to_owned(), subscriptions };
    Traffic { published: vec![published], listened: vec![listened] }
}

fn upheaval(cause: Cause) -> Upheaval {
    Upheaval { cause, from: at(1000), in_effect: at(1020), passing_on: Duration::from_millis(50) }
}

/// A subscriber that was away from the upheaval at 1 s until `back`. While it certainly was subscribed it heard of
/// what was acknowledged; of all else what chance has it hear.
#[derive(Debug, Clone)]
struct History {
    outcomes: Vec<Outcome>,
    told: bool,
    back: u64,
    chance: Vec<bool>,
}

impl History {
    fn upheaval(&self) -> Upheaval {
        upheaval(if self.told { Cause::Moved } else { Cause::Lost("lost".into()) })
    }

    /// Whether a message has to arrive.
    fn is_sure(&self, sequence: u64) -> bool {
        let before = sequence * EVERY + 2 + 50 < 1000;
        let after = sequence * EVERY >= self.back && sequence * EVERY > 1020;
        self.outcomes[sequence as usize] == Outcome::Acknowledged && (before || after)
    }

    /// What arrived by each of the two subscriptions.
    fn heard(&self) -> [Vec<u64>; 2] {
        let arrives = |sequence: &u64| {
            let possible = self.outcomes[*sequence as usize] != Outcome::Failed;
            self.is_sure(*sequence) || possible && self.chance[*sequence as usize]
        };
        let (before, after) = (0..COUNT).filter(arrives).partition(|sequence| sequence * EVERY < 1000);
        [before, after]
    }

    fn traffic(&self, [before, after]: &[Vec<u64>; 2]) -> Traffic {
        let how = if self.told { End::Told } else { End::Broken };
        let subscriptions = vec![
            subscription("lost", 0, before, Some((1030.min(self.back), how))),
            subscription("other", self.back, after, None),
        ];
        traffic(published(&self.outcomes), subscriptions)
    }
}

fn histories() -> impl Strategy<Value = History> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Acknowledged),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::Indeterminate),
    ];
    let outcomes = prop::collection::vec(outcome, COUNT as usize);
    let chance = prop::collection::vec(any::<bool>(), COUNT as usize);
    (outcomes, any::<bool>(), 1001..1800_u64, chance).prop_map(|(outcomes, told, back, chance)| History {
        outcomes,
        told,
        back,
        chance,
    })
}

proptest! {
    /// Whatever chance had it hear while it was away, and whatever became of messages without an answer.
    #[test]
    fn what_is_lost_while_away_is_excused(history in histories()) {
        let traffic = [history.traffic(&history.heard())];
        let judgement = lost_only_while_away(&traffic, &history.upheaval());
        prop_assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement);
        prop_assert_eq!(at_most_once(&traffic).verdict, Verdict::Pass);
    }

    #[test]
    fn one_message_less_while_subscribed_is_found(history in histories(), which in any::<prop::sample::Index>()) {
        let mut heard = history.heard();
        let sure: Vec<u64> = (0..COUNT).filter(|sequence| history.is_sure(*sequence)).collect();
        prop_assume!(!sure.is_empty());
        let gone = sure[which.index(sure.len())];
        heard.iter_mut().for_each(|part| part.retain(|sequence| *sequence != gone));
        let judgement = lost_only_while_away(&[history.traffic(&heard)], &history.upheaval());
        prop_assert_eq!(judgement.verdict, Verdict::Fail, "{}: {:?}", gone, judgement);
    }

    #[test]
    fn one_message_more_is_found(history in histories(), which in any::<prop::sample::Index>(), apart in 1..20_usize) {
        let mut heard = history.heard();
        prop_assume!(!heard[0].is_empty());
        let index = which.index(heard[0].len());
        let (again, place) = (heard[0][index], (index + apart).min(heard[0].len()));
        heard[0].insert(place, again);
        prop_assert_eq!(at_most_once(&[history.traffic(&heard)]).verdict, Verdict::Fail);
    }

    /// Of two that were acknowledged the first was answered before the second was asked for.
    #[test]
    fn two_messages_in_the_wrong_order_are_found(history in histories(), which in any::<prop::sample::Index>()) {
        let mut heard = history.heard();
        let acknowledged: Vec<usize> = (0..heard[1].len())
            .filter(|index| history.outcomes[heard[1][*index] as usize] == Outcome::Acknowledged)
            .collect();
        prop_assume!(acknowledged.len() > 1);
        let first = which.index(acknowledged.len() - 1);
        heard[1].swap(acknowledged[first], acknowledged[first + 1]);
        prop_assert_eq!(at_most_once(&[history.traffic(&heard)]).verdict, Verdict::Fail);
    }

    /// The gaps are the missing messages: all of them, each once, and two gaps have something between them.
    #[test]
    fn gaps_are_runs_of_what_is_missing(history in histories()) {
        let traffic = history.traffic(&history.heard());
        let account = Account::of(&traffic.published[0], &traffic.listened[0], None);
        let arrived: BTreeSet<u64> = traffic.listened[0].received().map(|received| received.sequence).collect();
        let acknowledged: Vec<u64> = (0..COUNT)
            .filter(|sequence| history.outcomes[*sequence as usize] == Outcome::Acknowledged)
            .collect();
        let missing = acknowledged.iter().filter(|sequence| !arrived.contains(sequence)).count();
        prop_assert_eq!(account.missing(), missing);
        prop_assert_eq!(account.due, acknowledged.len());
        for pair in account.gaps.windows(2) {
            let between = |sequence: &&u64| pair[0].last < **sequence && **sequence < pair[1].first;
            prop_assert!(acknowledged.iter().any(|sequence| between(&sequence) && arrived.contains(sequence)));
        }
    }
}

/// Ten messages, one every 10 ms; the first subscription stands from the first one's time.
fn ten() -> Published {
    published(&[Outcome::Acknowledged; 10])
}

#[rstest]
#[case::all(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], Verdict::Pass)]
#[case::one_is_missing(&[0, 1, 2, 3, 5, 6, 7, 8, 9], Verdict::Fail)]
#[case::the_last_is_missing(&[0, 1, 2, 3, 4, 5, 6, 7, 8], Verdict::Fail)]
#[case::nothing_arrived(&[], Verdict::Fail)]
fn complete_is_all(#[case] sequences: &[u64], #[case] verdict: Verdict) {
    let channel = traffic(ten(), vec![subscription("a", 0, sequences, None)]);
    assert_eq!(complete("all", &[channel]).verdict, verdict);
}

#[test]
fn what_was_published_before_anybody_listened_is_not_due() {
    let channel = traffic(ten(), vec![subscription("a", 45, &[5, 6, 7, 8, 9], None)]);
    assert_eq!(complete("all", &[channel]).verdict, Verdict::Pass);
    let late = traffic(ten(), vec![subscription("a", 95, &[], None)]);
    assert_eq!(complete("all", &[late]).verdict, Verdict::Unknown);
}

#[test]
fn a_message_that_is_not_acknowledged_is_a_disturbance() {
    let mut of_one = ten();
    of_one.messages[3] = message(3, Outcome::Indeterminate);
    let channel = traffic(of_one, vec![subscription("a", 0, &[0, 1, 2, 4, 5, 6, 7, 8, 9], None)]);
    assert_eq!(complete("all", &[channel]).observed, "not acknowledged: no answer");
    assert_eq!(all_acknowledged("all", &[]).verdict, Verdict::Unknown);
}

/// Ten messages, one every 10 ms, of which these were passed on; what matters are those from 20 to 50 ms.
#[rstest]
#[case::all(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], Verdict::Pass)]
#[case::one_of_those_that_matter(&[3], Verdict::Pass)]
#[case::the_first_of_them(&[2], Verdict::Pass)]
#[case::only_before_and_after(&[0, 1, 5, 6, 7, 8, 9], Verdict::Unknown)]
#[case::none(&[], Verdict::Unknown)]
fn what_nobody_was_there_to_hear_proves_nothing(#[case] heard: &[u64], #[case] verdict: Verdict) {
    let mut of_one = ten();
    for message in &mut of_one.messages {
        message.receivers = Some(u64::from(heard.contains(&message.sequence)));
    }
    let mut published = [of_one];
    assert_eq!(all_passed_on("all", &published, (at(20), at(50))).verdict, verdict);
    published[0].messages[9] = message(9, Outcome::Failed);
    assert_eq!(all_passed_on("all", &published, (at(20), at(50))).verdict, Verdict::Fail);
}

#[rstest]
#[case::nobody_was_away(&[], Verdict::Unknown)]
#[case::the_lost_node(&[("lost", 1030, End::Broken)], Verdict::Pass)]
#[case::it_went_silent(&[("lost", 1030, End::Silent)], Verdict::Pass)]
#[case::the_successor_told(&[("heir", 1030, End::Told)], Verdict::Pass)]
#[case::another_node(&[("other", 1030, End::Broken)], Verdict::Fail)]
#[case::too_early(&[("lost", 990, End::Broken)], Verdict::Fail)]
#[case::and_another_one(&[("lost", 1030, End::Broken), ("other", 1200, End::Broken)], Verdict::Fail)]
fn an_end_has_to_have_a_reason(#[case] ends: &[(&str, u64, End)], #[case] verdict: Verdict) {
    let ended = ends.iter().map(|(node, millis, how)| (*node, Some((*millis, *how))));
    let mut confirmed = 0;
    let subscriptions = ended.chain([("last", None)]).map(|(node, ended)| {
        let subscription = subscription(node, confirmed, &[], ended);
        confirmed = ended.map_or(confirmed, |(millis, _)| millis + 5);
        subscription
    });
    let channel = traffic(published(&[]), subscriptions.collect());
    let upheaval = upheaval(Cause::Lost("lost".into()));
    assert_eq!(lost_only_while_away(&[channel], &upheaval).verdict, verdict);
}

#[test]
fn who_is_not_back_proves_nothing() {
    let channel = traffic(published(&[]), vec![subscription("lost", 0, &[], Some((1030, End::Broken)))]);
    let upheaval = upheaval(Cause::Lost("lost".into()));
    assert_eq!(lost_only_while_away(&[channel], &upheaval).verdict, Verdict::Unknown);
}

/// Another node may have been later with it than the one that was lost.
#[test]
fn the_same_message_by_another_subscription_is_no_repetition() {
    let lost = subscription("lost", 0, &[0, 1, 2], Some((25, End::Broken)));
    let other = subscription("other", 26, &[2, 3, 4, 5, 6, 7, 8, 9], None);
    let channel = traffic(ten(), vec![lost, other]);
    let account = Account::of(&channel.published[0], &channel.listened[0], None);
    assert_eq!((account.missing(), account.again), (0, 1));
    assert_eq!(at_most_once(&[channel]).verdict, Verdict::Pass);
}

#[test]
fn an_account_reads_well() {
    let channel = traffic(ten(), vec![subscription("a", 0, &[0, 1, 5, 6, 7, 9], None)]);
    let account = Account::of(&channel.published[0], &channel.listened[0], None);
    assert_eq!(account.to_string(), "a: 4 of 10 messages of publisher 1 are missing: 2–4, 8");
    assert_eq!(account.inexcusable, 4);
}
