//! What a run came to, in figures that can be compared and kept.

use std::collections::BTreeMap;

use lab_history::{
    Event, History,
    judge::{Judged, Quantity, availability::availability},
    note::Did,
};
use lab_load::Driven;
use serde::{Deserialize, Serialize};

use crate::measure::millis;

/// The figures of one run, by name. Times are in milliseconds, shares of one.
///
/// A judge's figures are `<judge>.<figure>`, as `cargo lab check` names them. Those of the source lab have its names
/// ([`SOURCE_LAB`]).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures(pub BTreeMap<String, f64>);

/// The source lab's metrics, and what each of them is here.
pub const SOURCE_LAB: [(&str, &str); 8] = [
    (
        "connection.drop.duration.ms",
        "longest time from a connection's loss to the next one, where a client tells",
    ),
    ("topology.refresh.count", "how often the nodes were asked for the map of slots, by their own count"),
    (
        "operations.failed.during.failover",
        "operations of the whole run, before and after the outage as well, that were not done in time",
    ),
    ("operations.latency.p50.ms", "of what was done, from the intended beginning to the end"),
    ("operations.latency.p99.ms", "of what was done, from the intended beginning to the end"),
    (
        "pubsub.message.loss.count",
        "acknowledged messages that a subscriber never received, once for each subscriber",
    ),
    ("streams.lag.ms", "longest time from an entry's intended append to its first delivery"),
    ("getset.sequence.gaps", "acknowledged writes that are gone in the end"),
];

/// The longest time in which a client was down at a shard that nothing happened to, in milliseconds.
pub const UNHARMED: &str = "availability.downtime.unharmed_shards";

impl Figures {
    /// Of a history, by its judges and by the driver.
    pub fn read(history: &History, judged: &[Judged], driven: Driven, refreshes: Option<u64>) -> Self {
        let mut figures = BTreeMap::new();
        for one in judged {
            for row in &one.rows {
                let value = match row.quantity {
                    Quantity::Count(count) => count as f64,
                    Quantity::Time(length) => millis(length),
                    Quantity::Share(share) => share,
                };
                figures.insert(format!("{}.{}", one.judge.name(), row.name), value);
            }
        }
        let mut copy = |from: &str, to: &str| {
            if let Some(value) = figures.get(from).copied() {
                figures.insert(to.to_owned(), value);
            }
        };
        copy("availability.latency.p50", "operations.latency.p50.ms");
        copy("availability.latency.p99", "operations.latency.p99.ms");
        copy("registers.lost", "getset.sequence.gaps");
        copy("channels.missed", "pubsub.message.loss.count");
        copy("streams.lag.max", "streams.lag.ms");
        if let Some(lost) = figures.get("availability.asked").zip(figures.get("availability.in_time")) {
            figures.insert("operations.failed.during.failover".to_owned(), lost.0 - lost.1);
        }
        if let Some(refreshes) = refreshes {
            figures.insert("topology.refresh.count".to_owned(), refreshes as f64);
        }
        if let Some(dropped) = longest_drop(history) {
            figures.insert("connection.drop.duration.ms".to_owned(), dropped);
        }
        figures.insert("driver.send_error.p50".to_owned(), millis(driven.send_error.p50_us));
        figures.insert("driver.send_error.p99".to_owned(), millis(driven.send_error.p99_us));
        figures.insert("driver.send_error.max".to_owned(), millis(driven.send_error.max_us));
        Self(figures)
    }

    /// Adds how long a client was down at shards that nothing happened to: at all but the `victim`'s.
    pub(crate) fn tell_shards_apart(&mut self, history: &History, victim: usize) {
        let hit = format!(", shard {}", victim + 1);
        let downtimes = availability(history).figures.downtimes;
        let elsewhere = downtimes.iter().filter(|downtime| downtime.client.contains(", shard "));
        let elsewhere = elsewhere.filter(|downtime| !downtime.client.ends_with(&hit));
        if let Some(longest) = elsewhere.map(|downtime| millis(downtime.length())).max_by(f64::total_cmp) {
            self.0.insert(UNHARMED.to_owned(), longest);
        }
    }

    /// A figure; none where nothing says it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The longest time in which the client wanted something, and nothing was done, in milliseconds.
    pub fn downtime(&self) -> Option<f64> {
        self.get("availability.downtime.max")
    }

    /// Acknowledged writes and entries that are gone in the end; of messages, those that a subscriber never received.
    pub fn lost(&self) -> Option<f64> {
        let names = ["registers.lost", "sets.lost", "counters.lost", "streams.lost", "channels.missed"];
        names.into_iter().find_map(|name| self.get(name))
    }
}

/// From a connection's loss to the next one, at most, in milliseconds; none where no client told of any.
fn longest_drop(history: &History) -> Option<f64> {
    let mut lost = BTreeMap::new();
    let mut longest = None;
    for note in &history.notes {
        let Event::Client { client, did } = &note.event else { continue };
        match did {
            Did::Disconnected => {
                lost.entry(client).or_insert(note.at);
            }
            Did::Connected => {
                let since = lost.remove(client).map(|lost| millis(note.at.since(lost)));
                longest = since.into_iter().chain(longest).max_by(f64::total_cmp);
            }
            Did::Retried | Did::Redirected | Did::Refreshed => {}
        }
    }
    longest
}
