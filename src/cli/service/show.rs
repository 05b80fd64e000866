//! Services for a person: in a table, on a page, in a sentence.

use super::history;
use crate::cli::describe::Page;
use crate::cli::table::{Field, Look, Table};
use crate::cli::time;
use crate::domain::TimestampMs;
use crate::shapes::{Service, ServiceDeployment, ServiceScaling, ServiceTaskSet};

/// Events on a page; `neargate events --subject NAME` has them all.
const EVENTS: usize = 10;
/// Times when it was scaled, on a page.
const ACTIVITIES: usize = 5;
/// Deployments on a page; `neargate service history NAME` has more.
pub(super) const DEPLOYMENTS: u32 = 10;

/// Services under a head.
pub(super) fn table(services: &[Service], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "SERVICE",
        "STATUS",
        "DEFINITION",
        "DESIRED",
        "RUNNING",
        "HEALTHY",
        "DEPLOYMENT",
        "CREATED",
        "NOTE",
    ]);
    for service in services {
        let rollout = service.deployments.first();
        table.row([
            (&service.service_name).into(),
            Field::status(&service.status),
            service
                .task_definition
                .as_deref()
                .unwrap_or_default()
                .into(),
            service.desired_count.to_string().into(),
            service.running_count.to_string().into(),
            service.healthy_count.to_string().into(),
            Field::deployment(rollout.map_or("", |one| &one.rollout_state)),
            time::ago(&service.created_at, now).into(),
            service.waiting.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

/// All that is known of a service. `past` has its deployments, newest first.
pub(super) fn render(
    service: &Service,
    past: &[ServiceDeployment],
    now: TimestampMs,
    look: Look,
) -> String {
    let mut page = Page::new(look);
    page.entry("Service", &service.service_name);
    page.entry("Cluster", &service.cluster);
    page.entry("Status", &service.status);
    page.optional("Definition", service.task_definition.as_deref());
    page.entry("Tasks", &tasks(service));
    page.entry("State", &explain(service));
    page.entry("Deployments", &bounds(service));
    if let Some(scaling) = &service.scaling {
        page.entry("Scaling", &scaled(scaling));
    }
    page.entry("Created", &time::ago(&service.created_at, now));
    for warning in &service.warnings {
        page.entry("Warning", warning);
    }
    page.heading("Deployments");
    page.table(&deployments(past, now), look);
    if !service.task_sets.is_empty() {
        page.heading("Task sets");
        page.table(&task_sets(&service.task_sets, now), look);
    }
    history::failures(&mut page, "Last failures", past, 1);
    if let Some(scaling) = service
        .scaling
        .as_ref()
        .filter(|scaling| !scaling.activities.is_empty())
    {
        page.heading("Scaling");
        page.table(&activities(scaling, now), look);
    }
    if !service.events.is_empty() {
        page.heading("Events");
        for event in service.events.iter().take(EVENTS) {
            page.line(&format!("{}  {}", event.created_at, event.message));
        }
    }
    page.finish()
}

fn tasks(service: &Service) -> String {
    format!(
        "{} desired, {} running, {} pending, {} healthy",
        service.desired_count, service.running_count, service.pending_count, service.healthy_count
    )
}

fn bounds(service: &Service) -> String {
    let configuration = &service.deployment_configuration;
    let percent = |percent: Option<u32>| percent.map_or(String::new(), |one| one.to_string());
    let breaker = configuration.deployment_circuit_breaker.unwrap_or_default();
    let breaker = match (breaker.enable, breaker.rollback) {
        (false, _) => "circuit breaker off",
        (true, false) => "circuit breaker on",
        (true, true) => "circuit breaker on, with rollback",
    };
    format!(
        "{} % healthy at least, {} % at most, {breaker}",
        percent(configuration.minimum_healthy_percent),
        percent(configuration.maximum_percent)
    )
}

fn deployments(deployments: &[ServiceDeployment], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "DEPLOYMENT",
        "STATUS",
        "DEFINITION",
        "ROLLOUT",
        "RUNNING",
        "FAILED",
        "BY",
        "CREATED",
        "REASON",
    ]);
    for one in deployments {
        table.row([
            (&one.id).into(),
            Field::status(&one.status),
            (&one.task_definition).into(),
            Field::deployment(&one.rollout_state),
            one.running_count.to_string().into(),
            one.failed_tasks.to_string().into(),
            one.created_by.who().unwrap_or("-").into(),
            time::ago(&one.created_at, now).into(),
            (&one.rollout_state_reason).into(),
        ]);
    }
    table
}

fn task_sets(sets: &[ServiceTaskSet], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "TASK SET",
        "STATUS",
        "DEFINITION",
        "SHARE",
        "DESIRED",
        "RUNNING",
        "PENDING",
        "CREATED",
        "EXTERNAL ID",
    ]);
    for set in sets {
        table.row([
            (&set.id).into(),
            Field::status(&set.status),
            (&set.task_definition).into(),
            format!("{} %", set.scale_percent).into(),
            set.desired_count.to_string().into(),
            set.running_count.to_string().into(),
            set.pending_count.to_string().into(),
            time::ago(&set.created_at, now).into(),
            set.external_id.as_deref().unwrap_or("-").into(),
        ]);
    }
    table
}

