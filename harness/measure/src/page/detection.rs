//! Downtime against the time-out after which a silent node is taken for dead, with what follows from the servers'
//! clocks drawn in.

use std::time::Duration;

use failover_lab::{
    engine::{Family, Version},
    wait,
};
use lab_report::judge::{ClusterClocks, ElectionDelay, SentinelClocks};
use maud::{Markup, html};

use super::words::{self, px};
use crate::{cell::TopologyName, experiment::shape::Shape, statistics::Estimate, summary::Summary};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 548.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 262.0;

/// What a busy machine may add: threads wait for a processor.
const SCHEDULING: Duration = Duration::from_millis(300);
/// Sentinels name the new primary once `INFO` says so, which they ask for once a second then, and two ticks of a
/// tenth.
const ADVERTISED: Duration = Duration::from_millis(1200);

/// What follows from the clocks.
struct Band {
    /// From a fault to a replica's being primary, at least …
    floor: Duration,
    /// … and at most, if the first election succeeds.
    promoted: Duration,
    /// By then a client that asks can be told of it.
    told: Duration,
}

/// The cells with one time-out.
struct Point<'a> {
    timeout: Duration,
    band: Band,
    summary: &'a Summary<'a>,
}

pub(super) fn section(topology: TopologyName, summaries: &[Summary<'_>], engine: &str) -> Markup {
    let here = summaries.iter().filter(|summary| summary.topology() == topology);
    let mut points: Vec<Point<'_>> = here.filter_map(|summary| Point::of(summary, engine)).collect();
    points.sort_by_key(|point| point.timeout);
    html! {
        @if !points.is_empty() {
            section {
                h2 { "Downtime against " (setting(topology)) }
                figure.detection { (picture(&points)) figcaption { code { (formula(topology)) } } }
                p.legend {
                    "Each run is a point, each median a line; hollow: when another node was primary. The band is where promotion is to be if the first "
                    "election succeeds; up to the dotted line a client that asks may have to wait to be told. What comes on top is the client's."
                }
                (table(&points))
            }
        }
    }
}

fn setting(topology: TopologyName) -> &'static str {
    match topology {
        TopologyName::Replication => "the manager's time-out",
        TopologyName::Sentinel => "down-after-milliseconds (D)",
        TopologyName::Cluster => "cluster-node-timeout (NT)",
    }
}

fn formula(topology: TopologyName) -> &'static str {
    match topology {
        TopologyName::Replication => "",
        TopologyName::Sentinel => {
            "D − ping … D + ping + ask + 5 ticks of 0.1 s + scheduling; told: + INFO (1 s) + 2 ticks of 0.1 s"
        }
        TopologyName::Cluster => {
            "NT + delay … 1.5 × NT + min(NT / 2, 1 s) + 2 × delay + 2 ticks of 0.1 s + scheduling"
        }
    }
}

impl<'a> Point<'a> {
    fn of(summary: &'a Summary<'_>, engine: &str) -> Option<Self> {
        let shape = Shape::of(&summary.planned.cell);
        Some(Self { timeout: shape.timeout()?, band: Band::of(&shape, engine)?, summary })
    }
}

impl Band {
    fn of(shape: &Shape, engine: &str) -> Option<Self> {
        match shape {
            Shape::Replication(_) => None,
            Shape::Sentinel(group) => {
                let clocks = SentinelClocks {
                    down_after: group.down_after,
                    failover_timeout: group.failover_timeout,
                    ping: group.timers.ping,
                    ask: group.timers.ask,
                    observe_every: Duration::ZERO,
                    scheduling: wait::scaled(SCHEDULING),
                };
                let promoted = clocks.latest_promotion();
                let floor = group.down_after.saturating_sub(group.timers.ping);
                Some(Self { floor, promoted, told: promoted + ADVERTISED })
            }
            Shape::Cluster(cluster) => {
                let clocks = ClusterClocks {
                    node_timeout: cluster.node_timeout,
                    election_delay: election_delay(engine),
                    observe_every: Duration::ZERO,
                    scheduling: wait::scaled(SCHEDULING),
                };
                let promoted = clocks.latest_promotion(0);
                Some(Self { floor: clocks.soonest_promotion(), promoted, told: promoted })
            }
        }
    }

