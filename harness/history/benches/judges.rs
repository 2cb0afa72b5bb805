//! How fast histories are read and judged, and how large they are.
//!
//! `cargo bench --package lab-history` prints one table: for every judge and for 10⁵, 10⁶ and 10⁷ operations,
//! operations a second from the bytes of the binary form to the verdict, decoding included, by the processor time of
//! one thread. So whatever else the machine does costs little; figures of different machines are not to be
//! compared all the same. Nothing is asserted. `-- --most 1000000` leaves the largest out, and `-- sets` everything of
//! which the name does not begin so.

#[path = "../tests/history/world.rs"]
mod world;

use std::{
    fs,
    hint::black_box,
    io::Write,
    time::{Duration, Instant},
};

use lab_history::{
    Action, History, Outcome,
    format::Writer,
    judge::{Judge, linearizability::Cap},
};
use world::World;

const SIZES: [usize; 3] = [100_000, 1_000_000, 10_000_000];
const ROUNDS: usize = 3;

/// One line of the table.
struct Subject {
    what: &'static str,
    judge: Option<Judge>,
    history: fn(&World) -> History,
}

const SUBJECTS: &[Subject] = &[
    Subject { what: "decoding alone", judge: None, history: World::registers },
    Subject { what: "availability", judge: Some(Judge::Availability), history: World::registers },
    Subject { what: "registers", judge: Some(Judge::Registers), history: World::registers },
    Subject { what: "registers, 1 register", judge: Some(Judge::Registers), history: one_register },
    Subject {
        what: "linearizability, by zones",
        judge: Some(Judge::Linearizability),
        history: World::registers,
    },
    Subject {
        what: "linearizability, by search",
        judge: Some(Judge::Linearizability),
        history: values_twice,
    },
    Subject { what: "sets", judge: Some(Judge::Sets), history: sets },
    Subject { what: "counters", judge: Some(Judge::Counters), history: World::counters },
    Subject { what: "channels", judge: Some(Judge::Channels), history: World::channels },
    Subject { what: "streams", judge: Some(Judge::Streams), history: World::streams },
];

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let most = words.iter().skip_while(|word| *word != "--most").nth(1).and_then(|most| most.parse().ok());
    let only = words.iter().find(|word| word.starts_with(char::is_alphabetic)).map_or("", String::as_str);
    let sizes: Vec<usize> = SIZES.into_iter().filter(|size| *size <= most.unwrap_or(usize::MAX)).collect();
    let mut out = std::io::stdout().lock();
    write!(out, "{:<28} {:>11}", "million operations a second", "bytes each")?;
    sizes.iter().try_for_each(|size| write!(out, " {size:>10}"))?;
    writeln!(out, "   largest to next")?;
    for subject in SUBJECTS.iter().filter(|subject| subject.what.starts_with(only)) {
        let measured: Vec<(f64, f64)> = sizes.iter().map(|size| measure(subject, *size)).collect();
        let bytes = measured.iter().map(|(bytes, _)| *bytes).fold(0.0, f64::max);
        write!(out, "{:<28} {bytes:>11.1}", subject.what)?;
        measured.iter().try_for_each(|(_, rate)| write!(out, " {rate:>10.1}"))?;
        // Linear, if ten times as many take ten times as long. The smallest fit into the cache, and are faster.
        if let [.., (_, next), (_, largest)] = measured[..] {
            write!(out, "   {:>6.2}", largest / next)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\ntarget: at least 5 million a second, at most 40 bytes each; best of {ROUNDS} rounds")
}

/// Bytes an operation, and millions of operations a second.
fn measure(subject: &Subject, operations: usize) -> (f64, f64) {
    // A thousand operations on each object, whatever the size: what grows with the history is then the history's.
    let world = World { processes: 32, objects: operations as u32 / 1000, ..World::new(7, operations) };
    let history = (subject.history)(&world);
    let count = history.operations.len() as f64;
    let bytes = written(&history);
    drop(history);
    let best = (0..ROUNDS).map(|_| {
        let begin = Clock::now();
        let history = History::read(&bytes[..]).expect("it was just written");
        if let Some(judge) = subject.judge {
            black_box(judge.judge(&history, Cap::default(), &|_| false));
        }
        let took = begin.elapsed();
        black_box(history);
        took
    });
    let best = best.min().expect("there are rounds");
    (bytes.len() as f64 / count, count / best.as_secs_f64() / 1e6)
}

fn one_register(world: &World) -> History {
    World { objects: 1, ..world.clone() }.registers()
}

/// A thousand elements in each set, which is read about once, and in the end.
fn sets(world: &World) -> History {
    World { reads: 1, ..world.clone() }.sets()
}

/// Every value comes twice: each write is done a second time at once, as a part of the first one's time.
fn values_twice(world: &World) -> History {
    let mut history = World { operations: world.operations / 2, ..world.clone() }.registers();
    let mut operations = Vec::with_capacity(world.operations);
    for operation in history.operations {
        operations.push(operation);
        if let Action::Write { outcome: Outcome::Ok(()), .. } = operation.action {
            operations.push(operation);
        }
    }
    history.operations = operations;
    history
}

fn written(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::create(&mut bytes, &history.header).expect("memory");
    // The world numbers its names in this order.
    let objects = history.operations.iter().map(|operation| operation.action.object().number()).max();
    for object in 0..=objects.unwrap_or(0) {
        writer.object(&format!("object:{object}"));
    }
    for client in ["worker", "reader", "subscriber"] {
        writer.client(client);
    }
    for note in &history.notes {
        writer.note(note.clone());
    }
    for list in history.lists() {
        writer.list(list).expect("memory");
    }
    for operation in &history.operations {
        writer.record(operation).expect("memory");
    }
    writer.finish().expect("memory");
    bytes
}

/// The processor time of this thread, where the kernel tells it; else the time of day.
enum Clock {
    Processor(Duration),
    Day(Instant),
}

impl Clock {
    fn now() -> Self {
        processor_time().map_or_else(|| Self::Day(Instant::now()), Self::Processor)
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::Processor(begin) => processor_time().map_or(Duration::ZERO, |now| now - *begin),
            Self::Day(begin) => begin.elapsed(),
        }
    }
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
