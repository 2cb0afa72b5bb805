//! The exercise by its commands, and what the API refuses, both through AWS' own command line.

use std::time::Duration;

use failover_lab::{
    docker::{Launch, Network, Node, Server},
    replicated,
    wait::{Seen, until},
};
use lab_report::NodeId;
use redis::RedisError;
use rstest::rstest;
use serde_json::Value;

use super::aws::{Aws, with_elasticache};

const SUBNETS: &str = "create-cache-subnet-group --cache-subnet-group-name practice \
    --cache-subnet-group-description lab --subnet-ids subnet-11111111 subnet-22222222";
const GROUP: &str = "create-replication-group --replication-group-id practice \
    --replication-group-description lab --cache-node-type cache.t3.micro \
    --num-cache-clusters 3 --automatic-failover-enabled --multi-az-enabled --cache-subnet-group-name practice \
    --security-group-ids sg-1";
const DESCRIBE: &str = "describe-replication-groups --replication-group-id practice";
const SOON: Duration = Duration::from_secs(5);

/// The exercise, command by command.
///
/// 1. A subnet group in two zones, and in it a group of three nodes, which becomes available.
/// 2. Its endpoints: the primary takes a write, the reader has it and takes none.
/// 3. The failover as it is printed in the exercise is no command; nor is its node group one.
/// 4. The failover as it is documented: another node is primary, the endpoint follows, and the five events say so.
/// 5. Clean-up: the group goes and leaves its primary, then that goes, and the subnet group, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the aws command line"]
async fn the_exercise_goes_through_by_its_commands() {
    with_elasticache(async |aws| {
        // 1. Create.
        let subnets = aws.elasticache(SUBNETS).await;
        let zones: Vec<&Value> = subnets["CacheSubnetGroup"]["Subnets"].as_array().unwrap().iter().collect();
        assert_eq!(zones[0]["SubnetAvailabilityZone"]["Name"], "us-east-1a");
        assert_eq!(zones[1]["SubnetAvailabilityZone"]["Name"], "us-east-1b");
        let created = aws.elasticache(&format!("{GROUP} {}", aws.engine())).await;
        assert_eq!(created["ReplicationGroup"]["Status"], "creating");
        aws.try_elasticache("wait replication-group-available --replication-group-id practice")
            .await
            .unwrap();

        // 2. Use.
        let group = aws.elasticache(DESCRIBE).await["ReplicationGroups"][0].clone();
        assert_eq!(
            (group["AutomaticFailover"].clone(), group["MultiAZ"].clone()),
            ("enabled".into(), "enabled".into())
        );
        assert_eq!(
            roles(&group),
            [("practice-001", "primary"), ("practice-002", "replica"), ("practice-003", "replica")]
        );
        let (primary, reader) = (endpoint(&group, "PrimaryEndpoint"), endpoint(&group, "ReaderEndpoint"));
        ask(&primary, &["SET", "fruit", "apple"]).await.unwrap();
        until("the reader to have it", SOON, Duration::from_millis(10), async || {
            match ask(&reader, &["GET", "fruit"]).await {
                Ok(value) if value == "apple" => Seen::Ready(()),
                other => Seen::NotYet(format!("{other:?}")),
            }
        })
        .await
        .unwrap();
        let refused = ask(&reader, &["SET", "fruit", "pear"]).await.unwrap_err();
        assert_eq!(refused.code(), Some("READONLY"), "{refused}");

        // 3. As the exercise has it.
        let no_flag = aws
            .try_elasticache("test-failover --replication-group-id practice --node-group-id-to-test 0")
            .await;
        assert!(no_flag.unwrap_err().contains("--node-group-id"), "the command line knows no such flag");
        let no_id =
            aws.try_elasticache("test-failover --replication-group-id practice --node-group-id 0").await;
        assert!(no_id.unwrap_err().contains("NodeGroupNotFoundFault"));

        // 4. As the API has it.
        aws.elasticache("test-failover --replication-group-id practice --node-group-id 0001").await;
        let events = aws
            .wait("the failover's five events", "describe-events", |answer| events(answer).len() >= 5)
            .await;
        assert_eq!(events_of(&events), expected_events(&events));
        let group = aws.elasticache(DESCRIBE).await["ReplicationGroups"][0].clone();
        let promoted: Vec<_> = roles(&group).into_iter().filter(|(_, role)| *role == "primary").collect();
        assert!(matches!(promoted[..], [(id, _)] if id != "practice-001"), "{promoted:?}");
        assert_eq!(
            endpoint(&group, "PrimaryEndpoint"),
            primary,
            "the endpoint stays, and goes to another node"
        );
        ask(&primary, &["SET", "fruit", "pear"]).await.unwrap();
        assert_eq!(ask(&primary, &["GET", "fruit"]).await.unwrap(), "pear");

        // 5. Clean up.
        let successor = promoted[0].0.to_owned();
        let in_use =
            aws.try_elasticache("delete-cache-subnet-group --cache-subnet-group-name practice").await;
        assert!(in_use.unwrap_err().contains("CacheSubnetGroupInUse"));
        aws.elasticache("delete-replication-group --replication-group-id practice --retain-primary-cluster")
            .await;
        let alone = "describe-cache-clusters --show-cache-clusters-not-in-replication-groups";
        let left =
            aws.wait("the primary to be left alone", alone, |answer| !clusters(answer).is_empty()).await;
        assert_eq!(clusters(&left), [successor.as_str()]);
        assert_eq!(left["CacheClusters"][0]["CacheClusterStatus"], "available");
        let gone = aws.try_elasticache(DESCRIBE).await.unwrap_err();
        assert!(gone.contains("ReplicationGroupNotFoundFault"), "{gone}");
        let in_the_way = aws.try_elasticache(&format!("{GROUP} {}", aws.engine())).await.unwrap_err();
        assert!(
            in_the_way.contains("(InvalidParameterValue)") && in_the_way.contains(&successor),
            "{in_the_way}"
        );
        let going = aws.elasticache(&format!("delete-cache-cluster --cache-cluster-id {successor}")).await;
        assert_eq!(going["CacheCluster"]["CacheClusterStatus"], "deleting");
        aws.wait("no cache cluster to be left", "describe-cache-clusters", |answer| {
            clusters(answer).is_empty()
        })
        .await;
        aws.elasticache("delete-cache-subnet-group --cache-subnet-group-name practice").await;
    })
    .await;
}

