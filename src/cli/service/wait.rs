//! Waits until a service is in a steady state, or its deployment has come to nothing, and says how it gets on.
//!
//! Only the deployment that the command has begun counts: one that took over from it is not what was asked for. After
//! a rollback by the circuit breaker the wait goes on until the service is steady again, and is then a failure: a
//! script that reads the exit code knows that nothing moves any more.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::cli::backoff::Backoff;
use crate::cli::client::Answer;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::run::interrupted;
use crate::cli::{Session, show_service_hint};
use crate::shapes::{Service, ServiceDeployment};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Among so many deployments the one that was begun is looked for.
const HISTORY: u32 = 100;

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is on its way.
    Going,
    /// It has come to what was wanted.
    Steady,
    /// It will not, and why.
    Failed(String),
    /// It failed, and the service is as it was before.
    RolledBack,
}

/// Waits; gives the service as it was in the end, as the API said it.
pub(super) async fn until_steady(session: &mut Session, begun: &Service) -> Result<Value, Failure> {
    let name = begun.service_name.clone();
    tokio::select! {
        ended = watch(session, begun) => ended,
        () = interrupted() => Err(Failure::new("interrupted")
            .hint(format!("the service goes on; {}", show_service_hint(&name)))
            .with_code(exit::INTERRUPTED)),
    }
}

async fn watch(session: &mut Session, begun: &Service) -> Result<Value, Failure> {
    let (cluster, name) = (&begun.cluster, &begun.service_name);
    let target = begun.deployments.first().map_or("", |one| &one.id);
    let mut said = String::new();
    let mut backoff = Backoff::default();
    loop {
        let Answer {
            value: service,
            document,
        } = match session.client.service(cluster, name).await {
            Ok(answer) => answer,
            Err(error) => {
                let delay = backoff.failed().filter(|_| error.retryable());
                let Some(delay) = delay else {
                    return Err(error.into());
                };
                tokio::time::sleep(delay).await;
                continue;
            }
        };
        backoff.succeeded();
        let line = progress(&service);
        if line != said {
            session.console.talk(&line);
            said = line;
        }
        let reason = match verdict(&service, target) {
            Verdict::Going => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Verdict::Steady => return Ok(document),
            Verdict::Failed(reason) => reason,
            Verdict::RolledBack => {
                let history = session.client.deployments(cluster, name, HISTORY).await?;
                let failed = history.value.items.iter().find(|one| one.id == target);
                let back = service.task_definition.unwrap_or_default();
                let why = failed.map_or_else(|| "it failed".to_owned(), failure);
                format!("service {name} was rolled back to {back}: {why}")
            }
        };
        return Err(Failure::new(reason).hint(show_service_hint(name)));
    }
}

/// How the service got on with the deployment `target`.
fn verdict(service: &Service, target: &str) -> Verdict {
    let name = &service.service_name;
    if service.status != "ACTIVE" {
        return Verdict::Failed(format!("service {name} was deleted"));
    }
    let Some(primary) = service.deployments.first() else {
        return Verdict::Going;
    };
    let is_steady = service.steady && primary.rollout_state == "COMPLETED";
    match (primary.id == target, primary.rollout_state.as_str()) {
        (_, "FAILED") => Verdict::Failed(format!(
            "deployment {} of {} has failed: {}",
            primary.id,
            primary.task_definition,
            failure(primary)
        )),
        (true, _) if is_steady => Verdict::Steady,
        (false, _) if primary.cause != "circuitBreaker" => Verdict::Failed(format!(
            "another deployment of service {name} has taken over: {} of {}",
            primary.id, primary.task_definition
        )),
        (false, _) if is_steady => Verdict::RolledBack,
        _ => Verdict::Going,
    }
}

/// Why a deployment failed, with the last of its tasks that did.
fn failure(deployment: &ServiceDeployment) -> String {
    match &deployment.last_failure {
        Some(last) => format!(
            "{} Task {} said: {}",
            deployment.rollout_state_reason, last.task_id, last.reason
        ),
        None => deployment.rollout_state_reason.clone(),
    }
}

/// `web: 1 of 2 tasks of web:2 run, 1 is on its way, 2 are older: 1 task waits: to be healthy`
fn progress(service: &Service) -> String {
    let Some(primary) = service.deployments.first() else {
        return format!("{}: {}", service.service_name, service.status);
    };
    let mut line = format!(
        "{}: {} of {} tasks of {} running, {} pending",
        service.service_name,
        primary.running_count,
        primary.desired_count,
        primary.task_definition,
        primary.pending_count
    );
    let older: u32 = service.deployments[1..]
        .iter()
        .map(|one| one.running_count + one.pending_count)
        .sum();
    if older > 0 {
        // Writing to a string cannot fail.
        let _ = write!(line, ", {older} older");
    }
    match &service.waiting {
        Some(waiting) => line + "; " + waiting,
        None if service.steady => line + "; steady",
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::ServiceTaskFailure;

    fn deployment(id: &str, state: &str, cause: &str) -> ServiceDeployment {
        ServiceDeployment {
            id: id.to_owned(),
            task_definition: "web:2".to_owned(),
            desired_count: 2,
            running_count: 1,
            pending_count: 1,
            rollout_state: state.to_owned(),
            rollout_state_reason: "tasks failed to start.".to_owned(),
            cause: cause.to_owned(),
            last_failure: Some(ServiceTaskFailure {
                task_id: "0123".to_owned(),
                reason: "no such image".to_owned(),
                ..ServiceTaskFailure::default()
            }),
            ..ServiceDeployment::default()
        }
    }

    fn service(steady: bool, deployments: Vec<ServiceDeployment>) -> Service {
        Service {
            service_name: "web".to_owned(),
            status: "ACTIVE".to_owned(),
            steady,
            deployments,
            ..Service::default()
        }
    }

    #[test]
    fn only_the_deployment_that_was_begun_counts() {
        let going = deployment("b", "IN_PROGRESS", "user");
        assert_eq!(verdict(&service(false, vec![going]), "b"), Verdict::Going);
        let done = || deployment("b", "COMPLETED", "user");
        assert_eq!(verdict(&service(true, vec![done()]), "b"), Verdict::Steady);
        // It is complete, and has lost a task since.
        assert_eq!(verdict(&service(false, vec![done()]), "b"), Verdict::Going);
        let Verdict::Failed(why) = verdict(&service(true, vec![done()]), "a") else {
            panic!("another one has taken over");
        };
        assert!(why.contains("has taken over"), "{why}");
    }

    #[test]
    fn a_failure_says_what_the_last_task_said() {
        let failed = deployment("b", "FAILED", "user");
        let Verdict::Failed(why) = verdict(&service(false, vec![failed]), "b") else {
            panic!("it has failed");
        };
        assert!(why.contains("Task 0123 said: no such image"), "{why}");
    }

    #[test]
    fn a_rollback_is_waited_for() {
        let back = |state| deployment("c", state, "circuitBreaker");
        let failed = deployment("b", "FAILED", "user");
        let during = service(false, vec![back("IN_PROGRESS"), failed]);
        assert_eq!(verdict(&during, "b"), Verdict::Going);
        assert_eq!(
            progress(&during),
            "web: 1 of 2 tasks of web:2 running, 1 pending, 2 older"
        );
        let after = service(true, vec![back("COMPLETED")]);
        assert_eq!(verdict(&after, "b"), Verdict::RolledBack);
    }
}
