//! Each claim on histories that were written by hand: one that holds, one that does not, one that shows nothing.

use std::time::Duration;

use lab_history::History;
use lab_report::{
    Verdict,
    judge::{Clocks, Judgement},
};
use rstest::rstest;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
const SCHEDULING: Duration = Duration::from_millis(300);

const CLOCKS: Clocks = Clocks {
    probe_every: Duration::from_millis(100),
    probe_timeout: Duration::from_millis(250),
    dead_after: Duration::from_secs(1),
    ttl: Duration::from_millis(200),
    patience: Duration::from_millis(250),
    write_every: Duration::from_millis(10),
    observe_every: Duration::from_millis(10),
    sample_every: Duration::from_millis(50),
    scheduling: SCHEDULING,
};

/// A history: `a` dies at 5 s and is gone by 5.1 s, `b` is primary from 6.5 s on, and everything has settled at 20 s.
struct Told(String);

impl Told {
    fn calm() -> Self {
        let header = r#"{"schema":1,"run":"told","seed":0,"deadline_us":1000000}"#;
        Self(format!("{header}\n{}\n", r#"{"note":"settled","at_us":20000000}"#))
    }

    fn failover() -> Self {
        let fault = r#"{"note":"injected","at_us":5000000,"fault":0,"kind":"crash","nodes":["a"],"in_effect_us":5100000}"#;
        let role =
            |at, node, role| format!(r#"{{"note":"role","at_us":{at},"node":"{node}","role":"{role}"}}"#);
        let before = Self::calm().line(&role(10, "a", "primary")).line(&role(10, "b", "replica"));
        before.line(fault).line(&role(6_500_000, "b", "primary"))
    }

    fn line(mut self, line: &str) -> Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }

    /// Done within a millisecond, from `at` on, in milliseconds.
    fn op(self, who: &str, op: &str, at: u64, rest: &str) -> Self {
        let (begin, end) = (at * 1000, at * 1000 + 900);
        let when = format!(r#""intended_us":{begin},"invoked_us":{begin},"completed_us":{end}"#);
        self.line(&format!(r#"{{"op":"{op}","object":"x","client":"{who}","worker":0,{when},{rest}}}"#))
    }

    fn add(self, at: u64, value: u32) -> Self {
        self.op("app", "add", at, &format!(r#""value":[0,{value}],"outcome":"ok""#))
    }

    fn refused(self, at: u64, value: u32, why: &str) -> Self {
        self.op("app", "add", at, &format!(r#""value":[0,{value}],"outcome":"failed","reason":"{why}""#))
    }

    /// What is there in the end.
    fn members(self, values: &[u32]) -> Self {
        let list: Vec<String> = values.iter().map(|value| format!("[0,{value}]")).collect();
        self.op("reader", "members", 21_000, &format!(r#""outcome":"ok","result":[{}]"#, list.join(",")))
    }

    fn history(self) -> History {
        let whole = self.line(r#"{"end":"whole"}"#);
        History::import(whole.0.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", whole.0))
    }
}

fn verdict(claim: impl Fn(&History) -> Judgement, told: Told) -> Verdict {
    claim(&told.history()).verdict
}

#[test]
fn whoever_is_acknowledged_after_the_failover_has_not_died() {
    let claim = |history: &History| never_again(history, "app");
    let before = || Told::failover().add(1000, 1);
    assert_eq!(verdict(claim, before().refused(7000, 2, "not_sent")), Verdict::Pass);
    assert_eq!(verdict(claim, before().add(7000, 2)), Verdict::Fail);
    assert_eq!(verdict(claim, before()), Verdict::Unknown, "nothing was asked for");
    assert_eq!(verdict(claim, Told::failover().refused(7000, 2, "not_sent")), Verdict::Unknown);
    assert_eq!(verdict(claim, Told::calm().add(1000, 1).refused(7000, 2, "not_sent")), Verdict::Unknown);
}

#[rstest]
#[case::sooner_than_anybody_takes_over(5200, Verdict::Fail)]
#[case::when_the_clocks_say(7000, Verdict::Pass)]
#[case::too_late(9500, Verdict::Fail)]
fn a_client_is_back_between_two_bounds(#[case] at: u64, #[case] expected: Verdict) {
    let profile = Profile {
        connect_timeout: Some(MS(500)),
        response_timeout: Some(MS(250)),
        max_pause: Some(MS(250)),
        ..Profile::default()
    };
    let claim = |history: &History| served_again(history, "app", back_by_name(&CLOCKS, &profile));
    assert_eq!(verdict(claim, Told::failover().add(1000, 1).add(at, 2)), expected);
    assert_eq!(verdict(claim, Told::failover().add(1000, 1)), Verdict::Fail, "it never came back");
    assert_eq!(verdict(claim, Told::calm().add(at, 2)), Verdict::Unknown);
}

#[rstest]
#[case::nothing(&[1, 2, 3], Verdict::Pass, Verdict::Pass, Verdict::Fail)]
#[case::of_the_instant(&[1, 3], Verdict::Pass, Verdict::Fail, Verdict::Fail)]
#[case::of_long_before(&[2, 3], Verdict::Fail, Verdict::Fail, Verdict::Fail)]
#[case::confirmed_by_the_minority(&[1, 2], Verdict::Fail, Verdict::Fail, Verdict::Pass)]
fn a_loss_is_of_its_time(
    #[case] there: &[u32],
    #[case] instant: Verdict,
    #[case] nothing: Verdict,
    #[case] confirmed: Verdict,
) {
    let told = || Told::failover().add(1000, 1).add(4950, 2).add(7000, 3).members(there);
    assert_eq!(verdict(|history| lost_in_the_instant(history, SCHEDULING), told()), instant);
    assert_eq!(verdict(lost_nothing, told()), nothing);
    assert_eq!(verdict(lost_though_confirmed, told()), confirmed);
}

#[test]
fn a_loss_that_nobody_looked_for_is_unknown() {
    let told = || Told::failover().add(1000, 1);
    assert_eq!(verdict(lost_nothing, told()), Verdict::Unknown);
    assert_eq!(verdict(lost_though_confirmed, told()), Verdict::Unknown);
    assert_eq!(verdict(|history| lost_in_the_instant(history, SCHEDULING), told()), Verdict::Unknown);
    assert_eq!(verdict(lost_nothing, Told::calm().add(1000, 1).members(&[1])), Verdict::Unknown);
}

#[rstest]
#[case::within(8000, Verdict::Pass)]
#[case::beyond(8500, Verdict::Fail)]
fn what_a_patient_primary_acknowledges_is_bounded(#[case] last: u64, #[case] expected: Verdict) {
    let told = Told::failover().add(1000, 1).add(last, 2).members(&[1]);
    assert_eq!(verdict(|history| bounded(history, MS(1000), SCHEDULING), told), expected);
    let told = || Told::failover().add(1000, 1);
    assert_eq!(verdict(refused, told().refused(8000, 2, "no_replicas")), Verdict::Pass);
    assert_eq!(verdict(refused, told().add(8000, 2)), Verdict::Fail);
    assert_eq!(verdict(refused, told()), Verdict::Unknown);
}

#[rstest]
#[case::while_it_lasted(&[1, 3], Verdict::Pass)]
#[case::long_before(&[2, 3], Verdict::Fail)]
#[case::long_after(&[1, 2], Verdict::Fail)]
fn of_several_faults_a_loss_is_of_one(#[case] there: &[u32], #[case] expected: Verdict) {
    let healed = r#"{"note":"healed","at_us":9000000,"fault":0}"#;
    let told = Told::failover().line(healed).add(1000, 1).add(8000, 2).add(12_000, 3).members(there);
    assert_eq!(verdict(|history| lost_around_faults(history, &CLOCKS), told), expected);
}

/// One subscriber, and a message before the failover, one in it, and one after it.
fn messages(received: &[u32], again: bool) -> Told {
    let subscribe = |told: Told, at| told.op("ear", "subscribe", at, r#""outcome":"ok""#);
    let mut told = subscribe(Told::failover(), 100);
    for (at, value) in [(1000, 1), (6000, 2), (8000, 3)] {
        told = told.op("app", "publish", at, &format!(r#""value":[0,{value}],"outcome":"ok""#));
        if received.contains(&value) {
            told = told.op("ear", "receive", at, &format!(r#""value":[0,{value}],"outcome":"ok""#));
        }
    }
    let told = if again { subscribe(told, 7000) } else { told };
    told.op("ear", "unsubscribe", 19_000, r#""outcome":"ok""#)
}

#[rstest]
#[case::deaf(&[1], false, Verdict::Pass, Verdict::Pass)]
#[case::back(&[1, 3], true, Verdict::Fail, Verdict::Pass)]
#[case::misses_more(&[3], true, Verdict::Fail, Verdict::Fail)]
#[case::never_listened(&[], false, Verdict::Pass, Verdict::Unknown)]
fn who_is_away_misses_what_is_published(
    #[case] received: &[u32],
    #[case] again: bool,
    #[case] is_deaf: Verdict,
    #[case] only: Verdict,
) {
    assert_eq!(verdict(|history| deaf(history, "ear"), messages(received, again)), is_deaf);
    let claim = |history: &History| heard_but_while_away(history, "ear", SCHEDULING);
    assert_eq!(verdict(claim, messages(received, again)), only);
    let limits = subscribed_by_name(&CLOCKS, &Profile::default());
    let claim = |history: &History| subscribed_again(history, "ear", limits);
    let back = if again { Verdict::Pass } else { Verdict::Fail };
    assert_eq!(verdict(claim, messages(received, again)), back);
    assert_eq!(missed_by(&messages(received, again).history(), "ear"), 3 - received.len());
}

/// Two entries: `left` is in the hands of a consumer that dies, and the other is worked off.
fn entries(told: Told, there: &[u32]) -> Told {
    let list: Vec<String> = there.iter().map(|value| format!("[0,{value}]")).collect();
    let append = |told: Told, at, value| {
        told.op("app", "append", at, &format!(r#""value":[0,{value}],"outcome":"ok""#))
    };
    append(append(told, 1000, 1), 1100, 2)
        .op("dead", "deliver", 1002, r#""outcome":"ok","result":[0,1]"#)
        .op("living", "deliver", 1102, r#""outcome":"ok","result":[0,2]"#)
        .op("living", "acknowledge", 1104, r#""value":[0,2],"outcome":"ok""#)
        .op("reader", "entries", 21_000, &format!(r#""outcome":"ok","result":[{}]"#, list.join(",")))
}

#[test]
fn what_a_dead_consumer_had_is_given_to_others() {
    let claim = |history: &History| taken_over(history, "dead");
    let claimed = |told: Told| told.op("living", "claim", 8000, r#""outcome":"ok","result":[0,1]"#);
    let pending = |told: Told, count| {
        told.op("reader", "pending", 20_500, &format!(r#""outcome":"ok","result":{count}"#))
    };
    assert_eq!(verdict(claim, pending(claimed(entries(Told::failover(), &[1, 2])), 0)), Verdict::Pass);
    assert_eq!(verdict(claim, pending(claimed(entries(Told::failover(), &[1, 2])), 1)), Verdict::Fail);
    assert_eq!(verdict(claim, pending(entries(Told::failover(), &[1, 2]), 1)), Verdict::Fail);
    assert_eq!(verdict(claim, entries(Told::failover(), &[2])), Verdict::Unknown, "its entry is lost");
    assert_eq!(verdict(claim, claimed(entries(Told::calm(), &[1, 2]))), Verdict::Unknown);
}

#[test]
fn a_group_goes_no_further_back_than_the_fault() {
    let claim = |history: &History| kept_its_place(history, SCHEDULING);
    let again = |at| format!(r#""outcome":"ok","result":[0,{at}]"#);
    assert_eq!(verdict(claim, entries(Told::failover(), &[1, 2])), Verdict::Pass);
    let repeated = entries(Told::failover(), &[1, 2]).op("living", "deliver", 8000, &again(2));
    assert_eq!(verdict(claim, repeated), Verdict::Fail);
    let late = Told::failover()
        .op("app", "append", 4900, r#""value":[0,9],"outcome":"ok""#)
        .op("living", "deliver", 4950, &again(9))
        .op("living", "deliver", 8000, &again(9));
    assert_eq!(verdict(claim, entries(late, &[1, 2, 9])), Verdict::Pass, "of the fault's instant");
    let look = |told: Told, at, id: &str| {
        told.op("looks", "last_delivered", at, &format!(r#""outcome":"ok","result":"{id}""#))
    };
    let back =
        look(look(entries(Told::failover(), &[1, 2]), 2000, "1700000005000-0"), 8000, "1700000001000-0");
    assert_eq!(verdict(claim, back), Verdict::Fail);
    assert_eq!(verdict(claim, entries(Told::calm(), &[1, 2])), Verdict::Unknown);
}

#[test]
fn an_entry_that_is_there_was_delivered() {
    let append = |told: Told, at| told.op("app", "append", at, r#""value":[0,3],"outcome":"ok""#);
    assert_eq!(verdict(delivered, entries(Told::failover(), &[1, 2])), Verdict::Pass);
    assert_eq!(
        verdict(delivered, append(entries(Told::failover(), &[1, 3, 2]), 1050)),
        Verdict::Fail,
        "skipped"
    );
    assert_eq!(
        verdict(delivered, append(entries(Told::failover(), &[1, 2, 3]), 1150)),
        Verdict::Fail,
        "left"
    );
    let claim = |history: &History| lost_entries(history, SCHEDULING);
    assert_eq!(verdict(claim, entries(Told::failover(), &[1, 2])), Verdict::Pass);
    assert_eq!(verdict(claim, entries(Told::failover(), &[1])), Verdict::Fail);
}

#[rstest]
#[case::shorter_than_anybody_takes_over(5600, Verdict::Fail)]
#[case::as_long(8000, Verdict::Pass)]
#[case::longer(9800, Verdict::Fail)]
fn no_outage_is_longer_than_a_failover(#[case] back: u64, #[case] expected: Verdict) {
    let limits = Limits { ceiling: MS(4000), ..back_by_name(&CLOCKS, &Profile::default()) };
    let told = Told::failover().add(5000, 1).refused(5200, 2, "not_sent").add(back, 3);
    let told = (53..back / 100).fold(told, |told, tenth| told.refused(tenth * 100, tenth as u32, "not_sent"));
    assert_eq!(verdict(|history| down_at_most(history, limits), told), expected);
}

/// Of a cluster's other shards each has a primary: one that was out of sight for a moment has not taken over.
#[test]
fn who_was_primary_before_has_not_become_one() {
    let role = |at, role| format!(r#"{{"note":"role","at_us":{at},"node":"c","role":"{role}"}}"#);
    let fault = r#"{"note":"injected","at_us":5000000,"fault":0,"kind":"crash","nodes":["a"],"in_effect_us":5100000}"#;
    let told = Told::calm().line(&role(10, "primary")).line(fault);
    let told = told.line(&role(5_500_000, "unreachable")).line(&role(5_600_000, "primary"));
    assert_eq!(Failover::read(&told.history()).unwrap().promoted, None);
}

/// A history of `fixtures/histories/broken`.
fn broken(name: &str) -> History {
    let path = failover_lab::session::root().join(format!("fixtures/histories/broken/{name}.jsonl"));
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    History::open(std::io::BufReader::new(file)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Each is one that a failover could have left, but for the one thing that its claim is about.
#[test]
fn a_broken_history_fails_its_claim() {
    let fails = |judged: Judgement| assert_eq!(judged.verdict, Verdict::Fail, "{judged:?}");
    fails(lost_in_the_instant(&broken("sets-long_before"), SCHEDULING));
    fails(lost_before_the_cut(&broken("sets-long_before"), SCHEDULING));
    fails(bounded(&broken("sets-unbounded"), MS(1000), SCHEDULING));
    fails(lost_nothing(&broken("sets-unbounded")));
    fails(kept_its_place(&broken("streams-set_back"), SCHEDULING));
    fails(heard_but_while_away(&broken("channels-thrown_out"), "ear", SCHEDULING));
    let minority = lost_though_confirmed(&broken("sets-unbounded"));
    assert_eq!(minority.verdict, Verdict::Pass, "what a minority confirms is lost");
}
