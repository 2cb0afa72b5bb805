//! What Prometheus would see of the data nodes: scrapes as redis_exporter gives them, and the alerts that
//! follow from them.
//!
//! Its clock is shortened, as the sentinels' are: a scrape counts as [`INTERVAL`], and the next one is taken
//! at once. What is scraped is real; only how long it lasted is not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use lab_report::{
    alerts::{Alerts, Change, Firing, INTERVAL, Labels, RulesError, Series},
    evidence::Role,
};

use crate::{
    docker::Node,
    info::Info,
    wait::{self, Seen, TimedOut},
};

/// The rules that are shipped: those for every server, and those for the nodes of a cluster.
pub const RULES: [&str; 2] = [
    include_str!("../../../fixtures/alerts/redis.rules.yml"),
    include_str!("../../../fixtures/alerts/cluster.rules.yml"),
];

/// The fields of `INFO` that the rules need, and what redis_exporter calls them.
const METRICS: [(&str, &str); 6] = [
    ("used_memory", "redis_memory_used_bytes"),
    ("maxmemory", "redis_memory_max_bytes"),
    ("connected_slaves", "redis_connected_slaves"),
    ("connected_clients", "redis_connected_clients"),
    // redis_exporter has it from `CONFIG GET`; `INFO` has the same figure.
    ("maxclients", "redis_config_maxclients"),
    ("rejected_connections", "redis_rejected_connections_total"),
];
/// Forty minutes of its clock in a second and a half.
const PACE: Duration = Duration::from_millis(10);

/// A Prometheus that has the data nodes as targets.
pub struct Prometheus {
    targets: Vec<Arc<Node>>,
    alerts: Mutex<Alerts>,
}

impl Prometheus {
    /// With files of rules, of those that are shipped ([`RULES`]), changed as a topology says.
    ///
    /// # Errors
    /// The rules cannot be evaluated.
    pub fn new(
        targets: &[Arc<Node>],
        rules: &[&str],
        changes: &BTreeMap<String, Change>,
    ) -> Result<Self, RulesError> {
        let alerts = Mutex::new(Alerts::read(rules, changes)?);
        Ok(Self { targets: targets.to_vec(), alerts })
    }

