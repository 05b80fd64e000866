"""Calls every operation that docs/ecs-api.md says is carried out, and every one that it says is not."""

import json
import os
import pathlib
import re
import time
import urllib.error
import urllib.request

import model

ROOT = pathlib.Path(__file__).parents[2]
ecs = model.client()

rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", (ROOT / "docs/ecs-api.md").read_text(), re.M)
known = ecs.meta.service_model.operation_names
assert [name for name, _ in rows] == sorted(known), set(known) ^ {name for name, _ in rows}

identity = model.client("sts").get_caller_identity()
assert identity["Account"] == "000000000000", identity

# --- clusters
blue = ecs.create_cluster(clusterName="blue", tags=[{"key": "team", "value": "shop"}],
                          settings=[{"name": "containerInsights", "value": "enabled"}],
                          configuration={"executeCommandConfiguration": {"logging": "DEFAULT"}})["cluster"]
assert blue["status"] == "ACTIVE" and blue["tags"] == [{"key": "team", "value": "shop"}], blue
ecs.put_cluster_capacity_providers(cluster="blue", capacityProviders=["FARGATE"],
                                   defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}])
ecs.update_cluster(cluster="blue", settings=[{"name": "containerInsights", "value": "disabled"}])
ecs.update_cluster_settings(cluster=blue["clusterArn"], settings=[{"name": "containerInsights", "value": "enhanced"}])
ecs.tag_resource(resourceArn=blue["clusterArn"], tags=[{"key": "stage", "value": "test"}])
ecs.untag_resource(resourceArn=blue["clusterArn"], tagKeys=["team"])
tags = ecs.list_tags_for_resource(resourceArn=blue["clusterArn"])["tags"]
assert tags == [{"key": "stage", "value": "test"}], tags
shown = ecs.describe_clusters(clusters=[blue["clusterArn"], "red"],
                              include=["STATISTICS", "TAGS", "SETTINGS", "CONFIGURATIONS", "ATTACHMENTS"])
assert shown["clusters"][0]["settings"] == [{"name": "containerInsights", "value": "enhanced"}], shown
assert shown["clusters"][0]["configuration"] == {"executeCommandConfiguration": {"logging": "DEFAULT"}}, shown
assert shown["failures"][0]["reason"] == "MISSING", shown
pages = ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 1})
arns = [arn for page in pages for arn in page["clusterArns"]]
assert [arn.rsplit("/")[-1] for arn in arns] == ["blue", "default"], arns

# --- task definitions
DEFINITION = {
    "family": "calls",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"},
    "volumes": [{"name": "scratch"}],
    "containerDefinitions": [{
        "name": "main",
        "image": "neargate/workload:latest",
        "command": ["serve", "--port", "8080"],
        "portMappings": [{"containerPort": 8080}],
        "environment": [{"name": "A", "value": "b"}],
        "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch"}],
        "stopTimeout": 2,
        "healthCheck": {"command": ["CMD", "/workload", "health", "--url", "http://127.0.0.1:8080/healthz"], "interval": 5},
    }],
    "tags": [{"key": "team", "value": "shop"}],
}
made = ecs.register_task_definition(**DEFINITION)["taskDefinition"]
ecs.register_task_definition(**DEFINITION)
found = ecs.describe_task_definition(taskDefinition=made["taskDefinitionArn"], include=["TAGS"])
assert found["taskDefinition"] == made and found["tags"] == DEFINITION["tags"], found
# Whoever compares finds what was sent.
sent, back = DEFINITION["containerDefinitions"][0], made["containerDefinitions"][0]
for name, value in sent.items():
    if name not in ("portMappings", "healthCheck"):
        assert back[name] == value, (name, back[name])
assert back["portMappings"] == [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}], back
assert {**back["healthCheck"], **sent["healthCheck"]} == back["healthCheck"], back
# What comes back can be registered again, and comes back the same.
again = {key: value for key, value in made.items() if key in ecs.meta.service_model.operation_model(
    "RegisterTaskDefinition").input_shape.members}
