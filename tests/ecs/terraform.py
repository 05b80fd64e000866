"""The calls that Terraform's provider for AWS makes for a cluster, a task definition, a service that it waits for, a log
group, a scalable target and a policy: a first `apply` that makes them, a second one that must find nothing to change,
one that changes each, and a `destroy`.

The provider itself cannot be installed from the registries that the tests may use. What it calls and which attributes it
reads back is taken from its source: internal/service/{ecs,appautoscaling,logs} of hashicorp/terraform-provider-aws.
A resource here is its `wanted` attributes and the four functions; `read` gives what is compared, or None.
"""

import json
import time

import model

ecs, logs = model.client(), model.client("logs")
scaling = model.client("application-autoscaling")

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/tf"
tags_of = lambda tags: {tag["key"]: tag["value"] for tag in tags or []}
as_tags = lambda tags: [{"key": key, "value": value} for key, value in tags.items()]


def wait(what, look):
    """As the provider's state waiters do, only less patiently."""
    deadline = time.monotonic() + 90
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.2)
    return found


class Cluster:
    wanted = {"name": "tf", "setting": [{"name": "containerInsights", "value": "enabled"}],
              "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}}, "tags": {"team": "shop"}}
    change = {"setting": [{"name": "containerInsights", "value": "disabled"}]}

    def create(self):
        ecs.create_cluster(clusterName="tf", settings=self.wanted["setting"], tags=as_tags(self.wanted["tags"]),
                           configuration=self.wanted["configuration"])
        wait("the cluster", lambda: self.describe()["status"] == "ACTIVE")

    def describe(self):
        found = ecs.describe_clusters(clusters=[CLUSTER], include=["TAGS", "CONFIGURATIONS", "SETTINGS"])
        return next((one for one in found["clusters"] if one["status"] != "INACTIVE"), None)

    def read(self):
        found = self.describe()
        return found and {"name": found["clusterName"], "setting": found["settings"],
                          "configuration": found.get("configuration"), "tags": tags_of(found["tags"])}

    def update(self):
        ecs.update_cluster(cluster=CLUSTER, settings=self.wanted["setting"], configuration=self.wanted["configuration"])

    def destroy(self):
        ecs.delete_cluster(cluster=CLUSTER)
        wait("the cluster to go", lambda: not self.describe())


class LogGroup:
    wanted = {"name": "/tf/web", "retention_in_days": 7, "log_group_class": "STANDARD", "tags": {"team": "shop"}}
    change = {"retention_in_days": 30}

    def create(self):
        logs.create_log_group(logGroupName="/tf/web", tags=self.wanted["tags"])
        self.update()

    def read(self):
        found = [one for one in logs.describe_log_groups(logGroupNamePrefix="/tf/web")["logGroups"]
                 if one["logGroupName"] == "/tf/web"]
        if not found:
            return None
        tags = logs.list_tags_for_resource(resourceArn=found[0]["arn"].removesuffix(":*"))["tags"]
        return {"name": found[0]["logGroupName"], "retention_in_days": found[0].get("retentionInDays"),
                "log_group_class": found[0]["logGroupClass"], "tags": tags}

    def update(self):
        logs.put_retention_policy(logGroupName="/tf/web", retentionInDays=self.wanted["retention_in_days"])

    def destroy(self):
        logs.delete_log_group(logGroupName="/tf/web")


CONTAINERS = [{
    "name": "web", "image": "neargate/workload:latest", "command": ["serve", "--port", "8080"], "essential": True,
    "stopTimeout": 2, "portMappings": [{"containerPort": 8080}],
    "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    "logConfiguration": {"logDriver": "awslogs", "options": {
        "awslogs-group": "/tf/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}},
}]


def canonical(containers):
    """As the provider compares container definitions: some lists in any order, defaults that ECS adds filled in."""
    canon = json.loads(json.dumps(containers))
    for one in canon:
        one.setdefault("essential", True)
        one.setdefault("cpu", 0)
        for mapping in one.get("portMappings", []):
            mapping["hostPort"] = mapping.get("hostPort") or mapping["containerPort"]
            mapping.setdefault("protocol", "tcp")
        for name in ("environment", "secrets", "mountPoints", "volumesFrom", "systemControls", "portMappings"):
            items = one.pop(name, [])
            if items:
                one[name] = sorted(items, key=lambda item: item["name"]) if name in ("environment", "secrets") else items
    return sorted(canon, key=lambda one: one["name"])


class TaskDefinition:
    wanted = {"family": "web", "network_mode": "awsvpc", "requires_compatibilities": ["FARGATE"], "cpu": "256",
              "memory": "512", "volume": [{"name": "scratch", "host": {}}],
              "runtime_platform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"},
              "execution_role_arn": "arn:aws:iam::000000000000:role/exec", "tags": {"team": "shop"},
              "containers": canonical(CONTAINERS)}
    change = {"memory": "1024"}
    arn = None

    def create(self):
        wanted = self.wanted
        made = ecs.register_task_definition(
            family="web", networkMode="awsvpc", requiresCompatibilities=wanted["requires_compatibilities"],
            cpu=wanted["cpu"], memory=wanted["memory"], volumes=wanted["volume"], containerDefinitions=CONTAINERS,
            runtimePlatform=wanted["runtime_platform"], executionRoleArn=wanted["execution_role_arn"],
            tags=as_tags(wanted["tags"]))
        type(self).arn = made["taskDefinition"]["taskDefinitionArn"]

    def read(self):
        if not self.arn:
            return None
        found = ecs.describe_task_definition(taskDefinition=self.arn, include=["TAGS"])
        one = found["taskDefinition"]
        if one["status"] == "INACTIVE":
            return None
        assert not one.get("proxyConfiguration") and not one.get("ephemeralStorage") and not one.get("taskRoleArn"), one
        assert one["placementConstraints"] == [], one
        return {"family": one["family"], "network_mode": one["networkMode"], "cpu": one["cpu"], "memory": one["memory"],
                "requires_compatibilities": one["requiresCompatibilities"], "volume": one["volumes"],
                "runtime_platform": one["runtimePlatform"], "execution_role_arn": one["executionRoleArn"],
                "tags": tags_of(found["tags"]), "containers": canonical(one["containerDefinitions"])}

    def update(self):
        # A revision never changes: the old one is deregistered when the new one is there.
        old = self.arn
        self.create()
        ecs.deregister_task_definition(taskDefinition=old)

    def destroy(self):
        ecs.deregister_task_definition(taskDefinition=self.arn)


