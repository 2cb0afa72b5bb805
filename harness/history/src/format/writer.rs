//! Writing a history while it happens.

use std::io;

use super::{
    block::{Head, Kind, preamble},
    list,
    record::{RECORD, encode},
};
use crate::{
    names::{Client, Counts, Names, Node, Object},
    note::{Header, Note},
    operation::{List, Operation, Value},
};

/// Writes a history, block by block.
///
/// What is recorded is buffered until a block is full or somebody says [`flush`](Self::flush): that much is lost
/// if the process is killed, and no more. A block goes out in one write, names, notes and lists before the
/// operations that refer to them, so what is there is whole wherever it ends.
///
/// A history has its end only if it was [finished](Self::finish); one that was dropped is flushed, and is read as
/// one that was cut off.
#[derive(Debug)]
pub struct Writer<W: io::Write> {
    out: W,
    blocks: u32,
    names: Names,
    /// How many names are in the file.
    named: Counts,
    notes: Vec<Note>,
    lists: u32,
    /// What is not in the file yet.
    list_bytes: Vec<u8>,
    records: Vec<u8>,
    /// A write failed. Whatever came after a block of which half is there would be damage.
    broken: bool,
}

impl<W: io::Write> Writer<W> {
    /// So many operations fill a block: about 290 KiB, a few hundredths of a second of a run at full speed.
    pub const BLOCK: usize = 8192;
    /// So many bytes of lists do.
    const LISTS: usize = 1 << 22;

    /// Begins a history: its header is written at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(mut out: W, header: &Header) -> io::Result<Self> {
        let json = serde_json::to_vec(header).expect("plain data");
        let mut first = preamble().to_vec();
        first.extend(Head::of(Kind::Header, 0, &json).encode());
        first.extend(json);
        out.write_all(&first)?;
        Ok(Self {
            out,
            blocks: 1,
            names: Names::default(),
            named: Counts::default(),
            notes: Vec::new(),
            lists: 0,
            list_bytes: Vec::new(),
            records: Vec::with_capacity(Self::BLOCK * RECORD),
            broken: false,
        })
    }

    /// The object of this name, for this history's operations.
    pub fn object(&mut self, name: &str) -> Object {
        self.names.object(name)
    }

    /// The node of this name; none beyond [`Names::NODES`].
    pub fn node(&mut self, name: &str) -> Option<Node> {
        self.names.node(name)
    }

    /// The client of this name; none beyond [`Names::CLIENTS`].
    pub fn client(&mut self, name: &str) -> Option<Client> {
        self.names.client(name)
    }

    /// What a read of a whole set or stream found, for the operation that read it.
    ///
    /// # Errors
    /// A block was full, and cannot be written.
    pub fn list(&mut self, values: &[Value]) -> io::Result<List> {
        list::encode(values, &mut self.list_bytes);
        let list = List(self.lists);
        self.lists += 1;
        if self.list_bytes.len() >= Self::LISTS {
            self.flush()?;
        }
        Ok(list)
    }

    /// Records an operation of which its caller knows what became of it. Its object, node, client and list are
    /// this history's.
    ///
    /// # Errors
    /// A block was full, and cannot be written.
    pub fn record(&mut self, operation: &Operation) -> io::Result<()> {
        self.records.extend(encode(operation));
        if self.records.len() >= Self::BLOCK * RECORD { self.flush() } else { Ok(()) }
    }

    /// Notes what happened beside the operations.
    pub fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Writes what is recorded so far: it is then safe from the death of this process, not of the machine.
    ///
    /// # Errors
    /// It cannot be written, and nothing that is recorded after that will be: what is there is read as cut off.
    pub fn flush(&mut self) -> io::Result<()> {
        let named = self.names.since(self.named);
        if self.names.counts() != self.named {
            self.block(Kind::Names, &serde_json::to_vec(&named).expect("plain data"))?;
            self.named = self.names.counts();
        }
        if !self.notes.is_empty() {
            let notes = std::mem::take(&mut self.notes);
            self.block(Kind::Notes, &serde_json::to_vec(&notes).expect("plain data"))?;
        }
        let mut lists = std::mem::take(&mut self.list_bytes);
        if !lists.is_empty() {
            self.block(Kind::Lists, &lists)?;
            lists.clear();
        }
        self.list_bytes = lists;
        let mut records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.block(Kind::Operations, &records)?;
            records.clear();
        }
        self.records = records;
        self.out.flush()
    }

    /// Writes what is left, and the end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.block(Kind::End, &[])?;
        self.out.flush()
    }

    fn block(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        let head = Head::of(kind, self.blocks, payload).encode();
        self.blocks += 1;
        let written = self.out.write_all(&[&head, payload].concat());
        self.broken = written.is_err();
        written
    }
}

impl<W: io::Write> Drop for Writer<W> {
    fn drop(&mut self) {
        // Nobody is left to tell. After `finish` there is nothing to write.
        let _ = self.flush();
    }
}