again = ecs.register_task_definition(**again)["taskDefinition"]
same = lambda one: {key: value for key, value in one.items() if key not in ("taskDefinitionArn", "revision", "registeredAt")}
assert same(again) == same(made), (again, made)
newest = ecs.list_task_definitions(familyPrefix="calls", sort="DESC", maxResults=1)
assert newest["taskDefinitionArns"] == [again["taskDefinitionArn"]] and newest["nextToken"], newest
assert ecs.list_task_definition_families(familyPrefix="cal", status="ACTIVE")["families"] == ["calls"]
gone = ecs.deregister_task_definition(taskDefinition="calls:3")["taskDefinition"]
assert gone["status"] == "INACTIVE" and gone["deregisteredAt"], gone
gone = ecs.delete_task_definitions(taskDefinitions=["calls:3", "calls:2"])
assert [one["revision"] for one in gone["taskDefinitions"]] == [3] and len(gone["failures"]) == 1, gone
model.refused(ecs.describe_task_definition, "ClientException", "Unable to describe task definition", taskDefinition="none")
model.refused(ecs.register_task_definition, "ClientException", "image", family="x", containerDefinitions=[{"name": "a"}])

# --- tasks
ran = ecs.run_task(
    cluster="blue", taskDefinition="calls", count=2, launchType="FARGATE", startedBy="calls", group="mine",
    clientToken="once", enableExecuteCommand=True, propagateTags="TASK_DEFINITION", tags=[{"key": "own", "value": "1"}],
    networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}},
    overrides={"containerOverrides": [{"name": "main", "environment": [{"name": "A", "value": "c"}]}]})
