//! The exit code of a command that waited for tasks: theirs.
//!
//! As `docker run` does it: the container's own code where it ran, 125 where it never did. Of a task with
//! several essential containers, the one that ended first counts, for it ended the task.

use super::time;
use crate::shapes::{Container, Task};

/// It never ran, or nobody knows how it ended.
pub(super) const NOT_STARTED: u8 = 125;
/// Ctrl-C: 128 + SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// The code of a task that has stopped.
pub(super) fn of_task(task: &Task) -> u8 {
    if task.stop_code.as_deref() == Some("TaskFailedToStart") {
        return NOT_STARTED;
    }
    match first_ended(task).and_then(|container| container.exit_code) {
        // Larger numbers do not exist on Linux; if an engine says one, it is still no success.
        Some(code) => u8::try_from(code).unwrap_or(u8::MAX),
        None => NOT_STARTED,
    }
}

/// The code of several: that of the first one, in the order in which they were started, that failed.
pub(super) fn of_tasks<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> u8 {
    tasks
        .into_iter()
        .map(of_task)
        .find(|code| *code != 0)
        .unwrap_or(0)
}

/// The essential container that ended first. One whose end has no time comes last.
fn first_ended(task: &Task) -> Option<&Container> {
    let ended = |container: &&Container| container.essential && container.last_status == "STOPPED";
    let finished = |container: &&Container| {
        let at = container.finished_at.as_deref().and_then(time::parse);
        (at.is_none(), at)
    };
    task.containers.iter().filter(ended).min_by_key(finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(essential: bool, exit_code: Option<i64>, finished_at: Option<&str>) -> Container {
        Container {
            essential,
            exit_code,
            finished_at: finished_at.map(str::to_owned),
            last_status: "STOPPED".to_owned(),
            ..Container::default()
        }
    }

    fn task(stop_code: &str, containers: Vec<Container>) -> Task {
        Task {
            stop_code: Some(stop_code.to_owned()),
            containers,
            ..Task::default()
        }
    }

    const EARLY: Option<&str> = Some("2026-01-31T08:15:00.000Z");
    const LATE: Option<&str> = Some("2026-01-31T08:15:00.001Z");

    #[test]
    fn the_essential_container_that_ended_first_counts() {
        let exited = |containers| of_task(&task("EssentialContainerExited", containers));
        assert_eq!(exited(vec![container(true, Some(0), EARLY)]), 0);
        assert_eq!(
            exited(vec![
                container(true, Some(143), LATE),
                container(true, Some(3), EARLY)
            ]),
            3
        );
        assert_eq!(
            exited(vec![
                container(false, Some(1), EARLY),
                container(true, Some(0), LATE)
            ]),
            0
        );
        assert_eq!(
            exited(vec![
                container(true, None, None),
                container(true, Some(7), LATE)
            ]),
            7
        );
        assert_eq!(exited(vec![container(true, Some(-1), EARLY)]), 255);
        assert_eq!(exited(vec![container(true, Some(256), EARLY)]), 255);
    }

    #[test]
    fn what_never_ran_is_125() {
        let stopped = |code, containers| of_task(&task(code, containers));
        assert_eq!(
            stopped("TaskFailedToStart", vec![container(true, Some(0), EARLY)]),
            125
        );
        assert_eq!(
            stopped("UserInitiated", vec![container(true, None, None)]),
            125
        );
        assert_eq!(stopped("UserInitiated", vec![]), 125);
    }

    #[test]
    fn of_several_tasks_the_first_that_failed_counts() {
        let exited = |code| {
            task(
                "EssentialContainerExited",
                vec![container(true, Some(code), EARLY)],
            )
        };
        assert_eq!(of_tasks(&[exited(0), exited(4), exited(5)]), 4);
        assert_eq!(of_tasks(&[exited(0), exited(0)]), 0);
    }
}
