use failover_lab::{Lab, group::NODE_GROUP, replicated};
use lab_report::judge::Judgement;

use super::write_rejection::{READONLY, words};
use crate::step::{Outcome, step};

step!("q5", "demoted-connection", replicated(2), demoted_connection);

/// A connection left on the demoted node is told so.
///
/// 1. A client writes, and stays on its connection.
/// 2. The node group is failed over; the old primary lives, and is demoted.
/// 3. The next write on the old connection is refused with READONLY.
async fn demoted_connection(lab: &mut Lab) -> Outcome {
    // 1. A connection.
    let client = lab.primary_client().staying_connected();
    client.ask::<()>(&["SET", "before", "the failover"]).await?;

    // 2. A failover.
    lab.doing("asking for a failover of the node group");
    lab.group().test_failover(NODE_GROUP).await?;

    // 3. The same connection.
    let answer = client.ask::<String>(&["SET", "after", "the failover"]).await;
    lab.check("demoted.readonly", Judgement::equal(READONLY, words(answer)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
