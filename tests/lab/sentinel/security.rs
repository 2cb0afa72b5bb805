use std::{collections::BTreeSet, sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    client::Client,
    docker::{Attempt, FaultKind, Node},
    environment::Capability,
    sentinels,
    wait::Seen,
};
use lab_report::judge::Judgement;

use super::{
    manual_failover::{some_writes, writes_reach},
    seen::{happened, others_follow, replaced, stage, successor},
};
use crate::{
    admission::{PATIENCE, answers, secrets_in, turned_away},
    step::{Outcome, alike, step},
};

step!("sentinel", "security", deployment(), security, needs[]);

const APP: &str = "app";
const WATCHER: &str = "watcher";
const FOLLOWER: &str = "follower";

/// Every link under TLS, and three users beside the default one, each with what it needs: the application, which has
/// keys of one prefix and asks `ROLE` when it connects; the sentinels, which look, meet and reconfigure; a replica.
///
/// How soon is not the question: sentinels that elect nobody try again soon.
fn deployment() -> Sentinels {
    let mut topology = sentinels(3)
        .replicas(2)
        .tls()
        // Else the server refuses `DEBUG` to everybody, before it asks who it is.
        .config("enable-debug-command", "yes")
        .user(APP, "resetchannels ~failover-lab:* +@read +@write +@connection -@dangerous +role")
        .user(
            WATCHER,
            "resetchannels &__sentinel__:hello +ping +info +role +publish +subscribe +multi +exec \
             +slaveof +replicaof +config|rewrite +client|setname +client|kill +script|kill",
        )
        .user(FOLLOWER, "resetchannels +ping +replconf +psync")
        .watches_as(WATCHER)
        .follows_as(FOLLOWER);
    topology.failover_timeout = Duration::from_secs(2);
    topology
}

/// Nobody gets in without a password, nobody does more than they may, also after a failover, and no
/// password gets out.
///
/// 1. A stranger is turned away by every data node: without a password, and with a wrong one.
/// 2. The same at every sentinel.
/// 3. A data node that was given no password at all answers on its own host, and nobody else.
/// 4. The application has its own keys and no others, and none of the dangerous commands.
/// 5. The sentinels' and the replicas' users have neither keys nor settings.
/// 6. Every data node knows the application by the same rights.
/// 7. The primary crashes: the application's writes go on, and the other replica follows.
/// 8. No password is in any process list, in any log, or on record.
async fn security(lab: &mut Lab<Sentinels>) -> Outcome {
    // 1. and 2. Strangers.
    let (data, sentinels) = (lab.deployment().data().to_vec(), lab.deployment().sentinels().to_vec());
    let nameless = turned_away(&data, &["PING"]).await;
    lab.check("security.no-password", Judgement::equal("NOAUTH", nameless));
    let guessed = turned_away(&data, &["AUTH", APP, "a guess"]).await;
    lab.check("security.wrong-password", Judgement::equal("WRONGPASS", guessed));
    let nameless = turned_away(&sentinels, &["PING"]).await;
    let guessed = turned_away(&sentinels, &["AUTH", "default", "a guess"]).await;
    let seen = format!("{nameless} without one, {guessed} with a wrong one");
    lab.check(
        "security.sentinel-password",
        Judgement::equal("NOAUTH without one, WRONGPASS with a wrong one", seen),
    );

    // What follows is about users that somebody else may not have.
    lab.needs(Capability::FreshDeployment)?;

    // 3. Forgotten.
    let seen = protected(lab, &data[0]).await?;
    let wanted = "PONG on its own host, DENIED from another";
    lab.check("security.protected-mode", Judgement::equal(wanted, seen));

    // 4. The application.
    let app = lab.client_as(APP)?.patient(PATIENCE);
    let own = answers(&app, &[&["SET", "failover-lab:own", "x"], &["GET", "failover-lab:own"]]).await;
    let others = answers(&app, &[&["SET", "other:own", "x"], &["GET", "other:own"]]).await;
    let seen = format!("its own: {own}; another's: {others}");
    lab.check("security.app-keys", Judgement::equal("its own: answered; another's: NOPERM", seen));
    let dangerous: [&[&str]; 4] =
        [&["FLUSHALL"], &["FLUSHDB"], &["DEBUG", "SLEEP", "0"], &["CONFIG", "GET", "maxmemory"]];
    lab.check("security.app-commands", Judgement::equal("NOPERM", answers(&app, &dangerous).await));

    // 5. Those who serve it.
    let seen = service_users(lab, &data[0]).await?;
    lab.check("security.service-users", Judgement::equal("NOPERM", seen));

    // 6. Everywhere.
    let seen = same_user(&data).await?;
    if lab.check("security.everywhere", Judgement::equal("the same user", seen)) {
        // 7. After a failover.
        fail_over(lab, &data[0]).await?;
    }

    // 8. Secrets.
    let processes = secrets_in(lab, &lab.process_lists().await?);
    lab.check("secrets.processes", processes);
    let written = secrets_in(lab, &lab.written().await);
    lab.check("secrets.written", written);
    Ok(())
}

