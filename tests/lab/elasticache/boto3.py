"""What a program for boto3 asks of ElastiCache, of a control plane at the endpoint that is its argument."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

SOON = {"Delay": 1, "MaxAttempts": 60}
RETRIES = Config(retries={"total_max_attempts": 1})
client = boto3.client("elasticache", endpoint_url=sys.argv[1], config=RETRIES)


def create(group, nodes, **more):
    created = client.create_replication_group(
        ReplicationGroupId=group,
        ReplicationGroupDescription="lab",
        CacheNodeType="cache.t3.micro",
        NumCacheClusters=nodes,
        **more,
    )
    shown = created["ReplicationGroup"]
    assert shown["Status"] == "creating" and shown["PendingModifiedValues"] == {}, created
    assert shown["MemberClusters"] == [f"{group}-{node:03}" for node in range(1, nodes + 1)], created
    assert shown["AutomaticFailover"] == ("enabling" if more.get("AutomaticFailoverEnabled") else "disabled"), created
    return shown["ARN"]


def describe(group):
    return client.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"][0]


def primary(group):
    members = describe(group)["NodeGroups"][0]["NodeGroupMembers"]
    return [member["CacheClusterId"] for member in members if member["CurrentRole"] == "primary"]


def refused(exception, call, **arguments):
    try:
        call(**arguments)
    except exception:
        return
    raise AssertionError(f"{call.__name__} {arguments} is not refused")


def until(what, reached):
    for _ in range(60):
        if reached():
            return
        time.sleep(0.3)
    raise AssertionError(f"in vain: {what}")


def modify(group, **changes):
    client.modify_replication_group(ReplicationGroupId=group, ApplyImmediately=True, **changes)
    client.get_waiter("replication_group_available").wait(ReplicationGroupId=group, WaiterConfig=SOON)


def tags(arn):
    return {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(ResourceName=arn)["TagList"]}


def pages(action, result):
    paginator = client.get_paginator(action)
    return (page[result] for page in paginator.paginate(PaginationConfig={"PageSize": 20}))


def told():
    """What happened, oldest first."""
    events = [event for page in pages("describe_events", "Events") for event in page]
    assert events == sorted(events, key=lambda event: event["Date"], reverse=True), events
    return [event["Message"] for event in reversed(events)]


def test_failover():
    """Asks for one, and says whether it is taken on."""
    try:
        client.test_failover(ReplicationGroupId="shop", NodeGroupId="0001")
        return True
    except errors.InvalidReplicationGroupStateFault:
        return False


def over(calls):
    """So many failovers on request have been, one after the other: each was over before the next began."""
    texts = told()
    began = [place for place, text in enumerate(texts) if text.startswith("Test Failover API called")]
    ends = [place for place, text in enumerate(texts) if text.startswith("Finished recovery for cache nodes shop")]
    for this, following in zip(began, began[1:]):
        assert any(this < end < following for end in ends), texts
    return len(began) == calls and any(end > began[-1] for end in ends)


errors = client.exceptions

# 1. Two groups: one fails over by itself, the other does what it is told. An empty list is none, and what is the only
#    possibility may be said.
shop = create("shop", 2, AutomaticFailoverEnabled=True, Tags=[{"Key": "team", "Value": "lab"}])
none = {"Tags": [], "SecurityGroupIds": []}
desk = create("desk", 2, **none, TransitEncryptionEnabled=False, Port=6379, ClusterMode="disabled")
early = {"ReplicationGroupId": "desk", "ReplicationGroupDescription": "early"}
try:
    client.modify_replication_group(**early)
    assert describe("desk")["Status"] == "available"
except errors.InvalidReplicationGroupStateFault:
    pass
for group in ("shop", "desk"):
    client.get_waiter("cache_cluster_available").wait(CacheClusterId=f"{group}-002", WaiterConfig=SOON)
    client.get_waiter("replication_group_available").wait(ReplicationGroupId=group, WaiterConfig=SOON)
early["ReplicationGroupDescription"] = "\x01"
refused(errors.InvalidParameterValueException, client.modify_replication_group, **early)

# 2. What there is, by pages of twenty; what goes meanwhile takes nothing else with it.
groups = pages("describe_replication_groups", "ReplicationGroups")
found = [group["ReplicationGroupId"] for page in groups for group in page]
assert found == ["desk", "shop"], found
engines = client.describe_cache_engine_versions()["CacheEngineVersions"]
assert [engine["Engine"] for engine in engines] == [describe("shop")["Engine"]], engines
rooms = [f"room-{number}" for number in range(10, 35)]
subnets = {"CacheSubnetGroupDescription": "lab", "SubnetIds": ["subnet-1"]}
for room in rooms:
    client.create_cache_subnet_group(CacheSubnetGroupName=room, **subnets)
found = []
for page in pages("describe_cache_subnet_groups", "CacheSubnetGroups"):
    found += [room["CacheSubnetGroupName"] for room in page]
    client.delete_cache_subnet_group(CacheSubnetGroupName=found[-1])
assert found == ["default", *rooms], found
for room in rooms:
    if room not in (found[19], found[-1]):
        client.delete_cache_subnet_group(CacheSubnetGroupName=room)

# 3. Tags.
assert tags(shop) == {"team": "lab"} and tags(desk) == {}
client.add_tags_to_resource(ResourceName=shop, Tags=[{"Key": "run", "Value": "1"}, {"Key": "team", "Value": "ops"}])
assert tags(shop) == {"run": "1", "team": "ops"}
client.remove_tags_from_resource(ResourceName=shop, TagKeys=["team"])
assert tags(shop) == {"run": "1"}
refused(errors.TagNotFoundFault, client.remove_tags_from_resource, ResourceName=shop, TagKeys=["team"])
refused(errors.InvalidARNFault, client.list_tags_for_resource, ResourceName="shop")
nobody = shop.replace("shop", "nobody")
refused(errors.ReplicationGroupNotFoundFault, client.list_tags_for_resource, ResourceName=nobody)
member = client.describe_cache_clusters(CacheClusterId="shop-002")["CacheClusters"][0]["ARN"]
assert tags(member) == {"run": "1"}
refused(errors.CacheClusterNotFoundFault, client.list_tags_for_resource, ResourceName=member.replace("002", "009"))

# 4. Another primary, by name: only where nobody fails over automatically, which can be switched.
asked = {"ReplicationGroupId": "desk", "PrimaryClusterId": "desk-002", "ApplyImmediately": True}
changed = client.modify_replication_group(**asked, ReplicationGroupDescription="told")["ReplicationGroup"]
assert (changed["Status"], changed["Description"]) == ("modifying", "told"), changed
client.get_waiter("replication_group_available").wait(ReplicationGroupId="desk", WaiterConfig=SOON)
assert primary("desk") == ["desk-002"]
refused(errors.InvalidParameterValueException, client.modify_replication_group, **asked)
asked["PrimaryClusterId"] = "desk-003"
refused(errors.CacheClusterNotFoundFault, client.modify_replication_group, **asked)
asked.update(ReplicationGroupId="shop", PrimaryClusterId="shop-002")
refused(errors.InvalidParameterCombinationException, client.modify_replication_group, **asked)
# There is no maintenance window to wait for, and a description needs none.
later = {"ReplicationGroupId": "shop", "AutomaticFailoverEnabled": False}
refused(errors.InvalidParameterCombinationException, client.modify_replication_group, **later)
refused(errors.InvalidParameterCombinationException, client.modify_replication_group, ReplicationGroupId="shop")
noted = client.modify_replication_group(ReplicationGroupId="shop", ReplicationGroupDescription="noted")
noted = noted["ReplicationGroup"]
assert (noted["Status"], noted["Description"]) == ("available", "noted"), noted
modify("shop", AutomaticFailoverEnabled=False, PrimaryClusterId="shop-002")
assert (primary("shop"), describe("shop")["AutomaticFailover"]) == (["shop-002"], "disabled")
across = {"ReplicationGroupId": "shop", "MultiAZEnabled": True, "ApplyImmediately": True}
refused(errors.InvalidParameterCombinationException, client.modify_replication_group, **across)
modify("shop", AutomaticFailoverEnabled=True, MultiAZEnabled=True)
assert (describe("shop")["AutomaticFailover"], describe("shop")["MultiAZ"]) == ("enabled", "enabled")

# 5. A failover that four ask for at once: one at a time happens, and as soon as its events say that it is over, another
#    one is taken on. Who cannot have one is told so.
until("the recovery of who was primary", lambda: "Finished recovery for cache nodes shop-001" in told())
with ThreadPoolExecutor(4) as pool:
    taken = sum(pool.map(lambda _: test_failover(), range(4)))
assert taken > 0
until("its end", lambda: over(taken))
assert primary("shop") == ["shop-001" if taken % 2 else "shop-002"]
assert test_failover()
until("the end of another one", lambda: over(taken + 1))
assert client.describe_events(SourceType="user-group")["Events"] == []
failover = {"ReplicationGroupId": "desk", "NodeGroupId": "0001"}
refused(errors.TestFailoverNotAvailableFault, client.test_failover, **failover)

# 6. Nothing is left.
for group in ("shop", "desk"):
    client.delete_replication_group(ReplicationGroupId=group)
for group in ("shop", "desk"):
    client.get_waiter("replication_group_deleted").wait(ReplicationGroupId=group, WaiterConfig=SOON)
assert client.describe_cache_clusters()["CacheClusters"] == []
refused(errors.ReplicationGroupNotFoundFault, client.list_tags_for_resource, ResourceName=shop)