class Service:
    wanted = {"name": "web", "cluster": CLUSTER, "desired_count": 1, "launch_type": "FARGATE",
              "deployment_maximum_percent": 200, "deployment_minimum_healthy_percent": 100,
              "deployment_circuit_breaker": {"enable": True, "rollback": True}, "deployment_controller": "ECS",
              "enable_ecs_managed_tags": False, "enable_execute_command": True, "propagate_tags": "SERVICE",
              "scheduling_strategy": "REPLICA", "capacity_provider_strategy": [], "load_balancer": [],
              "ordered_placement_strategy": [], "placement_constraints": [], "service_registries": [],
              "health_check_grace_period_seconds": 0, "task_definition": "as it is",
              "network_configuration": {"subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"],
                                        "assign_public_ip": False},
              "tags": {"team": "shop"}}
    change = {"deployment_maximum_percent": 300, "enable_execute_command": False}
    ARN = "arn:aws:ecs:us-east-1:000000000000:service/tf/web"

    def asked(self):
        wanted, network = self.wanted, self.wanted["network_configuration"]
        return {
            "taskDefinition": TaskDefinition.arn, "enableExecuteCommand": wanted["enable_execute_command"],
            "enableECSManagedTags": wanted["enable_ecs_managed_tags"],
            "deploymentConfiguration": {
                "maximumPercent": wanted["deployment_maximum_percent"],
                "minimumHealthyPercent": wanted["deployment_minimum_healthy_percent"],
                "deploymentCircuitBreaker": wanted["deployment_circuit_breaker"]},
            "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": network["subnets"], "securityGroups": network["security_groups"],
                "assignPublicIp": "ENABLED" if network["assign_public_ip"] else "DISABLED"}}}

    def create(self):
        made = ecs.create_service(
            cluster=CLUSTER, serviceName="web", desiredCount=self.wanted["desired_count"], launchType="FARGATE",
            schedulingStrategy="REPLICA", deploymentController={"type": "ECS"}, propagateTags="SERVICE",
            clientToken="terraform-0123456789", tags=as_tags(self.wanted["tags"]), **self.asked())["service"]
        assert made["serviceArn"] == self.ARN, made
        self.wait_until_stable()

    def wait_until_stable(self):
        # wait_for_steady_state
        def is_stable():
            one = self.describe()
            return len(one["deployments"]) == 1 and one["desiredCount"] == one["runningCount"]
        wait("the service to be stable", is_stable)

    def describe(self):
        try:
            found = ecs.describe_services(cluster=CLUSTER, services=[self.ARN], include=["TAGS"])
        except ecs.exceptions.ClusterNotFoundException:
            return None
        return found["services"][0] if found["services"] else None

    def read(self):
        one = self.describe()
        if not one or one["status"] != "ACTIVE":
            return None
        deployment, network = one["deploymentConfiguration"], one["networkConfiguration"]["awsvpcConfiguration"]
        assert not deployment.get("alarms"), deployment
        return {
            "name": one["serviceName"], "cluster": one["clusterArn"], "desired_count": one["desiredCount"],
            "launch_type": one["launchType"], "deployment_maximum_percent": deployment["maximumPercent"],
            "deployment_minimum_healthy_percent": deployment["minimumHealthyPercent"],
            "deployment_circuit_breaker": deployment["deploymentCircuitBreaker"],
            "deployment_controller": one["deploymentController"]["type"],
            "enable_ecs_managed_tags": one["enableECSManagedTags"],
            "enable_execute_command": one["enableExecuteCommand"], "propagate_tags": one["propagateTags"],
            "scheduling_strategy": one["schedulingStrategy"],
            "capacity_provider_strategy": one.get("capacityProviderStrategy", []),
            "load_balancer": one["loadBalancers"], "ordered_placement_strategy": one["placementStrategy"],
            "placement_constraints": one["placementConstraints"], "service_registries": one["serviceRegistries"],
            "health_check_grace_period_seconds": one.get("healthCheckGracePeriodSeconds", 0),
            "task_definition": "as it is" if one["taskDefinition"] == TaskDefinition.arn else one["taskDefinition"],
            "network_configuration": {"subnets": sorted(network["subnets"]),
                                      "security_groups": sorted(network["securityGroups"]),
                                      "assign_public_ip": network["assignPublicIp"] == "ENABLED"},
            "tags": tags_of(one["tags"])}

    def update(self):
        ecs.update_service(cluster=CLUSTER, service=self.ARN, **self.asked())
        self.wait_until_stable()

    def destroy(self):
        ecs.update_service(cluster=CLUSTER, service=self.ARN, desiredCount=0)
        ecs.delete_service(cluster=CLUSTER, service=self.ARN)
        wait("the service to be inactive", lambda: self.describe()["status"] == "INACTIVE")


