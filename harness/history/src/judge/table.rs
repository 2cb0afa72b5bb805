//! Finding the operation that wrote a value.

use rustc_hash::FxHashMap;

use crate::operation::Value;

/// From a value to a number below 2³²−1: where what is known of it is kept.
///
/// Writers number their values, so most are found in an array; those that would make it mostly empty are found
/// by hashing.
#[derive(Debug, Default)]
pub(super) struct Table {
    arrays: Vec<Vec<u32>>,
    /// How much longer the arrays may get, all together.
    room: usize,
    others: FxHashMap<Value, u32>,
}

const NONE: u32 = u32::MAX;

impl Table {
    /// More writers than this are hashed.
    const WRITERS: u32 = 1 << 10;

    /// Forgets everything, and makes room for so many values.
    pub(super) fn reset(&mut self, values: usize) {
        self.arrays.iter_mut().for_each(Vec::clear);
        self.others.clear();
        self.room = 2 * values;
    }

    pub(super) fn get(&self, value: Value) -> Option<u32> {
        let array = self.arrays.get(value.writer as usize);
        match array.and_then(|array| array.get(value.sequence as usize)) {
            Some(&number) if number != NONE => Some(number),
            _ if self.others.is_empty() => None,
            _ => self.others.get(&value).copied(),
        }
    }

    /// Keeps a value that is not kept yet.
    pub(super) fn insert(&mut self, value: Value, number: u32) {
        let (writer, sequence) = (value.writer as usize, value.sequence as usize);
        if value.writer < Self::WRITERS && self.arrays.len() <= writer {
            self.arrays.resize_with(writer + 1, Vec::new);
        }
        let Some(array) = self.arrays.get_mut(writer) else {
            self.others.insert(value, number);
            return;
        };
        if array.len() <= sequence {
            let longer = sequence + 1 - array.len();
            if longer > self.room {
                self.others.insert(value, number);
                return;
            }
            self.room -= longer;
            array.resize(sequence + 1, NONE);
        }
        array[sequence] = number;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whether values are dense or sparse, of few writers or of many.
        #[test]
        fn every_value_is_found_and_no_other(
            values in prop::collection::vec((0..3000_u32, prop_oneof![0..50_u32, any::<u32>()]), 0..200),
            others in prop::collection::vec((0..3000_u32, 0..50_u32), 0..50),
        ) {
            let mut table = Table::default();
            let mut kept = HashMap::new();
            for _ in 0..2 {
                table.reset(values.len());
                kept.clear();
                for (number, value) in (0..).zip(&values) {
                    let value = Value::from(*value);
                    prop_assert_eq!(table.get(value), kept.get(&value).copied());
                    if kept.insert(value, number).is_none() {
                        table.insert(value, number);
                    } else {
                        kept.insert(value, table.get(value).unwrap());
                    }
                }
            }
            for value in others.into_iter().map(Value::from).chain(kept.keys().copied().collect::<Vec<_>>()) {
                prop_assert_eq!(table.get(value), kept.get(&value).copied());
            }
        }
    }
}