/// What the API refuses, by the code that clients know it by; none of it leaves anything.
#[rstest]
#[case::unsigned("describe-replication-groups --no-sign-request", "MissingAuthenticationToken")]
#[case::elsewhere("describe-replication-groups --region eu-west-1", "SignatureDoesNotMatch")]
#[case::not_served("describe-snapshots", "InvalidAction")]
#[case::no_such_group(
    "describe-replication-groups --replication-group-id nobody",
    "ReplicationGroupNotFoundFault"
)]
#[case::failover_of_nothing(
    "test-failover --replication-group-id nobody --node-group-id 0001",
    "ReplicationGroupNotFoundFault"
)]
#[case::no_such_subnets(
    "create-replication-group --replication-group-id a --replication-group-description b \
     --cache-node-type cache.t3.micro --cache-subnet-group-name nowhere",
    "CacheSubnetGroupNotFoundFault"
)]
#[case::no_node_type(
    "create-replication-group --replication-group-id a --replication-group-description b",
    "InvalidParameterCombination"
)]
#[case::failover_to_nobody(
    "create-replication-group --replication-group-id a --replication-group-description b \
     --cache-node-type cache.t3.micro --num-cache-clusters 1 --automatic-failover-enabled",
    "InvalidParameterCombination"
)]
#[case::too_many(
    "create-replication-group --replication-group-id a --replication-group-description b \
     --cache-node-type cache.t3.micro --num-cache-clusters 7",
    "InvalidParameterValue"
)]
#[case::encryption_that_is_not_served(
    "create-replication-group --replication-group-id a --replication-group-description b \
     --cache-node-type cache.t3.micro --transit-encryption-enabled",
    "InvalidParameterValue"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the aws command line"]
async fn what_is_refused_is_refused_by_its_code(#[case] words: &str, #[case] code: &str) {
    with_elasticache(async |aws| {
        let refused = aws.try_elasticache(words).await.unwrap_err();
        assert!(refused.contains(&format!("({code})")), "{refused}");
        assert_eq!(
            aws.elasticache("describe-replication-groups").await["ReplicationGroups"],
            serde_json::json!([])
        );
    })
    .await;
}

