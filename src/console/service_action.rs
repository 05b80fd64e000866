//! What one can do with a service. Each act has a page of its own that says what will happen and asks; the form on it does
//! it, and leads back.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::form::Action;
use super::frame::{Frame, Nav};
use super::overview::service_path;
use super::service::key;
use super::visit::Visit;
use crate::api::{ApiError, Kind};
use crate::control::{StopType, UpdateService};
use crate::domain::{ClientName, MAX_DESIRED_COUNT, ServiceKey, TaskDefinitionReference};
use crate::shapes::Service;

/// What the console calls itself where it is told who asked.
pub(super) const CLIENT: &str = "console";

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route(
        "/services/{cluster}/{service}/{act}",
        get(ask).post(carry_out),
    )
}

/// What one can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Scale,
    Deploy,
    RollBack,
    StopDeployment,
    Stop,
    Delete,
}

impl Act {
    const ALL: [Self; 6] = [
        Self::Scale,
        Self::Deploy,
        Self::RollBack,
        Self::StopDeployment,
        Self::Stop,
        Self::Delete,
    ];

    /// As paths have it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Scale => "scale",
            Self::Deploy => "deploy",
            Self::RollBack => "roll-back",
            Self::StopDeployment => "stop-deployment",
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }

    /// The act of that word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.word() == word)
    }

    /// As the link to it has it; the page that asks adds the three points.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Scale => "Scale…",
            Self::Deploy => "Deploy…",
            Self::RollBack => "Roll back…",
            Self::StopDeployment => "Stop the deployment…",
            Self::Stop => "Stop all tasks…",
            Self::Delete => "Delete…",
        }
    }

    /// What is said when it was asked for.
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Scale => "It is being scaled.",
            Self::Deploy => "A new deployment has begun.",
            Self::RollBack => "It is being rolled back.",
            Self::StopDeployment => "The deployment was stopped.",
            Self::Stop => "Its tasks are being stopped.",
            Self::Delete => "It is being deleted.",
        }
    }

    /// What can be done with `service` as it is, and where there is a revision to go back to, or none.
    pub(super) fn possible(service: &Service, can_go_back: bool) -> impl Iterator<Item = Self> {
        let is_active = service.status == "ACTIVE";
        let is_counted = service.scheduling_strategy == "REPLICA";
        let is_deploying = in_progress(service).is_some();
        let has_tasks = service.desired_count > 0;
        Self::ALL.into_iter().filter(move |act| {
            is_active
                && match act {
                    Self::Scale => is_counted,
                    Self::Deploy | Self::Delete => true,
                    Self::RollBack => can_go_back,
                    Self::StopDeployment => is_deploying,
                    Self::Stop => is_counted && has_tasks,
                }
        })
    }
}

/// The deployment that is on its way.
fn in_progress(service: &Service) -> Option<&str> {
    let primary = service.deployments.first()?;
    (primary.service_deployment_status == "IN_PROGRESS").then_some(primary.id.as_str())
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    frame: Frame,
    /// Where the form goes.
    action: String,
    /// Where one goes who does not want it.
    back: String,
    /// What will happen.
    sentences: Vec<String>,
    /// The number that is asked for: as it is, and the highest.
    count: Option<(u32, u32)>,
    /// Whether a revision can be named: the one that is deployed.
    definition: Option<String>,
    /// The deployment that it is about.
    deployment: Option<String>,
    button: &'static str,
    is_dangerous: bool,
    /// The same on the command line.
    command: String,
}

