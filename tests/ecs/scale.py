"""A service whose tasks burn CPU is scaled out, and in again when they do not any more; never beyond its bounds."""

import time

import model

ecs, scaling = model.client(), model.client("application-autoscaling")
WHAT = {"ServiceNamespace": "ecs", "ResourceId": "service/default/busy", "ScalableDimension": "ecs:service:DesiredCount"}
seen = []


def busy():
    service = ecs.describe_services(services=["busy"])["services"][0]
    if seen[-1:] != [service["desiredCount"]]:
        seen.append(service["desiredCount"])
    return service


def activities():
    return scaling.describe_scaling_activities(**WHAT)["ScalingActivities"]


def eventually(what, look):
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited for {what}; desired counts were {seen}: {activities()}"
        time.sleep(0.1)
    return found


# Each task burns so much CPU time, however fast it gets it, and then only sleeps.
container = {"image": "neargate/workload:latest", "stopTimeout": 2}
ecs.register_task_definition(
    family="busy", requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
    containerDefinitions=[
        {**container, "name": "main", "command": ["sleep"]},
        {**container, "name": "burns", "essential": False, "command": ["burn-cpu", "--cpu-ms", "1500"]}])
ecs.create_service(serviceName="busy", taskDefinition="busy", desiredCount=0)

arn = scaling.register_scalable_target(**WHAT, MinCapacity=1, MaxCapacity=3)["ScalableTargetARN"]
# A new target's service is moved into the bounds.
eventually("the least", lambda: busy()["desiredCount"] == 1)
assert activities()[-1]["Cause"] == "minimum capacity was set to 1", activities()
tracking = {"TargetValue": 20.0, "ScaleOutCooldown": 1, "ScaleInCooldown": 1,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
put = scaling.put_scaling_policy(PolicyName="cpu", PolicyType="TargetTrackingScaling", **WHAT,
                                 TargetTrackingScalingPolicyConfiguration=tracking)
steps = {"AdjustmentType": "ChangeInCapacity", "Cooldown": 60, "MetricAggregationType": "Average",
         "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}]}
scaling.put_scaling_policy(PolicyName="steps", **WHAT, StepScalingPolicyConfiguration=steps)
found = scaling.describe_scaling_policies(ServiceNamespace="ecs", MaxResults=1)
rest = scaling.describe_scaling_policies(ServiceNamespace="ecs", NextToken=found["NextToken"])
found = {one["PolicyName"]: one for one in found["ScalingPolicies"] + rest["ScalingPolicies"]}
assert found["cpu"]["TargetTrackingScalingPolicyConfiguration"] == tracking, found
assert found["cpu"]["PolicyARN"] == put["PolicyARN"] and found["cpu"]["Alarms"] == put["Alarms"], found
assert found["steps"]["StepScalingPolicyConfiguration"] == steps, found
model.refused(scaling.put_scaling_policy, "ValidationException", PolicyName="x", PolicyType="TargetTrackingScaling", **WHAT,
              TargetTrackingScalingPolicyConfiguration={**tracking, "TargetValue": 0.0})
model.refused(scaling.register_scalable_target, "ValidationException", **WHAT, MinCapacity=5, MaxCapacity=3)
model.refused(scaling.describe_scaling_activities, "InvalidNextTokenException", ServiceNamespace="ecs", NextToken="x")
scaling.tag_resource(ResourceARN=arn, Tags={"a": "b", "c": "d"})
scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"c": "d"}
model.refused(scaling.list_tags_for_resource, "ResourceNotFoundException", ResourceARN=arn + "0")

eventually("the most", lambda: busy()["desiredCount"] == 3)
eventually("the least again", lambda: busy()["desiredCount"] == 1)
ended = eventually("the last activity to end", lambda: all("EndTime" in one for one in activities()) and activities())
assert min(seen[1:]) == 1 and max(seen) == 3, seen
grows = seen.index(3)
assert seen[:grows] == sorted(seen[:grows]) and seen[grows:] == sorted(seen[grows:], reverse=True), seen
assert ended[0]["StatusCode"] == "Successful", ended
assert ended[0]["StatusMessage"] == "Successfully set desired count to 1. Change successfully fulfilled by ecs.", ended
assert "-AlarmLow-" in ended[0]["Cause"] and ended[0]["Cause"].endswith("triggered policy cpu"), ended
assert any("-AlarmHigh-" in one["Cause"] for one in ended), ended
assert all(one["StartTime"] <= one["EndTime"] for one in ended), ended
events = [event["message"] for event in busy()["events"]]
assert any("Message: Successfully set desired count to 1." in message for message in events), events

# What people do by hand stays, and what is suspended is not done.
scaling.register_scalable_target(**WHAT, SuspendedState={"DynamicScalingInSuspended": True})
[target] = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
assert target["SuspendedState"] == {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False,
                                    "ScheduledScalingSuspended": False}, target
scaling.delete_scaling_policy(PolicyName="steps", **WHAT)
ecs.delete_service(service="busy", force=True)
ecs.get_waiter("services_inactive").wait(services=["busy"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
# A target whose service is gone is none.
eventually("the target to go", lambda: not scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"])
print(f"it was scaled: {seen}")
