"""A client of ECS whose every answer is held against the model that botocore carries.

botocore's own parser ignores fields that it does not know and takes whatever type comes; this does not.
"""

import json
import os

import boto3
from botocore.config import Config

# What ECS sends whatever the state of the thing is.
ALWAYS = {
    "Cluster": "clusterArn clusterName status registeredContainerInstancesCount runningTasksCount pendingTasksCount "
    "activeServicesCount statistics tags settings capacityProviders defaultCapacityProviderStrategy",
    "TaskDefinition": "taskDefinitionArn containerDefinitions family revision volumes status requiresAttributes "
    "placementConstraints compatibilities registeredAt registeredBy",
    "ContainerDefinition": "name image cpu portMappings essential environment mountPoints volumesFrom systemControls",
    "PortMapping": "containerPort hostPort protocol",
    "Task": "attachments attributes availabilityZone clusterArn containers cpu createdAt desiredStatus "
    "enableExecuteCommand group healthStatus inferenceAccelerators lastStatus launchType memory overrides "
    "platformVersion platformFamily tags taskArn taskDefinitionArn version",
    "Container": "containerArn taskArn name image lastStatus networkInterfaces healthStatus cpu",
    "TaskOverride": "containerOverrides inferenceAcceleratorOverrides",
    "Attachment": "id type status details",
    "Service": "serviceArn serviceName clusterArn loadBalancers serviceRegistries status desiredCount runningCount "
    "pendingCount launchType platformVersion platformFamily taskDefinition deploymentConfiguration deployments events "
    "createdAt placementConstraints placementStrategy schedulingStrategy deploymentController createdBy "
    "enableECSManagedTags propagateTags enableExecuteCommand",
    "Deployment": "id status taskDefinition desiredCount pendingCount runningCount failedTasks createdAt updatedAt "
    "launchType rolloutState rolloutStateReason",
    "ServiceEvent": "id createdAt message",
    "Setting": "name value principalArn type",
    "ListTasksResponse": "taskArns",
    "ListServicesResponse": "serviceArns",
    "ListClustersResponse": "clusterArns",
    "ListTaskDefinitionsResponse": "taskDefinitionArns",
    "ListTaskDefinitionFamiliesResponse": "families",
    "RunTaskResponse": "tasks failures",
    "DescribeTasksResponse": "tasks failures",
    "DescribeServicesResponse": "services failures",
    "DescribeClustersResponse": "clusters failures",
}

TYPES = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "timestamp": (int, float),
}

checked = set()


def check(shape, value, path):
    """Fails unless `value` is of `shape`."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{path} is {value!r}, not a structure"
        unknown = value.keys() - shape.members.keys()
        assert not unknown, f"{path} has {unknown}, which {shape.name} does not have"
        missing = set(ALWAYS.get(shape.name, "").split()) - value.keys()
        assert not missing, f"{path} lacks {missing}, which ECS always sends in {shape.name}"
        for name, inner in value.items():
            check(shape.members[name], inner, f"{path}.{name}")
    elif kind == "list":
        assert isinstance(value, list), f"{path} is {value!r}, not a list"
        for index, inner in enumerate(value):
            check(shape.member, inner, f"{path}[{index}]")
    elif kind == "map":
        assert isinstance(value, dict), f"{path} is {value!r}, not a map"
        for name, inner in value.items():
            check(shape.value, inner, f"{path}[{name!r}]")
    else:
        right = isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        assert right, f"{path} is {value!r}, not a {kind}"
        enum = getattr(shape, "enum", None)
        assert not enum or value in enum, f"{path} is {value!r}, not one of {enum}"


def on_answer(http_response, parsed, model, **_):
    headers = http_response.headers
    assert headers["content-type"] == "application/x-amz-json-1.1", headers
    assert headers.get("x-amzn-requestid"), headers
    body = json.loads(http_response.content)
    if http_response.status_code >= 300:
        known = {error.name for error in model.error_shapes} | {
            "UnsupportedFeatureException", "SerializationException", "UnknownOperationException"}
        assert body.keys() == {"__type", "message"}, body
        assert body["__type"] in known, f"{model.name} has no error {body['__type']}: {body}"
        return
    if model.output_shape:
        check(model.output_shape, body, model.name)
    checked.add(model.name)


def client(service="ecs"):
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=True)
    made = boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config)
    if service != "sts":
        made.meta.events.register(f"after-call.{made.meta.service_model.service_id.hyphenize()}", on_answer)
    return made


def refused(call, code, message=None, **parameters):
    """Calls what must be refused with `code`, and with `message` in its message."""
    try:
        answer = call(**parameters)
    except call.__self__.exceptions.ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code, said
        assert message is None or message in said["Message"], said
        return
    raise AssertionError(f"{parameters} was accepted: {answer}")