async fn ask(
    visit: Visit,
    Path((cluster, name, act)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (key, act) = (key(&cluster, &name)?, act_of(&act)?);
    let view = visit.control().service(&key).await?;
    let service = Service::of(&view, visit.now);
    if service.status != "ACTIVE" {
        return Err(ApiError::new(
            Kind::Conflict,
            format!("service \"{name}\" is {}", service.status),
        )
        .hint("what was deleted can only be made anew: neargate service create"));
    }
    let back_to = match act {
        Act::RollBack => visit.control().way_back(&view.service).await?,
        _ => None,
    };
    let back_to = back_to.map(|target| target.task_definition.to_string());
    let label = act.label().trim_end_matches('…');
    let path = service_path(&cluster, &name);
    let page = ConfirmPage {
        frame: Frame {
            is_live: false,
            ..visit.frame(Nav::Overview, format!("{label}: {name}"))
        },
        action: format!("{path}/{}", act.word()),
        back: path,
        sentences: sentences(act, &service, back_to.as_deref()),
        count: (act == Act::Scale).then_some((service.desired_count, MAX_DESIRED_COUNT)),
        definition: (act == Act::Deploy)
            .then(|| service.task_definition.clone().unwrap_or_default()),
        deployment: (act == Act::StopDeployment)
            .then(|| in_progress(&service).unwrap_or_default().to_owned()),
        button: label,
        is_dangerous: matches!(act, Act::Stop | Act::Delete | Act::StopDeployment),
        command: command(act, &key),
    };
    visit.show(&page)
}

fn act_of(word: &str) -> Result<Act, ApiError> {
    Act::parse(word).ok_or_else(|| {
        ApiError::new(Kind::NoSuchRoute, "a service cannot do that")
            .hint("the service's page has what can be done with it")
    })
}

/// What will happen.
fn sentences(act: Act, service: &Service, back_to: Option<&str>) -> Vec<String> {
    let (desired, running) = (service.desired_count, service.running_count);
    let definition = service.task_definition.as_deref().unwrap_or("its revision");
    let bounds = "At no time are there fewer healthy tasks than its lower bound says, or more tasks than its upper bound \
                  allows.";
    match act {
        Act::Scale => vec![
            format!("It is to have {desired} tasks, and {running} run."),
            "With more, new tasks are started; with fewer, the surplus is stopped, each with its stop timeout.".to_owned(),
        ],
        Act::Deploy => vec![
            format!("All {desired} tasks are replaced by new ones, step by step. Now it runs {definition}."),
            bounds.to_owned(),
            "A deployment that is in progress is left for this one.".to_owned(),
        ],
        Act::RollBack => vec![
            match back_to {
                Some(back) => format!("Its tasks are replaced by tasks of {back}, the last revision that was deployed completely."),
                None => "There is no earlier revision that was deployed completely, so nothing will happen.".to_owned(),
            },
            bounds.to_owned(),
        ],
        Act::StopDeployment => vec![
            match in_progress(service) {
                Some(id) => format!("The deployment {id} of {definition} is given up: it starts no more tasks."),
                None => "There is no deployment in progress, so nothing will happen.".to_owned(),
            },
            "Tasks that it has started go on. To go back to what ran before, roll back instead.".to_owned(),
        ],
        Act::Stop => vec![
            format!("It is to have no tasks: the {running} that run are stopped, each with its stop timeout."),
            "The service stays. Scale it to have tasks again.".to_owned(),
        ],
        Act::Delete => vec![
            format!("The service is deleted, and its {running} running tasks are stopped, each with its stop timeout."),
            "This cannot be undone; what is known of its tasks, and its logs as long as they are kept, stay.".to_owned(),
        ],
    }
}

/// The same on the command line.
fn command(act: Act, key: &ServiceKey) -> String {
    let ServiceKey { cluster, name } = key;
    let rest = match act {
        Act::Scale => format!("scale {name} COUNT"),
        Act::Deploy => format!("update {name} --force-new-deployment"),
        Act::RollBack => format!("rollback {name}"),
        Act::StopDeployment => {
            return format!("aws ecs stop-service-deployment --stop-type ABORT …  # {name}");
        }
        Act::Stop => format!("scale {name} 0"),
        Act::Delete => format!("delete {name} --force"),
    };
    format!("neargate service {rest} --cluster {cluster}")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    count: String,
    definition: String,
    deployment: String,
}

async fn carry_out(
    Path((cluster, name, act)): Path<(String, String, String)>,
    Action { visit, form }: Action<Sent>,
) -> Result<Response, ApiError> {
    let (key, act) = (key(&cluster, &name)?, act_of(&act)?);
    let control = visit.control();
    let client: Option<ClientName> = CLIENT.parse().ok();
    let update = UpdateService {
        client: client.clone(),
        ..UpdateService::default()
    };
    match act {
        Act::Scale => {
            let change = UpdateService {
                desired_count: Some(count(&form.count)?),
                ..update
            };
            control.update_service(&key, change).await?;
        }
        Act::Stop => {
            let change = UpdateService {
                desired_count: Some(0),
                ..update
            };
            control.update_service(&key, change).await?;
        }
        Act::Deploy => {
            let change = UpdateService {
                definition: definition(&form.definition)?,
                force_new_deployment: true,
                ..update
            };
            control.update_service(&key, change).await?;
        }
        Act::RollBack => {
            control.roll_back_service(&key, client).await?;
        }
        Act::StopDeployment => {
            let number = form.deployment.trim_start_matches("ecs-svc/");
            let Some(id) = crate::domain::DeploymentId::of_number(number) else {
                return Err(
                    ApiError::new(Kind::Conflict, "there is no deployment in progress")
                        .hint("go back to the service's page and look how it is"),
                );
            };
            control
                .stop_service_deployment(&key, &id, StopType::Abort, client)
                .await?;
        }
        Act::Delete => {
            control.delete_service(&key, true).await?;
        }
    }
    let path = service_path(&cluster, &name);
    Ok(visit.go_on(&format!("{path}?done={}", act.word())))
}

/// A number of tasks.
pub(super) fn count(text: &str) -> Result<u32, ApiError> {
    text.trim().parse().map_err(|_| {
        ApiError::new(
            Kind::InvalidRequest,
            "the number of tasks is no whole number",
        )
        .hint(format!(
            "go back and write one from 0 to {MAX_DESIRED_COUNT}"
        ))
    })
}

fn definition(text: &str) -> Result<Option<TaskDefinitionReference>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| {
        ApiError::new(Kind::InvalidRequest, format!("the revision: {error}")).hint(
            "go back and write family or family:revision, or nothing to deploy the same again",
        )
    })
}
