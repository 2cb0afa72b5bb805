//! The course of a run: what its callers saw, tenth of a second by tenth of a second, and what the fault did to it.

use std::collections::BTreeMap;

use lab_history::{
    Event, History, Length, Moment, Operation, Outcome, action::Kind, judge::availability::availability,
    note::Role, time::Spread,
};
use serde::{Deserialize, Serialize};

use crate::measure::millis;

/// How long a bin is.
pub const BIN: Length = Length::from_millis(100);
/// More bins than an hour has are not kept.
const MOST: usize = 36_000;

/// What the callers of a run saw. Times are in milliseconds from the first operation's intended beginning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Course {
    /// What happened to the servers; none where nothing did.
    pub fault: Option<FaultWindow>,
    /// By intended beginning, in bins of 100 ms.
    pub bins: Vec<Bin>,
}

/// A fault, from its injection to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultWindow {
    /// `crash`, `failover`, …
    pub kind: String,
    /// When it began to be injected.
    pub from_ms: f64,
    /// By when it was in effect.
    pub in_effect_ms: f64,
    /// When it was healed; none of what needs no healing.
    pub healed_ms: Option<f64>,
    /// When another node was first seen to be primary.
    pub promoted_ms: Option<f64>,
}

/// What became of the operations that were meant to begin within a tenth of a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Bin {
    /// Operations that were asked for.
    pub asked: u32,
    /// Those that were done within the deadline.
    pub in_time: u32,
    /// The latency of those that were done, from the intended beginning; none where none was.
    pub latency: Option<Latency>,
}

/// How latencies are spread, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Half of them are no longer than this.
    pub p50: f64,
    /// All but one in a hundred are no longer than this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// A bin as it is written: a run has some two hundred.
type Packed = (u32, u32, Option<(f64, f64, f64)>);

impl From<Packed> for Bin {
    fn from((asked, in_time, latency): Packed) -> Self {
        Self { asked, in_time, latency: latency.map(|(p50, p99, max)| Latency { p50, p99, max }) }
    }
}

impl From<Bin> for Packed {
    fn from(Bin { asked, in_time, latency }: Bin) -> Self {
        (asked, in_time, latency.map(|Latency { p50, p99, max }| (p50, p99, max)))
    }
}

impl Bin {
    /// Of the operations, the share that was done within the deadline; none where nothing was asked for.
    pub fn served(self) -> Option<f64> {
        (self.asked > 0).then(|| f64::from(self.in_time) / f64::from(self.asked))
    }
}

/// The longest time in which something was wanted, and nothing of it was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outage {
    /// How long, in milliseconds.
    pub length_ms: f64,
    /// Whether anything was done after it. Otherwise the load ended first, and it may have been longer.
    pub ended: bool,
}

impl Course {
    /// Of a history.
    pub fn of(history: &History) -> Self {
        let zero = load(history).map(|operation| operation.timing.intended()).min().unwrap_or_default();
        let deadline = history.header.deadline.unwrap_or(Length::from_micros(u64::MAX));
        let mut filling: Vec<(Bin, Vec<Length>)> = Vec::new();
        for operation in load(history) {
            let number = operation.timing.intended().since(zero).micros() / BIN.micros();
            let Some(number) = usize::try_from(number).ok().filter(|number| *number < MOST) else { continue };
            if filling.len() <= number {
                filling.resize_with(number + 1, Default::default);
            }
            let (bin, latencies) = &mut filling[number];
            let latency = operation.timing.latency();
            bin.asked += 1;
            if is_done(operation) {
                bin.in_time += u32::from(latency <= deadline);
                latencies.push(latency);
            }
        }
        let full = |(bin, mut latencies): (Bin, Vec<Length>)| Bin { latency: spread(&mut latencies), ..bin };
        Self { fault: FaultWindow::of(history, zero), bins: filling.into_iter().map(full).collect() }
    }
}

fn spread(latencies: &mut [Length]) -> Option<Latency> {
    let Spread { count, p50_us, p99_us, max_us } = Spread::of(latencies);
    (count > 0).then(|| Latency { p50: millis(p50_us), p99: millis(p99_us), max: millis(max_us) })
}

impl FaultWindow {
    fn of(history: &History, zero: Moment) -> Option<Self> {
        let after = |moment: Moment| (moment.micros() as f64 - zero.micros() as f64) / 1000.0;
        history.notes.iter().find_map(|note| match &note.event {
            Event::Injected { fault, kind, nodes, in_effect } => Some(Self {
                kind: kind.clone(),
                from_ms: after(note.at),
                in_effect_ms: after(*in_effect),
                healed_ms: healed(history, *fault).map(after),
                promoted_ms: promoted(history, note.at, nodes).map(after),
            }),
            _ => None,
        })
    }
}

