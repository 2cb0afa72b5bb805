//! What a read of a whole set or stream found, in two to four bytes a value where eight would be needed.
//!
//! Writers number their values, so next to a value there is mostly one with a similar number.

use crate::operation::Value;

/// Appends a list: its length, then of each value its writer, and its sequence number's distance from the one
/// before it (from 0, for the first).
pub(super) fn encode(values: &[Value], bytes: &mut Vec<u8>) {
    number(values.len() as u64, bytes);
    let mut before = 0;
    for value in values {
        number(value.writer.into(), bytes);
        let distance = i64::from(value.sequence) - before;
        // Zigzag: 0, -1, 1, -2, … are 0, 1, 2, 3, …
        number((distance << 1 ^ distance >> 63) as u64, bytes);
        before = value.sequence.into();
    }
}

/// Takes a list off the front of `rest`.
pub(super) fn decode(rest: &mut &[u8]) -> Option<Box<[Value]>> {
    let length = usize::try_from(take(rest)?).ok()?;
    // Two bytes a value, at least: what claims to have more has not.
    let mut values = Vec::with_capacity(length.min(rest.len() / 2));
    let mut before = 0;
    for _ in 0..length {
        let writer = u32::try_from(take(rest)?).ok()?;
        let zigzag = take(rest)?;
        let distance = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        before = i64::checked_add(before, distance)?;
        values.push(Value { writer, sequence: u32::try_from(before).ok()? });
    }
    Some(values.into())
}

/// Seven bits a byte, the lowest first; the highest bit says that there are more. LEB128.
fn number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            lists in prop::collection::vec(prop::collection::vec(any::<(u32, u32)>(), 0..20), 0..5),
        ) {
            let mut bytes = Vec::new();
            let lists: Vec<Vec<Value>> =
                lists.into_iter().map(|list| list.into_iter().map(Value::from).collect()).collect();
            lists.iter().for_each(|list| encode(list, &mut bytes));
            let mut rest = &bytes[..];
            for list in lists {
                prop_assert_eq!(decode(&mut rest), Some(list.into()));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut rest = &bytes[..];
            while !rest.is_empty() && decode(&mut rest).is_some() {}
        }
    }
}
