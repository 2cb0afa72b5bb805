//! What is sent: `SET` and `GET` of registers, written down as the protocol has them.

use lab_history::{Object, Value};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    tape::Tape,
    workload::{Distribution, KEYS, Sort, value_in},
};

/// What is sent: every value names its write, as in [`Sort::Registers`].
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// How many keys there are.
    pub keys: u32,
    /// How operations are spread over them.
    pub distribution: Distribution,
    /// The share of operations that read.
    pub reads: f64,
    /// The size of a value, in bytes.
    pub value_size: usize,
    /// Decides every choice.
    pub seed: u64,
}

/// An operation, as far as its record needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) object: Object,
    /// What is written; none if it reads.
    pub(super) value: Option<Value>,
}

/// Traffic that goes on for ever, one operation after the other.
pub(super) struct Stream {
    keys: Vec<Key>,
    traffic: Traffic,
    writer: u32,
    /// Of the next operation. Beyond four thousand million operations values would come again.
    sequence: u32,
    rng: SmallRng,
    /// Kept for its memory.
    text: Vec<u8>,
}

/// A key, with what is sent of an operation on it whatever is written.
struct Key {
    object: Object,
    /// All of a `GET`.
    get: Vec<u8>,
    /// A `SET` up to its value.
    set: Vec<u8>,
}

impl Stream {
    /// Names the keys on `tape`. Of several writers each has a number of its own.
    pub(super) fn new(traffic: &Traffic, writer: u32, tape: &Tape) -> Self {
        let key = |number: u32| {
            let name = format!("{KEYS}{}:{number}", Sort::Registers);
            let length = name.len();
            Key {
                object: tape.object(&name),
                get: format!("*2\r\n$3\r\nGET\r\n${length}\r\n{name}\r\n").into_bytes(),
                set: format!("*3\r\n$3\r\nSET\r\n${length}\r\n{name}\r\n").into_bytes(),
            }
        };
        Self {
            keys: (0..traffic.keys.max(1)).map(key).collect(),
            writer,
            sequence: 0,
            rng: SmallRng::seed_from_u64(traffic.seed),
            traffic: traffic.clone(),
            text: Vec::new(),
        }
    }

    /// Appends the next operation to `bytes`, and says what it is.
    pub(super) fn next(&mut self, bytes: &mut Vec<u8>) -> Asked {
        let Traffic { distribution, reads, value_size, .. } = self.traffic;
        let choice = distribution.choose(self.keys.len() as u32, &mut self.rng);
        let key = &self.keys[choice as usize];
        // Not drawn where it decides nothing: most loads only write.
        let is_read = reads > 0.0 && self.rng.random_bool(reads.min(1.0));
        let value = (!is_read).then_some(Value { writer: self.writer, sequence: self.sequence });
        self.sequence = self.sequence.wrapping_add(1);
        match value {
            None => bytes.extend(&key.get),
            Some(value) => {
                bytes.extend(&key.set);
                spell(value, value_size, &mut self.text);
                append_bulk(&self.text, bytes);
            }
        }
        Asked { object: key.object, value }
    }
}

/// What the value in an answer is; none where it is nobody's.
pub(super) fn read(text: &[u8]) -> Option<Value> {
    value_in(std::str::from_utf8(text).ok()?)
}

/// As [`written`](crate::workload::written), but without asking for memory each time.
fn spell(value: Value, size: usize, text: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    text.clear();
    text.extend(digits.format(value.writer).as_bytes());
    text.push(b'.');
    text.extend(digits.format(value.sequence).as_bytes());
    if text.len() + 1 < size {
        text.push(b':');
        text.resize(size, b'x');
    }
}

fn append_bulk(text: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(b'$');
    bytes.extend(itoa::Buffer::new().format(text.len()).as_bytes());
    bytes.extend(b"\r\n");
    bytes.extend(text);
    bytes.extend(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::workload::written;

    proptest! {
        #[test]
        fn a_value_is_spelled_as_every_other_client_of_the_lab_writes_it(
            writer: u32, sequence: u32, size in 0_usize..300,
        ) {
            let value = Value { writer, sequence };
            let mut text = b"left over".to_vec();
            spell(value, size, &mut text);
            prop_assert_eq!(read(&text), Some(value));
            prop_assert_eq!(text, written(value, size).into_bytes());
        }
    }
}