/// Between how many tasks a service is scaled, and by what.
fn scaled(scaling: &ServiceScaling) -> String {
    let bounds = format!("{} to {} tasks", scaling.min_capacity, scaling.max_capacity);
    let mut all = vec![bounds];
    all.extend(scaling.policies.iter().map(|policy| {
        let name = &policy.policy_name;
        match (&policy.metric, policy.target_value) {
            (Some(metric), Some(value)) => format!("policy {name}: {metric} at {value} %"),
            _ => format!("policy {name}: it does nothing here"),
        }
    }));
    if !scaling.suspended.is_empty() {
        all.push(format!("suspended: {}", scaling.suspended.join(" ")));
    }
    all.join(", ")
}

fn activities(scaling: &ServiceScaling, now: TimestampMs) -> Table {
    let mut table = Table::new(&["STARTED", "DESIRED", "STATUS", "CAUSE"]);
    for one in scaling.activities.iter().take(ACTIVITIES) {
        table.row([
            time::ago(&one.started_at, now).into(),
            one.desired_count.to_string().into(),
            (&one.status).into(),
            (&one.cause).into(),
        ]);
    }
    table
}

/// What a service waits for, and what scales it, in one sentence.
pub(super) fn explain_all(service: &Service, now: TimestampMs) -> String {
    let text = explain(service);
    let Some(scaling) = &service.scaling else {
        return text;
    };
    let last = scaling.activities.first().map(|last| {
        let (count, at) = (last.desired_count, time::ago(&last.started_at, now));
        format!("; last to {count}, {at}: {}", last.cause)
    });
    format!(
        "{text}; it is scaled: {}{}",
        scaled(scaling),
        last.unwrap_or_default()
    )
}

