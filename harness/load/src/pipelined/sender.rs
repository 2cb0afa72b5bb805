//! The thread that looks after all connections.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lab_history::{Client as ClientId, Doubt, Length, Moment, Operation, Process, time::Spread};
use mio::{Events, Interest, Poll, Token, Waker};

use super::{
    Pace, Pipelined, PipelinedError, Sent,
    connection::{Connection, End, Flight},
    fate::{Fate, operation},
    traffic::{Asked, Stream},
};
use crate::{
    schedule::Schedule,
    tape::{Tape, length},
};

/// What nobody waits for any more is looked for this often, at least.
const LOOK: Duration = Duration::from_millis(1);
/// What is due goes out in parts of this many operations, each on another connection.
const PART: u64 = 64;
/// What is read at once.
const BUFFER: usize = 64 << 10;

/// All connections, and the thread that looks after them.
pub(super) struct Sender<'a> {
    poll: Poll,
    connections: Vec<Connection>,
    stream: Stream,
    deadline: Length,
    workers: Workers,
    buffer: Vec<u8>,
    record: Record<'a>,
}

/// What is recorded, and counted.
struct Record<'a> {
    tape: &'a Tape,
    /// Ended, and not on the tape yet.
    ended: Vec<Operation>,
    late: Vec<Length>,
    answered: u64,
    given_up: u64,
}