fn healed(history: &History, which: u32) -> Option<Moment> {
    let is_it = |event: &Event| *event == Event::Healed { fault: which };
    history.notes.iter().find(|note| is_it(&note.event)).map(|note| note.at)
}

/// When a node other than the `victims`, one that was a replica before, was first seen to be primary.
fn promoted(history: &History, fault: Moment, victims: &[String]) -> Option<Moment> {
    let mut roles: Vec<_> = history
        .notes
        .iter()
        .filter_map(|note| match &note.event {
            Event::Role { node, role } => Some((note.at, node, *role)),
            _ => None,
        })
        .collect();
    // They are noted after the load, all at once.
    roles.sort_by_key(|(at, _, _)| *at);
    let mut was = BTreeMap::new();
    for (at, node, role) in roles {
        let is_new = was.get(node) == Some(&Role::Replica) && role == Role::Primary;
        if at >= fault && is_new && !victims.contains(node) {
            return Some(at);
        }
        // Whoever was out of sight for a moment is who it was.
        if role != Role::Unreachable {
            was.insert(node, role);
        }
    }
    None
}

/// The longest outage of those operations whose key is `wanted`; none where there are none.
pub fn outage(history: &History, wanted: impl Fn(&str) -> bool) -> Option<Outage> {
    let mut part = History::new(history.header.clone());
    part.names = history.names.clone();
    part.notes = history.notes.clone();
    let is_wanted = |operation: &&Operation| wanted(history.names.of_object(operation.action.object()));
    part.operations = history.operations.iter().filter(is_wanted).copied().collect();
    let downtimes = availability(&part).figures.downtimes;
    let longest = downtimes.iter().max_by_key(|downtime| downtime.length())?;
    let is_after = |operation: &Operation| operation.timing.completed() >= longest.to_us;
    let ended = load(&part).any(|operation| is_done(operation) && is_after(operation));
    Some(Outage { length_ms: millis(longest.length()), ended })
}

/// What writes cost while nothing was wrong: before the fault, or all the time where there was none. By figure name.
pub fn undisturbed(history: &History) -> BTreeMap<String, f64> {
    let injected = history.notes.iter().find(|note| matches!(note.event, Event::Injected { .. }));
    let until = injected.map_or(Moment::NEVER, |note| note.at);
    // What was under way when the fault came was disturbed by it.
    let is_before = |operation: &&Operation| operation.timing.completed() < until;
    let is_write = |operation: &&Operation| {
        let kind = operation.action.kind();
        matches!(kind, Kind::Write | Kind::Add | Kind::Increment | Kind::Publish | Kind::Append)
    };
    let writes: Vec<&Operation> = load(history).filter(is_before).filter(is_write).collect();
    let done: Vec<&&Operation> = writes.iter().filter(|operation| is_done(operation)).collect();
    let mut figures = BTreeMap::new();
    let mut put = |name: &str, value: f64| figures.insert(format!("undisturbed.{name}"), value);
    if !writes.is_empty() {
        put("done", done.len() as f64 / writes.len() as f64);
    }
    let mut latencies: Vec<Length> = done.iter().map(|operation| operation.timing.latency()).collect();
    if let Some(Latency { p50, p99, .. }) = spread(&mut latencies) {
        put("latency.p50", p50);
        put("latency.p99", p99);
        let took =
            |operation: &&&Operation| millis(operation.timing.completed().since(operation.timing.invoked()));
        let all: f64 = done.iter().map(took).sum();
        if all > 0.0 {
            put("writes_per_s", done.len() as f64 * 1000.0 / all);
        }
    }
    figures
}

/// What the clients asked for, without what was read in the end.
fn load(history: &History) -> impl Iterator<Item = &Operation> {
    let settled = history.settled().unwrap_or(Moment::NEVER);
    history.operations.iter().filter(move |operation| {
        operation.action.kind().is_asked_for() && operation.timing.intended() < settled
    })
}

fn is_done(operation: &Operation) -> bool {
    operation.action.outcome() == Outcome::Ok(())
}

