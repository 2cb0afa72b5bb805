use super::*;
use crate::evidence::FaultWindow;

const LIMIT: Duration = Duration::from_millis(100);
const WRITE_EVERY: Duration = Duration::from_millis(5);
const SAMPLING: Sampling = Sampling {
    every: Duration::from_millis(50),
    patience: Duration::from_millis(100),
    scheduling: Duration::from_millis(200),
};

fn at(millis: u64) -> At {
    At(Duration::from_millis(millis))
}

/// A sample every 50 ms for four seconds, at 300 commands a second, for as long as `up` says.
fn samples(node: &str, up: impl Fn(u64) -> bool) -> Vec<Sample> {
    let sample = |millis: u64| Sample {
        at: at(millis),
        node: node.into(),
        role: Role::Primary,
        connections: 5,
        commands: millis * 3 / 10,
        cpu_seconds: 0.0,
        memory_bytes: 1,
        offset: millis,
        lag_bytes: None,
        replicas_online: None,
        replicas_syncing: None,
    };
    (0..=80).map(|tick| tick * 50).filter(|millis| up(*millis)).map(sample).collect()
}

fn of_one(samples: Vec<Sample>) -> Timeline {
    Timeline { nodes: vec!["a".into()], samples, ..Timeline::default() }
}

fn judged(timeline: &Timeline) -> Judgement {
    recorded(timeline, (at(0), at(4000)), LIMIT, &SAMPLING)
}

#[test]
fn a_node_that_is_down_leaves_a_gap() {
    let (before, down) = ((at(0), at(1000)), (at(1001), at(2000)));
    let verdict = |timeline: &Timeline| dip(timeline, &"a".into(), before, down, LIMIT).verdict;
    assert_eq!(verdict(&of_one(samples("a", |millis| !(1001..2000).contains(&millis)))), Verdict::Pass);
    assert_eq!(verdict(&of_one(samples("a", |_| true))), Verdict::Fail);
    assert_eq!(verdict(&of_one(Vec::new())), Verdict::Unknown);
}

#[test]
fn what_a_gap_between_samples_hides_is_no_service() {
    let (before, down) = ((at(0), at(1000)), (at(1001), at(2000)));
    let verdict = |until| {
        let timeline = of_one(samples("a", |millis| millis <= until));
        dip(&timeline, &"a".into(), before, down, LIMIT).verdict
    };
    assert_eq!([verdict(1150), verdict(1200)], [Verdict::Pass, Verdict::Fail]);
}

#[test]
fn an_outage_as_short_as_a_gap_cannot_be_seen() {
    let smooth = of_one(samples("a", |_| true));
    let judged = dip(&smooth, &"a".into(), (at(0), at(1000)), (at(1000), at(1100)), LIMIT);
    assert_eq!(judged.verdict, Verdict::Unknown);
}

#[test]
fn a_sampler_that_died_shows_no_dip() {
    let mut timeline = of_one(samples("a", |millis| millis <= 1000));
    timeline.nodes.push("b".into());
    timeline.samples.extend(samples("b", |millis| millis <= 1000));
    let (before, down) = ((at(0), at(1000)), (at(1001), at(2000)));
    let verdict = |timeline: &Timeline| dip(timeline, &"a".into(), before, down, LIMIT).verdict;
    assert_eq!(verdict(&timeline), Verdict::Unknown);
    timeline.samples.extend(samples("b", |millis| millis > 1000));
    assert_eq!(verdict(&timeline), Verdict::Pass);
}

#[test]
fn one_long_gap_in_ten_is_the_samplers() {
    let gappy = of_one(samples("a", |millis| millis % 500 != 250 && millis % 500 != 300));
    assert_eq!(judged(&gappy).verdict, Verdict::Fail);
}

#[test]
fn a_single_gap_has_a_limit_of_its_own() {
    let pause = |length: u64| of_one(samples("a", |millis| !(1001..1000 + length).contains(&millis)));
    assert_eq!(judged(&pause(450)).verdict, Verdict::Pass);
    assert_eq!(judged(&pause(500)).verdict, Verdict::Fail);
}

