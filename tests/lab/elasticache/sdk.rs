//! The API as the SDK for Rust uses it: with its waiters, its paginators and its types of errors.

use std::time::Duration;

use aws_sdk_elasticache::{
    Client, Config,
    client::Waiters,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{ReplicationGroup, SourceType, Tag},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use failover_lab::wait::{Seen, until};

use super::aws::with_elasticache;

const SOON: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(100);
/// The SDK's waiters look again after 15 s at the soonest.
const PATIENCE: Duration = Duration::from_secs(60);

/// 1. A group comes, with a tag, and the waiter sees it.
/// 2. It fails over; roles and events say so, its status never does.
/// 3. What is refused has a type of its own.
/// 4. It goes, and the waiter sees that, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_waits_pages_and_tells_refusals_apart() {
    with_elasticache(async |aws| {
        // 1. Create.
        let client = client(aws.url());
        let tag = Tag::builder().key("run").value("1").build();
        let create = client
            .create_replication_group()
            .replication_group_id("shop")
            .replication_group_description("lab")
            .cache_node_type("cache.t3.micro")
            .num_cache_clusters(2)
            .automatic_failover_enabled(true)
            .tags(tag);
        let created = create.send().await.unwrap().replication_group.expect("it is described");
        assert_eq!(created.status(), Some("creating"));
        let available = client.wait_until_replication_group_available().replication_group_id("shop");
        available.wait(PATIENCE).await.unwrap();
        let tags = client.list_tags_for_resource().resource_name(created.arn().expect("it has a name"));
        assert_eq!(tags.send().await.unwrap().tag_list()[0].value(), Some("1"));

        // 2. Fail over.
        assert_eq!(primaries(&describe(&client).await), ["shop-001"]);
        let failover = || client.test_failover().replication_group_id("shop");
        let called = failover().node_group_id("0001").send().await.unwrap();
        assert_eq!(called.replication_group().and_then(ReplicationGroup::status), Some("available"));
        until("another primary", SOON, PACE, async || match primaries(&describe(&client).await) {
            now if now == ["shop-002"] => Seen::Ready(()),
            other => Seen::NotYet(format!("{other:?}")),
        })
        .await
        .unwrap();
        until("the last of its events", SOON, PACE, async || match events(&client).await {
            told if told.iter().any(|text| text == "Finished recovery for cache nodes shop-001") => {
                Seen::Ready(())
            }
            other => Seen::NotYet(format!("{other:?}")),
        })
        .await
        .unwrap();

        // 3. Refusals.
        let refused = failover().node_group_id("0").send().await.unwrap_err().into_service_error();
        assert!(refused.is_node_group_not_found_fault(), "{refused:?}");
        let again = client.create_replication_group().replication_group_id("shop");
        let again = again.replication_group_description("lab").cache_node_type("cache.t3.micro");
        let refused = again.send().await.unwrap_err().into_service_error();
        assert!(refused.is_replication_group_already_exists_fault(), "{refused:?}");

        // 4. Delete.
        client.delete_replication_group().replication_group_id("shop").send().await.unwrap();
        let deleted = client.wait_until_replication_group_deleted().replication_group_id("shop");
        deleted.wait(PATIENCE).await.unwrap();
    })
    .await;
}

fn client(url: &str) -> Client {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("lab", "lab", None, None, "lab"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url)
        .http_client(http);
    Client::from_conf(config.build())
}

async fn describe(client: &Client) -> ReplicationGroup {
    let described = client.describe_replication_groups().replication_group_id("shop").send().await.unwrap();
    described.replication_groups.unwrap_or_default().remove(0)
}

fn primaries(group: &ReplicationGroup) -> Vec<&str> {
    let members = group.node_groups().iter().flat_map(|nodes| nodes.node_group_members());
    members
        .filter(|member| member.current_role() == Some("primary"))
        .filter_map(|member| member.cache_cluster_id())
        .collect()
}

/// Of the nodes, all pages of them.
async fn events(client: &Client) -> Vec<String> {
    let events =
        client.describe_events().source_type(SourceType::CacheCluster).into_paginator().items().send();
    let events: Vec<_> = events.collect::<Result<_, _>>().await.unwrap();
    events.into_iter().filter_map(|event| event.message).collect()
}