    /// Scrapes every target, and says what fires then.
    pub async fn scrape(&self) -> Firing {
        let scraped = join_all(self.targets.iter().map(|node| async {
            let info = node.info().await.ok();
            let mut scraped = series(node.id().as_str(), info.as_ref());
            if info.is_some_and(|info| info.number("cluster_enabled") == Some(1)) {
                let told = node.ask::<String>(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                scraped.extend(of_cluster(node.id().as_str(), &Info::parse(&told)));
            }
            scraped
        }));
        let scraped = scraped.await.concat();
        self.alerts.lock().expect("no panic while held").scraped(scraped)
    }

    /// Scrapes for as long as `length` is on its clock, and hands over what fired at each scrape.
    pub async fn watch(&self, length: Duration) -> Vec<Firing> {
        let mut seen = Vec::new();
        for _ in 0..length.as_secs().div_ceil(INTERVAL.as_secs()) {
            seen.push(self.scrape().await);
        }
        seen
    }

    /// Scrapes until what fires is as wanted.
    ///
    /// # Errors
    /// It was not within `budget`.
    pub async fn until(
        &self,
        what: &str,
        budget: Duration,
        seen: &mut Vec<Firing>,
        wanted: impl Fn(&Firing) -> bool,
    ) -> Result<(), TimedOut> {
        let all = Mutex::new(seen);
        let look = || async {
            let firing = self.scrape().await;
            let reached = wanted(&firing);
            let state = format!("{firing:?}");
            all.lock().expect("no panic while held").push(firing);
            if reached { Seen::Ready(()) } else { Seen::NotYet(state) }
        };
        wait::until(what, budget, PACE, look).await
    }
}

/// A scrape of one instance; of one that does not answer there is nothing but that.
fn series(instance: &str, info: Option<&Info>) -> Vec<Series> {
    let labels = Labels::from([("instance".to_owned(), instance.to_owned())]);
    let of = |metric: &str, value| Series { metric: metric.to_owned(), labels: labels.clone(), value };
    let Some(info) = info else { return vec![of("redis_up", 0.0)] };
    let mut of_role = of("redis_instance_info", 1.0);
    let role = match info.role() {
        Role::Primary => "master",
        _ => "slave",
    };
    of_role.labels.insert("role".to_owned(), role.to_owned());
    let figures = METRICS.iter().filter_map(|(field, metric)| Some(of(metric, info.number(field)?)));
    let behind = info.replicas().into_iter().map(|replica| {
        let mut lag = of("redis_connected_slave_lag_seconds", replica.lag as f64);
        lag.labels.insert("slave_ip".to_owned(), replica.ip);
        lag.labels.insert("slave_state".to_owned(), replica.state);
        lag
    });
    figures.chain(behind).chain([of("redis_up", 1.0), of_role]).collect()
}

/// What it adds for a node of a cluster, from `CLUSTER INFO`.
fn of_cluster(instance: &str, told: &Info) -> Vec<Series> {
    let labels = Labels::from([("instance".to_owned(), instance.to_owned())]);
    let state = told.get("cluster_state").map(|state| if state == "ok" { 1.0 } else { 0.0 });
    let figures =
        [("redis_cluster_state", state), ("redis_cluster_slots_ok", told.number("cluster_slots_ok"))];
    let of = |(metric, value): (&str, Option<f64>)| {
        Some(Series { metric: metric.to_owned(), labels: labels.clone(), value: value? })
    };
    figures.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_can_be_evaluated() {
        assert_eq!(Alerts::read(&RULES, &BTreeMap::new()).unwrap().names().count(), 7);
    }

    #[test]
    fn a_node_that_does_not_answer_is_down_and_nothing_else() {
        let scraped = series("a", None);
        assert_eq!(scraped.len(), 1);
        assert_eq!((scraped[0].metric.as_str(), scraped[0].value), ("redis_up", 0.0));
    }

    #[test]
    fn a_node_of_a_cluster_tells_how_that_stands() {
        let told = |text| of_cluster("a", &Info::parse(text)).iter().map(|of| of.value).collect::<Vec<_>>();
        assert_eq!(told("cluster_state:ok\r\ncluster_slots_ok:16384\r\n"), [1.0, 16384.0]);
        assert_eq!(told("cluster_state:fail\r\ncluster_slots_ok:10923\r\n"), [0.0, 10923.0]);
    }

    #[test]
    fn a_replica_is_behind_from_its_third_second_without_an_acknowledgement() {
        let fires = |lag: u64| {
            let mut alerts = Alerts::read(&RULES, &BTreeMap::new()).unwrap();
            let line = format!("slave0:ip=10.0.0.3,port=6379,state=online,offset=84,lag={lag}");
            let info = Info::parse(&format!("role:master\r\nconnected_slaves:1\r\n{line}\r\n"));
            let [.., last] = [(); 3].map(|()| alerts.scraped(series("a", Some(&info))));
            last
        };
        assert_eq!(fires(2), Firing::new());
        assert_eq!(fires(3), Firing::from([("RedisReplicaBehind".to_owned(), "a".to_owned())]));
    }

    #[test]
    fn a_node_that_answers_has_every_metric() {
        let info = Info::parse(
            "role:master\r\nused_memory:5\r\nmaxmemory:7\r\nconnected_slaves:2\r\nconnected_clients:3\r\n\
             maxclients:10000\r\nrejected_connections:0\r\n",
        );
        let scraped = series("a", Some(&info));
        assert_eq!(scraped.len(), METRICS.len() + 2);
        assert!(scraped.iter().any(|found| found.labels.get("role").is_some_and(|role| role == "master")));
    }
}
