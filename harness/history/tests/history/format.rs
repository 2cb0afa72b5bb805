//! The binary form.

use std::io;

use lab_history::{
    Action, Ending, Header, History, Length, Note, Outcome,
    format::{BLOCK, PREAMBLE, ReadError, Writer},
};
use proptest::prelude::*;

use crate::{world::World, worlds};

/// Writes a history as a recorder would, flushing after every so many operations.
pub(crate) fn written(history: &History, flush_every: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = begin(&mut bytes, history);
    for (number, operation) in history.operations.iter().enumerate() {
        if let Action::Members { outcome: Outcome::Ok(list), .. }
        | Action::Entries { outcome: Outcome::Ok(list), .. } = operation.action
        {
            assert_eq!(
                writer.list(history.list(list)).unwrap(),
                list,
                "lists are kept in the order of their reads"
            );
        }
        writer.record(operation).unwrap();
        if (number + 1).is_multiple_of(flush_every) {
            writer.flush().unwrap();
        }
    }
    for note in &history.notes {
        writer.note(note.clone());
    }
    writer.finish().unwrap();
    bytes
}

fn begin<'a>(bytes: &'a mut Vec<u8>, history: &History) -> Writer<&'a mut Vec<u8>> {
    let mut writer = Writer::create(bytes, &history.header).unwrap();
    for operation in &history.operations {
        writer.object(history.names.of_object(operation.action.object()));
        writer.client(history.names.of_client(operation.process.client())).unwrap();
        if let Some(node) = operation.node {
            writer.node(history.names.of_node(node)).unwrap();
        }
    }
    writer
}

