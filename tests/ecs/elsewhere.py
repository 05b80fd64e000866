"""A server whose names are of another region and account: every ARN says so, and ARNs of elsewhere are refused."""

import os

import boto3
from botocore.exceptions import ClientError

REGION, ACCOUNT = "eu-central-2", "123456789012"


def arns(value):
    """All ARNs in an answer."""
    if isinstance(value, dict):
        for item in value.values():
            yield from arns(item)
    elif isinstance(value, list):
        for item in value:
            yield from arns(item)
    elif isinstance(value, str) and value.startswith("arn:"):
        yield value


seen = 0


def checked(answer):
    """The answer, whose ARNs are all of here."""
    global seen
    for arn in arns({name: part for name, part in answer.items() if name != "ResponseMetadata"}):
        _, partition, service, region, account, _ = arn.split(":", 5)
        assert partition == "aws" and account == ACCOUNT, arn
        assert region == ("" if service == "iam" else REGION), arn
        seen += 1
    return answer


ecs = boto3.client("ecs", region_name=REGION)
assert checked(boto3.client("sts", region_name=REGION).get_caller_identity())["Account"] == ACCOUNT
cluster = checked(ecs.create_cluster(clusterName="far"))["cluster"]["clusterArn"]
container = {"name": "main", "image": "neargate/workload:latest", "command": ["sleep"], "memory": 64}
made = checked(ecs.register_task_definition(family="sleep", containerDefinitions=[container]))
definition = made["taskDefinition"]["taskDefinitionArn"]
task = checked(ecs.run_task(cluster=cluster, taskDefinition=definition, launchType="EC2"))["tasks"][0]
checked(ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=definition, desiredCount=1))
checked(ecs.describe_clusters(clusters=[cluster]))
checked(ecs.describe_services(cluster=cluster, services=["web"]))
checked(ecs.list_tasks(cluster=cluster))
checked(ecs.list_container_instances(cluster=cluster))
checked(ecs.list_service_deployments(cluster=cluster, service="web"))
found = checked(ecs.describe_tasks(cluster=cluster, tasks=[task["taskArn"]]))
assert len(found["tasks"]) == 1 and task["availabilityZone"] == REGION + "a", found
for elsewhere in [cluster.replace(REGION, "us-east-1"), cluster.replace(ACCOUNT, "000000000000")]:
    try:
        ecs.list_tasks(cluster=elsewhere)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidParameterException", error
        assert f"Your accountId is {ACCOUNT}, in {REGION}" in str(error), error
    else:
        raise AssertionError(f"{elsewhere} was taken")
assert seen > 20, seen
if os.environ["AWS_ACCESS_KEY_ID"] != "any":
    # With a key, the signature itself is for a region.
    try:
        boto3.client("ecs", region_name="us-east-1").list_clusters()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidSignatureException", error
        assert f"a valid region, which is '{REGION}'" in str(error), error
    else:
        raise AssertionError("a signature for another region was taken")
print(f"{seen} names are of {REGION}")
