use rstest::rstest;

use super::*;

const RULES: &str = include_str!("../../../../fixtures/alerts/redis.rules.yml");

fn shipped() -> Alerts {
    Alerts::read(&[RULES], &BTreeMap::new()).unwrap()
}

fn of(expr: &str, hold: &str) -> Result<Alerts, RulesError> {
    let text = format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', for: {hold}}}]}}]");
    Alerts::read(&[&text], &BTreeMap::new())
}

fn series(metric: &str, role: Option<&str>, value: f64) -> Series {
    let role = role.map(|role| ("role".to_owned(), role.to_owned()));
    let labels = [("instance".to_owned(), "a".to_owned())].into_iter().chain(role).collect();
    Series { metric: metric.to_owned(), labels, value }
}

/// A sound primary, except for what is said.
fn primary(but: &[(&str, f64)]) -> Vec<Series> {
    let sound = [
        ("redis_up", 1.0),
        ("redis_memory_used_bytes", 10.0),
        ("redis_memory_max_bytes", 100.0),
        ("redis_connected_slaves", 2.0),
        ("redis_connected_clients", 9000.0),
        ("redis_config_maxclients", 10000.0),
        ("redis_rejected_connections_total", 7.0),
    ];
    let value =
        |metric: &str, sound: f64| but.iter().find(|(name, _)| *name == metric).map_or(sound, |but| but.1);
    let plain = sound.iter().map(|(metric, sound)| series(metric, None, value(metric, *sound)));
    plain.chain([series("redis_instance_info", Some("master"), 1.0)]).collect()
}

fn names(firing: &Firing) -> Vec<&str> {
    firing.iter().map(|(alert, _)| alert.as_str()).collect()
}

/// What fires after the same scrape, again and again.
fn settled(alerts: &mut Alerts, scrape: &[Series]) -> Firing {
    (0..10).map(|_| alerts.scraped(scrape.to_vec())).last().unwrap()
}

#[rstest]
#[case::sound(&[], &[])]
#[case::at_the_threshold(&[("redis_memory_used_bytes", 85.0)], &[])]
#[case::memory(&[("redis_memory_used_bytes", 85.1)], &["RedisMemoryNearlyFull"])]
#[case::no_limit(&[("redis_memory_max_bytes", 0.0)], &[])]
#[case::alone(&[("redis_connected_slaves", 0.0)], &["RedisPrimaryWithoutReplicas"])]
#[case::clients(&[("redis_connected_clients", 9001.0)], &["RedisTooManyClients"])]
#[case::down(&[("redis_up", 0.0)], &["RedisDown"])]
fn the_shipped_rules(#[case] but: &[(&str, f64)], #[case] expected: &[&str]) {
    assert_eq!(names(&settled(&mut shipped(), &primary(but))), expected);
}

#[test]
fn a_replica_needs_no_replicas() {
    let replica =
        [series("redis_connected_slaves", None, 0.0), series("redis_instance_info", Some("slave"), 1.0)];
    assert_eq!(names(&settled(&mut shipped(), &replica)), [""; 0]);
}

#[test]
fn a_rejection_is_news_for_five_minutes() {
    let mut alerts = shipped();
    alerts.scraped(primary(&[]));
    let after = primary(&[("redis_rejected_connections_total", 8.0)]);
    let firing = (0..40).take_while(|_| !alerts.scraped(after.clone()).is_empty()).count();
    // The scrape before it is at most 5 min old.
    assert_eq!(INTERVAL * firing as u32, Duration::from_secs(300));
}

#[test]
fn a_counter_that_starts_again_has_not_fallen() {
    let mut alerts = shipped();
    alerts.scraped(primary(&[]));
    assert_eq!(names(&alerts.scraped(primary(&[("redis_rejected_connections_total", 0.0)]))), [""; 0]);
    let firing = alerts.scraped(primary(&[("redis_rejected_connections_total", 1.0)]));
    assert_eq!(names(&firing), ["RedisRejectedConnections"]);
}

#[test]
fn a_condition_has_to_hold_without_a_break() {
    let mut alerts = of("redis_up == 0", "30s").unwrap();
    let mut fires = |up: f64| !alerts.scraped(vec![series("redis_up", None, up)]).is_empty();
    assert_eq!(
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].map(&mut fires),
        [false, false, false, false, false, true, false]
    );
}

#[test]
fn what_is_not_scraped_any_more_is_stale() {
    let mut alerts = of("m > 0", "0s").unwrap();
    assert_eq!(alerts.scraped(vec![series("m", None, 1.0)]).len(), 1);
    assert_eq!(alerts.scraped(Vec::new()).len(), 0);
}

#[rstest]
#[case::function("rate(m[5m]) > 0")]
#[case::size_of_an_increase("increase(m[5m]) > 3")]
#[case::aggregate("sum(m) > 1")]
#[case::offset("m offset 5m > 1")]
#[case::vectors("m > n")]
#[case::operator("m * n > 1")]
#[case::bool("m > bool 1")]
#[case::group("m / on (instance) group_left n > 1")]
#[case::ignoring("m and ignoring (role) n")]
#[case::number("1 > bool 0")]
fn what_is_not_evaluated_is_an_error(#[case] expr: &str) {
    assert!(matches!(of(expr, "0s"), Err(RulesError::Unsupported { .. })));
}

#[test]
fn what_is_wrong_is_named() {
    assert!(matches!(of("m >", "0s"), Err(RulesError::Syntax { .. })));
    let changes = BTreeMap::from([("Nobody".to_owned(), Change::default())]);
    assert!(matches!(Alerts::read(&[RULES], &changes), Err(RulesError::NoSuchAlert(_))));
    assert!(matches!(Alerts::read(&["groups: 3"], &BTreeMap::new()), Err(RulesError::File(_))));
}