/// Boots a server with a data node's settings and no password, and pings it from its own host and from
/// another's.
async fn protected(lab: &Lab<Sentinels>, other: &Node) -> Result<String, StepError> {
    let bare = lab.bare_server().await?;
    let own = word(&bare.ping_itself().await?);
    let denied = lab.wait("a server without a password to answer a stranger", PATIENCE, async || match bare
        .ping_from(other)
        .await
    {
        Ok(Attempt::Silence) => Seen::NotYet("silence".to_owned()),
        Ok(attempt) => Seen::Ready(word(&attempt)),
        Err(error) => Seen::NotYet(error.to_string()),
    });
    let denied = denied.await.unwrap_or_else(|late| late.last_seen);
    bare.leave().await?;
    Ok(format!("{own} on its own host, {denied} from another"))
}

/// An answer's first word, which is an error's code.
fn word(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Answered(text) | Attempt::Refused(text) => {
            text.split_whitespace().next().unwrap_or_default().to_owned()
        }
        Attempt::Silence => "silence".to_owned(),
    }
}

/// What the sentinels' and the replicas' users get for what is not theirs.
async fn service_users(lab: &Lab<Sentinels>, node: &Node) -> Result<String, StepError> {
    let mut seen = Vec::new();
    for user in [WATCHER, FOLLOWER] {
        let client = Client::of_node_as(node, &lab.deployment().access(user)?).patient(PATIENCE);
        let reaching: [&[&str]; 3] = [
            &["GET", "failover-lab:own"],
            &["SET", "failover-lab:own", "y"],
            &["CONFIG", "GET", "requirepass"],
        ];
        seen.push((user.to_owned(), answers(&client, &reaching).await));
    }
    Ok(alike(seen))
}

/// The application's user at each of `nodes`, held against the one that the first of them knows.
async fn same_user(nodes: &[Arc<Node>]) -> Result<String, StepError> {
    let (mut seen, mut first) = (Vec::new(), None);
    for node in nodes {
        let user = user(node).await?;
        let told = match first.get_or_insert_with(|| user.clone()) {
            _ if user.is_none() => "no such user",
            first if *first == user => "the same user",
            _ => "another user of that name",
        };
        seen.push((node.id().to_string(), told.to_owned()));
    }
    Ok(alike(seen))
}

/// The application's user as a node lists it. Redis 7.0 lists a user's commands in an order of its own.
async fn user(node: &Node) -> Result<Option<BTreeSet<String>>, StepError> {
    let listed: Vec<String> = node.ask(&["ACL", "LIST"]).await?;
    let line = listed.iter().find(|line| line.starts_with(&format!("user {APP} ")));
    Ok(line.map(|line| line.split(' ').map(str::to_owned).collect()))
}

/// Crashes the primary while the application writes.
async fn fail_over(lab: &mut Lab<Sentinels>, old: &Arc<Node>) -> Outcome {
    let goes_on = "its writes are acknowledged by the new primary";
    let writer = lab.start_writing_as(lab.client_as(APP)?.patient(PATIENCE));
    some_writes(lab).await?;
    let _lost = lab.inject(FaultKind::Crash, old).await?;
    let promoted = stage(lab, old, "a replica to become primary", |election| election.new.is_some()).await;
    if promoted.is_err() {
        lab.check("security.failover", happened(goes_on, promoted));
        return Ok(());
    }
    let new = successor(lab, &replaced(lab, old).await?)?;
    let reached = writes_reach(lab, &new).await;
    writer.stop().await;
    lab.check("security.failover", happened(goes_on, reached));
    let followed = others_follow(lab, old, &new).await;
    lab.check("security.followed", happened("the other replica follows the new primary", followed));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes() {
    STEP.passes(None).await;
}
