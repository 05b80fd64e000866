//! Every operation of ECS, and what becomes of it here: one row each, by name.
//!
//! The rows are those of the service model that AWS's own clients carry (botocore); a test holds the two together.
//! `docs/ecs-api.md` is written from here.

use std::fmt::Write as _;
use std::pin::Pin;

use serde_json::Value;

use super::error::EcsError;
use super::input::{Field, Input, flag, list, map, number, text, texts};
use super::{
    account, capacity_providers, clusters, instances, service_deployments, services, tags,
    task_definitions, task_sets, tasks,
};
use crate::control::Control;

type Answered = Pin<Box<dyn Future<Output = Result<Value, EcsError>> + Send>>;
type Handler = fn(Control, Input) -> Answered;

/// What becomes of an operation.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// It is carried out.
    Does(Handler),
    /// It is not, and this is why.
    Refuses(&'static str),
}

/// An operation of ECS.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) answer: Answer,
    /// Its parameters, of one that is carried out.
    pub(super) fields: &'static [Field],
    /// What is other than in ECS.
    pub(super) note: &'static str,
}

/// One that is carried out.
macro_rules! does {
    ($name:literal, $handler:path, [$($field:expr),* $(,)?], $note:literal) => {
        Operation {
            name: $name,
            answer: Answer::Does(|control, input| Box::pin($handler(control, input))),
            fields: &[$($field),*],
            note: $note,
        }
    };
}

pub(super) use does;

/// One that is not.
const fn refuses(name: &'static str, why: &'static str) -> Operation {
    Operation {
        name,
        answer: Answer::Refuses(why),
        fields: &[],
        note: "",
    }
}

const NO_AGENT: &str =
    "the ECS agent makes this call, and there is none: the server speaks to the engine itself";
const NO_DAEMONS: &str = "there are no managed daemons; a service with schedulingStrategy DAEMON has one task on the host";
const NO_EXPRESS: &str =
    "there is no load balancer that an Express service could have; use CreateService";
const NO_GATEWAYS: &str = "there are no gateways";
const NO_HOOKS: &str = "no deployment waits for a hook: nothing would call one";

