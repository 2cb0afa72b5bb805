//! What is there in the end: asked for patiently, by somebody who is not measured.

use std::time::{Duration, Instant};

use lab_history::{Action, Object, Outcome, Process, operation::EntryId};

use super::{
    GROUP,
    answer::{self, Entry},
    consumer::{asked, record},
};
use crate::{
    client::{Client, Unanswered},
    command::{Reply, Request},
    schedule::pass,
    tape::Tape,
};

/// What the group calls whoever asks in the end.
const READER: &str = "final reads";
/// So many entries are read at once.
const PAGE: &str = "10000";
/// How often is looked whether consumers have caught up.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until consumers have had and acknowledged everything, for `limit` at most: those that are dead never do.
pub(in crate::workload) async fn catch_up(
    streams: &[(String, Object)],
    client: &dyn Client,
    limit: Duration,
    patience: Duration,
) {
    let all = async {
        for (stream, _) in streams {
            let asking = Asking { stream, client, patience };
            while !asking.is_done().await {
                pass(LOOK).await;
            }
        }
    };
    // What is left then is what the record is about.
    let _ = tokio::time::timeout(limit, all).await;
}

/// The final reads of every stream: how its group is, what was left for somebody to take over, and every entry.
pub(in crate::workload) async fn read_back(
    streams: &[(String, Object)],
    client: &dyn Client,
    patience: Duration,
    process: Process,
    tape: &Tape,
) {
    for (stream, object) in streams {
        let (object, asking) = (*object, Asking { stream, client, patience });
        // There is none where nobody was to consume.
        if asking.has_group().await {
            let invoked = Instant::now();
            let outcome = answer::outcome(asking.pending().await);
            record(tape, process, invoked, [Action::Pending { object, outcome }]);
            let invoked = Instant::now();
            let outcome = answer::outcome(asking.last_delivered().await);
            record(tape, process, invoked, [Action::LastDelivered { object, outcome }]);
            asking
                .claim_all(|invoked, found| record(tape, process, invoked, answer::claims(object, found)))
                .await;
        }
        let invoked = Instant::now();
        let found = asking.entries().await;
        let outcome = match found {
            Ok(found) => {
                let values: Vec<_> = found.into_iter().map(|entry| entry.value).collect();
                // What cannot be written is said when the tape is finished.
                tape.list(&values).map_or(Outcome::Indeterminate(lab_history::Doubt::Garbled), Outcome::Ok)
            }
            Err(unanswered) => unanswered.into(),
        };
        record(tape, process, invoked, [Action::Entries { object, outcome }]);
    }
}

struct Asking<'a> {
    stream: &'a str,
    client: &'a dyn Client,
    patience: Duration,
}

impl Asking<'_> {
    async fn ask(&self, words: &[&str]) -> Result<Reply, Unanswered> {
        asked(self.client, &Request::new(self.stream, words), self.patience).await
    }

    /// Whether everything was delivered, and all of it acknowledged.
    async fn is_done(&self) -> bool {
        let (Ok(0), Ok(last)) = (self.pending().await, self.last_delivered().await) else { return false };
        self.page(last, "1").await.is_ok_and(|behind| behind.is_empty())
    }

    async fn has_group(&self) -> bool {
        let groups = self.ask(&["XINFO", "GROUPS", self.stream]).await;
        groups.is_ok_and(|groups| !groups.list().is_empty())
    }

    async fn pending(&self) -> Result<u64, Unanswered> {
        answer::read(self.ask(&["XPENDING", self.stream, GROUP]).await, answer::pending)
    }

    async fn last_delivered(&self) -> Result<EntryId, Unanswered> {
        let groups = self.ask(&["XINFO", "GROUPS", self.stream]).await;
        answer::read(groups, |reply| answer::last_delivered(reply, GROUP))
    }

    /// Takes over all that was delivered and never acknowledged, be the consumer dead or its answer lost: that it was
    /// not delivered to anybody would be wrong to say. It is not acknowledged.
    async fn claim_all(&self, each: impl Fn(Instant, &Result<Vec<Entry>, Unanswered>)) {
        let mut from = "0-0".to_owned();
        loop {
            let invoked = Instant::now();
            let answer =
                self.ask(&["XAUTOCLAIM", self.stream, GROUP, READER, "0", &from, "COUNT", PAGE]).await;
            let (next, found) = match answer::read(answer, answer::claimed) {
                Ok((next, found)) => (next, Ok(found)),
                Err(unanswered) => (EntryId::default(), Err(unanswered)),
            };
            each(invoked, &found);
            if next == EntryId::default() {
                return;
            }
            from = next.to_string();
        }
    }

    /// All entries, in the stream's order.
    async fn entries(&self) -> Result<Vec<Entry>, Unanswered> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let behind = all.last().map(|entry| entry.id).unwrap_or_default();
            let page = self.page(behind, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// The next entries behind one: `0-0` is before the first.
    async fn page(&self, behind: EntryId, count: &str) -> Result<Vec<Entry>, Unanswered> {
        let from = format!("({behind}");
        answer::read(self.ask(&["XRANGE", self.stream, &from, "+", "COUNT", count]).await, answer::entries)
    }
}
