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
    "tags taskArn taskDefinitionArn version",
    "Container": "containerArn taskArn name image lastStatus networkInterfaces healthStatus cpu",
    "TaskOverride": "containerOverrides inferenceAcceleratorOverrides",
    "Attachment": "id type status details",
    "Service": "serviceArn serviceName clusterArn loadBalancers serviceRegistries status desiredCount runningCount "
    "pendingCount taskDefinition deploymentConfiguration deployments events currentServiceRevisions "
    "createdAt placementConstraints placementStrategy schedulingStrategy deploymentController createdBy "
    "enableECSManagedTags propagateTags enableExecuteCommand",
    "Deployment": "id status taskDefinition desiredCount pendingCount runningCount failedTasks createdAt updatedAt "
    "rolloutState rolloutStateReason",
    "ServiceDeploymentBrief": "serviceDeploymentArn serviceArn clusterArn startedAt createdAt targetServiceRevisionArn "
    "status statusReason",
    "ServiceDeployment": "serviceDeploymentArn serviceArn clusterArn startedAt createdAt updatedAt targetServiceRevision "
    "sourceServiceRevisions status statusReason deploymentConfiguration deploymentCircuitBreaker alarms",
    "ServiceRevisionSummary": "arn requestedTaskCount runningTaskCount pendingTaskCount",
    "ServiceRevision": "serviceRevisionArn serviceArn clusterArn taskDefinition containerImages guardDutyEnabled createdAt "
    "loadBalancers serviceRegistries",
    "TaskSet": "id taskSetArn serviceArn clusterArn status taskDefinition computedDesiredCount pendingCount runningCount "
    "createdAt updatedAt loadBalancers serviceRegistries scale stabilityStatus stabilityStatusAt tags",
    "Scale": "value unit",
    "DescribeTaskSetsResponse": "taskSets failures",
    "CapacityProvider": "capacityProviderArn name status tags type",
    "ContainerInstance": "containerInstanceArn version versionInfo remainingResources registeredResources status "
    "agentConnected runningTasksCount pendingTasksCount attributes registeredAt attachments tags",
    "Resource": "name type doubleValue longValue integerValue",
    "ServiceEvent": "id createdAt message",
    "Setting": "name value principalArn type",
    "ListTasksResponse": "taskArns",
    "ListServicesResponse": "serviceArns",
    "ListServicesByNamespaceResponse": "serviceArns",
    "ListClustersResponse": "clusterArns",
    "ListTaskDefinitionsResponse": "taskDefinitionArns",
    "ListTaskDefinitionFamiliesResponse": "families",
    "RunTaskResponse": "tasks failures",
    "DescribeTasksResponse": "tasks failures",
    "DescribeServicesResponse": "services failures",
    "DescribeClustersResponse": "clusters failures",
    "ListServiceDeploymentsResponse": "serviceDeployments",
    "DescribeServiceDeploymentsResponse": "serviceDeployments failures",
    "DescribeServiceRevisionsResponse": "serviceRevisions failures",
    "DescribeCapacityProvidersResponse": "capacityProviders failures",
    "ListContainerInstancesResponse": "containerInstanceArns",
    "DescribeContainerInstancesResponse": "containerInstances failures",
    "ListAttributesResponse": "attributes",
    "ListAccountSettingsResponse": "settings",
    "StartTaskResponse": "tasks failures",
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
        # A capacity provider strategy takes the place of a launch type, and only Fargate has platforms.
        if shape.name == "Service" and value.get("deploymentController") == {"type": "EXTERNAL"}:
            # What it runs, its PRIMARY task set says, if it has one.
            missing -= {"taskDefinition"}
        if shape.name in ("Service", "Deployment", "ServiceRevision", "TaskSet"):
            missing |= set() if {"launchType", "capacityProviderStrategy"} & value.keys() else {"launchType"}
        if value.get("launchType") == "FARGATE" and shape.name in ("Service", "Deployment", "ServiceRevision", "Task"):
            missing |= {"platformVersion", "platformFamily"} - value.keys()
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