/// What is refused in a task definition, a run or a service, [docs/task-definition-fields.md] and
/// [docs/service-fields.md] say.
#[rustfmt::skip]
pub(super) static OPERATIONS: [Operation; 88] = [
    refuses("AssociateGatewayWithCluster", NO_GATEWAYS),
    refuses("ContinueServiceDeployment", NO_HOOKS),
    does!("CreateCapacityProvider", capacity_providers::create, [
        text("name").required(), text("cluster"), map("autoScalingGroupProvider"), map("managedInstancesProvider"), list("tags"),
    ], "a name that tasks are spread among; nothing is scaled, and managedInstancesProvider is refused"),
    does!("CreateCluster", clusters::create, [
        text("clusterName"), list("tags"), list("settings"), map("configuration"), texts("capacityProviders"),
        list("defaultCapacityProviderStrategy"), map("serviceConnectDefaults"),
    ], "settings and configuration are kept and given back, and have no effect"),
    refuses("CreateDaemon", NO_DAEMONS),
    refuses("CreateExpressGatewayService", NO_EXPRESS),
    refuses("CreateGateway", NO_GATEWAYS),
    does!("CreateService", services::create, [
        text("cluster"), text("serviceName").required(), text("taskDefinition"), text("availabilityZoneRebalancing"),
        list("loadBalancers"), list("serviceRegistries"), number("desiredCount"), text("clientToken"), text("launchType"),
        list("capacityProviderStrategy"), text("platformVersion"), text("role"), map("deploymentConfiguration"),
        list("placementConstraints"), list("placementStrategy"), map("networkConfiguration"),
        number("healthCheckGracePeriodSeconds"), text("schedulingStrategy"), map("deploymentController"), list("tags"),
        flag("enableECSManagedTags"), text("propagateTags"), flag("enableExecuteCommand"),
        map("serviceConnectConfiguration"), list("volumeConfigurations"), list("vpcLatticeConfigurations"),
        list("gatewayConnectors"), map("monitoring"),
    ], "what has no effect is given back, and told as an event; see [service-fields.md](service-fields.md)"),
    does!("CreateTaskSet", task_sets::create, [
        text("service").required(), text("cluster").required(), text("externalId"), text("taskDefinition").required(),
        map("networkConfiguration"), list("loadBalancers"), list("serviceRegistries"), text("launchType"),
        list("capacityProviderStrategy"), text("platformVersion"), map("scale"), text("clientToken"), list("tags"),
    ], "of services with the EXTERNAL controller, five at most; loadBalancers and serviceRegistries are refused"),
    does!("DeleteAccountSetting", account::delete, [text("name").required(), text("principalArn")], ""),
    does!("DeleteAttributes", instances::delete_attributes, [text("cluster"), list("attributes").required()], ""),
    does!("DeleteCapacityProvider", capacity_providers::delete, [
        text("capacityProvider").required(), text("cluster"),
    ], "gone at once"),
    does!("DeleteCluster", clusters::delete, [text("cluster").required()], "a deleted cluster is gone at once; `default` stays"),
    refuses("DeleteDaemon", NO_DAEMONS),
    refuses("DeleteDaemonTaskDefinition", NO_DAEMONS),
    refuses("DeleteExpressGatewayService", NO_EXPRESS),
    refuses("DeleteGateway", NO_GATEWAYS),
    does!("DeleteService", services::delete, [text("cluster"), text("service").required(), flag("force")], ""),
    does!("DeleteTaskDefinitions", task_definitions::delete, [texts("taskDefinitions").required()],
        "a deleted revision is gone at once; its tasks keep their own copy"),
    does!("DeleteTaskSet", task_sets::delete, [
        text("cluster").required(), text("service").required(), text("taskSet").required(), flag("force"),
    ], "gone when its last task has stopped"),
    refuses("DeregisterContainerInstance", NO_AGENT),
    does!("DeregisterTaskDefinition", task_definitions::deregister, [text("taskDefinition").required()], ""),
    does!("DescribeCapacityProviders", capacity_providers::describe, [
        texts("capacityProviders"), text("cluster"), texts("include"), number("maxResults"), text("nextToken"),
    ], ""),
    does!("DescribeClusters", clusters::describe, [texts("clusters"), texts("include")], "`statistics` is empty"),
    does!("DescribeContainerInstances", instances::describe, [
        text("cluster"), texts("containerInstances").required(), texts("include"),
    ], "the host of the engine, once in each cluster; what all clusters reserve is reserved of it"),
    refuses("DescribeDaemon", NO_DAEMONS),
    refuses("DescribeDaemonDeployments", NO_DAEMONS),
    refuses("DescribeDaemonRevisions", NO_DAEMONS),
    refuses("DescribeDaemonTaskDefinition", NO_DAEMONS),
    refuses("DescribeExpressGatewayService", NO_EXPRESS),
    refuses("DescribeGateway", NO_GATEWAYS),
    refuses("DescribeGatewayResources", NO_GATEWAYS),
    refuses("DescribeGatewayRoute", NO_GATEWAYS),
    does!("DescribeServiceDeployments", service_deployments::describe, [
        texts("serviceDeploymentArns").required(),
    ], "of the newest 1,000 of a service"),
    does!("DescribeServiceRevisions", service_deployments::revisions, [
        texts("serviceRevisionArns").required(),
    ], "of the newest 1,000 of a service"),
    does!("DescribeServices", services::describe, [
        text("cluster"), texts("services").required(), texts("include"),
    ], ""),
    does!("DescribeTaskDefinition", task_definitions::describe, [
        text("taskDefinition").required(), texts("include"),
    ], "`requiresAttributes` has the two that say how the task is connected"),
    does!("DescribeTaskSets", task_sets::describe, [
        text("cluster").required(), text("service").required(), texts("taskSets"), texts("include"),
    ], ""),
    does!("DescribeTasks", tasks::describe, [text("cluster"), texts("tasks").required(), texts("include")],
        "stopped tasks stay; the network interface is one that EC2 does not know"),
    refuses("DisassociateGatewayFromCluster", NO_GATEWAYS),
    refuses("DiscoverPollEndpoint", NO_AGENT),
    refuses("ExecuteCommand", "there is no Session Manager that would carry it; use neargate exec TASK -- COMMAND, or REST's exec, a WebSocket"),
    does!("GetTaskProtection", tasks::protection, [text("cluster").required(), texts("tasks").required()],
        "`tasks` is required"),
    does!("ListAccountSettings", account::list, [
        text("name"), text("value"), text("principalArn"), flag("effectiveSettings"), text("nextToken"),
        number("maxResults"),
    ], "without own ones, AWS's defaults"),
    does!("ListAttributes", instances::list_attributes, [
        text("cluster"), text("targetType").required(), text("attributeName"), text("attributeValue"), text("nextToken"),
        number("maxResults"),
    ], ""),
    does!("ListClusters", clusters::list, [text("nextToken"), number("maxResults")], ""),
    does!("ListContainerInstances", instances::list, [
        text("cluster"), text("filter"), text("nextToken"), number("maxResults"), text("status"),
    ], "there is one; `filter` is refused"),
    refuses("ListDaemonDeployments", NO_DAEMONS),
    refuses("ListDaemonTaskDefinitions", NO_DAEMONS),
    refuses("ListDaemons", NO_DAEMONS),
    refuses("ListGatewayClusterAssociations", NO_GATEWAYS),
    refuses("ListGatewayRoutes", NO_GATEWAYS),
    refuses("ListGateways", NO_GATEWAYS),
    does!("ListServiceDeployments", service_deployments::list, [
        text("service").required(), text("cluster"), texts("status"), map("createdAt"), text("nextToken"), number("maxResults"),
    ], "a page can be shorter than maxResults where a filter is given"),
    does!("ListServices", services::list, [
        text("cluster"), text("nextToken"), number("maxResults"), text("launchType"), text("schedulingStrategy"),
        text("resourceManagementType"),
    ], ""),
    does!("ListServicesByNamespace", services::by_namespace, [
        text("namespace").required(), text("nextToken"), number("maxResults"),
    ], "by what their serviceConnectConfiguration says; a page can be shorter than maxResults"),
    does!("ListTagsForResource", tags::list, [text("resourceArn").required()],
        ""),
    does!("ListTaskDefinitionFamilies", task_definitions::families, [
        text("familyPrefix"), text("status"), text("nextToken"), number("maxResults"),
    ], ""),
    does!("ListTaskDefinitions", task_definitions::list, [
        text("familyPrefix"), text("status"), text("sort"), text("nextToken"), number("maxResults"),
    ], ""),
    does!("ListTasks", tasks::list, [
        text("cluster"), text("containerInstance"), text("family"), text("nextToken"), number("maxResults"),
        text("startedBy"), text("serviceName"), text("desiredStatus"), text("launchType"), text("daemonName"),
    ], "stopped tasks stay listed"),
    does!("PutAccountSetting", account::put, [
        text("name").required(), text("value").required(), text("principalArn"),
    ], "`containerInsights` says what new clusters have; the others have no effect"),
    does!("PutAccountSettingDefault", account::put_default, [
        text("name").required(), text("value").required(),
    ], "the same"),
    does!("PutAttributes", instances::put_attributes, [
        text("cluster"), list("attributes").required(),
    ], "of the container instance of a cluster, ten at most; no task is placed by them"),
    does!("PutClusterCapacityProviders", clusters::put_capacity_providers, [
        text("cluster").required(), texts("capacityProviders").present(), list("defaultCapacityProviderStrategy").present(),
    ], "the strategy decides which capacity provider a task names"),
    refuses("RegisterContainerInstance", NO_AGENT),
    refuses("RegisterDaemonTaskDefinition", NO_DAEMONS),
    does!("RegisterTaskDefinition", task_definitions::register, [
        text("family").required(), text("taskRoleArn"), text("executionRoleArn"), text("networkMode"),
        list("containerDefinitions").required(), list("volumes"), list("placementConstraints"),
        texts("requiresCompatibilities"), text("cpu"), text("memory"), list("tags"), text("pidMode"), text("ipcMode"),
        map("proxyConfiguration"), list("inferenceAccelerators"), map("ephemeralStorage"), map("runtimePlatform"),
        flag("enableFaultInjection"), map("trustedExecutionConfiguration"),
    ], "without networkMode it is `awsvpc`; see [task-definition-fields.md](task-definition-fields.md)"),
    does!("RunTask", tasks::run, [
        list("capacityProviderStrategy"), text("cluster"), number("count"), flag("enableECSManagedTags"),
        flag("enableExecuteCommand"), text("group"), text("launchType"), map("networkConfiguration"), map("overrides"),
        list("placementConstraints"), list("placementStrategy"), text("platformVersion"), text("propagateTags"),
        text("referenceId"), text("startedBy"), list("tags"), text("taskDefinition").required(), text("clientToken"),
        list("volumeConfigurations"),
    ], "networkConfiguration may be left out; it, placement and referenceId have no effect; overrides \
        of resourceRequirements and environmentFiles are refused"),
    does!("StartTask", tasks::start, [
        text("cluster"), texts("containerInstances").required(), flag("enableECSManagedTags"), flag("enableExecuteCommand"),
        text("group"), map("networkConfiguration"), map("overrides"), text("propagateTags"), text("referenceId"),
        text("startedBy"), list("tags"), text("taskDefinition").required(), list("volumeConfigurations"),
    ], "on the host of the engine; its launch type is EC2"),
    does!("StopServiceDeployment", service_deployments::stop, [
        text("serviceDeploymentArn").required(), text("stopType"),
    ], "of the one that is IN_PROGRESS; with ABORT, the tasks that there are go on"),
    does!("StopTask", tasks::stop, [text("cluster"), text("task").required(), text("reason")], ""),
    refuses("SubmitAttachmentStateChanges", NO_AGENT),
    refuses("SubmitContainerStateChange", NO_AGENT),
    refuses("SubmitTaskStateChange", NO_AGENT),
    does!("TagResource", tags::tag, [text("resourceArn").required(), list("tags").required()],
        "bills go by the tags that a task was run with"),
    does!("UntagResource", tags::untag, [text("resourceArn").required(), texts("tagKeys").required()],
        ""),
    does!("UpdateCapacityProvider", capacity_providers::update, [
        text("name").required(), text("cluster"), map("autoScalingGroupProvider"), map("managedInstancesProvider"),
    ], "kept and given back"),
    does!("UpdateCluster", clusters::change, [
        text("cluster").required(), list("settings"), map("configuration"), map("serviceConnectDefaults"),
    ], "kept and given back, without effect"),
    does!("UpdateClusterSettings", clusters::change, [text("cluster").required(), list("settings").required()],
        "kept and given back, without effect"),
    refuses("UpdateContainerAgent", NO_AGENT),
    does!("UpdateContainerInstancesState", instances::set_state, [
        text("cluster"), texts("containerInstances").required(), text("status").required(),
    ], "while it is DRAINING, RunTask and StartTask start nothing in the cluster, and services neither; the tasks that there are go on"),
    refuses("UpdateDaemon", NO_DAEMONS),
    refuses("UpdateExpressGatewayService", NO_EXPRESS),
    refuses("UpdateGateway", NO_GATEWAYS),
    does!("UpdateService", services::update, [
        text("cluster"), text("service").required(), number("desiredCount"), text("taskDefinition"),
        list("capacityProviderStrategy"), map("deploymentConfiguration"), text("availabilityZoneRebalancing"),
        map("networkConfiguration"), list("placementConstraints"), list("placementStrategy"), text("platformVersion"),
        flag("forceNewDeployment"), number("healthCheckGracePeriodSeconds"), map("deploymentController"),
        flag("enableExecuteCommand"), flag("enableECSManagedTags"), list("loadBalancers"), text("propagateTags"),
        list("serviceRegistries"), map("serviceConnectConfiguration"), list("volumeConfigurations"),
        list("vpcLatticeConfigurations"), list("gatewayConnectors"), map("monitoring"),
    ], "see [service-fields.md](service-fields.md)"),
    does!("UpdateServicePrimaryTaskSet", task_sets::make_primary, [
        text("cluster").required(), text("service").required(), text("primaryTaskSet").required(),
    ], "no traffic is moved: the set is shown as PRIMARY, and what it says becomes the service's"),
    does!("UpdateTaskProtection", tasks::protect, [
        text("cluster").required(), texts("tasks").required(), flag("protectionEnabled").required(),
        number("expiresInMinutes"),
    ], ""),
    does!("UpdateTaskSet", task_sets::update, [
        text("cluster").required(), text("service").required(), text("taskSet").required(), map("scale").required(),
    ], ""),
];