WHAT = {"ServiceNamespace": "ecs", "ResourceId": "service/tf/web", "ScalableDimension": "ecs:service:DesiredCount"}


class Target:
    wanted = {**WHAT, "MinCapacity": 1, "MaxCapacity": 4, "tags": {"team": "shop"}}
    change = {"MaxCapacity": 3}

    def create(self):
        scaling.register_scalable_target(**WHAT, MinCapacity=1, MaxCapacity=4, Tags=self.wanted["tags"])

    def read(self):
        found = scaling.describe_scalable_targets(
            ServiceNamespace="ecs", ResourceIds=["service/tf/web"], ScalableDimension="ecs:service:DesiredCount")
        if not found["ScalableTargets"]:
            return None
        [one] = found["ScalableTargets"]
        tags = scaling.list_tags_for_resource(ResourceARN=one["ScalableTargetARN"])["Tags"]
        return {**{name: one[name] for name in self.wanted if name != "tags"}, "tags": tags}

    def update(self):
        scaling.register_scalable_target(
            **WHAT, MinCapacity=self.wanted["MinCapacity"], MaxCapacity=self.wanted["MaxCapacity"])

    def destroy(self):
        scaling.deregister_scalable_target(**WHAT)
        wait("the target to go", lambda: not self.read())


class Policy:
    TRACKING = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
                "TargetValue": 62.5, "ScaleInCooldown": 120, "ScaleOutCooldown": 60, "DisableScaleIn": False}
    wanted = {"PolicyName": "cpu", "PolicyType": "TargetTrackingScaling", **WHAT,
              "TargetTrackingScalingPolicyConfiguration": TRACKING}
    change = {"TargetTrackingScalingPolicyConfiguration": {**TRACKING, "TargetValue": 80.0}}

    def create(self):
        put = scaling.put_scaling_policy(**self.wanted)
        assert [one["AlarmName"].split("-")[2] for one in put["Alarms"]] == ["AlarmHigh", "AlarmLow"], put

    update = create

    def read(self):
        found = scaling.describe_scaling_policies(PolicyNames=["cpu"], **WHAT)["ScalingPolicies"]
        return {name: found[0][name] for name in self.wanted} if found else None

    def destroy(self):
        scaling.delete_scaling_policy(PolicyName="cpu", **WHAT)