#[test]
fn a_sampler_that_dies_with_its_node_has_not_recorded_it() {
    let of = |up: fn(u64) -> bool| {
        let fault = FaultWindow {
            kind: "crash".to_owned(),
            node: "a".into(),
            from: at(1000),
            in_effect: at(1010),
            until: Some(at(3000)),
        };
        judged(&Timeline { faults: vec![fault], ..of_one(samples("a", up)) })
    };
    assert_eq!(of(|millis| millis <= 1000 || millis > 3000).verdict, Verdict::Pass);
    let died = of(|millis| millis <= 1000);
    assert_eq!((died.verdict, died.observed.as_str()), (Verdict::Fail, "no samples of a since it is back"));
}

#[test]
fn a_counter_that_starts_again_is_no_dip() {
    let mut timeline = of_one(samples("a", |_| true));
    timeline
        .samples
        .iter_mut()
        .filter(|sample| sample.at > at(1500))
        .for_each(|sample| sample.commands -= 450);
    let verdict = dip(&timeline, &"a".into(), (at(0), at(1000)), (at(1001), at(2000)), LIMIT).verdict;
    assert_eq!(verdict, Verdict::Fail);
}

#[test]
fn sampling_is_judged_by_the_slowest_node() {
    assert_eq!(judged(&of_one(samples("a", |_| true))).verdict, Verdict::Pass);
    let mut two = of_one(samples("a", |_| true));
    two.nodes.push("b".into());
    assert_eq!(judged(&two).observed, "no samples of b");
    two.samples.extend(samples("b", |millis| millis % 200 == 0));
    assert_eq!(judged(&two).verdict, Verdict::Fail);
}

#[test]
fn a_load_that_never_arrives_is_no_recovery() {
    let of = |percent: u64| {
        let mut timeline = of_one(samples("a", |_| true));
        let late = timeline.samples.iter_mut().filter(|sample| sample.at > at(2000));
        late.for_each(|sample| sample.commands = 600 + (sample.commands - 600) * percent / 100);
        timeline
    };
    let (early, late, never) = ((at(0), at(1000)), (at(3000), at(4000)), (at(9000), at(9500)));
    let a: NodeId = "a".into();
    let verdict =
        |percent: u64, after: Window| recovery(&of(percent), (&a, early), (&a, after), WRITE_EVERY).verdict;
    // Of 300 commands a second 200 are the load: without half of it two thirds are left.
    assert_eq!(verdict(100, late), Verdict::Pass);
    assert_eq!(verdict(70, late), Verdict::Pass);
    assert_eq!(verdict(60, late), Verdict::Fail);
    assert_eq!(verdict(100, never), Verdict::Unknown);
}

/// The new primary's stream grows by 1000 bytes a second, and the other node is behind by so many bytes.
fn behind(bytes: impl Fn(u64) -> u64) -> Timeline {
    let mut timeline = of_one(samples("a", |_| true));
    timeline.nodes.push("b".into());
    timeline.samples.extend(samples("b", |_| true).into_iter().map(|sample| Sample {
        role: Role::Replica,
        lag_bytes: Some(bytes(sample.offset)),
        ..sample
    }));
    timeline
}

fn lag(timeline: &Timeline) -> Judgement {
    let a: NodeId = "a".into();
    lag_returns(timeline, (&a, (at(0), at(1000))), (&a, (at(3000), at(4000))), LIMIT, &SAMPLING)
}

#[test]
fn a_lag_that_does_not_go_away_is_seen() {
    assert_eq!(lag(&behind(|_| 0)).verdict, Verdict::Pass);
    let stands_still = lag(&behind(|millis| millis.saturating_sub(2500)));
    assert_eq!(stands_still.verdict, Verdict::Fail);
    assert_eq!(stands_still.bound.unwrap().measured, Some(at(1450)));
}

#[test]
fn one_sample_in_twenty_may_be_behind() {
    assert_eq!(lag(&behind(|millis| if millis == 3500 { 900 } else { 50 })).verdict, Verdict::Pass);
    assert_eq!(lag(&behind(|millis| if millis > 3700 { 900 } else { 50 })).verdict, Verdict::Fail);
}

#[test]
fn a_node_that_is_no_replica_and_a_stream_that_stands_still_show_no_lag() {
    let mut no_replica = behind(|_| 0);
    no_replica.samples.iter_mut().for_each(|sample| sample.role = Role::Primary);
    assert_eq!(lag(&no_replica).verdict, Verdict::Unknown);
    let mut idle = behind(|_| 0);
    idle.samples.iter_mut().for_each(|sample| sample.offset = sample.offset.min(2000));
    assert_eq!(lag(&idle).verdict, Verdict::Unknown);
}
