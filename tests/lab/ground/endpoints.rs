//! Names are resolved by their time to live; readers take turns.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use failover_lab::{
    Replicated,
    client::Client,
    docker::PORT,
    endpoint::{Caching, Resolver},
    info::Info,
    replicated,
    wait::{self, Seen},
};
use lab_report::evidence::EndpointName;
use redis::io::AsyncDNSResolver;

use super::with_group;

/// Much longer than a promotion takes, so that one fits in between two answers.
const TTL: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

fn with_ttl(ttl: Duration) -> Replicated {
    let mut topology = replicated(1);
    topology.endpoints.ttl = ttl;
    topology
}

async fn resolve(resolver: &Resolver, name: &str) -> SocketAddr {
    let mut addresses = resolver.resolve(name, PORT).await.expect("the name has an address");
    addresses.next().expect("the name has an address")
}

/// 1. Two clients resolve the primary name; one keeps the answer by its time to live, one for ever.
/// 2. The name is repointed: a newcomer gets the new address, the two still have the old one.
/// 3. When the time to live is over, and not before, the first follows. The second never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_kept_for_its_time_to_live() {
    with_group(with_ttl(TTL), None, async |lab| {
        let records = lab.group.records();
        let name = records.name(EndpointName::Primary);
        let (old, new) = (lab.group.primary(), lab.group.replicas().remove(0));

        // 1. Resolved.
        let by_ttl = Resolver::new(records, Caching::ByTtl);
        let for_ever = Resolver::new(records, Caching::Forever);
        let asked = Instant::now();
        assert_eq!(resolve(&by_ttl, &name).await, old.reach());
        assert_eq!(resolve(&for_ever, &name).await, old.reach());

        // 2. Repointed.
        lab.group.promote(new.id()).await.unwrap();
        let newcomer = Resolver::new(records, Caching::ByTtl);
        assert_eq!(resolve(&newcomer, &name).await, new.reach());
        let kept = resolve(&by_ttl, &name).await;
        assert!(asked.elapsed() < TTL, "the promotion took so long that the answer may be old");
        assert_eq!(kept, old.reach());

        // 3. Over.
        let follows = wait::until("the resolver to follow", TTL + SOON, PACE, async || {
            match resolve(&by_ttl, &name).await {
                address if address == new.reach() => Seen::Ready(asked.elapsed()),
                other => Seen::NotYet(other.to_string()),
            }
        });
        let followed = follows.await.unwrap_or_else(|late| panic!("{late}"));
        assert!(followed >= TTL, "kept for {followed:?} only");
        assert_eq!(resolve(&for_ever, &name).await, old.reach());
    })
    .await;
}

/// 1. Two clients write; one of them resolves once and for all.
/// 2. The primary is demoted, and the name follows the promoted node.
/// 3. One client follows the name; the other is told `READONLY`, on a new connection, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_caches_the_address_stays_with_the_old_node() {
    let ttl = Duration::from_millis(100);
    with_group(with_ttl(ttl), None, async |lab| {
        // 1. Writing.
        let records = lab.group.records();
        let client = || Client::new(records, EndpointName::Primary).patient(SOON);
        let (resolves, caches) = (client(), client().caching_the_address(records));
        resolves.ask::<()>(&["SET", "writer", "resolves"]).await.unwrap();
        caches.ask::<()>(&["SET", "writer", "caches"]).await.unwrap();

        // 2. Demoted.
        let new = lab.group.replicas().remove(0);
        lab.group.promote(new.id()).await.unwrap();

        // 3. One follows.
        let follows = wait::until("the client to follow", SOON, PACE, async || {
            match resolves.ask::<()>(&["SET", "writer", "resolves"]).await {
                Ok(()) => Seen::Ready(()),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        follows.await.unwrap_or_else(|late| panic!("{late}"));
        // The first refusal drops the connection, so the second comes over a new one.
        for attempt in ["the old connection", "a new connection"] {
            let refused = caches.ask::<()>(&["SET", "writer", "caches"]).await.unwrap_err();
            assert_eq!(refused.class(), "READONLY", "{attempt}");
        }
    })
    .await;
}

/// 1. Asked again and again, the reader name answers with one replica after the other.
/// 2. So as many clients as there are replicas are spread over all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reader_name_takes_turns() {
    with_group(replicated(2), None, async |lab| {
        let records = lab.group.records();
        let replicas = lab.group.replicas();

        // 1. In turn.
        let answers: Vec<_> = (0..4).filter_map(|_| records.look_up(EndpointName::Reader)).collect();
        let answers: Vec<_> = answers.iter().map(|node| node.id()).collect();
        let (first, second) = (replicas[0].id(), replicas[1].id());
        assert_eq!(answers, [first, second, first, second]);

        // 2. Spread.
        let mut met = BTreeSet::new();
        for _ in &replicas {
            let client = Client::new(records, EndpointName::Reader).patient(SOON);
            met.insert(run_id(&client.ask::<String>(&["INFO", "server"]).await.unwrap()));
        }
        let mut expected = BTreeSet::new();
        for replica in &replicas {
            expected.insert(run_id(&replica.ask::<String>(&["INFO", "server"]).await.unwrap()));
        }
        assert_eq!(met, expected);
    })
    .await;
}

fn run_id(info: &str) -> String {
    Info::parse(info).get("run_id").expect("a server says who it is").to_owned()
}
