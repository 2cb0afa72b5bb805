use failover_lab::{Lab, client::CallError, replicated};
use lab_report::judge::Judgement;

use crate::step::{Outcome, alike, step};

step!("q5", "write-rejection", replicated(2), write_rejection);

/// `shared.roslaveerr` in `src/server.c`, the same since Redis 2.6 and in Valkey.
pub(crate) const READONLY: &str = "READONLY You can't write against a read only replica.";

/// Replicas refuse writes, the primary takes them.
///
/// 1. A write through the reader, and at every replica, is refused, in these very words.
/// 2. The same write through the primary endpoint is acknowledged.
async fn write_rejection(lab: &mut Lab) -> Outcome {
    let write = ["SET", "who-may-write", "the primary"];

    // 1. Through the reader.
    let mut answers = vec![("reader".to_owned(), words(lab.reader_client().ask(&write).await))];
    for replica in lab.group().replicas() {
        answers.push((replica.id().to_string(), words(lab.client_of(&replica).ask(&write).await)));
    }
    lab.check("write.readonly-error", Judgement::equal(READONLY, alike(answers)));

    // 2. Through the primary endpoint.
    let answer = lab.primary_client().ask::<String>(&write).await;
    lab.check("write.primary-accepts", Judgement::equal("OK", words(answer)));
    Ok(())
}

/// What the server said, or that it said nothing.
pub(crate) fn words(answer: Result<String, CallError>) -> String {
    answer.unwrap_or_else(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