/// The same history with its names, its operations' names first, and its lists in the order of the operations.
pub(crate) fn in_order(history: &History) -> History {
    let mut lines = Vec::new();
    history.export(&mut lines).unwrap();
    let text = String::from_utf8(lines).unwrap();
    let without_names: String = text
        .lines()
        .filter(|line| !line.starts_with(r#"{"names""#))
        .map(|line| format!("{line}\n"))
        .collect();
    History::import(without_names.as_bytes()).unwrap()
}

/// A history of every kind of operation, as small as the world is.
fn histories(operations: usize) -> impl Strategy<Value = History> {
    (worlds(operations), 0..5_u8).prop_map(|(world, kind)| {
        in_order(&match kind {
            0 => world.registers(),
            1 => world.sets(),
            2 => world.counters(),
            3 => world.channels(),
            _ => world.streams(),
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(history in histories(200), flush_every in 1..100_usize) {
        prop_assert_eq!(History::read(&written(&history, flush_every)[..]).unwrap(), history);
    }

    /// A run that is killed leaves a history that is whole up to its last block, and says that it is not all.
    #[test]
    fn wherever_it_is_cut_off_the_beginning_is_read(
        history in histories(60),
        flush_every in 1..20_usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = written(&history, flush_every);
        let cut = cut.index(bytes.len());
        match History::read(&bytes[..cut]) {
            Ok(read) => {
                prop_assert!(history.operations.starts_with(&read.operations));
                prop_assert!(history.notes.starts_with(&read.notes));
                let Ending::Cut { at, spare } = read.ending else { panic!("it was cut off") };
                prop_assert_eq!(at + spare, cut as u64);
                // No more is lost than what was not flushed.
                let again = History::read(&bytes[..at as usize]).unwrap();
                prop_assert_eq!(again.operations, read.operations);
            }
            Err(ReadError::NoHeader) => prop_assert!(cut < header_end(&bytes)),
            Err(ReadError::NoHistory) => prop_assert_eq!(cut, 0),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// One byte that is not as it was written is noticed, wherever it is.
    #[test]
    fn a_byte_that_was_changed_is_noticed(
        history in histories(40),
        place in any::<prop::sample::Index>(),
        change in 1..=u8::MAX,
    ) {
        let mut bytes = written(&history, 16);
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        match History::read(&bytes[..]) {
            Err(ReadError::NoHistory) => prop_assert!(place < 8),
            Err(ReadError::Damaged { offset, .. }) => {
                prop_assert!(offset <= place as u64);
                prop_assert!(place >= 8);
            }
            other => panic!("byte {place} of {}: {other:?}", bytes.len()),
        }
    }

    /// Blocks that are missing, or come twice, are noticed: each of them is as it was written.
    #[test]
    fn a_block_that_is_missing_or_comes_twice_is_noticed(history in histories(100), which in any::<prop::sample::Index>()) {
        let bytes = written(&history, 16);
        let blocks = blocks(&bytes);
        let (from, to) = blocks[which.index(blocks.len())];
        let without = [&bytes[..from], &bytes[to..]].concat();
        let twice = [&bytes[..to], &bytes[from..]].concat();
        if to < bytes.len() {
            prop_assert_eq!(damaged_at(&without), Some(from as u64));
        } else {
            prop_assert_ne!(History::read(&without[..]).unwrap().ending, Ending::Whole);
        }
        prop_assert_eq!(damaged_at(&twice), Some(to as u64));
    }

    /// Whatever the bytes are, reading them comes to an end.
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), begins_well in any::<bool>()) {
        let bytes = if begins_well { [&written(&World::new(1, 1).registers(), 1)[..], &bytes].concat() } else { bytes };
        let _ = History::open(&bytes[..]);
    }
}

fn damaged_at(bytes: &[u8]) -> Option<u64> {
    match History::read(bytes) {
        Err(ReadError::Damaged { offset, .. }) => Some(offset),
        _ => None,
    }
}

/// Where each block begins and ends.
fn blocks(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let mut from = PREAMBLE;
    while from < bytes.len() {
        let length = u32::from_le_bytes(bytes[from + 8..from + 12].try_into().unwrap()) as usize;
        let to = from + BLOCK + length;
        blocks.push((from, to));
        from = to;
    }
    blocks
}

fn header_end(bytes: &[u8]) -> usize {
    blocks(bytes)[0].1
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut bytes = written(&World::new(1, 10).registers(), 4);
    bytes[8] = 2;
    assert!(matches!(History::read(&bytes[..]), Err(ReadError::Damaged { offset: 0, .. })));
    let checksum = crc32(&bytes[..12]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    assert!(matches!(History::read(&bytes[..]), Err(ReadError::Newer { found: 2 })));
}

/// The checksum as its definition has it, bit by bit: a reader in another language computes the same.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

/// The record of one operation, byte by byte, as the documentation has it.
#[test]
fn a_record_is_as_documented() {
    let mut history = History::new(Header::new("one", 7));
    let object = history.names.object("register:0");
    let process = history.names.client("redis").unwrap().worker(0x010203).unwrap();
    let node = history.names.node("redis-1");
    let moment = lab_history::Moment::from_micros;
    let timing = lab_history::Timing::new(moment(1000), moment(1002), moment(1302)).unwrap();
    let value = lab_history::Value { writer: 5, sequence: 0x0A0B };
    let action = Action::Write { object, value, outcome: Outcome::Failed(lab_history::Refusal::Loading) };
    let mut bytes = Vec::new();
    let mut writer = Writer::create(&mut bytes, &history.header).unwrap();
    writer.object("register:0");
    writer.client("redis").unwrap();
    writer.node("redis-1").unwrap();
    writer.record(&lab_history::Operation { process, node, timing, action }).unwrap();
    writer.finish().unwrap();
    let (from, to) = blocks(&bytes)[2];
    assert_eq!(bytes[from..from + 4], [5, 0, 0, 0], "a block of operations");
    #[rustfmt::skip]
    assert_eq!(bytes[from + BLOCK..to], [
        0xE8, 3, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0,
        44, 1, 0, 0,
        3, 2, 1, 0,
        0, 0, 0, 0,
        0, 0,
        0,
        64 + 7,
        0x0B, 0x0A, 0, 0, 5, 0, 0, 0,
    ]);
}

#[test]
fn a_header_comes_back_with_everything_in_it() {
    let mut header = Header::new("20261121T174000Z-0000ff", 42);
    header.began = Some("2026-11-21T17:40:00Z".to_owned());
    header.deadline = Some(Length::from_millis(500));
    header.ran.insert("engine".to_owned(), "redis:7.0".to_owned());
    let mut bytes = Vec::new();
    Writer::create(&mut bytes, &header).unwrap().finish().unwrap();
    assert_eq!(History::read(&bytes[..]).unwrap().header, header);
}

/// A disk that is full: what is there is cut off, not damaged, whatever is recorded afterwards.
#[test]
fn after_a_write_that_failed_nothing_is_written() {
    struct Full(Vec<u8>, usize);
    impl io::Write for &mut Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend(&bytes[..bytes.len().min(room)]);
            Ok(bytes.len().min(room))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let history = World::new(3, 50).registers();
    let whole = written(&history, 10);
    let mut full = Full(Vec::new(), whole.len() / 2);
    let mut writer = Writer::create(&mut full, &history.header).unwrap();
    for operation in &history.operations {
        writer.object(history.names.of_object(operation.action.object()));
        writer.client(history.names.of_client(operation.process.client())).unwrap();
    }
    let mut failed = false;
    for operation in &history.operations {
        let _ = writer.record(operation);
        failed |= writer.flush().is_err();
        // There is room again; half a block is there already.
    }
    drop(writer);
    assert!(failed);
    full.1 = usize::MAX;
    let read = History::read(&full.0[..]).unwrap();
    assert!(matches!(read.ending, Ending::Cut { .. }) && history.operations.starts_with(&read.operations));
}

#[test]
fn one_that_was_dropped_is_flushed_and_cut_off() {
    let history = World::new(3, 50).registers();
    let mut bytes = Vec::new();
    let mut writer = begin(&mut bytes, &history);
    writer.note(Note { at: history.end(), event: lab_history::Event::Settled });
    for operation in &history.operations {
        writer.record(operation).unwrap();
    }
    drop(writer);
    let read = History::read(&bytes[..]).unwrap();
    assert_eq!(read.ending, Ending::Cut { at: bytes.len() as u64, spare: 0 });
    assert_eq!(read.operations, history.operations);
}