#[cfg(test)]
mod tests {
    use lab_history::{Action, Doubt, Header, Note, Timing, Value};

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1000)
    }

    /// Writes every 10 ms from 1 s to 3 s, each taking 2 ms; of key `a` and key `b` by turns. Key `a` is silent from
    /// 1.5 s to `back`.
    fn history(back: u64) -> History {
        let mut header = Header::new("x", 0);
        header.deadline = Some(Length::from_millis(100));
        let mut history = History::new(header);
        let process = history.names.client("redis").unwrap().worker(0).unwrap();
        let keys = [history.names.object("a"), history.names.object("b")];
        for number in 0..200_u32 {
            let (object, from) = (keys[number as usize % 2], 1000 + u64::from(number) * 10);
            let silent = number % 2 == 0 && (1500..back).contains(&from);
            let (outcome, took) = match silent {
                true => (Outcome::Indeterminate(Doubt::Deadline), 100),
                false => (Outcome::Ok(()), 2),
            };
            let value = Value { writer: 0, sequence: number };
            let timing = Timing::new(at(from), at(from), at(from + took)).unwrap();
            let action = Action::Write { object, value, outcome };
            history.operations.push(Operation { process, node: None, timing, action });
        }
        let injected = Event::Injected {
            fault: 0,
            kind: "crash".to_owned(),
            nodes: vec!["p".to_owned()],
            in_effect: at(1510),
        };
        let role = |node: &str, role| Event::Role { node: node.to_owned(), role };
        let notes = [
            (1500, injected),
            (2800, Event::Healed { fault: 0 }),
            (3500, Event::Settled),
            (0, role("p", Role::Primary)),
            (0, role("q", Role::Primary)),
            (0, role("r", Role::Replica)),
            (1600, role("q", Role::Unreachable)),
            (1610, role("q", Role::Primary)),
            (1900, role("r", Role::Primary)),
        ];
        history.notes = notes.into_iter().map(|(ms, event)| Note { at: at(ms), event }).collect();
        // Read in the end: no part of the load.
        let action = Action::Read { object: keys[0], outcome: Outcome::Ok(None) };
        let timing = Timing::new(at(4000), at(4000), at(4001)).unwrap();
        history.operations.push(Operation { process, node: None, timing, action });
        history
    }

    #[test]
    fn bins_are_by_the_intended_beginning_and_begin_with_the_load() {
        let course = Course::of(&history(2000));
        assert_eq!(course.bins.len(), 20);
        assert!(course.bins.iter().all(|bin| bin.asked == 10));
        let served: Vec<f64> = course.bins.iter().filter_map(|bin| bin.served()).collect();
        let (before, during, after) = (&served[..5], &served[5..10], &served[10..]);
        assert!(before.iter().chain(after).all(|share| *share == 1.0), "{served:?}");
        assert!(during.iter().all(|share| *share == 0.5), "{served:?}");
        assert_eq!(course.bins[7].latency, Some(Latency { p50: 2.0, p99: 2.0, max: 2.0 }));
    }

    #[test]
    fn the_fault_is_on_the_clock_of_the_bins() {
        let fault = Course::of(&history(2000)).fault.unwrap();
        assert_eq!((fault.from_ms, fault.in_effect_ms), (500.0, 510.0));
        assert_eq!(fault.healed_ms, Some(1800.0));
        assert_eq!(fault.promoted_ms, Some(900.0), "not a primary that was out of sight");
    }

    /// Of a cluster, every other shard is served all the time: only the keys that are hit show an outage.
    #[test]
    fn an_outage_is_that_of_the_keys_that_are_hit() {
        let history = history(2000);
        let of = |key: &'static str| outage(&history, move |name| name == key).unwrap();
        // The last that is done before it was meant at 1.48 s; wanted again from 1.5 s to 2.002 s.
        assert_eq!(of("a"), Outage { length_ms: 502.0, ended: true });
        assert!(of("b").length_ms < 10.0 && of("b").ended);
        assert!(outage(&history, |_| true).unwrap().length_ms < 30.0);
        assert_eq!(outage(&history, |_| false), None);
    }

    #[test]
    fn what_never_comes_back_is_down_for_longer_than_anybody_watched() {
        let never = outage(&history(9000), |name| name == "a").unwrap();
        assert!(!never.ended && never.length_ms > 1500.0, "{never:?}");
    }

    #[test]
    fn what_writes_cost_is_measured_before_the_fault() {
        let figures = undisturbed(&history(2000));
        assert_eq!(figures["undisturbed.done"], 1.0);
        assert_eq!(figures["undisturbed.latency.p99"], 2.0);
        assert_eq!(figures["undisturbed.writes_per_s"], 500.0);
    }

    #[test]
    fn a_course_reads_as_it_was_written() {
        let course = Course::of(&history(2000));
        let text = serde_json::to_string(&course).unwrap();
        assert_eq!(serde_json::from_str::<Course>(&text).unwrap(), course);
        assert!(text.contains("[10,5,[2.0,2.0,2.0]]"), "{text}");
    }

    #[test]
    fn of_a_history_without_anything_there_is_nothing() {
        let empty = History::new(Header::new("x", 0));
        assert_eq!(Course::of(&empty), Course::default());
        assert_eq!(undisturbed(&empty), BTreeMap::new());
    }
}