    fn holds(&self, ms: f64) -> bool {
        (millis(self.floor)..=millis(self.promoted)).contains(&ms)
    }
}

/// How long a replica of this engine waits before it stands for election.
fn election_delay(engine: &str) -> ElectionDelay {
    let (family, version) = engine.split_once(':').unwrap_or((engine, ""));
    match version.parse::<Version>() {
        Ok(version) if family == Family::Valkey.to_string() => {
            ElectionDelay::of_valkey(version.major(), version.minor())
        }
        _ => ElectionDelay::Fixed,
    }
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}

/// Time-outs to the right, times up; both in seconds from nothing.
struct Scale {
    timeout: f64,
    time: f64,
}

impl Scale {
    fn of(points: &[Point<'_>]) -> Self {
        let longest = points.iter().map(|point| millis(point.timeout)).fold(0.0, f64::max);
        let told = points.iter().map(|point| millis(point.band.told));
        let measured =
            points.iter().flat_map(|point| point.summary.downtimes()).map(|reading| reading.value());
        Self { timeout: longest * 1.15, time: told.chain(measured).fold(1000.0, f64::max) * 1.05 }
    }

    fn x(&self, ms: f64) -> f64 {
        LEFT + ms / self.timeout * (RIGHT - LEFT)
    }

    fn y(&self, ms: f64) -> f64 {
        BOTTOM - ms / self.time * (BOTTOM - TOP)
    }
}

fn picture(points: &[Point<'_>]) -> Markup {
    let scale = Scale::of(points);
    let at = |point: &Point<'_>, length: Duration| {
        format!("{} {}", px(scale.x(millis(point.timeout))), px(scale.y(millis(length))))
    };
    let floor = points.iter().map(|point| at(point, point.band.floor));
    let promoted = points.iter().rev().map(|point| at(point, point.band.promoted));
    let told: Vec<String> = points.iter().map(|point| at(point, point.band.told)).collect();
    let band = floor.chain(promoted).collect::<Vec<_>>().join("L");
    html! {
        svg viewBox=(format!("0 0 {} {}", px(WIDTH), px(HEIGHT))) role="img" aria-label=(aria(points)) {
            @for second in seconds(scale.time) {
                line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(scale.y(second * 1000.0))) y2=(px(scale.y(second * 1000.0))) {}
                text x=(px(LEFT - 6.0)) y=(px(scale.y(second * 1000.0) + 4.0)) text-anchor="end" { (words::number(second)) " s" }
            }
            path.band d=(format!("M{band}Z")) {}
            path.told d=(format!("M{}", told.join("L"))) {}
            @for point in points { (column(&scale, point)) }
        }
    }
}

/// Everything that was measured with one time-out.
fn column(scale: &Scale, point: &Point<'_>) -> Markup {
    let x = scale.x(millis(point.timeout));
    html! {
        g data-point=(point.summary.planned.key) {
            text x=(px(x)) y=(px(BOTTOM + 18.0)) text-anchor="middle" { (words::time(millis(point.timeout))) }
            @for (number, promoted) in point.summary.promotions().enumerate() {
                circle.promoted-at cx=(px(x - apart(number))) cy=(px(scale.y(promoted))) r="3" {}
            }
            @for (number, downtime) in point.summary.downtimes().enumerate() {
                circle.run cx=(px(x + apart(number))) cy=(px(scale.y(downtime.value()))) r="3" {}
            }
            @if let Some(Estimate { median, .. }) = point.summary.downtime() {
                line.median x1=(px(x + 2.0)) x2=(px(x + 22.0)) y1=(px(scale.y(median.value()))) y2=(px(scale.y(median.value()))) {}
            }
        }
    }
}

/// Five columns, so that runs which came to the same are seen side by side.
fn apart(number: usize) -> f64 {
    6.0 + (number % 5) as f64 * 3.0
}

