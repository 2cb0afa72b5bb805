//! What became of an operation.

use serde::{Deserialize, Serialize};

/// What became of an operation, as far as its caller can know.
///
/// An operation without an answer is neither done nor undone: it may have been applied, or be applied yet.
/// It is never counted as failed, and never as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome<T = ()> {
    /// It was done; what it brought back.
    Ok(T),
    /// It was certainly not applied, and never will be.
    Failed(Refusal),
    /// It may or may not have been applied, or be applied yet.
    Indeterminate(Doubt),
}

impl<T> Outcome<T> {
    /// What it brought back, if it was done.
    pub fn ok(self) -> Option<T> {
        match self {
            Self::Ok(result) => Some(result),
            Self::Failed(_) | Self::Indeterminate(_) => None,
        }
    }

    /// The same outcome, whatever it brought back.
    pub fn plain(&self) -> Outcome {
        match self {
            Self::Ok(_) => Outcome::Ok(()),
            Self::Failed(why) => Outcome::Failed(*why),
            Self::Indeterminate(why) => Outcome::Indeterminate(*why),
        }
    }
}

/// Words that are also numbered, from 0, without gaps: a record holds the number, JSON the word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$meaning:meta])* $word:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name {
            $($(#[$meaning])* $word,)+
        }

        impl $name {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$word,)+];

            /// Its number in a record.
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// Its word in JSON.
            pub fn word(self) -> String {
                serde_json::to_string(&self).expect("a word").trim_matches('"').to_owned()
            }

            /// The one with this number.
            pub fn of_number(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number)).copied()
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Why an operation was certainly not applied. The capitals are the server's own words.
    Refusal {
        /// `READONLY`: the server is a replica.
        ReadOnly,
        /// `MOVED`: another node has the slot.
        Moved,
        /// `ASK`: another node has the key.
        Ask,
        /// `TRYAGAIN`: the slot is half moved.
        TryAgain,
        /// `CROSSSLOT`: the keys are in several slots.
        CrossSlot,
        /// `CLUSTERDOWN`: too little of the cluster is left.
        ClusterDown,
        /// `NOREPLICAS`: too few replicas follow (`min-replicas-to-write`).
        NoReplicas,
        /// `LOADING`: the server is reading its file.
        Loading,
        /// `MASTERDOWN`: the replica has lost its primary, and serves nothing stale.
        MasterDown,
        /// `BUSY`: a script has the server.
        Busy,
        /// `OOM`: the server is full.
        OutOfMemory,
        /// `MISCONF`: the server cannot save, and takes no writes until it can.
        Misconfigured,
        /// `NOAUTH`, `NOPERM`, `WRONGPASS`: the client may not.
        NotPermitted,
        /// Any other error that the server answered before it did anything.
        Rejected,
        /// Nobody listens: the connection was refused, and nothing was sent.
        Refused,
        /// There was no connection, and the deadline passed before there was one: nothing was sent.
        NotSent,
    }
}

words! {
    /// Why nobody knows whether an operation was applied.
    Doubt {
        /// The deadline passed after it was sent.
        Deadline,
        /// The connection was reset after it was sent.
        Reset,
        /// The connection was closed in order after it was sent.
        Closed,
        /// The server's answer makes no sense to the client.
        Garbled,
        /// It was done where it was sent, but by too few others (`WAIT`, `WAITAOF`): nothing was promised.
        Unreplicated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_word_belong_together() {
        for (number, word) in (0..).zip(Refusal::ALL) {
            assert_eq!((word.number(), Refusal::of_number(number)), (number, Some(*word)));
        }
        for (number, word) in (0..).zip(Doubt::ALL) {
            assert_eq!((word.number(), Doubt::of_number(number)), (number, Some(*word)));
        }
        assert_eq!(Doubt::of_number(Doubt::ALL.len() as u8), None);
    }
}
