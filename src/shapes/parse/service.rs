//! Requests to create and to change services.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::run_task::name;
use super::{Formed, environment, finish, form};
use crate::control::{ConfigurationChange, CreateService, UpdateService};
use crate::domain::{
    self, CircuitBreaker, ClusterName, DEFAULT_CLUSTER, DurationMs, Faults, KEPT_IN_REVISIONS,
    ServiceConfiguration, ServiceKey, ServiceName, TaskDefinitionReference,
};
use crate::shapes::document::Document;
use crate::shapes::schema::Schema;
use crate::shapes::{
    CreateServiceRequest, DeploymentConfiguration, DeploymentController, PropagateTags,
    SchedulingStrategy, UpdateServiceRequest, path, support,
};

static CREATE: LazyLock<Schema> = LazyLock::new(Schema::of::<CreateServiceRequest>);
static UPDATE: LazyLock<Schema> = LazyLock::new(Schema::of::<UpdateServiceRequest>);

/// What was asked for, and what its sender should know.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedService<T> {
    /// What was asked for.
    pub request: T,
    /// By which a repeated request is known.
    pub client_token: Option<String>,
    /// Fields that have no effect here, each with the reason.
    pub warnings: Vec<String>,
}

impl ParsedService<CreateService> {
    /// What `document` asks for, or all that is wrong with it. It must not ask for another cluster than `around`, if
    /// that is given.
    pub fn create(document: &Document, around: Option<&ClusterName>) -> Result<Self, Faults> {
        let Formed {
            request,
            value,
            faults: form,
        } = form::<CreateServiceRequest>(document, &CREATE);
        let mut faults = Faults::default();
        let warnings = support::judge_service(&value, &mut faults);
        let mut parsed = create(&request, around, &mut faults);
        if let Some(request) = &mut parsed {
            request.configuration.settings.keep(&kept(&value));
            request.notes.clone_from(&warnings);
        }
        let client_token = request.client_token;
        let parsed = parsed.map(|request| Self {
            request,
            client_token,
            warnings,
        });
        finish(parsed, document, form, &faults)
    }
}

impl ParsedService<UpdateService> {
    /// What `document` asks for, or all that is wrong with it.
    pub fn update(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request,
            value,
            faults: form,
        } = form::<UpdateServiceRequest>(document, &UPDATE);
        let mut faults = Faults::default();
        let warnings = support::judge_service(&value, &mut faults);
        let parsed = update(&request, &mut faults).map(|request| UpdateService {
            kept: kept(&value),
            notes: warnings.clone(),
            ..request
        });
        let parsed = parsed.map(|request| Self {
            request,
            client_token: None,
            warnings,
        });
        finish(parsed, document, form, &faults)
    }
}

