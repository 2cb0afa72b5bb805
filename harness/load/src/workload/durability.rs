//! What a writer wants to hear before it takes a write for done.

use std::{fmt, str::FromStr, time::Duration};

use lab_history::Doubt;

use crate::{
    client::Unanswered,
    command::{Reply, Request},
};

/// What a writer wants to hear before it takes a write for done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// The primary's answer.
    #[default]
    None,
    /// `WAIT`: so many replicas have it in memory.
    Wait(u8),
    /// `WAITAOF`: the primary, and so many replicas, have it on disk. From Redis 7.2 and Valkey 7.2 on.
    WaitAof(u8),
}

/// There is no such durability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no durability `{0}`; known are none, wait-1, wait-2, waitaof-0, waitaof-1")]
pub struct UnknownDurability(String);

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "wait-1" => Ok(Self::Wait(1)),
            "wait-2" => Ok(Self::Wait(2)),
            "waitaof-0" => Ok(Self::WaitAof(0)),
            "waitaof-1" => Ok(Self::WaitAof(1)),
            _ => Err(UnknownDurability(text.to_owned())),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Wait(replicas) => f.pad(&format!("wait-{replicas}")),
            Self::WaitAof(replicas) => f.pad(&format!("waitaof-{replicas}")),
        }
    }
}

impl Durability {
    /// A write, and the question that goes with it. The server gives it up after `patience`.
    pub(super) fn ask(self, write: Request, patience: Duration) -> Request {
        // 0 would be for ever.
        let millis = patience.as_millis().max(1).to_string();
        match self {
            Self::None => write,
            Self::Wait(replicas) => write.then(&["WAIT", &replicas.to_string(), &millis]),
            Self::WaitAof(replicas) => write.then(&["WAITAOF", "1", &replicas.to_string(), &millis]),
        }
    }

    /// The write's own answer, if the other one is as it has to be.
    pub(super) fn judge(self, answers: Vec<Reply>) -> Result<Reply, Unanswered> {
        let mut answers = answers.into_iter();
        let garbled = Unanswered::Indeterminate(Doubt::Garbled);
        let (first, second) = (answers.next().ok_or(garbled)?, answers.next());
        let reached =
            |reply: &Reply, wanted: u8| reply.number().is_some_and(|number| number >= wanted.into());
        let is_kept = match (self, second) {
            (Self::None, _) => true,
            (Self::Wait(replicas), Some(reply)) => reached(&reply, replicas),
            (Self::WaitAof(replicas), Some(reply)) => match reply.list() {
                [local, remote] => reached(local, 1) && reached(remote, replicas),
                _ => return Err(garbled),
            },
            (_, None) => return Err(garbled),
        };
        if is_kept { Ok(first) } else { Err(Unanswered::Indeterminate(Doubt::Unreplicated)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_too_few_have_is_in_doubt() {
        let ok = || Reply::Text(b"OK".to_vec());
        let unreplicated = Err(Unanswered::Indeterminate(Doubt::Unreplicated));
        assert_eq!(Durability::None.judge(vec![ok()]), Ok(ok()));
        assert_eq!(Durability::Wait(1).judge(vec![ok(), Reply::Number(1)]), Ok(ok()));
        assert_eq!(Durability::Wait(2).judge(vec![ok(), Reply::Number(1)]), unreplicated);
        let on_disk = |local, remote| Reply::List(vec![Reply::Number(local), Reply::Number(remote)]);
        assert_eq!(Durability::WaitAof(1).judge(vec![ok(), on_disk(1, 1)]), Ok(ok()));
        assert_eq!(Durability::WaitAof(1).judge(vec![ok(), on_disk(1, 0)]), unreplicated);
        assert_eq!(Durability::WaitAof(0).judge(vec![ok(), on_disk(0, 0)]), unreplicated);
        let garbled = Err(Unanswered::Indeterminate(Doubt::Garbled));
        assert_eq!(Durability::Wait(1).judge(vec![ok()]), garbled);
    }

    #[test]
    fn every_durability_reads_as_it_is_written() {
        for text in ["none", "wait-1", "wait-2", "waitaof-0", "waitaof-1"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        assert!("wait".parse::<Durability>().is_err());
    }
}
