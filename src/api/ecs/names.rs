//! What a name can be: the name itself, or an ARN, short or long.
//!
//! ARNs of another account or region are refused, as ECS does: they are of something that is not here.

use super::error::EcsError;
use crate::domain::{
    self, ClusterName, DeploymentId, FamilyRevision, ServiceKey, ServiceName, ServiceRevisionId,
    TaskDefinitionReference, TaskId,
};

/// What follows on the account in an ARN: `task`, and `blue/0123…`.
fn resource(arn: &str) -> Result<(&str, &str), EcsError> {
    let invalid = |what: String| EcsError::parameter(format!("Invalid identifier: {what}"));
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let &["arn", _, service, region, account, resource] = parts.as_slice() else {
        return Err(invalid("Unexpected number of separators".to_owned()));
    };
    if service != "ecs" {
        return Err(invalid(format!("Identifier is for {}", shown(service))));
    }
    if account != domain::account() || region != domain::region() {
        return Err(invalid(format!(
            "Identifier is for {} in {}. Your accountId is {}, in {}",
            shown(account),
            shown(region),
            domain::account(),
            domain::region()
        )));
    }
    resource
        .split_once('/')
        .ok_or_else(|| invalid("Unexpected number of separators".to_owned()))
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What follows on `kind/`, where `text` is an ARN; the text itself otherwise.
fn plain<'a>(text: &'a str, kind: &str) -> Result<&'a str, EcsError> {
    if !text.starts_with("arn:") {
        return Ok(text);
    }
    match resource(text)? {
        (found, name) if found == kind => Ok(name),
        (found, _) => Err(EcsError::parameter(format!(
            "Invalid identifier: Identifier is for {}, and a {kind} is needed",
            shown(found)
        ))),
    }
}

/// The name of something in a cluster: what is behind the cluster of a long ARN, which must be `cluster`.
fn within<'a>(text: &'a str, kind: &str, cluster: &ClusterName) -> Result<&'a str, EcsError> {
    match plain(text, kind)?.split_once('/') {
        None => plain(text, kind),
        Some((named, name)) if named == cluster.as_str() => Ok(name),
        Some((named, _)) => Err(EcsError::parameter(format!(
            "Invalid identifier: Identifier is for {}. Your cluster is {cluster}",
            shown(named)
        ))),
    }
}

/// A cluster by its name or ARN.
pub(super) fn cluster(text: &str) -> Result<ClusterName, EcsError> {
    Ok(plain(text, "cluster")?.parse()?)
}

/// A task of `cluster` by its ID or ARN.
pub(super) fn task(text: &str, cluster: &ClusterName) -> Result<TaskId, EcsError> {
    within(text, "task", cluster)?
        .parse()
        .map_err(|_| EcsError::parameter("taskId length should be one of [32,36]"))
}

/// A service of `cluster` by its name or ARN.
pub(super) fn service(text: &str, cluster: &ClusterName) -> Result<ServiceKey, EcsError> {
    let name: ServiceName = within(text, "service", cluster)?.parse()?;
    Ok(ServiceKey {
        cluster: cluster.clone(),
        name,
    })
}

/// A task definition: `family`, `family:revision` or an ARN.
pub(super) fn task_definition(text: &str) -> Result<TaskDefinitionReference, EcsError> {
    Ok(plain(text, "task-definition")?.parse()?)
}

/// A service and what is behind it in an ARN of this kind, which there must be.
fn of_service<'a>(arn: &'a str, kind: &str) -> Result<(ServiceKey, &'a str), EcsError> {
    let parts: Vec<&str> = plain(arn, kind)?.split('/').collect();
    match parts.as_slice() {
        &[cluster, name, id] if arn.starts_with("arn:") => {
            let key = ServiceKey {
                cluster: cluster.parse()?,
                name: name.parse()?,
            };
            Ok((key, id))
        }
        _ => Err(EcsError::parameter(format!(
            "Invalid identifier: the ARN of a {kind} is needed"
        ))),
    }
}

