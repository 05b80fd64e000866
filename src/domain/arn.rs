//! Amazon resource names, for those who expect them: Neargate is in no region and has no account, so both
//! are made up and always the same.

use super::{ClusterName, DeploymentId, FamilyRevision, ServiceKey, ServiceRevisionId, TaskId};

/// The region in every name.
pub const REGION: &str = "us-east-1";
/// The account in every name. Twelve digits, as an account has.
pub const ACCOUNT: &str = "000000000000";

/// Of a cluster.
pub fn cluster_arn(cluster: &ClusterName) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{cluster}")
}

/// Of a task.
pub fn task_arn(cluster: &ClusterName, task: &TaskId) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{task}")
}

/// Of a container, which ECS tells by an identifier of its own: a UUID.
pub fn container_arn(cluster: &ClusterName, task: &TaskId, uuid: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:container/{cluster}/{task}/{uuid}")
}

/// Of a service.
pub fn service_arn(service: &ServiceKey) -> String {
    let ServiceKey { cluster, name } = service;
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/{cluster}/{name}")
}

/// Of a deployment of a service.
pub fn service_deployment_arn(service: &ServiceKey, deployment: &DeploymentId) -> String {
    let ServiceKey { cluster, name } = service;
    let number = deployment.number();
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/{cluster}/{name}/{number}")
}

/// Of a task set, whose ID has a slash of its own.
pub fn task_set_arn(service: &ServiceKey, id: &DeploymentId) -> String {
    let ServiceKey { cluster, name } = service;
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-set/{cluster}/{name}/{id}")
}

/// Of a revision of a service.
pub fn service_revision_arn(service: &ServiceKey, revision: &ServiceRevisionId) -> String {
    let ServiceKey { cluster, name } = service;
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/{cluster}/{name}/{revision}")
}

/// Of a revision of a task definition.
pub fn task_definition_arn(revision: &FamilyRevision) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{revision}")
}
