//! One connection: what waits to be sent, what is under way, and what came back.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{self, SocketAddr},
};

use lab_history::{Length, Moment, Process};
use mio::net::TcpStream;

use super::{
    PipelinedError,
    resp::{Answer, Garbled, first},
    traffic::Asked,
};
use crate::{tape::Tape, target::Login};

/// What was sent is forgotten when so much of it has piled up before what waits.
const SENT: usize = 1 << 20;

/// An operation that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) intended: Moment,
    pub(super) invoked: Moment,
    pub(super) asked: Asked,
    pub(super) process: Process,
}

/// A connection that is never waited for.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    outgoing: Vec<u8>,
    /// How much of it is gone.
    gone: usize,
    incoming: Vec<u8>,
    /// In the order in which they were sent, which is that of their answers.
    under_way: VecDeque<Flight>,
    /// So many of the first of them nobody waits for any more.
    given_up: usize,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// In order.
    Closed,
    /// By a reset, or worse.
    Broke(io::Error),
    /// With what is no answer.
    Garbled,
}

impl Connection {
    /// Connects, and shows what the server wants to see. This waits.
    pub(super) fn open(address: SocketAddr, login: &Login) -> Result<Self, PipelinedError> {
        let failed = |source| PipelinedError::Connect { address, source };
        let mut stream = net::TcpStream::connect(address).map_err(failed)?;
        log_in(&mut stream, login, failed)?;
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(failed)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            outgoing: Vec::new(),
            gone: 0,
            incoming: Vec::new(),
            under_way: VecDeque::new(),
            given_up: 0,
        })
    }

    /// Nothing is under way, not even what nobody waits for.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Nobody waits for anything.
    pub(super) fn is_done(&self) -> bool {
        self.under_way.len() == self.given_up
    }

    /// Where the next operation is to be written.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// What was written there is on its way from now on.
    pub(super) fn depart(&mut self, flights: impl IntoIterator<Item = Flight>) {
        self.under_way.extend(flights);
    }

    /// Sends as much as the kernel takes.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        while self.gone < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.gone..]) {
                Ok(0) => return Err(End::Closed),
                Ok(sent) => self.gone += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(End::Broke(error)),
            }
        }
        if self.gone == self.outgoing.len() {
            self.outgoing.clear();
            self.gone = 0;
        } else if self.gone >= SENT {
            self.outgoing.drain(..self.gone);
            self.gone = 0;
        }
        Ok(())
    }

    /// Takes in what has come, by way of `buffer`, and tells `each` of every answer that somebody waits for, and when
    /// it came.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        tape: &Tape,
        mut each: impl FnMut(Flight, Moment, Answer<'_>),
    ) -> Result<(), End> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(End::Closed),
                Ok(length) => {
                    let now = tape.now();
                    self.incoming.extend(&buffer[..length]);
                    self.look(|flight, answer| each(flight, now, answer)).map_err(|Garbled| End::Garbled)?;
                    // There was no more than this; what comes from here on is told anew.
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(End::Broke(error)),
            }
        }
    }

    fn look(&mut self, mut each: impl FnMut(Flight, Answer<'_>)) -> Result<(), Garbled> {
        let mut at = 0;
        while let Some((answer, length)) = first(&self.incoming[at..])? {
            // An answer to nothing.
            let flight = self.under_way.pop_front().ok_or(Garbled)?;
            match self.given_up.checked_sub(1) {
                Some(left) => self.given_up = left,
                None => each(flight, answer),
            }
            at += length;
        }
        self.incoming.drain(..at);
        Ok(())
    }

    /// Nobody waits any more for what was meant to begin `deadline` ago or earlier.
    pub(super) fn give_up(&mut self, now: Moment, deadline: Length, mut each: impl FnMut(Flight)) {
        while let Some(flight) = self.under_way.get(self.given_up)
            && now.since(flight.intended) >= deadline
        {
            each(*flight);
            self.given_up += 1;
        }
    }

    /// Everything that somebody still waits for, and will not get.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Flight> {
        self.under_way.drain(..).skip(std::mem::take(&mut self.given_up))
    }
}

fn log_in(
    stream: &mut net::TcpStream,
    login: &Login,
    failed: impl Fn(io::Error) -> PipelinedError,
) -> Result<(), PipelinedError> {
    let Some(password) = &login.password else { return Ok(()) };
    let words: Vec<&str> =
        ["AUTH"].into_iter().chain(login.user.as_deref()).chain([password.as_str()]).collect();
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes()).map_err(&failed)?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\n") {
        stream.read_exact(&mut byte).map_err(&failed)?;
        answer.extend(byte);
    }
    match first(&answer) {
        Ok(Some((Answer::Done, _))) => Ok(()),
        _ => Err(PipelinedError::Refused(String::from_utf8_lossy(&answer).trim_end().to_owned())),
    }
}