/// How far an open loop is, or when a closed one ends.
enum Progress {
    Open { schedule: Schedule, from: Moment, sent: u64, due: Arc<AtomicU64>, next: usize },
    Saturating { depth: u64, until: Instant },
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        asked: &Pipelined,
        who: ClientId,
        writer: u32,
        tape: &'a Tape,
    ) -> Result<Self, PipelinedError> {
        let poll = Poll::new().map_err(PipelinedError::Machine)?;
        let mut connections = Vec::new();
        for number in 0..asked.connections.max(1) {
            let mut connection = Connection::open(asked.address, &asked.login)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut connection.stream, Token(number), interest)
                .map_err(PipelinedError::Machine)?;
            connections.push(connection);
        }
        let record = Record { tape, ended: Vec::new(), late: Vec::new(), answered: 0, given_up: 0 };
        Ok(Self {
            poll,
            connections,
            stream: Stream::new(&asked.traffic, writer, tape),
            deadline: length(asked.deadline),
            workers: Workers { who, free: Vec::new(), count: 0 },
            buffer: vec![0; BUFFER],
            record,
        })
    }

    /// Sends until the time is over and nobody waits for anything, or until it is not wanted any more.
    pub(super) fn run(mut self, pace: Pace, is_wanted: impl Fn() -> bool) -> Result<Sent, PipelinedError> {
        let mut events = Events::with_capacity(self.connections.len() + 1);
        let begin = Instant::now();
        let mut progress = self.begin(pace, begin)?;
        let outcome = loop {
            let turn = self.turn(&mut events, &mut progress);
            self.record.write_down();
            match turn {
                Ok(false) if is_wanted() => {}
                Ok(_) => break Ok(()),
                Err(end) => break Err(end),
            }
        };
        let took = begin.elapsed();
        self.abandon(&outcome);
        self.record.write_down();
        let Record { answered, given_up, mut late, .. } = self.record;
        match outcome {
            Ok(()) => Ok(Sent { answered, given_up, took, send_error: Spread::of(&mut late) }),
            Err(End::Closed) => Err(PipelinedError::Closed),
            Err(End::Broke(error)) => Err(PipelinedError::Broke(error)),
            Err(End::Garbled) => Err(PipelinedError::Garbled),
        }
    }

    fn begin(&self, pace: Pace, begin: Instant) -> Result<Progress, PipelinedError> {
        Ok(match pace {
            Pace::Saturating { depth, duration } => {
                Progress::Saturating { depth: depth.max(1).into(), until: begin + duration }
            }
            Pace::Open(schedule) => {
                let wake = Token(self.connections.len());
                let waker = Waker::new(self.poll.registry(), wake).map_err(PipelinedError::Machine)?;
                let due = Arc::new(AtomicU64::new(0));
                let beat = Arc::clone(&due);
                schedule.beat(begin, move |count| {
                    beat.store(count, Ordering::Release);
                    // Where only this is left of it, nobody listens.
                    waker.wake().is_ok() && Arc::strong_count(&beat) > 1
                });
                Progress::Open { schedule, from: self.record.tape.moment(begin), sent: 0, due, next: 0 }
            }
        })
    }

    /// Waits for something to happen, and does what follows from it. True when there is nothing left to do.
    fn turn(&mut self, events: &mut Events, progress: &mut Progress) -> Result<bool, End> {
        match self.poll.poll(events, Some(LOOK)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(End::Broke(error)),
            _ => {}
        }
        for event in events.iter() {
            let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
            if event.is_writable() {
                connection.flush()?;
            }
            if event.is_readable() {
                let Record { tape, ended, answered, .. } = &mut self.record;
                connection.receive(&mut self.buffer, tape, |flight, now, answer| {
                    self.workers.give_back(flight.process);
                    *answered += 1;
                    ended.push(operation(&flight, now, Fate::Answered(answer)));
                })?;
            }
        }
        self.give_up();
        self.feed(progress)
    }

    /// Sends what is due. True when nothing will be any more, and nobody waits for anything.
    fn feed(&mut self, progress: &mut Progress) -> Result<bool, End> {
        match progress {
            Progress::Open { schedule, from, sent, due, next } => {
                let due = due.load(Ordering::Acquire);
                while *sent < due {
                    let (first, count) = (*sent, PART.min(due - *sent));
                    let intended = |number| *from + length(schedule.intended(first + number));
                    self.depart(*next, count, Some(&intended))?;
                    *sent += count;
                    *next = (*next + 1) % self.connections.len();
                }
                Ok(*sent == schedule.count() && self.connections.iter().all(Connection::is_done))
            }
            Progress::Saturating { depth, until } => {
                if Instant::now() >= *until {
                    return Ok(self.connections.iter().all(Connection::is_done));
                }
                for number in 0..self.connections.len() {
                    if self.connections[number].is_idle() {
                        self.depart(number, *depth, None)?;
                    }
                }
                Ok(false)
            }
        }
    }

    /// Sends so many operations on a connection. What nothing was intended for is meant to begin now.
    fn depart(
        &mut self,
        number: usize,
        count: u64,
        intended: Option<&dyn Fn(u64) -> Moment>,
    ) -> Result<(), End> {
        let connection = &mut self.connections[number];
        let asked: Vec<Asked> = (0..count).map(|_| self.stream.next(connection.outgoing())).collect();
        let now = self.record.tape.now();
        let flights = (0..).zip(asked).map(|(place, asked)| {
            let intended = intended.map(|intended| intended(place));
            self.record.late.extend(intended.map(|intended| now.since(intended)));
            let (intended, process) = (intended.unwrap_or(now), self.workers.take());
            Flight { intended, invoked: now, asked, process }
        });
        connection.depart(flights);
        connection.flush()
    }

    fn give_up(&mut self) {
        let Record { tape, ended, given_up, .. } = &mut self.record;
        let now = tape.now();
        for connection in &mut self.connections {
            connection.give_up(now, self.deadline, |flight| {
                self.workers.give_back(flight.process);
                *given_up += 1;
                ended.push(operation(&flight, now, Fate::Unknown(Doubt::Deadline)));
            });
        }
    }

    /// What is under way when the sender ends before its time may have been done, or be done yet.
    fn abandon(&mut self, outcome: &Result<(), End>) {
        let doubt = match outcome {
            Err(End::Broke(_)) => Doubt::Reset,
            Err(End::Garbled) => Doubt::Garbled,
            Ok(()) | Err(End::Closed) => Doubt::Closed,
        };
        let now = self.record.tape.now();
        let left = self.connections.iter_mut().flat_map(Connection::abandon);
        self.record.ended.extend(left.map(|flight| operation(&flight, now, Fate::Unknown(doubt))));
    }
}

impl Record<'_> {
    fn write_down(&mut self) {
        if !self.ended.is_empty() {
            self.tape.record_all(&self.ended);
            self.ended.clear();
        }
    }
}

/// The sender's workers: as many as there were operations under way at once.
struct Workers {
    who: ClientId,
    /// The one that came back last is the next: what it touches is near.
    free: Vec<Process>,
    count: u32,
}

impl Workers {
    fn take(&mut self) -> Process {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.who.worker(self.count - 1).expect("memory ends before the workers do")
        })
    }

    fn give_back(&mut self, process: Process) {
        self.free.push(process);
    }
}
