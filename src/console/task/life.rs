//! The life of a task: its steps with their times, and the phases between them as a picture. PURE.

use crate::console::chart::{Phase, Timeline};
use crate::console::format::Svg;
use crate::domain::{LastStatus, Task, TimestampMs, display};

/// A step in a task's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What happened.
    pub(super) name: &'static str,
    /// When.
    pub(super) at: TimestampMs,
    /// How long after the step before; empty for the first.
    pub(super) took: String,
}

/// What happened, what goes on from then, and the class of that.
type Known = (&'static str, &'static str, &'static str);

/// The steps that have been taken, in the order of their times: a task that ended while nobody watched is found to be
/// stopping after its execution stopped.
fn taken(task: &Task) -> Vec<(Known, TimestampMs)> {
    let began = match task.healthy_at {
        Some(_) => ("started", "checked", "checked"),
        None => ("started", "ran", "ran"),
    };
    let steps = [
        (("created", "waited", "waited"), Some(task.created_at)),
        (("pull started", "pulled", "pulled"), task.pull_started_at),
        (("pull stopped", "started", "started"), task.pull_stopped_at),
        (began, task.started_at),
        (("healthy", "ran", "ran"), task.healthy_at),
        (("stopping", "stopping", "stopping"), task.stopping_at),
        (
            ("execution stopped", "ended", "stopped"),
            task.execution_stopped_at,
        ),
        (("stopped", "", "stopped"), task.stopped_at),
    ];
    let mut taken: Vec<_> = steps
        .into_iter()
        .filter_map(|(known, at)| Some((known, at?)))
        .collect();
    taken.sort_by_key(|(_, at)| *at);
    taken
}

/// The steps of `task`.
pub(super) fn steps(task: &Task) -> Vec<Step> {
    let taken = taken(task);
    let before = std::iter::once(None).chain(taken.iter().map(|(_, at)| Some(*at)));
    let steps = taken.iter().zip(before);
    steps
        .map(|(((name, ..), at), before)| Step {
            name,
            at: *at,
            took: before
                .map(|before| display::length(at.since(before).as_millis()))
                .unwrap_or_default(),
        })
        .collect()
}

/// The phases of `task`, and below them how long each of its containers ran; what goes on is drawn until `now`.
pub(super) fn picture(task: &Task, now: TimestampMs) -> Svg {
    let taken = taken(task);
    let is_over = task.last_status == LastStatus::Stopped;
    let mut phases = Vec::new();
    for (index, ((_, name, class), from)) in taken.iter().enumerate() {
        let next = taken.get(index + 1).map(|(_, at)| *at);
        let to = match next {
            Some(next) => next,
            None if is_over => continue,
            None => now.max(*from),
        };
        phases.push(phase((*name).to_owned(), class, *from, to, next.is_none()));
    }
    for definition in &task.spec.containers {
        let Some(record) = task.containers.get(&definition.name) else {
            continue;
        };
        if let Some(from) = record.started_at {
            let to = record.finished_at.unwrap_or_else(|| now.max(from));
            let goes_on = record.finished_at.is_none();
            phases.push(phase(
                definition.name.to_string(),
                "container",
                from,
                to,
                goes_on,
            ));
        }
    }
    Timeline {
        title: "Life of the task".to_owned(),
        phases,
    }
    .draw()
}

fn phase(
    name: String,
    class: &'static str,
    from: TimestampMs,
    to: TimestampMs,
    goes_on: bool,
) -> Phase {
    let length = display::length(to.since(from).as_millis());
    Phase {
        name,
        class,
        from_ms: from.as_millis(),
        to_ms: to.as_millis(),
        took: if goes_on {
            format!("{length} so far")
        } else {
            length
        },
    }
}