/// A deployment of a service, by its ARN.
pub(super) fn service_deployment(arn: &str) -> Result<(ServiceKey, DeploymentId), EcsError> {
    let (key, number) = of_service(arn, "service-deployment")?;
    let id = DeploymentId::of_number(number).ok_or_else(|| {
        EcsError::parameter("Invalid identifier: a service deployment has 19 digits")
    })?;
    Ok((key, id))
}

/// A task set of a service: its ID, or its ARN.
pub(super) fn task_set(text: &str, service: &ServiceKey) -> Result<DeploymentId, EcsError> {
    let within = format!("{}/{}/", service.cluster, service.name);
    let name = plain(text, "task-set")?;
    let id = if text.starts_with("arn:") {
        name.strip_prefix(&within).ok_or_else(|| {
            EcsError::parameter(format!(
                "Invalid identifier: the task set is not one of service {}",
                service.name
            ))
        })?
    } else {
        name
    };
    let number = id.strip_prefix("ecs-svc/").unwrap_or(id);
    DeploymentId::of_number(number)
        .ok_or_else(|| EcsError::parameter("Invalid identifier: a task set has 19 digits"))
}

/// A revision of a service, by its ARN.
pub(super) fn service_revision(arn: &str) -> Result<(ServiceKey, ServiceRevisionId), EcsError> {
    let (key, number) = of_service(arn, "service-revision")?;
    Ok((key, number.parse()?))
}

/// A capacity provider: its name or its ARN.
pub(super) fn capacity_provider(text: &str) -> Result<&str, EcsError> {
    plain(text, "capacity-provider")
}

/// The ID of a container instance of `cluster`: the ID itself or its ARN.
pub(super) fn container_instance<'a>(
    text: &'a str,
    cluster: &ClusterName,
) -> Result<&'a str, EcsError> {
    within(text, "container-instance", cluster)
}

/// What has tags.
pub(super) enum Tagged {
    CapacityProvider(String),
    Cluster(ClusterName),
    ContainerInstance(ClusterName, String),
    Task(ClusterName, TaskId),
    Service(ServiceKey),
    TaskDefinition(FamilyRevision),
    TaskSet(ServiceKey, DeploymentId),
}

/// What an ARN names.
pub(super) fn tagged(arn: &str) -> Result<Tagged, EcsError> {
    let (kind, name) = resource(arn)?;
    let in_cluster = || {
        let split = name.split_once('/');
        split.ok_or_else(|| {
            EcsError::parameter("Long arn format must be used for tagging operations")
        })
    };
    match kind {
        "capacity-provider" => Ok(Tagged::CapacityProvider(name.to_owned())),
        "cluster" => Ok(Tagged::Cluster(name.parse()?)),
        "container-instance" => {
            let (cluster, id) = in_cluster()?;
            Ok(Tagged::ContainerInstance(cluster.parse()?, id.to_owned()))
        }
        "task" => {
            let (cluster, id) = in_cluster()?;
            Ok(Tagged::Task(cluster.parse()?, id.parse()?))
        }
        "service" => {
            let (cluster, name) = in_cluster()?;
            Ok(Tagged::Service(ServiceKey {
                cluster: cluster.parse()?,
                name: name.parse()?,
            }))
        }
        "task-definition" => {
            let TaskDefinitionReference { family, revision } = name.parse()?;
            let revision = revision
                .ok_or_else(|| EcsError::parameter("Invalid identifier: Revision is missing."))?;
            Ok(Tagged::TaskDefinition(FamilyRevision { family, revision }))
        }
        "task-set" => {
            let parts: Vec<&str> = name.splitn(3, '/').collect();
            let &[cluster, service, _] = parts.as_slice() else {
                return Err(EcsError::parameter(
                    "Invalid identifier: the ARN of a task set is needed",
                ));
            };
            let key = ServiceKey {
                cluster: cluster.parse()?,
                name: service.parse()?,
            };
            let id = task_set(arn, &key)?;
            Ok(Tagged::TaskSet(key, id))
        }
        _ => Err(EcsError::parameter(
            "The specified resource has no tags here. Specify a cluster, a capacity provider, a container instance, a task, a service, a task set or a task definition.",
        )),
    }
}

