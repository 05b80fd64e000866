//! Amazon resource names, for those who expect them. Neargate is in no region and has no account, so both are what the operator
//! says they are, and mean nothing beyond the names.
//!
//! They are of the process, not handed around: a name is made in a hundred places, each of which would have to be told what is
//! the same everywhere and never changes while the process lives. No name is ever stored, so the next start may have others.

use std::fmt::Display;
use std::sync::OnceLock;

use super::{
    AccountId, ClusterName, DeploymentId, FamilyRevision, Region, ServiceKey, ServiceRevisionId,
    TaskId,
};

static HOME: OnceLock<(Region, AccountId)> = OnceLock::new();

/// Says once for the whole process which region and account its names have; `None` is the default. Whoever comes later, or
/// after the first name was made, changes nothing and is told so by `false`.
pub fn settle(region: Option<Region>, account: Option<AccountId>) -> bool {
    let (region, account) = (region.unwrap_or_default(), account.unwrap_or_default());
    HOME.set((region, account)).is_ok()
}

fn home() -> &'static (Region, AccountId) {
    HOME.get_or_init(Default::default)
}

/// The region in every name.
pub fn region() -> &'static str {
    home().0.as_str()
}

/// The account in every name.
pub fn account() -> &'static str {
    home().1.as_str()
}

/// The availability zone that everything is in: there is one host.
pub fn availability_zone() -> String {
    format!("{}a", region())
}

/// Of whatever `resource` says within a service of AWS.
pub fn arn(service: &str, resource: impl Display) -> String {
    format!("arn:aws:{service}:{}:{}:{resource}", region(), account())
}

/// Of a cluster.
pub fn cluster_arn(cluster: &ClusterName) -> String {
    arn("ecs", format_args!("cluster/{cluster}"))
}

/// Of a task.
pub fn task_arn(cluster: &ClusterName, task: &TaskId) -> String {
    arn("ecs", format_args!("task/{cluster}/{task}"))
}

/// Of a container, which ECS tells by an identifier of its own: a UUID.
pub fn container_arn(cluster: &ClusterName, task: &TaskId, uuid: &str) -> String {
    arn("ecs", format_args!("container/{cluster}/{task}/{uuid}"))
}

/// Of a service.
pub fn service_arn(service: &ServiceKey) -> String {
    let ServiceKey { cluster, name } = service;
    arn("ecs", format_args!("service/{cluster}/{name}"))
}

/// Of a deployment of a service.
pub fn service_deployment_arn(service: &ServiceKey, deployment: &DeploymentId) -> String {
    let ServiceKey { cluster, name } = service;
    let number = deployment.number();
    let resource = format_args!("service-deployment/{cluster}/{name}/{number}");
    arn("ecs", resource)
}

/// Of a task set, whose ID has a slash of its own.
pub fn task_set_arn(service: &ServiceKey, id: &DeploymentId) -> String {
    let ServiceKey { cluster, name } = service;
    arn("ecs", format_args!("task-set/{cluster}/{name}/{id}"))
}

/// Of a revision of a service.
pub fn service_revision_arn(service: &ServiceKey, revision: &ServiceRevisionId) -> String {
    let ServiceKey { cluster, name } = service;
    let resource = format_args!("service-revision/{cluster}/{name}/{revision}");
    arn("ecs", resource)
}

/// Of a revision of a task definition.
pub fn task_definition_arn(revision: &FamilyRevision) -> String {
    arn("ecs", format_args!("task-definition/{revision}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_region_or_account_is_refused() {
        for region in [
            "us-east-1",
            "eu-central-2",
            "us-gov-west-1",
            "ap-southeast-4",
        ] {
            assert_eq!(region.parse::<Region>().unwrap().as_str(), region);
        }
        for region in [
            "",
            "us",
            "us-east",
            "US-EAST-1",
            "us-east-1a",
            "us--1",
            "-1",
            "eu/west-1",
            "eu-west-1:",
        ] {
            assert!(region.parse::<Region>().is_err(), "{region}");
        }
        assert!("123456789012".parse::<AccountId>().is_ok());
        for account in [
            "",
            "12345678901",
            "1234567890123",
            "12345678901a",
            "١23456789012",
        ] {
            assert!(account.parse::<AccountId>().is_err(), "{account}");
        }
    }
}
