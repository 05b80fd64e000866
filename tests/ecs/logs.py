"""Reads what tasks wrote as people do who use CloudWatch Logs: with boto3, and with `aws logs tail`."""

import json
import os
import subprocess
import time

import model

ecs, logs = model.client(), model.client("logs")
GROUP = "/ecs/shop"


def eventually(what, look):
    deadline = time.monotonic() + 60
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)


def register(family, command):
    ecs.register_task_definition(
        family=family, requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
        containerDefinitions=[{
            "name": "main", "image": "neargate/workload:latest", "command": command, "stopTimeout": 2,
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": GROUP, "awslogs-stream-prefix": family, "awslogs-region": "us-east-1",
                "awslogs-create-group": "true"}}}])


def run(family):
    arn = ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"]
    return arn, f"{family}/main/{arn.rsplit('/')[-1]}"


def everything(**asked):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **asked)
    return [event for page in pages for event in page["events"]]


# --- groups
logs.create_log_group(logGroupName="/ecs/made", tags={"team": "shop"})
logs.put_retention_policy(logGroupName="/ecs/made", retentionInDays=7)
made = logs.describe_log_groups(logGroupNamePrefix="/ecs/m")["logGroups"][0]
assert (made["retentionInDays"], made["logGroupArn"]) == (7, made["arn"].removesuffix(":*")), made
logs.tag_resource(resourceArn=made["logGroupArn"], tags={"stage": "test"})
logs.untag_resource(resourceArn=made["logGroupArn"], tagKeys=["team"])
assert logs.list_tags_for_resource(resourceArn=made["logGroupArn"])["tags"] == {"stage": "test"}
assert logs.list_tags_log_group(logGroupName="/ecs/made")["tags"] == {"stage": "test"}
logs.create_log_stream(logGroupName="/ecs/made", logStreamName="own")
model.refused(logs.create_log_group, "ResourceAlreadyExistsException", logGroupName="/ecs/made")
model.refused(logs.get_log_events, "ResourceNotFoundException", logGroupName="/ecs/none", logStreamName="a")
model.refused(logs.put_log_events, "UnknownOperationException", logGroupName="/ecs/made", logStreamName="own",
              logEvents=[{"timestamp": 1, "message": "a"}])
logs.delete_retention_policy(logGroupName="/ecs/made")
logs.delete_log_group(logGroupName="/ecs/made")

# --- the log of a task that is over, in pages forward and backward
register("lines", ["log", "--lines", "25", "--every-ms", "1"])
task, stream = run("lines")
ecs.get_waiter("tasks_stopped").wait(tasks=[task], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
found = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"][0]
assert found["logStreamName"] == stream and found["firstEventTimestamp"] <= found["lastEventTimestamp"], found
read, token = [], None
while True:
    asked = {"nextToken": token} if token else {}
    page = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, limit=10, **asked)
    read += page["events"]
    if page["nextForwardToken"] == token:
        break
    token = page["nextForwardToken"]
lines = [f"line {number}" for number in range(1, 26)]
assert [event["message"] for event in read] == lines, read
assert abs(read[0]["timestamp"] / 1000 - time.time()) < 3600, read[0]
last = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, limit=10)
assert [event["message"] for event in last["events"]] == lines[15:], last
before = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, limit=10, nextToken=last["nextBackwardToken"])
assert [event["message"] for event in before["events"]] == lines[5:15], before
middle = read[12]["timestamp"]
some = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, startTime=middle)["events"]
assert some == [event for event in read if event["timestamp"] >= middle], some
some = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, endTime=middle)["events"]
assert some == [event for event in read if event["timestamp"] < middle], some

# --- many streams as one
_, other = run("lines")
eventually("the lines of both", lambda: len(everything()) == 50)
all_of_them = everything(PaginationConfig={"PageSize": 7})
assert [event["timestamp"] for event in all_of_them] == sorted(event["timestamp"] for event in all_of_them)
assert len({event["eventId"] for event in all_of_them}) == 50, all_of_them
assert everything() == all_of_them
assert {event["logStreamName"] for event in everything(filterPattern='"line 7"')} == {stream, other}
assert len(everything(filterPattern="?\"line 7\" ?\"line 8\"", logStreamNames=[other])) == 2
assert len(everything(filterPattern="line -2", logStreamNamePrefix="lines/main")) == 34
model.refused(logs.filter_log_events, "InvalidParameterException", "JSON", logGroupName=GROUP, filterPattern="{ $.a = 1 }")

# --- what a task writes is followed while it runs
versions = [aws for folder in os.environ["PATH"].split(":") if os.access(aws := f"{folder}/aws", os.X_OK)]
version = lambda aws: subprocess.run([aws, "--version"], capture_output=True, text=True, env=clean).stdout
clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
aws = next((aws for aws in versions if version(aws).startswith("aws-cli/2")), None)
assert aws, "version 2 of the AWS CLI is not installed: scripts/clients"
register("talks", ["log", "--lines", "100000", "--every-ms", "100"])
task, stream = run("talks")
follow = subprocess.Popen(
    [aws, "logs", "tail", GROUP, "--follow", "--log-stream-name-prefix", "talks/", "--format", "short",
     "--endpoint-url", os.environ["AWS_ENDPOINT_URL"]],
    stdout=subprocess.PIPE, text=True, env=clean)
seen = []
try:
    # It asks anew every few seconds; more than comes with the first answer was followed.
    for line in follow.stdout:
        seen.append(line.split(maxsplit=1)[1].strip())
        if len(seen) >= 70:
            break
finally:
    follow.kill()
assert seen == [f"line {number}" for number in range(1, len(seen) + 1)], seen
ecs.stop_task(task=task)
print(f"the logs were read: {json.dumps(seen[-1])}")
