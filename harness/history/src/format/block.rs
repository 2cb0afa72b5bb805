//! Blocks: what a file is cut into, so that it can be cut off anywhere.

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use super::{Damage, ReadError};

/// How a history begins. The line feed is the first thing that a transfer as text would spoil.
pub const MAGIC: [u8; 8] = *b"LABHIST\n";
/// The version of the format.
pub const VERSION: u32 = 1;
/// The length of what comes before the first block, in bytes.
pub const PREAMBLE: usize = 16;
/// The length of a block's head, in bytes.
pub const BLOCK: usize = 20;

/// Sixteen bytes at a time: one at a time, the checksum would cost more than everything else.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

pub(super) fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Names = 2,
    Notes = 3,
    Lists = 4,
    Operations = 5,
    End = 6,
}

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u32,
    pub(super) number: u32,
    pub(super) length: u32,
    pub(super) checksum: u32,
}

impl Head {
    /// Of a block with this payload.
    pub(super) fn of(kind: Kind, number: u32, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).expect("a block is written long before it is this long");
        Self { kind: kind as u32, number, length, checksum: checksum(payload) }
    }

    pub(super) fn encode(self) -> [u8; BLOCK] {
        let mut head = [0; BLOCK];
        for (bytes, word) in head.chunks_mut(4).zip([self.kind, self.number, self.length, self.checksum]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let checksum = checksum(&head[..16]);
        head[16..].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    pub(super) fn decode(head: &[u8; BLOCK]) -> Result<Self, Damage> {
        match checksum(&head[..16]) == word(head, 16) {
            true => Ok(Self {
                kind: word(head, 0),
                number: word(head, 4),
                length: word(head, 8),
                checksum: word(head, 12),
            }),
            false => Err(Damage::Head),
        }
    }
}

/// What every file begins with.
pub(super) fn preamble() -> [u8; PREAMBLE] {
    let mut preamble = [0; PREAMBLE];
    preamble[..8].copy_from_slice(&MAGIC);
    preamble[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = checksum(&preamble[..12]);
    preamble[12..].copy_from_slice(&checksum.to_le_bytes());
    preamble
}

/// Whether a file begins as it should. Its checksum is looked at before its version: a version that is damaged is
/// no newer one.
pub(super) fn check_preamble(preamble: &[u8]) -> Result<(), ReadError> {
    let known = preamble.len().min(MAGIC.len());
    if preamble[..known] != MAGIC[..known] || preamble.is_empty() {
        return Err(ReadError::NoHistory);
    }
    if preamble.len() < PREAMBLE {
        return Err(ReadError::NoHeader);
    }
    if checksum(&preamble[..12]) != word(preamble, 12) {
        return Err(ReadError::Damaged { offset: 0, what: Damage::Preamble });
    }
    match word(preamble, 8) {
        VERSION => Ok(()),
        found => Err(ReadError::Newer { found }),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