fn create(
    request: &CreateServiceRequest,
    around: Option<&ClusterName>,
    faults: &mut Faults,
) -> Option<CreateService> {
    let sent = request.cluster.as_deref();
    if let (Some(sent), Some(around)) =
        (sent, around.filter(|around| Some(around.as_str()) != sent))
    {
        faults.add_with_hint(
            "cluster",
            format!("is {}, but `{around}` was named besides", path::quote(sent)),
            "name one of the two",
        );
    }
    let otherwise = around.map_or(DEFAULT_CLUSTER, ClusterName::as_str);
    let cluster = name::<ClusterName>(sent.unwrap_or(otherwise), "cluster", faults);
    let service = name::<ServiceName>(&request.service_name, "serviceName", faults);
    let controller = controller(request.deployment_controller.as_ref());
    let controller = controller.unwrap_or_default();
    let is_external = controller == domain::DeploymentController::External;
    let sent = &request.task_definition;
    if is_external && !sent.is_empty() {
        faults.add_with_hint(
            "taskDefinition",
            "is there, but what a service with an EXTERNAL deployment controller runs, its task sets say",
            "take it out, and make a task set: aws ecs create-task-set",
        );
    }
    let definition = match (is_external, sent.is_empty()) {
        (true, _) => None,
        (false, true) => {
            faults.add("taskDefinition", "is missing");
            Some(None)
        }
        (false, false) => Some(name::<TaskDefinitionReference>(
            sent,
            "taskDefinition",
            faults,
        )),
    };
    let tags = environment::tags(request.tags.as_ref(), "tags", faults);
    let strategy = request.scheduling_strategy.unwrap_or_default();
    match (strategy, request.desired_count) {
        (SchedulingStrategy::Replica, None) => faults.add_with_hint(
            "desiredCount",
            "is missing",
            "say how many tasks the service is to have, as desiredCount: 2",
        ),
        (SchedulingStrategy::Daemon, _) if is_external => faults.add_with_hint(
            "schedulingStrategy",
            "is DAEMON, but task sets have shares of a desired count",
            "schedulingStrategy: REPLICA",
        ),
        (SchedulingStrategy::Daemon, Some(_)) => faults.add_with_hint(
            "desiredCount",
            "is there, but a DAEMON has one task on each host",
            "take it out, or schedulingStrategy: REPLICA",
        ),
        _ => {}
    }
    let mut configuration = match strategy {
        SchedulingStrategy::Replica => ServiceConfiguration {
            controller,
            ..ServiceConfiguration::default()
        },
        // As in ECS: the old task of a host makes room for the new one.
        SchedulingStrategy::Daemon => ServiceConfiguration {
            scheduling_strategy: domain::SchedulingStrategy::Daemon,
            minimum_healthy_percent: 0,
            maximum_percent: 100,
            ..ServiceConfiguration::default()
        },
    };
    let desired_count = request.desired_count.unwrap_or_default();
    let change = change(
        request.deployment_configuration.as_ref(),
        request.health_check_grace_period_seconds,
    );
    let change = ConfigurationChange {
        enable_execute_command: request.enable_execute_command,
        propagate_tags: request.propagate_tags.map(Into::into),
        enable_ecs_managed_tags: request.enable_ecs_managed_tags,
        ..change
    };
    change.apply(&mut configuration);
    faults.extend(configuration.faults(desired_count).iter().cloned());
    Some(CreateService {
        key: ServiceKey {
            cluster: cluster?,
            name: service?,
        },
        definition: match definition {
            Some(parsed) => Some(parsed?),
            None => None,
        },
        desired_count,
        configuration,
        tags,
        notes: Vec::new(),
        client: None,
        client_token: None,
    })
}

fn update(request: &UpdateServiceRequest, faults: &mut Faults) -> Option<UpdateService> {
    let definition = match &request.task_definition {
        Some(text) => Some(name::<TaskDefinitionReference>(
            text,
            "taskDefinition",
            faults,
        )?),
        None => None,
    };
    let change = change(
        request.deployment_configuration.as_ref(),
        request.health_check_grace_period_seconds,
    );
    let change = ConfigurationChange {
        enable_execute_command: request.enable_execute_command,
        propagate_tags: request.propagate_tags.map(Into::into),
        enable_ecs_managed_tags: request.enable_ecs_managed_tags,
        ..change
    };
    // What stays was checked when it was set.
    let mut changed = ServiceConfiguration::default();
    change.apply(&mut changed);
    let found = changed.faults(request.desired_count.unwrap_or_default());
    faults.extend(found.iter().cloned());
    Some(UpdateService {
        definition,
        desired_count: request.desired_count,
        configuration: change,
        force_new_deployment: request.force_new_deployment.unwrap_or_default(),
        controller: controller(request.deployment_controller.as_ref()),
        ..UpdateService::default()
    })
}

/// Who is to carry deployments out, if that is said; what is neither is refused by the table.
fn controller(sent: Option<&DeploymentController>) -> Option<domain::DeploymentController> {
    domain::DeploymentController::parse(&sent?.kind)
}

impl From<PropagateTags> for domain::PropagateTags {
    fn from(sent: PropagateTags) -> Self {
        match sent {
            PropagateTags::TaskDefinition => Self::TaskDefinition,
            PropagateTags::Service => Self::Service,
            PropagateTags::None => Self::None,
        }
    }
}

/// The fields that a revision of a service keeps, as they were sent.
fn kept(sent: &Value) -> BTreeMap<String, Value> {
    let given = |name: &str| sent.get(name).filter(|value| !value.is_null()).cloned();
    KEPT_IN_REVISIONS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), given(name)?)))
        .collect()
}

fn change(
    configuration: Option<&DeploymentConfiguration>,
    grace_period_seconds: Option<u32>,
) -> ConfigurationChange {
    let breaker = configuration.and_then(|sent| sent.deployment_circuit_breaker);
    ConfigurationChange {
        minimum_healthy_percent: configuration.and_then(|sent| sent.minimum_healthy_percent),
        maximum_percent: configuration.and_then(|sent| sent.maximum_percent),
        circuit_breaker: breaker.map(|breaker| CircuitBreaker {
            enable: breaker.enable,
            rollback: breaker.rollback,
        }),
        health_check_grace_period: grace_period_seconds.map(DurationMs::from_secs),
        ..ConfigurationChange::default()
    }
}