#[cfg(test)]
mod unit_tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{cluster_arn, service_arn, task_arn};

    fn message<T>(result: Result<T, EcsError>) -> String {
        match result {
            Err(EcsError::Refused { message, .. }) => message,
            Err(EcsError::Failed(_)) => panic!("it failed"),
            Ok(_) => panic!("it was accepted"),
        }
    }

    #[test]
    fn names_and_short_and_long_arns_mean_the_same() {
        let blue: ClusterName = "blue".parse().unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        for text in [
            id.to_owned(),
            format!("arn:aws:ecs:us-east-1:000000000000:task/{id}"),
            format!("arn:aws:ecs:us-east-1:000000000000:task/blue/{id}"),
        ] {
            assert_eq!(task(&text, &blue).unwrap().as_str(), id, "{text}");
        }
        for text in [
            "web",
            "arn:aws:ecs:us-east-1:000000000000:service/web",
            "arn:aws:ecs:us-east-1:000000000000:service/blue/web",
        ] {
            assert_eq!(service(text, &blue).unwrap().name.as_str(), "web", "{text}");
        }
        for text in ["blue", "arn:aws:ecs:us-east-1:000000000000:cluster/blue"] {
            assert_eq!(cluster(text).unwrap(), blue, "{text}");
        }
        let definition = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:7";
        assert_eq!(task_definition(definition).unwrap().to_string(), "web:7");
    }

    #[test]
    fn what_is_not_here_is_refused_by_name() {
        let blue: ClusterName = "blue".parse().unwrap();
        for (text, said) in [
            ("arn:aws:ecs:us-east-1", "Unexpected number of separators"),
            (
                "arn:aws:ecs:us-east-1:000000000000:service",
                "Unexpected number of separators",
            ),
            (
                "arn:aws:ecs:eu-west-1:000000000000:service/blue/web",
                "Identifier is for 000000000000 in eu-west-1",
            ),
            (
                "arn:aws:ecs:us-east-1:123456789012:service/blue/web",
                "Identifier is for 123456789012",
            ),
            (
                "arn:aws:ecs:us-east-1:000000000000:service/red/web",
                "Identifier is for red. Your cluster is blue",
            ),
            (
                "arn:aws:ecs:us-east-1:000000000000:cluster/blue",
                "a service is needed",
            ),
            ("arn:aws:s3:::bucket", "Identifier is for s3"),
        ] {
            let found = message(service(text, &blue));
            assert!(found.contains(said), "{text}: {found}");
        }
        assert_eq!(
            message(task("0123", &blue)),
            "taskId length should be one of [32,36]"
        );
    }

    proptest! {
        /// Whoever reads it as what.
        #[test]
        fn no_text_makes_a_reader_of_names_panic(
            text in "(arn:(aws)?:(ecs|logs)?:(us-east-1)?:(000000000000)?:)?[a-z-]{0,20}[/:]?[a-z0-9/:-]{0,60}|\\PC{0,40}",
        ) {
            let key = ServiceKey { cluster: "blue".parse().unwrap(), name: "web".parse().unwrap() };
            let _ = (cluster(&text), task(&text, &key.cluster), service(&text, &key.cluster));
            let _ = (task_definition(&text), service_deployment(&text), service_revision(&text));
            let _ = task_set(&text, &key);
        }

        /// As they are given out, so they are understood.
        #[test]
        fn every_arn_leads_back_to_what_it_is_of(
            (in_cluster, name) in ("[a-zA-Z0-9_-]{1,255}", "[a-zA-Z0-9_-]{1,255}"),
            id in "[0-9a-f]{32}",
        ) {
            let key = ServiceKey { cluster: in_cluster.parse().unwrap(), name: name.parse().unwrap() };
            let id: TaskId = id.parse().unwrap();
            prop_assert_eq!(cluster(&cluster_arn(&key.cluster)).ok(), Some(key.cluster.clone()));
            prop_assert_eq!(task(&task_arn(&key.cluster, &id), &key.cluster).ok(), Some(id));
            prop_assert_eq!(service(&service_arn(&key), &key.cluster).ok(), Some(key.clone()));
        }
    }
}