assert len(ran["tasks"]) == 2 and not ran["failures"], ran
first, second = (task["taskArn"] for task in ran["tasks"])
ecs.get_waiter("tasks_running").wait(cluster="blue", tasks=[first, second], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
shown = ecs.describe_tasks(cluster="blue", tasks=[first, second.rsplit("/")[-1], "f" * 32], include=["TAGS"])
assert shown["failures"][0]["reason"] == "MISSING", shown
task = shown["tasks"][0]
assert task["overrides"]["containerOverrides"][0]["environment"] == [{"name": "A", "value": "c"}], task
assert {tag["key"] for tag in task["tags"]} == {"own", "team"}, task
details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
assert details["subnetId"] == "subnet-1", details
address = details["privateIPv4Address"]
container = task["containers"][0]
assert container["networkInterfaces"][0]["privateIpv4Address"] == address, task
assert container["runtimeId"] and container["imageDigest"] and container["managedAgents"], container
with urllib.request.urlopen(f"http://{address}:8080/") as page:
    assert b"hello from task" in page.read()
for at in ("createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "connectivityAt"):
    assert task[at].tzinfo is not None, task
pages = ecs.get_paginator("list_tasks").paginate(cluster="blue", family="calls", PaginationConfig={"PageSize": 1})
assert {arn for page in pages for arn in page["taskArns"]} == {first, second}
assert ecs.list_tasks(cluster="blue", startedBy="calls", desiredStatus="STOPPED")["taskArns"] == []
assert ecs.list_tags_for_resource(resourceArn=first)["tags"]
said = ecs.update_task_protection(cluster="blue", tasks=[first], protectionEnabled=True)
assert said["failures"][0]["reason"] == "TASK_NOT_VALID", said
assert not ecs.get_task_protection(cluster="blue", tasks=[first])["protectedTasks"][0]["protectionEnabled"]
model.refused(ecs.delete_cluster, "ClusterContainsTasksException", cluster="blue")
model.refused(ecs.execute_command, "UnsupportedFeatureException", "neargate exec", cluster="blue", task=first, command="sh",
              interactive=True)
model.refused(ecs.run_task, "ClusterNotFoundException", "Cluster not found.", cluster="red", taskDefinition="calls")
model.refused(ecs.run_task, "ConflictException", cluster="blue", taskDefinition="calls", clientToken="once")
large = ecs.run_task(cluster="blue", taskDefinition="calls", overrides={"cpu": "16384", "memory": "122880"})
assert large["failures"] or large["tasks"], large
for arn in [first, second] + [task["taskArn"] for task in large["tasks"]]:
    ecs.stop_task(cluster="blue", task=arn, reason="enough")
ecs.get_waiter("tasks_stopped").wait(cluster="blue", tasks=[first, second], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
task = ecs.describe_tasks(cluster="blue", tasks=[first])["tasks"][0]
assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough"), task
assert task["containers"][0]["exitCode"] == 0 and task["stoppedAt"] and task["executionStoppedAt"], task

# --- services
quick = {"Delay": 1, "MaxAttempts": 90}
made = ecs.create_service(
    cluster="blue", serviceName="web", taskDefinition="calls:1", desiredCount=1, launchType="FARGATE",
    deploymentConfiguration={"maximumPercent": 200, "minimumHealthyPercent": 0,
                             "deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    tags=[{"key": "team", "value": "shop"}], propagateTags="SERVICE")["service"]
assert made["deployments"][0]["status"] == "PRIMARY", made
model.refused(ecs.create_service, "InvalidParameterException", "not idempotent", cluster="blue", serviceName="web",
              taskDefinition="calls:1", desiredCount=1)
ecs.get_waiter("services_stable").wait(cluster="blue", services=["web"], WaiterConfig=quick)
changed = ecs.update_service(cluster="blue", service=made["serviceArn"], taskDefinition="calls:2", desiredCount=2)["service"]
assert changed["deployments"][0]["taskDefinition"].endswith("calls:2"), changed
ecs.get_waiter("services_stable").wait(cluster="blue", services=["web"], WaiterConfig=quick)
for _ in range(600):
    shown = ecs.describe_services(cluster="blue", services=["web", "none"], include=["TAGS"])
    service = shown["services"][0]
    # The waiter asks for running tasks; they must be healthy before the state is steady.
    if "has reached a steady state." in service["events"][0]["message"]:
        break
    time.sleep(0.1)
assert shown["failures"][0]["reason"] == "MISSING", shown
assert service["deployments"][0]["rolloutState"] == "COMPLETED", service
assert (service["runningCount"], len(service["deployments"])) == (2, 1), service
times = [event["createdAt"] for event in service["events"]]
assert times == sorted(times, reverse=True), service["events"]
assert len(ecs.list_tasks(cluster="blue", serviceName="web")["taskArns"]) == 2
assert ecs.list_services(cluster="blue", launchType="FARGATE")["serviceArns"] == [made["serviceArn"]]
assert ecs.list_tags_for_resource(resourceArn=made["serviceArn"])["tags"] == [{"key": "team", "value": "shop"}]
model.refused(ecs.delete_service, "InvalidParameterException", "scaled above 0", cluster="blue", service="web")
model.refused(ecs.delete_cluster, "ClusterContainsServicesException", cluster="blue")
model.refused(ecs.update_service, "ServiceNotFoundException", cluster="blue", service="none")

# --- deployments and revisions of the service
all_of_web = {"cluster": "blue", "service": "web"}
history = ecs.list_service_deployments(**all_of_web)["serviceDeployments"]
# The first may not have been healthy yet when the second one took over.
assert len(history) == 2 and history[0]["status"] == "SUCCESSFUL", history
done = ecs.list_service_deployments(**all_of_web, status=["SUCCESSFUL"])["serviceDeployments"]
assert history[0] in done and {one["status"] for one in done} == {"SUCCESSFUL"}, done
assert history[0]["createdAt"] > history[1]["createdAt"], history
assert ecs.list_service_deployments(**all_of_web, status=["PENDING"])["serviceDeployments"] == []
since = ecs.list_service_deployments(**all_of_web, createdAt={"after": history[1]["createdAt"]})["serviceDeployments"]
assert [one["serviceDeploymentArn"] for one in since] == [history[0]["serviceDeploymentArn"]], since
missing = history[0]["serviceDeploymentArn"][:-19] + "0" * 19
shown = ecs.describe_service_deployments(serviceDeploymentArns=[history[0]["serviceDeploymentArn"], missing])
assert shown["failures"] == [{"arn": missing, "reason": "MISSING"}], shown
shown = shown["serviceDeployments"][0]
assert shown["targetServiceRevision"]["runningTaskCount"] == 2, shown
assert shown["sourceServiceRevisions"][0]["arn"] == history[1]["targetServiceRevisionArn"], shown
assert shown["deploymentCircuitBreaker"] == {"status": "MONITORING_COMPLETE", "failureCount": 0, "threshold": 3}, shown
revision = ecs.describe_service_revisions(serviceRevisionArns=[history[0]["targetServiceRevisionArn"]])["serviceRevisions"][0]
assert revision["taskDefinition"].endswith("calls:2") and revision["containerImages"][0]["imageDigest"], revision
# What is on its way can be stopped, and then the whole of the revision before comes back.
ecs.update_service(**all_of_web, enableExecuteCommand=True, propagateTags="TASK_DEFINITION", enableECSManagedTags=True)
service = ecs.update_service(**all_of_web, taskDefinition="calls:1", capacityProviderStrategy=[
    {"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 3}])["service"]
assert service["enableExecuteCommand"] and service["enableECSManagedTags"] and "launchType" not in service, service
assert service["propagateTags"] == "TASK_DEFINITION" and service["currentServiceDeployment"], service
assert ecs.stop_service_deployment(
    serviceDeploymentArn=service["currentServiceDeployment"])["serviceDeploymentArn"] == service["currentServiceDeployment"]
model.refused(ecs.stop_service_deployment, "ConflictException", "ROLLBACK",
              serviceDeploymentArn=service["currentServiceDeployment"])
model.refused(ecs.stop_service_deployment, "ServiceDeploymentNotFoundException", serviceDeploymentArn=missing)
service = ecs.describe_services(cluster="blue", services=["web"])["services"][0]
assert not service["enableExecuteCommand"] and service["launchType"] == "FARGATE", service
assert service["propagateTags"] == "SERVICE" and service["taskDefinition"].endswith("calls:2"), service
ecs.get_waiter("services_stable").wait(cluster="blue", services=["web"], WaiterConfig=quick)

assert ecs.list_services_by_namespace(namespace="shop")["serviceArns"] == []

# --- tags and capacity providers of the service's tasks
ecs.tag_resource(resourceArn=made["serviceArn"], tags=[{"key": "later", "value": "1"}])
ecs.untag_resource(resourceArn=made["serviceArn"], tagKeys=["team"])
assert ecs.list_tags_for_resource(resourceArn=made["serviceArn"])["tags"] == [{"key": "later", "value": "1"}]
ecs.update_service(**all_of_web, enableECSManagedTags=True, forceNewDeployment=True, desiredCount=3, capacityProviderStrategy=[
    {"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 3}])
ecs.get_waiter("services_stable").wait(cluster="blue", services=["web"], WaiterConfig=quick)
tasks = ecs.list_tasks(cluster="blue", serviceName="web")["taskArns"]
tasks = ecs.describe_tasks(cluster="blue", tasks=tasks, include=["TAGS"])["tasks"]
providers = sorted(task["capacityProviderName"] for task in tasks)
assert providers == ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"], providers
tags = {tag["key"]: tag["value"] for tag in tasks[0]["tags"]}
assert tags == {"later": "1", "aws:ecs:clusterName": "blue", "aws:ecs:serviceName": "web"}, tags
model.refused(ecs.put_cluster_capacity_providers, "ResourceInUseException", cluster="blue", capacityProviders=[],
              defaultCapacityProviderStrategy=[])
ecs.update_service(cluster="blue", service="web", desiredCount=0)
ecs.delete_service(cluster="blue", service="web", force=True)
ecs.get_waiter("services_inactive").wait(cluster="blue", services=["web"], WaiterConfig=quick)
model.refused(ecs.update_service, "ServiceNotActiveException", cluster="blue", service="web", desiredCount=1)

# --- task sets: somebody else carries the deployments out
external = ecs.create_service(cluster="blue", serviceName="canary", desiredCount=2, deploymentController={"type": "EXTERNAL"})["service"]
assert external["deployments"] == external["taskSets"] == [] and "taskDefinition" not in external, external
of_canary = {"cluster": "blue", "service": "canary"}


def task_sets():
    return {one["id"]: one for one in ecs.describe_task_sets(**of_canary, include=["TAGS"])["taskSets"]}


def wait_for(what, look):
    deadline = time.monotonic() + 120
    while not look():
        assert time.monotonic() < deadline, f"waited for {what}: {task_sets()}"
        time.sleep(0.2)


def steady(**counts):
    """Waits until each of these task sets has so many tasks, and no other has any."""
    ids = {"first": first_set, "other": other_set}
    wait_for(counts, lambda: {one["id"]: one["runningCount"] for one in task_sets().values()
                              if one["stabilityStatus"] == "STEADY_STATE" and one["pendingCount"] == 0}
             == {ids[name]: count for name, count in counts.items()})


first_set = ecs.create_task_set(
    **of_canary, taskDefinition="calls:1", scale={"value": 100, "unit": "PERCENT"}, launchType="FARGATE", clientToken="once",
    networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}}, tags=[{"key": "colour", "value": "blue"}])["taskSet"]["id"]
again = ecs.create_task_set(
    **of_canary, taskDefinition="calls:1", scale={"value": 100, "unit": "PERCENT"}, launchType="FARGATE", clientToken="once",
    networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}}, tags=[{"key": "colour", "value": "blue"}])["taskSet"]["id"]
assert first_set == again, again
served = ecs.update_service_primary_task_set(**of_canary, primaryTaskSet=first_set)["taskSet"]
assert (served["status"], served["computedDesiredCount"]) == ("PRIMARY", 2), served
other_set = ecs.create_task_set(**of_canary, taskDefinition="calls:2")["taskSet"]["id"]
steady(first=2, other=0)
ecs.update_task_set(**of_canary, taskSet=other_set, scale={"value": 50, "unit": "PERCENT"})
steady(first=2, other=1)
service = ecs.describe_services(cluster="blue", services=["canary"])["services"][0]
assert service["runningCount"] == 3 and service["taskDefinition"].endswith("calls:1"), service
assert [one["id"] for one in service["taskSets"]] == [first_set, other_set], service
tasks = ecs.list_tasks(cluster="blue", serviceName="canary")["taskArns"]
tasks = ecs.describe_tasks(cluster="blue", tasks=tasks)["tasks"]
assert sorted(task["startedBy"] for task in tasks) == sorted([first_set, first_set, other_set]), tasks
ecs.update_service_primary_task_set(**of_canary, primaryTaskSet=other_set)
ecs.update_task_set(**of_canary, taskSet=other_set, scale={"value": 100, "unit": "PERCENT"})
model.refused(ecs.delete_task_set, "InvalidParameterException", **of_canary, taskSet=first_set)
gone = ecs.delete_task_set(**of_canary, taskSet=first_set, force=True)["taskSet"]
assert gone["status"] == "DRAINING", gone
wait_for("the first task set to go", lambda: first_set not in task_sets())
steady(other=2)
model.refused(ecs.update_task_set, "TaskSetNotFoundException", **of_canary, taskSet=first_set, scale={"value": 1})
ecs.delete_service(**of_canary, force=True)
ecs.get_waiter("services_inactive").wait(cluster="blue", services=["canary"], WaiterConfig=quick)

# --- the host
listed = ecs.list_container_instances(cluster="blue", status="ACTIVE")["containerInstanceArns"]
assert len(listed) == 1 and listed[0].startswith("arn:aws:ecs:us-east-1:000000000000:container-instance/blue/"), listed
host = listed[0]
here = {"cluster": "blue", "containerInstances": [host.rsplit("/")[-1]]}
started = ecs.start_task(**here, taskDefinition="calls:1", startedBy="me", enableECSManagedTags=True)["tasks"][0]
assert started["launchType"] == "EC2" and started["containerInstanceArn"] == host, started
assert {"key": "aws:ecs:clusterName", "value": "blue"} in started["tags"], started
shown = ecs.describe_container_instances(cluster="blue", containerInstances=[host, "f" * 32],
                                         include=["TAGS", "CONTAINER_INSTANCE_HEALTH"])
assert shown["failures"][0]["reason"] == "MISSING", shown
shown = shown["containerInstances"][0]
resources = lambda which: {one["name"]: one["integerValue"] for one in shown[which]}
assert shown["agentConnected"] and shown["healthStatus"]["overallStatus"] == "OK", shown
assert resources("registeredResources")["CPU"] >= 1024 and resources("registeredResources")["MEMORY"] > 0, shown
ecs.get_waiter("tasks_running").wait(cluster="blue", tasks=[started["taskArn"]], WaiterConfig=quick)
shown = ecs.describe_container_instances(cluster="blue", containerInstances=[host])["containerInstances"][0]
left = resources("registeredResources")["MEMORY"] - resources("remainingResources")["MEMORY"]
assert left >= 512 and shown["runningTasksCount"] >= 1, shown
assert ecs.list_tasks(cluster="blue", containerInstance=host, launchType="EC2")["taskArns"] == [started["taskArn"]]
ecs.tag_resource(resourceArn=host, tags=[{"key": "rack", "value": "7"}])
assert ecs.list_tags_for_resource(resourceArn=host)["tags"] == [{"key": "rack", "value": "7"}]
attribute = {"name": "stack", "value": "test", "targetId": host}
ecs.put_attributes(cluster="blue", attributes=[attribute])
found = ecs.list_attributes(cluster="blue", targetType="container-instance", attributeName="stack")["attributes"]
assert found == [attribute], found
names = {one["name"] for one in ecs.list_attributes(cluster="blue", targetType="container-instance")["attributes"]}
assert {"stack", "ecs.os-type"} <= names, names
ecs.delete_attributes(cluster="blue", attributes=[{"name": "stack", "targetId": host}])
assert not ecs.list_attributes(cluster="blue", targetType="container-instance", attributeName="stack")["attributes"]
model.refused(ecs.put_attributes, "TargetNotFoundException", cluster="blue",
              attributes=[{"name": "a", "targetId": "f" * 32}])
drained = ecs.update_container_instances_state(**here, status="DRAINING")["containerInstances"][0]
assert drained["status"] == "DRAINING", drained
refusal = ecs.start_task(**here, taskDefinition="calls:1")
assert not refusal["tasks"] and refusal["failures"][0]["reason"] == "INACTIVE", refusal
model.refused(ecs.run_task, "InvalidParameterException", "No Container Instances", cluster="blue", taskDefinition="calls:1")
ecs.update_container_instances_state(**here, status="ACTIVE")
ecs.tag_resource(resourceArn=started["taskArn"], tags=[{"key": "now", "value": "1"}])
tags = ecs.describe_tasks(cluster="blue", tasks=[started["taskArn"]], include=["TAGS"])["tasks"][0]["tags"]
assert {"key": "now", "value": "1"} in tags, tags
ecs.tag_resource(resourceArn="arn:aws:ecs:us-east-1:000000000000:task-definition/calls:1", tags=[{"key": "late", "value": "1"}])
tags = ecs.describe_task_definition(taskDefinition="calls:1", include=["TAGS"])["tags"]
assert {"key": "late", "value": "1"} in tags and {"key": "team", "value": "shop"} in tags, tags

# --- capacity providers
group = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:x:autoScalingGroupName/x"}
own = ecs.create_capacity_provider(name="own", autoScalingGroupProvider=group, tags=[{"key": "a", "value": "b"}])["capacityProvider"]
assert own["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 100, own
model.refused(ecs.create_capacity_provider, "ClientException", "already exists", name="own", autoScalingGroupProvider=group)
model.refused(ecs.create_capacity_provider, "InvalidParameterException", "cannot begin", name="fargate-x",
              autoScalingGroupProvider=group)
changed = ecs.update_capacity_provider(name="own", autoScalingGroupProvider={"managedDraining": "DISABLED"})["capacityProvider"]
assert changed["autoScalingGroupProvider"]["managedDraining"] == "DISABLED", changed
assert changed["autoScalingGroupProvider"]["autoScalingGroupArn"] == group["autoScalingGroupArn"], changed
shown = ecs.describe_capacity_providers(include=["TAGS"])["capacityProviders"]
assert [one["name"] for one in shown] == ["FARGATE", "FARGATE_SPOT", "own"], shown
assert shown[-1]["tags"] == [{"key": "a", "value": "b"}], shown
shown = ecs.describe_capacity_providers(capacityProviders=[own["capacityProviderArn"], "none"])
assert [one["name"] for one in shown["capacityProviders"]] == ["own"] and shown["failures"][0]["reason"] == "MISSING", shown
ecs.tag_resource(resourceArn=own["capacityProviderArn"], tags=[{"key": "c", "value": "d"}])
assert len(ecs.list_tags_for_resource(resourceArn=own["capacityProviderArn"])["tags"]) == 2
ecs.put_cluster_capacity_providers(cluster="blue", capacityProviders=["own"], defaultCapacityProviderStrategy=[
    {"capacityProvider": "own", "weight": 1}])
spread = ecs.run_task(cluster="blue", taskDefinition="calls:1")["tasks"][0]
assert (spread["capacityProviderName"], spread["launchType"]) == ("own", "EC2"), spread
model.refused(ecs.run_task, "InvalidParameterException", "was not found", cluster="blue", taskDefinition="calls:1",
              capacityProviderStrategy=[{"capacityProvider": "none"}])
model.refused(ecs.delete_capacity_provider, "ClientException", "in use", capacityProvider="own")
ecs.put_cluster_capacity_providers(cluster="blue", capacityProviders=[], defaultCapacityProviderStrategy=[])
gone = ecs.delete_capacity_provider(capacityProvider=own["capacityProviderArn"])["capacityProvider"]
assert gone["status"] == "INACTIVE", gone
for task in (started, spread):
    ecs.stop_task(cluster="blue", task=task["taskArn"])
ecs.get_waiter("tasks_stopped").wait(cluster="blue", tasks=[started["taskArn"], spread["taskArn"]], WaiterConfig=quick)

# --- the rest
settings = ecs.list_account_settings(effectiveSettings=True, maxResults=100)["settings"]
assert {"name": "taskLongArnFormat", "value": "enabled"}.items() <= settings[-1].items(), settings
assert ecs.put_account_setting_default(name="containerInsights", value="enhanced")["setting"]["value"] == "enhanced"
ecs.put_account_setting(name="awsvpcTrunking", value="enabled")
own = ecs.list_account_settings()["settings"]
assert [(one["name"], one["value"]) for one in own] == [("awsvpcTrunking", "enabled")], own
assert ecs.delete_account_setting(name="awsvpcTrunking")["setting"]["value"] == "disabled"
assert ecs.list_account_settings()["settings"] == []
green = ecs.create_cluster(clusterName="green")["cluster"]
assert green["settings"] == [{"name": "containerInsights", "value": "enhanced"}], green
ecs.delete_cluster(cluster="green")
model.refused(ecs.put_account_setting, "InvalidParameterException", "managed by AWS", name="guardDutyActivate", value="on")
model.refused(ecs.tag_resource, "InvalidParameterException", "reserved", resourceArn=made["serviceArn"],
              tags=[{"key": "aws:x", "value": "b"}])
assert ecs.delete_cluster(cluster="blue")["cluster"]["status"] == "INACTIVE"

called = {name for name, verdict in rows if verdict == "yes"}
assert model.checked == called, f"not called: {called - model.checked}; called, too: {model.checked - called}"
for name, verdict in rows:
    if verdict == "no":
        asked = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], data=b"{}", headers={
            "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{name}", "Content-Type": "application/x-amz-json-1.1"})
        try:
            urllib.request.urlopen(asked)
            raise AssertionError(f"{name} was accepted")
        except urllib.error.HTTPError as error:
            assert json.loads(error.read())["__type"] == "UnsupportedFeatureException", name
print(f"{len(called)} operations are carried out, {len(rows) - len(called)} refused")
