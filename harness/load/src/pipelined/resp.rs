//! The protocol, as far as registers need it: answers, found in the bytes that came in.

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// `+OK`.
    Done,
    /// There is nothing.
    Nothing,
    /// A value.
    Text(&'a [u8]),
    /// `-READONLY …`: without the dash.
    Error(&'a [u8]),
}

/// Bytes that are no answer to anything that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbled;

/// The first answer of `bytes` and its length; none if it is not all there yet.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>, Garbled> {
    // What nearly all of them are.
    if bytes.starts_with(DONE) {
        return Ok(Some((Answer::Done, DONE.len())));
    }
    let Some((line, length)) = line(bytes)? else { return Ok(None) };
    match line.split_first() {
        Some((b'+', _)) => Ok(Some((Answer::Done, length))),
        Some((b'-', error)) => Ok(Some((Answer::Error(error), length))),
        Some((b'$', b"-1")) => Ok(Some((Answer::Nothing, length))),
        Some((b'$', digits)) => {
            let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
            let end = size.and_then(|size| length.checked_add(size)).ok_or(Garbled)?;
            match bytes.get(end..end + END.len()) {
                None => Ok(None),
                Some(END) => Ok(Some((Answer::Text(&bytes[length..end]), end + END.len()))),
                Some(_) => Err(Garbled),
            }
        }
        _ => Err(Garbled),
    }
}

const DONE: &[u8] = b"+OK\r\n";
const END: &[u8] = b"\r\n";
/// No line of a server's is longer: an error, or a number.
const LONGEST_LINE: usize = 64 << 10;

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Garbled> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => match bytes[..end].strip_suffix(b"\r") {
            Some(line) => Ok(Some((line, end + 1))),
            None => Err(Garbled),
        },
        None if bytes.len() > LONGEST_LINE => Err(Garbled),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Sent {
        Done,
        Nothing,
        Text(Vec<u8>),
        Error(String),
    }

    impl Sent {
        fn bytes(&self) -> Vec<u8> {
            match self {
                Self::Done => b"+OK\r\n".to_vec(),
                Self::Nothing => b"$-1\r\n".to_vec(),
                Self::Text(text) => [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat(),
                Self::Error(text) => format!("-{text}\r\n").into_bytes(),
            }
        }

        fn answer(&self) -> Answer<'_> {
            match self {
                Self::Done => Answer::Done,
                Self::Nothing => Answer::Nothing,
                Self::Text(text) => Answer::Text(text),
                Self::Error(text) => Answer::Error(text.as_bytes()),
            }
        }
    }

    fn sent() -> impl Strategy<Value = Sent> {
        prop_oneof![
            Just(Sent::Done),
            Just(Sent::Nothing),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Sent::Text),
            "[A-Z]{1,8} [a-z ]{0,20}".prop_map(Sent::Error),
        ]
    }

    proptest! {
        /// What values hold looks like answers, and what comes in is cut anywhere.
        #[test]
        fn answers_are_found_wherever_the_bytes_are_cut(
            all in prop::collection::vec(sent(), 1..20),
            cuts in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let bytes: Vec<u8> = all.iter().flat_map(Sent::bytes).collect();
            let (mut held, mut at, mut found) = (Vec::new(), 0, 0);
            for step in cuts.iter().cycle() {
                let next = (at + step).min(bytes.len());
                held.extend(&bytes[at..next]);
                at = next;
                while let Some((answer, length)) = first(&held).unwrap() {
                    prop_assert_eq!(answer, all[found].answer());
                    found += 1;
                    held.drain(..length);
                }
                if at == bytes.len() {
                    break;
                }
            }
            prop_assert_eq!((found, held.len()), (all.len(), 0));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut rest = &bytes[..];
            while let Ok(Some((_, length))) = first(rest) {
                rest = &rest[length..];
            }
        }
    }

    #[test]
    fn what_nobody_asked_for_is_garbled() {
        assert_eq!(first(b"*1\r\n"), Err(Garbled));
        assert_eq!(first(b"$x\r\n"), Err(Garbled));
        assert_eq!(first(b"$1\r\nxyz"), Err(Garbled));
        assert_eq!(first(b"+OK\n"), Err(Garbled));
    }
}