RESOURCES = [Cluster(), LogGroup(), TaskDefinition(), Service(), Target(), Policy()]


def plan():
    """What `terraform plan` would say: of each resource, what is other than it is wanted."""
    found = {}
    for one in RESOURCES:
        is_there = one.read()
        name = type(one).__name__
        if is_there is None:
            found[name] = "create"
        else:
            assert is_there.keys() == one.wanted.keys(), is_there
            differs = {key: (is_there[key], value) for key, value in one.wanted.items() if is_there[key] != value}
            if differs:
                found[name] = differs
    return found


def apply():
    """Carries the plan out, and says what it was."""
    first = plan()
    for one in RESOURCES:
        name = type(one).__name__
        # What depends on something that changed may have changed with it.
        if first.get(name) == "create":
            one.create()
        elif name in plan():
            one.update()
    return first


assert apply() == dict.fromkeys((type(one).__name__ for one in RESOURCES), "create")
nothing = apply()
assert nothing == {}, f"the second time it would change {nothing}"
for one in RESOURCES:
    type(one).wanted = {**one.wanted, **one.change}
changed = apply()
assert changed.keys() == {type(one).__name__ for one in RESOURCES}, changed
nothing = apply()
assert nothing == {}, f"after changes it would change {nothing}"
for one in reversed(RESOURCES):
    one.destroy()
# A revision that is deregistered is INACTIVE, and a service that is deleted stays for a while.
assert set(plan().values()) == {"create"}, plan()
model.refused(scaling.delete_scaling_policy, "ObjectNotFoundException", PolicyName="cpu", **WHAT)
model.refused(scaling.put_scaling_policy, "ObjectNotFoundException", **{**Policy.wanted})
model.refused(scaling.deregister_scalable_target, "ObjectNotFoundException", **WHAT)
model.refused(scaling.register_scalable_target, "ValidationException", "ECS service doesn't exist",
              **{**WHAT, "ResourceId": "service/tf/none"}, MinCapacity=1, MaxCapacity=2)
print("the second time, there was nothing to change")
