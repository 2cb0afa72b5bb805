//! `SENTINEL CKQUORUM`, parsed.

use std::fmt;

/// Whether a sentinel could have its primary replaced now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Sentinels that it holds to be up, itself among them.
    pub usable: usize,
    /// Enough of them to agree that the primary is down.
    pub agrees: bool,
    /// Enough of them to elect who replaces it.
    pub authorises: bool,
}

impl Quorum {
    /// Reads the answer, or the error with its code: both say how it stands. None where it is neither.
    pub fn parse(answer: &str) -> Option<Self> {
        // `OK 3 usable Sentinels. Quorum and …`, `NOQUORUM 1 usable Sentinels. Not enough …`
        let (code, rest) = answer.split_once(' ')?;
        let usable = rest.split_once(" usable Sentinels")?.0.parse().ok()?;
        let lacks = |what: &str| code == "NOQUORUM" && rest.contains(what);
        match code {
            "OK" | "NOQUORUM" => Some(Self {
                usable,
                agrees: !lacks("reach the specified quorum"),
                authorises: !lacks("reach the majority"),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = match (self.agrees, self.authorises) {
            (true, true) => "a quorum and a majority",
            (true, false) => "a quorum, and no majority",
            (false, true) => "a majority, and no quorum",
            (false, false) => "neither a quorum nor a majority",
        };
        write!(f, "{} usable: {reached}", self.usable)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const QUORUM: &str = "Not enough available Sentinels to reach the specified quorum for this master";
    const MAJORITY: &str = "Not enough available Sentinels to reach the majority and authorize a failover";

    #[rstest]
    #[case::whole(
        "OK 3 usable Sentinels. Quorum and failover authorization can be reached".to_owned(),
        "3 usable: a quorum and a majority"
    )]
    #[case::neither(
        format!("NOQUORUM 1 usable Sentinels. {QUORUM}. {MAJORITY}"),
        "1 usable: neither a quorum nor a majority"
    )]
    #[case::no_quorum(format!("NOQUORUM 3 usable Sentinels. {QUORUM}"), "3 usable: a majority, and no quorum")]
    #[case::no_majority(format!("NOQUORUM 1 usable Sentinels. {MAJORITY}"), "1 usable: a quorum, and no majority")]
    fn what_is_lacking_is_told_apart(#[case] answer: String, #[case] told: &str) {
        assert_eq!(Quorum::parse(&answer).map(|quorum| quorum.to_string()).as_deref(), Some(told));
    }

    #[test]
    fn another_error_is_no_answer() {
        assert_eq!(Quorum::parse("ERR No such master with that name"), None);
        assert_eq!(Quorum::parse(""), None);
    }
}
