use super::*;
use crate::evidence::{Advertised, FaultWindow, RoleChange};

const CLOCKS: SentinelClocks = SentinelClocks {
    down_after: Duration::from_secs(5),
    failover_timeout: Duration::from_secs(60),
    ping: Duration::from_secs(1),
    ask: Duration::from_secs(1),
    observe_every: Duration::from_millis(10),
    scheduling: Duration::ZERO,
};

fn at(millis: u64) -> At {
    At(Duration::from_millis(millis))
}

fn said(millis: u64, sentinel: &str, event: &str) -> Announcement {
    Announcement { at: at(millis), sentinel: sentinel.into(), event: event.to_owned(), about: String::new() }
}

fn timeline() -> Timeline {
    let led = ["+sdown", "+odown", "+try-failover", "+elected-leader", "+selected-slave", "+switch-master"];
    let mut announcements: Vec<_> =
        (0..).zip(led).map(|(n, event)| said(6000 + n * 10, "sentinel-2", event)).collect();
    announcements.insert(1, said(6005, "sentinel-1", "+sdown"));
    announcements.push(said(6100, "sentinel-1", "+switch-master"));
    let advertised = ["sentinel-1", "sentinel-2"].map(|sentinel| Advertised {
        at: at(6500),
        sentinel: sentinel.into(),
        primary: "lab-002".into(),
        silent: At::default(),
    });
    Timeline {
        faults: vec![FaultWindow {
            kind: "crash".to_owned(),
            node: "lab-001".into(),
            from: at(1000),
            in_effect: at(1000),
            until: None,
        }],
        roles: vec![RoleChange { at: at(6045), node: "lab-002".into(), role: Role::Primary }],
        announcements,
        advertised: advertised.into(),
        ..Timeline::default()
    }
}

#[test]
fn the_leader_is_the_one_whose_milestones_count() {
    let election = Election::read(&timeline(), &"lab-001".into()).unwrap();
    assert_eq!(election.leader, Some("sentinel-2".into()));
    assert_eq!(election.in_order().verdict, Verdict::Pass);
    assert_eq!(election.promotion(&CLOCKS).verdict, Verdict::Pass);
    assert_eq!(election.advertisement(2, &CLOCKS).verdict, Verdict::Pass);
}

#[test]
fn an_election_is_known_by_its_epoch() {
    let mut timeline = timeline();
    for (sentinel, epoch) in [("sentinel-1", "7"), ("sentinel-2", "7"), ("sentinel-1", "8")] {
        timeline
            .announcements
            .push(Announcement { about: epoch.to_owned(), ..said(6010, sentinel, "+new-epoch") });
    }
    assert_eq!(Election::epochs(&timeline, at(1000)), 2);
    assert_eq!(Election::epochs(&timeline, at(7000)), 0);
}

#[test]
fn what_nobody_heard_of_is_not_known_to_have_failed() {
    let deaf = |promoted| {
        let mut timeline = Timeline { announcements: Vec::new(), ..timeline() };
        timeline.roles[0].at = at(promoted);
        Election::read(&timeline, &"lab-001".into()).unwrap()
    };
    assert_eq!(deaf(6_045).promotion(&CLOCKS).verdict, Verdict::Pass);
    assert_eq!(deaf(60_000).promotion(&CLOCKS).verdict, Verdict::Unknown);
    assert_eq!(deaf(6_045).one_epoch_each(1).verdict, Verdict::Pass);
    assert_eq!(deaf(6_045).one_epoch_each(2).verdict, Verdict::Unknown);
    let heard = Election::read(&timeline(), &"lab-001".into()).unwrap();
    assert_eq!(heard.one_epoch_each(2).verdict, Verdict::Fail);
}

#[test]
fn a_sentinel_that_names_the_old_primary_is_missed() {
    let election = Election::read(&timeline(), &"lab-001".into()).unwrap();
    assert_eq!(election.advertisement(3, &CLOCKS).verdict, Verdict::Fail);
}

#[test]
fn a_sentinel_that_saves_what_it_heard_has_the_time_for_it() {
    let verdict = |silent: u64, named: u64| {
        let mut timeline = timeline();
        timeline.advertised[0] =
            Advertised { at: at(6045 + named), silent: at(silent), ..timeline.advertised[0].clone() };
        let election = Election::read(&timeline, &"lab-001".into()).unwrap();
        election.advertisement(2, &CLOCKS).verdict
    };
    assert_eq!(verdict(0, 1500), Verdict::Fail);
    assert_eq!(verdict(300, 1500), Verdict::Pass);
    assert_eq!(verdict(300, 1600), Verdict::Fail);
    assert_eq!(verdict(60_000, 3_200), Verdict::Pass);
    assert_eq!(verdict(60_000, 3_300), Verdict::Fail, "no disk takes a minute");
}

#[test]
fn milestones_out_of_order_are_not_those_of_a_failover() {
    let mut timeline = timeline();
    timeline.announcements.retain(|said| said.event != "+odown");
    let election = Election::read(&timeline, &"lab-001".into()).unwrap();
    assert_eq!(election.in_order().verdict, Verdict::Fail);
}

#[test]
fn a_failed_election_is_paid_for_in_full() {
    let mut timeline = timeline();
    timeline.roles[0].at = at(1000 + 5_000 + 2_500 + 1);
    let election = Election::read(&timeline, &"lab-001".into()).unwrap();
    assert_eq!(election.promotion(&CLOCKS).verdict, Verdict::Pass, "a tick within the resolution");
    timeline.roles[0].at = at(1000 + 60_000);
    let late = Election::read(&timeline, &"lab-001".into()).unwrap();
    assert_eq!(late.promotion(&CLOCKS).verdict, Verdict::Fail);
    for epoch in ["1", "2"] {
        let new = Announcement { about: epoch.to_owned(), ..said(6025, "sentinel-1", "+new-epoch") };
        timeline.announcements.push(new);
    }
    let retried = Election::read(&timeline, &"lab-001".into()).unwrap();
    assert_eq!(retried.promotion(&CLOCKS).verdict, Verdict::Pass);
}

#[rstest::rstest]
#[case::due(4_000 + 120_000, &["1", "2"], Verdict::Pass)]
#[case::too_soon(4_000 + 119_900, &["1", "2"], Verdict::Fail)]
#[case::too_late(7_500 + 121_100, &["1", "2"], Verdict::Fail)]
#[case::there_was_only_one(124_000, &["1"], Verdict::Fail)]
fn a_second_attempt_comes_when_it_is_due(
    #[case] millis: u64,
    #[case] epochs: &[&str],
    #[case] verdict: Verdict,
) {
    let mut timeline = timeline();
    timeline.roles[0].at = at(1000 + millis);
    let new =
        |epoch: &&str| Announcement { about: (*epoch).to_owned(), ..said(6025, "sentinel-1", "+new-epoch") };
    timeline.announcements.extend(epochs.iter().map(new));
    let election = Election::read(&timeline, &"lab-001".into()).unwrap();
    assert_eq!(election.second_attempt(&CLOCKS).verdict, verdict);
}