/// Whether the operation of that name, of ECS or another of AWS's services on this port, changes nothing: all that do
/// have such names. A key that only reads may call these.
pub(super) fn only_reads(name: &str) -> bool {
    ["Describe", "Filter", "Get", "List"]
        .iter()
        .any(|first| name.starts_with(first))
}

/// `docs/ecs-api.md`.
#[cfg_attr(not(test), expect(dead_code, reason = "a test writes the page"))]
pub(super) fn page() -> String {
    let is_done = |operation: &&Operation| matches!(operation.answer, Answer::Does(_));
    let done = OPERATIONS.iter().filter(is_done).count();
    let mut text = format!(
        "# The operations of ECS\n\n\
        Neargate answers the clients of ECS on the port of REST: `aws ecs … --endpoint-url http://127.0.0.1:6327`, boto3\n\
        and the other SDKs, with the region `us-east-1` and the account `000000000000`, unless `region` and\n\
        `account` of the configuration say otherwise: an ARN of another one is refused, as by AWS. None is stored, so both can be\n\
        changed at any time. Of the {} operations, {done} are carried out; the others answer `UnsupportedFeatureException` with the reason.\n\n\
        Everywhere: names, short ARNs and long ARNs mean the same. A parameter that ECS does not know is ignored, as AWS\n\
        does, at every depth, and the server's log names it (REST refuses it); one that ECS knows and Neargate does not is\n\
        refused. `sts get-caller-identity` is answered, too. Once there are [access keys](access-keys.md), every call\n\
        must be signed with one; a key that is `read-only` may call what begins with Describe, Get or List.\n\n\
        Written from the table in `src/api/ecs/table.rs`; a test compares them.\n\n\
        | Operation | | Note |\n| --- | --- | --- |\n",
        OPERATIONS.len()
    );
    for operation in &OPERATIONS {
        let (verdict, note) = match operation.answer {
            Answer::Does(_) => ("yes", operation.note),
            Answer::Refuses(why) => ("no", why),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {verdict} | {note} |", operation.name);
    }
    text.push_str(&super::wire::others());
    text
}
