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
use crate::cli::console::{Console, short};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::live::Live;
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
    let mut display = Display::default();
    let ended = tokio::select! {
        ended = watch(session, begun, &mut display) => ended,
        () = interrupted() => Err(Failure::new(
            "interrupted",
            format!("the deployment goes on; {}", show_service_hint(&name)),
        )
        .with_code(exit::INTERRUPTED)),
    };
    display.end(&mut session.console);
    ended
}

/// What a person is shown while it goes on: on a terminal a view that is drawn in place, elsewhere a line for each
/// change.
#[derive(Default)]
struct Display {
    live: Live,
    /// The newest line; said on a terminal when the view has gone.
    line: String,
}

impl Display {
    fn show(&mut self, console: &mut Console, service: &Service) {
        let line = progress(service);
        if console.stderr_is_terminal {
            console.draw(&mut self.live, &view(service));
        } else if line != self.line {
            console.talk(&line);
        }
        self.line = line;
    }

    fn end(mut self, console: &mut Console) {
        console.erase(&mut self.live);
        if console.stderr_is_terminal && !self.line.is_empty() {
            console.talk(&self.line);
        }
    }
}

async fn watch(
    session: &mut Session,
    begun: &Service,
    display: &mut Display,
) -> Result<Value, Failure> {
    let (cluster, name) = (&begun.cluster, &begun.service_name);
    let target = begun.deployments.first().map_or("", |one| &one.id);
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
        display.show(&mut session.console, &service);
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
        return Err(Failure::new(reason, show_service_hint(name)));
    }
}

/// How the service got on with the deployment `target`.
fn verdict(service: &Service, target: &str) -> Verdict {
    let name = &service.service_name;
    if service.status != "ACTIVE" {
        return Verdict::Failed(format!("service {name} was deleted"));
    }
    let Some(primary) = service.deployments.first() else {
        // What it runs, its task sets say, and nobody deploys it.
        return if service.steady {
            Verdict::Steady
        } else {
            Verdict::Going
        };
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

/// How wide a bar is, in characters.
const BAR: u32 = 20;
/// Older deployments on the view.
const OLDER: usize = 5;

/// ```text
/// service web: web:1 -> web:2
///   new  web:2  [##########..........]  2 of 4 healthy  PENDING 1, RUNNING 3
///   old  web:1  [##########..........]  2 healthy  RUNNING 2
///   last failure: task 0123456789ab: Essential container in task exited
///   2 tasks wait: to be healthy
/// ```
fn view(service: &Service) -> Vec<String> {
    let (name, mut lines) = (&service.service_name, Vec::new());
    let Some((primary, older)) = service.deployments.split_first() else {
        return vec![format!("service {name}: {}", service.status)];
    };
    let (to, wanted) = (&primary.task_definition, primary.desired_count);
    lines.push(match older.first() {
        Some(from) => format!("service {name}: {} -> {to}", from.task_definition),
        None => format!("service {name}: {to}"),
    });
    let width = service
        .deployments
        .iter()
        .map(|one| one.task_definition.len());
    let width = width.max().unwrap_or_default();
    let row = |label: &str, one: &ServiceDeployment, healthy: String| {
        let (definition, bar) = (&one.task_definition, bar(one.healthy_count, wanted));
        format!(
            "  {label}  {definition:width$}  [{bar}]  {healthy}  {}",
            states(one)
        )
    };
    let healthy = format!("{} of {wanted} healthy", primary.healthy_count);
    lines.push(row("new", primary, healthy));
    for one in older.iter().take(OLDER) {
        lines.push(row("old", one, format!("{} healthy", one.healthy_count)));
    }
    let failures = service
        .deployments
        .iter()
        .filter_map(|one| one.last_failure.as_ref());
    if let Some(last) = failures.max_by_key(|failure| &failure.at) {
        let task = short(&last.task_id);
        lines.push(format!("  last failure: task {task}: {}", last.reason));
    }
    match &service.waiting {
        Some(waiting) => lines.push(format!("  {waiting}")),
        None if service.steady => lines.push("  steady".to_owned()),
        None => {}
    }
    lines
}

fn bar(healthy: u32, wanted: u32) -> String {
    let share = u64::from(healthy.min(wanted)) * u64::from(BAR);
    let full = share
        .checked_div(u64::from(wanted))
        .unwrap_or(u64::from(BAR));
    (0..u64::from(BAR))
        .map(|place| if place < full { '#' } else { '.' })
        .collect()
}

/// `PENDING 1, RUNNING 3`
fn states(deployment: &ServiceDeployment) -> String {
    let states = deployment.task_counts.iter();
    let states: Vec<String> = states
        .map(|(state, count)| format!("{state} {count}"))
        .collect();
    states.join(", ")
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
    fn a_view_tells_new_from_old_by_state_and_health() {
        let counts = |counts: &[(&str, u32)]| {
            let named = counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count));
            named.collect()
        };
        let new = ServiceDeployment {
            desired_count: 4,
            healthy_count: 2,
            task_counts: counts(&[("PENDING", 1), ("RUNNING", 3)]),
            ..deployment("b", "IN_PROGRESS", "user")
        };
        let old = ServiceDeployment {
            task_definition: "web:1".to_owned(),
            healthy_count: 1,
            task_counts: counts(&[("RUNNING", 1)]),
            last_failure: None,
            ..deployment("a", "COMPLETED", "user")
        };
        let mut going = service(false, vec![new, old]);
        going.waiting = Some("2 tasks wait: to be healthy".to_owned());
        assert_eq!(
            view(&going),
            [
                "service web: web:1 -> web:2",
                "  new  web:2  [##########..........]  2 of 4 healthy  PENDING 1, RUNNING 3",
                "  old  web:1  [#####...............]  1 healthy  RUNNING 1",
                "  last failure: task 0123: no such image",
                "  2 tasks wait: to be healthy",
            ]
        );
        assert_eq!(bar(0, 0).matches('#').count(), 20, "none of none is all");
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
