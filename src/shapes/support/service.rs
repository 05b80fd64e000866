//! What becomes of each field of a service.

use serde_json::Value;

use super::Verdict::{Honoured, Kept, Partly, Refused};
use super::{Row, given, row};

fn not_ours(value: &Value) -> bool {
    given(value) && value != "ECS" && value != "EXTERNAL"
}

fn not_rolling(value: &Value) -> bool {
    given(value) && value != "ROLLING"
}

fn enabled(value: &Value) -> bool {
    given(&value["enable"]) || given(&value["enabled"])
}

/// In the order in which the API reference of ECS lists the fields.
#[rustfmt::skip]
pub(super) const TABLE: [Row; 37] = [
    row("serviceName", Honoured, ""),
    row("taskDefinition", Honoured, "`family` or `family:revision`"),
    row("availabilityZoneRebalancing", Kept, "there is one host"),
    row("capacityProviderStrategy", Honoured, "there is one host: `base` and `weight` decide which capacity provider a task names"),
    row("clientToken", Honoured, "the same request with it again gets the same service, for a day"),
    row("cluster", Honoured, ""),
    row("deploymentConfiguration.minimumHealthyPercent", Honoured, "0 to 100"),
    row("deploymentConfiguration.maximumPercent", Honoured, "100 to 1000; of a DAEMON 100, as in ECS"),
    row("deploymentConfiguration.deploymentCircuitBreaker", Honoured, ""),
    row("deploymentConfiguration.strategy", Partly(not_rolling), "only `ROLLING` is supported"),
    row("deploymentConfiguration.alarms", Refused(enabled), "is not supported: there are no alarms of CloudWatch here that could stop a bad deployment; deploymentCircuitBreaker can"),
    row("deploymentConfiguration.bakeTimeInMinutes", Kept, "it belongs to deployments that are not rolling"),
    row("deploymentConfiguration.lifecycleHooks", Refused(given), "is not supported: nothing would call them"),
    row("deploymentConfiguration.linearConfiguration", Refused(given), "is not supported: deployments are rolling"),
    row("deploymentConfiguration.canaryConfiguration", Refused(given), "is not supported: deployments are rolling"),
    row("deploymentController.type", Partly(not_ours), "`ECS`, the service's own rolling deployment, or `EXTERNAL`: task sets, through the API of ECS"),
    row("desiredCount", Honoured, "0 to 5,000"),
    row("enableECSManagedTags", Honoured, "`aws:ecs:clusterName` and `aws:ecs:serviceName`, of tasks that are started from then on"),
    row("enableExecuteCommand", Honoured, "of tasks that are started from then on, as in ECS"),
    row("forceNewDeployment", Honoured, "of UpdateService"),
    row("gatewayConnectors", Refused(given), "is not supported: there are no gateways"),
    row("healthCheckGracePeriodSeconds", Honoured, "a failing health check is not held against a task for so long after its start, and one without a health check does not count as healthy before; for that, 5 at least, where ECS has 40"),
    row("launchType", Honoured, "there is one kind of host; each means that one"),
    row("loadBalancers", Refused(given), "is not supported yet: nothing would send traffic to the tasks; their addresses are shown by neargate ps --service NAME"),
    row("monitoring", Kept, "what tasks use is measured all the time; `neargate top`, and `/metrics`"),
    row("networkConfiguration", Kept, "each task has an address of its own in the network of this host"),
    row("placementConstraints", Kept, "there is one host"),
    row("placementStrategy", Kept, "there is one host"),
    row("platformVersion", Kept, "there is one"),
    row("propagateTags", Honoured, "of tasks that are started from then on, as in ECS"),
    row("role", Kept, "Neargate gives tasks no credentials of AWS"),
    row("schedulingStrategy", Honoured, ""),
    row("serviceConnectConfiguration", Kept, "there is no Service Connect: tasks reach others by their addresses"),
    row("serviceRegistries", Refused(given), "is not supported yet: there is no Cloud Map"),
    row("tags", Honoured, "kept and given back"),
    row("volumeConfigurations", Refused(given), "is not supported: there is no EBS here that a service could describe; use a volume of the task definition with only a name, or with scope shared"),
    row("vpcLatticeConfigurations", Refused(given), "is not supported: there is no VPC Lattice here"),
];