/// 1. A group of one replica gets two more, asked for twice at once, and loses them again. Whoever is second is told so,
///    or, coming when it is done, that there is nothing to do.
/// 2. Fewer than automatic failover needs are refused, and so is a number that changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the aws command line"]
async fn replicas_come_and_go() {
    with_elasticache(async |aws: &Aws| {
        aws.elasticache(
            "create-replication-group --replication-group-id practice --replication-group-description lab \
             --cache-node-type cache.t3.micro --num-cache-clusters 2 --automatic-failover-enabled",
        )
        .await;
        let available = |answer: &Value| answer["ReplicationGroups"][0]["Status"] == "available";
        aws.wait("the group to be available", DESCRIBE, available).await;

        // 1. Up and down.
        let count = |number: u8| {
            format!("--replication-group-id practice --apply-immediately --new-replica-count {number}")
        };
        let increase = format!("increase-replica-count {}", count(3));
        let (one, other) = tokio::join!(aws.try_elasticache(&increase), aws.try_elasticache(&increase));
        let (taken, refused): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(Result::is_ok);
        let [Err(refused)] = &refused[..] else {
            panic!("of two at once one is taken on: {taken:?} {refused:?}")
        };
        let codes = ["(InvalidReplicationGroupState)", "(NoOperationFault)"];
        assert!(codes.iter().any(|code| refused.contains(code)), "{refused}");
        assert!(taken[0].as_ref().unwrap().contains(r#""Status": "modifying""#), "{taken:?}");
        let grown = aws.wait("four nodes", DESCRIBE, available).await;
        assert_eq!(roles(&grown["ReplicationGroups"][0]).len(), 4);
        aws.elasticache(&format!("decrease-replica-count {}", count(1))).await;
        let shrunk = aws.wait("two nodes", DESCRIBE, available).await;
        assert_eq!(roles(&shrunk["ReplicationGroups"][0]).len(), 2);

        // 2. Refusals.
        for (refused, code) in [
            (format!("decrease-replica-count {}", count(0)), "(InvalidParameterValue)"),
            (format!("increase-replica-count {}", count(1)), "(NoOperationFault)"),
        ] {
            let error = aws.try_elasticache(&refused).await.unwrap_err();
            assert!(error.contains(code), "{refused}: {error}");
        }
        aws.elasticache("delete-replication-group --replication-group-id practice").await;
        aws.wait("nothing to be left", "describe-replication-groups", |answer| {
            answer["ReplicationGroups"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
    })
    .await;
}

/// 1. Somebody has the name of a group's second node: the group does not come up, and an event says why.
/// 2. Nothing of it is left, and its id is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the aws command line"]
async fn a_group_that_does_not_come_up_leaves_nothing() {
    with_elasticache(async |aws: &Aws| {
        // 1. In vain.
        let docker = aws.docker();
        let elsewhere = Network::create(docker, &format!("{}-elsewhere", docker.labels().lab)).await.unwrap();
        let server = Server::of_settings(&replicated(0).settings_of(0));
        let launch =
            Launch { id: NodeId::from("practice-002"), zone: "us-east-1a".to_owned(), index: 0, server };
        let squatter = Node::launch(docker, &elsewhere, launch).await.unwrap();
        let create = "create-replication-group --replication-group-id practice \
             --replication-group-description lab --cache-node-type cache.t3.micro --num-cache-clusters 2";
        aws.elasticache(create).await;
        let has =
            |status: &'static str| move |answer: &Value| answer["ReplicationGroups"][0]["Status"] == status;
        aws.wait("the group to fail", DESCRIBE, has("create-failed")).await;
        let told = aws.elasticache("describe-events").await;
        assert!(text(&events(&told)[0]["Message"]).contains("was not created"), "{told}");

        // 2. Again.
        let left = docker.leftovers().await.unwrap();
        assert_eq!((left.containers.len(), left.networks.len()), (1, 1), "{:?}", left.names());
        aws.elasticache("delete-replication-group --replication-group-id practice").await;
        squatter.remove().await.unwrap();
        elsewhere.remove(docker).await.unwrap();
        aws.elasticache(create).await;
        aws.wait("the group to be available", DESCRIBE, has("available")).await;
        aws.elasticache("delete-replication-group --replication-group-id practice").await;
        aws.wait("nothing to be left", "describe-replication-groups", |answer| {
            answer["ReplicationGroups"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
    })
    .await;
}

/// Node and role, in the order of their ids.
fn roles(group: &Value) -> Vec<(&str, &str)> {
    let members = group["NodeGroups"][0]["NodeGroupMembers"].as_array().expect("it has members");
    members.iter().map(|member| (text(&member["CacheClusterId"]), text(&member["CurrentRole"]))).collect()
}

fn endpoint(group: &Value, name: &str) -> String {
    let endpoint = &group["NodeGroups"][0][name];
    format!("redis://{}:{}", text(&endpoint["Address"]), endpoint["Port"])
}

fn clusters(answer: &Value) -> Vec<&str> {
    answer["CacheClusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| text(&cluster["CacheClusterId"]))
        .collect()
}

fn events(answer: &Value) -> &[Value] {
    answer["Events"].as_array().expect("there are events")
}

/// Oldest first; they come newest first.
fn events_of(answer: &Value) -> Vec<String> {
    let dates: Vec<&str> = events(answer).iter().map(|event| text(&event["Date"])).collect();
    assert!(dates.is_sorted_by(|newer, older| newer >= older), "{dates:?}");
    let told = |event: &Value| format!("{}: {}", text(&event["SourceType"]), text(&event["Message"]));
    events(answer).iter().rev().map(told).collect()
}

/// The documented texts, in the documented order; who was promoted, the second of them says.
fn expected_events(answer: &Value) -> Vec<String> {
    let completed = text(&events(answer)[3]["Message"]);
    let (old, completes) = ("practice-001", completed.ends_with(" completed"));
    assert!(
        completes
            && completed
                .starts_with(&format!("Failover from primary node {old} to replica node practice-00"))
    );
    [
        "replication-group: Test Failover API called for node group 0001".to_owned(),
        format!("cache-cluster: {completed}"),
        format!("replication-group: {completed}"),
        format!("cache-cluster: Recovering cache nodes {old}"),
        format!("cache-cluster: Finished recovery for cache nodes {old}"),
    ]
    .into()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("it is a text")
}

/// One command on a connection of its own.
async fn ask(url: &str, words: &[&str]) -> Result<String, RedisError> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (name, arguments) = words.split_first().expect("there is a command");
    redis::cmd(name).arg(arguments).query_async(&mut connection).await
}
