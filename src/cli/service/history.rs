//! The deployments of a service for a person: who wanted them, how they ended, and what failed tasks last wrote.

use crate::cli::describe::Page;
use crate::cli::table::{Field, Look, Table};
use crate::cli::time;
use crate::domain::TimestampMs;
use crate::shapes::ServiceDeployment;

/// `deployments`, newest first, and below them their failed tasks.
pub(super) fn render(deployments: &[ServiceDeployment], now: TimestampMs, look: Look) -> String {
    let mut table = Table::new(&[
        "DEPLOYMENT",
        "STATUS",
        "DEFINITION",
        "REVISION",
        "FAILED",
        "BY",
        "BEGAN",
        "ENDED",
        "WHY",
    ]);
    for one in deployments {
        let ended = one.finished_at.as_deref();
        table.row([
            (&one.id).into(),
            Field::deployment(&one.service_deployment_status),
            (&one.task_definition).into(),
            (&one.service_revision).into(),
            one.failed_tasks.to_string().into(),
            one.created_by.who().unwrap_or("-").into(),
            time::ago(&one.created_at, now).into(),
            ended
                .map_or_else(String::new, |at| time::ago(at, now))
                .into(),
            one.why().into(),
        ]);
    }
    let mut page = Page::new(look);
    failures(&mut page, "Failed tasks", deployments, usize::MAX);
    table.render(look) + &page.finish()
}

/// The newest failed tasks of each deployment, `most` of each, with the last lines that they wrote.
pub(super) fn failures(
    page: &mut Page,
    heading: &str,
    deployments: &[ServiceDeployment],
    most: usize,
) {
    if deployments.iter().all(|one| one.failures.is_empty()) {
        return;
    }
    page.heading(heading);
    for deployment in deployments {
        for failure in deployment.failures.iter().take(most) {
            let (id, task) = (&deployment.id, &failure.task_id);
            page.line(&format!("{id}: task {task}: {}", failure.reason));
            for line in &failure.last_lines {
                page.line(&format!("  {} | {}", line.container, line.text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::sample;
    use crate::shapes::{LogLine, Requester, ServiceDeploymentRollback, ServiceTaskFailure};

    #[test]
    fn a_failed_deployment_says_who_why_and_what_its_tasks_wrote() {
        let at = sample::running_task().created_at;
        let failed = ServiceDeployment {
            id: "ecs-svc/0000000000000000002".to_owned(),
            task_definition: "web:2".to_owned(),
            service_revision: "0000000000000000007".to_owned(),
            failed_tasks: 3,
            service_deployment_status: "ROLLBACK_SUCCESSFUL".to_owned(),
            rollout_state_reason: "Tasks failed to start.".to_owned(),
            created_by: Requester {
                kind: "client".to_owned(),
                name: Some("alice@laptop".to_owned()),
                verified: false,
            },
            rollback: Some(ServiceDeploymentRollback {
                requested_by: Requester {
                    kind: "circuitBreaker".to_owned(),
                    ..Requester::default()
                },
                task_definition: "web:1".to_owned(),
                ..ServiceDeploymentRollback::default()
            }),
            failures: vec![ServiceTaskFailure {
                task_id: "0123".to_owned(),
                reason: "Essential container in task exited".to_owned(),
                last_lines: vec![LogLine {
                    at: at.clone(),
                    container: "main".to_owned(),
                    stream: "stderr".to_owned(),
                    text: "no such \u{1b}[31mtable".to_owned(),
                    bytes_base64: None,
                }],
                ..ServiceTaskFailure::default()
            }],
            created_at: at.clone(),
            finished_at: Some(at),
            ..ServiceDeployment::default()
        };
        let text = render(&[failed], sample::now(), Look::default());
        for words in [
            "ecs-svc/0000000000000000002  ROLLBACK_SUCCESSFUL  web:2       0000000000000000007  3       alice@laptop",
            "Tasks failed to start. Rolled back to web:1 by the circuit breaker.",
            "Failed tasks\n  ecs-svc/0000000000000000002: task 0123: Essential container in task exited\n",
            "main | no such ",
        ] {
            assert!(text.contains(words), "no `{words}` in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