fn aria(points: &[Point<'_>]) -> String {
    let said = points.iter().filter_map(|point| {
        let downtime = point.summary.downtime()?;
        Some(format!("{}: {}", words::time(millis(point.timeout)), words::whole(&downtime, words::time)))
    });
    format!("downtime by time-out: {}", said.collect::<Vec<_>>().join("; "))
}

fn seconds(most_ms: f64) -> impl Iterator<Item = f64> {
    let most = most_ms / 1000.0;
    let step = [0.5, 1.0, 2.0, 5.0, 10.0].into_iter().find(|step| most / step <= 8.0).unwrap_or(30.0);
    (0..=8).map(move |tick| f64::from(tick) * step).take_while(move |second| *second <= most)
}

fn table(points: &[Point<'_>]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table.wide {
                thead { tr { th { "time-out" } th { "fault" } th { "promotion is to come after" } th { "within it" } th { "downtime" } th.value { "n" } } }
                tbody {
                    @for Point { timeout, band, summary } in points {
                        @let promotions: Vec<f64> = summary.promotions().collect();
                        @let within = promotions.iter().filter(|promoted| band.holds(**promoted)).count();
                        tr {
                            td { (words::time(millis(*timeout))) }
                            td { (summary.planned.cell.fault) }
                            td { (words::time(millis(band.floor))) " … " (words::time(millis(band.promoted))) }
                            td { (within) span.soft { " of " (promotions.len()) } }
                            td { (summary.downtime().map_or_else(|| "–".to_owned(), |downtime| words::whole(&downtime, words::time))) }
                            td.value { (summary.n()) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{page::samples, summary::summaries};

    /// Redis 7.0 with a node timeout of 2 s, as the cluster lab's own steps are judged: 2.5 s to 5.2 s and scheduling.
    #[test]
    fn the_band_is_the_formulas() {
        let experiment = samples::detection();
        let band = |key: &str, engine| {
            let planned = experiment.cell(key).unwrap();
            let Band { floor, promoted, .. } = Band::of(&Shape::of(&planned.cell), engine).unwrap();
            (floor.as_millis(), promoted.as_millis())
        };
        let (cluster, busy) = ("cluster/crash/redis/hardened/none/2s", wait::scaled(SCHEDULING).as_millis());
        assert_eq!(band(cluster, "redis:7.0"), (2500, 5200 + busy));
        assert_eq!(band(cluster, "valkey:8.1"), (2500, 5200 + busy));
        assert_eq!(band(cluster, "valkey:9.0"), (2066, 4333 + busy));
        assert_eq!(band(cluster, "valkey:9.1"), (2000, 4333 + busy));
        // D = 5 s, ping 0.4 s, ask 0.05 s.
        assert_eq!(band("sentinel/crash/redis/hardened/none/5s", "redis:7.0"), (4600, 5950 + busy));
    }

    #[test]
    fn every_time_out_is_drawn_and_what_lies_beyond_the_band_is_counted() {
        let experiment = samples::detection();
        let taken = samples::taken(&experiment, |planned| match planned.variant.as_deref() {
            Some("5s") => Some(9_000.0),
            _ => Some(3_000.0),
        });
        let summaries = summaries(&experiment, &taken);
        for topology in [TopologyName::Sentinel, TopologyName::Cluster] {
            let page = section(topology, &summaries, "redis:7.0").into_string();
            for summary in summaries.iter().filter(|summary| summary.topology() == topology) {
                assert!(page.contains(&format!("data-point=\"{}\"", summary.planned.key)), "{page}");
            }
            assert_eq!(page.matches("<circle class=\"run\"").count(), 20, "{page}");
        }
        // In what is made up, promotion takes 0.6 of the downtime: 5.4 s to 5.5 s with a time-out of 5 s.
        let within = |topology, count: u32| {
            let page = section(topology, &summaries, "redis:7.0").into_string();
            assert!(page.contains(&format!("<td>{count}<span class=\"soft\"> of 10</span>")), "{page}");
        };
        within(TopologyName::Sentinel, 10);
        within(TopologyName::Cluster, 1);
    }
}