/// What a service waits for, in one sentence.
pub(super) fn explain(service: &Service) -> String {
    if let Some(waiting) = &service.waiting {
        return waiting.clone();
    }
    match service.status.as_str() {
        "ACTIVE" if service.steady => "it is in a steady state and waits for nothing".to_owned(),
        "ACTIVE" => "it is about to be looked at".to_owned(),
        "DRAINING" => "it was deleted, and its tasks are coming to their end".to_owned(),
        _ => "it was deleted, and has no tasks left".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::sample;
    use crate::shapes::{
        DeploymentCircuitBreaker, DeploymentConfiguration, Requester, ServiceEvent,
        ServiceScalingActivity, ServiceScalingPolicy, ServiceTaskFailure,
    };

    fn service() -> Service {
        let at = sample::running_task().created_at;
        let primary = ServiceDeployment {
            id: "ecs-svc/0000000000000000002".to_owned(),
            status: "PRIMARY".to_owned(),
            task_definition: "web:2".to_owned(),
            desired_count: 2,
            pending_count: 1,
            running_count: 1,
            failed_tasks: 1,
            rollout_state: "IN_PROGRESS".to_owned(),
            rollout_state_reason: "ECS deployment ecs-svc/0000000000000000002 in progress."
                .to_owned(),
            cause: "user".to_owned(),
            created_by: Requester {
                kind: "client".to_owned(),
                name: Some("alice@laptop".to_owned()),
                verified: false,
            },
            failures: vec![ServiceTaskFailure {
                task_id: "0123456789abcdef0123456789abcdef".to_owned(),
                at: at.clone(),
                reason: "Essential container in task exited".to_owned(),
                ..ServiceTaskFailure::default()
            }],
            created_at: at.clone(),
            updated_at: at.clone(),
            ..ServiceDeployment::default()
        };
        Service {
            service_name: "web".to_owned(),
            cluster: "default".to_owned(),
            status: "ACTIVE".to_owned(),
            task_definition: Some("web:2".to_owned()),
            desired_count: 2,
            pending_count: 1,
            running_count: 3,
            healthy_count: 2,
            waiting: Some("1 task waits: to be healthy".to_owned()),
            deployment_configuration: DeploymentConfiguration {
                minimum_healthy_percent: Some(100),
                maximum_percent: Some(200),
                deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
                    enable: true,
                    rollback: true,
                }),
                ..DeploymentConfiguration::default()
            },
            deployments: vec![primary],
            events: vec![ServiceEvent {
                id: "7".to_owned(),
                created_at: at.clone(),
                message: "(service web) was created".to_owned(),
            }],
            created_at: at,
            ..Service::default()
        }
    }

    #[test]
    fn a_table_of_services() {
        assert_eq!(
            table(&[service()], sample::now()).render(Look::default()),
            "\
SERVICE  STATUS  DEFINITION  DESIRED  RUNNING  HEALTHY  DEPLOYMENT   CREATED    NOTE
web      ACTIVE  web:2       2        3        2        IN_PROGRESS  2 min ago  1 task waits: to be healthy
"
        );
    }

    #[test]
    fn a_page_about_a_service() {
        let service = service();
        let text = render(
            &service,
            &service.deployments,
            sample::now(),
            Look::default(),
        );
        for words in [
            "Tasks        2 desired, 3 running, 1 pending, 2 healthy",
            "State        1 task waits: to be healthy",
            "100 % healthy at least, 200 % at most, circuit breaker on, with rollback",
            "ecs-svc/0000000000000000002  PRIMARY  web:2       IN_PROGRESS",
            "alice@laptop",
            "task 0123456789abcdef0123456789abcdef: Essential container in task exited",
            "(service web) was created",
        ] {
            assert!(text.contains(words), "no `{words}` in\n{text}");
        }
    }

    #[test]
    fn the_task_sets_of_a_service_are_shown_with_their_shares() {
        let mut service = service();
        let set = ServiceTaskSet {
            id: "ecs-svc/0000000000000000003".to_owned(),
            status: "PRIMARY".to_owned(),
            task_definition: "web:2".to_owned(),
            scale_percent: 62.5,
            desired_count: 2,
            running_count: 1,
            pending_count: 1,
            created_at: service.created_at.clone(),
            external_id: Some("blue".to_owned()),
            ..ServiceTaskSet::default()
        };
        let page = |service: &Service| render(service, &[], sample::now(), Look::default());
        assert!(!page(&service).contains("Task sets"));
        service.task_sets.push(set);
        let text = page(&service);
        let line = text
            .lines()
            .find(|line| line.contains("ecs-svc/0000000000000000003"));
        let words: Vec<&str> = line.unwrap_or(&text).split_whitespace().collect();
        let shown = [
            "PRIMARY", "web:2", "62.5", "%", "2", "1", "1", "2", "min", "ago", "blue",
        ];
        assert_eq!(words[1..], shown, "{text}");
    }

    #[test]
    fn a_service_says_what_it_is_scaled_by_and_when_it_was() {
        let mut service = service();
        let policy = |name: &str, metric: Option<&str>| ServiceScalingPolicy {
            policy_name: name.to_owned(),
            metric: metric.map(str::to_owned),
            target_value: metric.map(|_| 62.5),
            ..ServiceScalingPolicy::default()
        };
        service.scaling = Some(ServiceScaling {
            min_capacity: 1,
            max_capacity: 4,
            suspended: vec!["dynamicScalingIn".to_owned()],
            policies: vec![
                policy("cpu", Some("ECSServiceAverageCPUUtilization")),
                policy("steps", None),
            ],
            activities: vec![ServiceScalingActivity {
                desired_count: 2,
                cause: "monitor alarm x in state ALARM triggered policy cpu".to_owned(),
                status: "Successful".to_owned(),
                started_at: service.created_at.clone(),
                ..ServiceScalingActivity::default()
            }],
        });
        let by = "1 to 4 tasks, policy cpu: ECSServiceAverageCPUUtilization at 62.5 %, \
                  policy steps: it does nothing here, suspended: dynamicScalingIn";
        let cause = "monitor alarm x in state ALARM triggered policy cpu";
        let page = render(&service, &[], sample::now(), Look::default());
        let row = format!("2 min ago  2        Successful  {cause}");
        for words in [&format!("Scaling      {by}"), &row] {
            assert!(page.contains(words.as_str()), "no `{words}` in\n{page}");
        }
        assert_eq!(
            explain_all(&service, sample::now()),
            format!(
                "1 task waits: to be healthy; it is scaled: {by}; last to 2, 2 min ago: {cause}"
            )
        );
    }

    #[test]
    fn a_service_says_what_it_waits_for() {
        let mut service = service();
        assert_eq!(explain(&service), "1 task waits: to be healthy");
        service.waiting = None;
        service.steady = true;
        assert_eq!(
            explain(&service),
            "it is in a steady state and waits for nothing"
        );
        "DRAINING".clone_into(&mut service.status);
        assert!(explain(&service).contains("deleted"));
    }
}
