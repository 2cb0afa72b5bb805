//! `SLOWLOG GET`, parsed.

use std::time::Duration;

/// An entry as the server sends it: number, Unix time, microseconds, words, and the client's address and name.
type Entry = (u64, u64, u64, Vec<Vec<u8>>, String, String);

/// A command that took longer than `slowlog-log-slower-than`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowCommand {
    /// How long it took.
    pub took: Duration,
    /// The command, as far as the server keeps it: 32 words, and 128 bytes of each.
    pub words: Vec<String>,
    /// What its client calls itself; empty where it does not.
    pub client: String,
}

impl SlowCommand {
    /// Of what the server answered.
    pub fn of((_, _, micros, words, _, client): Entry) -> Self {
        // Words are whatever clients send, and need not be text.
        let words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Self { took: Duration::from_micros(micros), words, client }
    }
}

#[cfg(test)]
mod tests {
    use redis::{FromRedisValue, Value};

    use super::*;

    fn text(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    #[test]
    fn what_was_slow_is_listed_with_its_length() {
        let entry = |number, micros, words: &[&[u8]], name: &[u8]| {
            Value::Array(vec![
                Value::Int(number),
                Value::Int(1_700_000_000),
                Value::Int(micros),
                Value::Array(words.iter().map(|word| text(word)).collect()),
                text(b"10.0.0.1:50112"),
                text(name),
            ])
        };
        let answer = Value::Array(vec![
            entry(14, 15_012, &[b"EVAL", b"for turn = 1, 5000000 do end", b"0"], b""),
            entry(13, 11_200, &[b"SET", b"picture", b"\xff\xd8\xff"], b"pool"),
        ]);
        let listed: Vec<_> = FromRedisValue::from_redis_value(answer).expect("a list of entries");
        let slow: Vec<SlowCommand> = listed.into_iter().map(SlowCommand::of).collect();
        assert_eq!(slow[0].words, ["EVAL", "for turn = 1, 5000000 do end", "0"]);
        assert_eq!(slow[0].took, Duration::from_micros(15_012));
        assert_eq!((slow[1].client.as_str(), slow[1].words.len()), ("pool", 3));
    }
}
