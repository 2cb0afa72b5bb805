//! Reading a history, block by block.

use std::io::{self, Read};

use super::{
    Damage, ReadError,
    block::{BLOCK, Head, Kind, PREAMBLE, check_preamble, checksum},
    list,
    record::{Known, RECORD, decode},
};
use crate::{
    history::{Ending, History},
    names::Names,
    note::Header,
    operation::Operation,
};

/// Reads a history, one block of operations after the other.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Everything but the operations, as far as it has been read.
    history: History,
    /// The number of the next block.
    number: u32,
    /// Where the next block begins.
    offset: u64,
    payload: Vec<u8>,
    /// How it ends, once that is known.
    over: Option<Ending>,
}

/// What comes next in a history.
#[derive(Debug)]
pub enum Part<'a> {
    /// Operations, decoded as they are taken.
    Operations(Operations<'a>),
    /// Nothing; how the history ends.
    Over(Ending),
}

impl<R: Read> Reader<R> {
    /// Reads a history's header.
    ///
    /// # Errors
    /// It is no history, or a newer one, or it ends too early, or it is damaged.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut preamble = Vec::with_capacity(PREAMBLE);
        input.by_ref().take(PREAMBLE as u64).read_to_end(&mut preamble)?;
        check_preamble(&preamble)?;
        let history = History::new(Header::new("", 0));
        let offset = PREAMBLE as u64;
        let mut reader = Self { input, history, number: 0, offset, payload: Vec::new(), over: None };
        match reader.block()? {
            Block::Whole(kind) if kind == Kind::Header as u32 => {
                let header: Header =
                    serde_json::from_slice(&reader.payload).map_err(|error| reader.damaged(error.into()))?;
                if header.schema > Header::SCHEMA {
                    return Err(ReadError::Newer { found: header.schema });
                }
                reader.history.header = header;
                Ok(reader)
            }
            Block::Whole(kind) => Err(reader.damaged(Damage::Kind(kind))),
            Block::Cut(_) => Err(ReadError::NoHeader),
        }
    }

    /// What the history is of.
    pub fn header(&self) -> &Header {
        &self.history.header
    }

    /// What the numbers in the operations read so far stand for.
    pub fn names(&self) -> &Names {
        &self.history.names
    }

    /// The next block of operations, or how the history ends.
    ///
    /// # Errors
    /// What follows is damaged, or means nothing.
    pub fn part(&mut self) -> Result<Part<'_>, ReadError> {
        loop {
            if let Some(ending) = self.over {
                return Ok(Part::Over(ending));
            }
            match self.block()? {
                Block::Whole(kind) if kind == Kind::Operations as u32 => break,
                Block::Whole(kind) if kind == Kind::End as u32 => self.over = Some(self.end()?),
                Block::Whole(kind) => self.aside(kind).map_err(|what| self.damaged(what))?,
                Block::Cut(ending) => self.over = Some(ending),
            }
        }
        let (records, rest) = self.payload.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(self.damaged(Damage::Remainder));
        }
        let known = Known { names: self.history.names.counts(), lists: self.history.lists.len() };
        let offset = self.offset - self.payload.len() as u64;
        Ok(Part::Operations(Operations { records: records.iter(), known, offset }))
    }

    /// All of it. How it ends is in [`History::ending`].
    ///
    /// # Errors
    /// What follows is damaged, or means nothing.
    pub fn into_history(mut self) -> Result<History, ReadError> {
        let mut all = Vec::new();
        let ending = loop {
            match self.part()? {
                Part::Over(ending) => break ending,
                Part::Operations(operations) => {
                    all.reserve(operations.len());
                    for operation in operations {
                        all.push(operation?);
                    }
                }
            }
        };
        Ok(History { operations: all, ending, ..self.history })
    }

    /// Takes in what is not an operation.
    fn aside(&mut self, kind: u32) -> Result<(), Damage> {
        let history = &mut self.history;
        match kind {
            kind if kind == Kind::Names as u32 => {
                history.names.extend(serde_json::from_slice(&self.payload)?)?;
            }
            kind if kind == Kind::Notes as u32 => {
                history.notes.extend(serde_json::from_slice::<Vec<_>>(&self.payload)?);
            }
            kind if kind == Kind::Lists as u32 => {
                let mut rest = &self.payload[..];
                while !rest.is_empty() {
                    history.lists.push(list::decode(&mut rest).ok_or(Damage::Remainder)?);
                }
            }
            kind => return Err(Damage::Kind(kind)),
        }
        Ok(())
    }

    /// Reads the next block's payload, if all of it is there.
    fn block(&mut self) -> Result<Block, ReadError> {
        let mut head = [0; BLOCK];
        let there = fill(&mut self.input, &mut head)?;
        if there < BLOCK {
            return Ok(self.cut(there));
        }
        let head = Head::decode(&head).map_err(|what| self.damaged_at(self.offset, what))?;
        if head.number != self.number {
            let what = Damage::Order { expected: self.number, found: head.number };
            return Err(self.damaged_at(self.offset, what));
        }
        self.payload.clear();
        let there = self.input.by_ref().take(head.length.into()).read_to_end(&mut self.payload)?;
        if there < head.length as usize {
            return Ok(self.cut(BLOCK + there));
        }
        if checksum(&self.payload) != head.checksum {
            return Err(self.damaged_at(self.offset, Damage::Payload));
        }
        self.number += 1;
        self.offset += (BLOCK + there) as u64;
        Ok(Block::Whole(head.kind))
    }

    fn cut(&self, spare: usize) -> Block {
        Block::Cut(Ending::Cut { at: self.offset, spare: spare as u64 })
    }

    /// The history's end: nothing follows it.
    fn end(&mut self) -> Result<Ending, ReadError> {
        match fill(&mut self.input, &mut [0])? {
            0 => Ok(Ending::Whole),
            _ => Err(self.damaged_at(self.offset, Damage::AfterTheEnd)),
        }
    }

    /// In the block that was read last.
    fn damaged(&self, what: Damage) -> ReadError {
        self.damaged_at(self.offset - (BLOCK + self.payload.len()) as u64, what)
    }

    fn damaged_at(&self, offset: u64, what: Damage) -> ReadError {
        ReadError::Damaged { offset, what }
    }
}

impl History {
    /// Reads a history in its binary form.
    ///
    /// # Errors
    /// It is no history, or a newer one, or it is damaged, or it means nothing.
    pub fn read(input: impl Read) -> Result<Self, ReadError> {
        Reader::new(input)?.into_history()
    }
}

/// The operations of one block.
#[derive(Debug)]
pub struct Operations<'a> {
    records: std::slice::Iter<'a, [u8; RECORD]>,
    known: Known,
    offset: u64,
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        let offset = self.offset;
        self.offset += RECORD as u64;
        Some(decode(record, self.known).map_err(|what| ReadError::Illegal { offset, what }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Operations<'_> {}

/// The next block.
enum Block {
    /// All of it is there; its kind.
    Whole(u32),
    /// The file ends before it does.
    Cut(Ending),
}

/// Fills `buffer` as far as there is something to fill it with.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut there = 0;
    while there < buffer.len() {
        match input.read(&mut buffer[there..]) {
            Ok(0) => break,
            Ok(read) => there += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}
