//! Reaching into a task that runs: commands in its containers.
//!
//! Only where `enableExecuteCommand` was on when the task was started, as in ECS: whoever deploys a task decides
//! whether anybody can look into it. What comes of it never touches the store, but for one event.

use super::{Control, ControlError};
use crate::domain::{
    ClusterName, ContainerName, ContainerStatus, EventKind, LastStatus, NewEvent, Task, TaskId,
};
use crate::engine::{EngineError, Exec, ExecRequest, TerminalSize};

/// A container that people may reach into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenContainer {
    /// Whose it is.
    pub task_id: TaskId,
    /// Where that runs.
    pub cluster: ClusterName,
    /// Its name.
    pub container: ContainerName,
}

/// A command that is to be run in a container.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecuteCommand {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// With an input.
    pub stdin: bool,
    /// How large the terminal is at first.
    pub size: Option<TerminalSize>,
}

/// Words of a command, and bytes of all of them together.
const MOST_WORDS: usize = 1_024;
const MOST_BYTES: usize = 131_072;
/// Characters of a command's first word that its event has.
const WORD_SHOWN: usize = 128;

impl Control {
    /// The container of that name, or the only one, if people may reach into it and it runs.
    pub async fn open_container(
        &self,
        id: &TaskId,
        container: Option<ContainerName>,
    ) -> Result<OpenContainer, ControlError> {
        let task = self.task(id).await?;
        let container = meant(&task, container)?;
        check_enabled(&task)?;
        let runs = task.last_status != LastStatus::Stopped
            && task
                .containers
                .get(&container)
                .is_some_and(|record| record.last_status == ContainerStatus::Running);
        if !runs {
            return Err(ControlError::conflict(
                format!("container \"{container}\" of task \"{id}\" does not run"),
                format!("how it gets on: neargate describe {id}"),
            ));
        }
        Ok(OpenContainer {
            task_id: task.id,
            cluster: task.cluster,
            container,
        })
    }

    /// Starts a command. That it was asked for is recorded before it runs: with its first word alone, since
    /// arguments may be secrets.
    pub async fn execute_command(
        &self,
        open: &OpenContainer,
        wanted: ExecuteCommand,
    ) -> Result<Exec, ControlError> {
        let Some(program) = wanted.command.first().filter(|word| !word.is_empty()) else {
            return Err(ControlError::invalid(
                "command",
                "has no first word",
                "send the program and its arguments, as command: [\"sh\", \"-c\", \"date\"]",
            ));
        };
        let bytes: usize = wanted.command.iter().map(String::len).sum();
        if wanted.command.len() > MOST_WORDS || bytes > MOST_BYTES {
            return Err(ControlError::invalid(
                "command",
                format!("is longer than {MOST_WORDS} words or {MOST_BYTES} bytes"),
                "send what is long as the command's input",
            ));
        }
        let program: String = program
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(WORD_SHOWN)
            .collect();
        let event = NewEvent {
            at: self.clock.now(),
            kind: EventKind::TaskExecuteCommand,
            cluster: Some(open.cluster.to_string()),
            subject: open.task_id.to_string(),
            status: None,
            message: format!(
                "a user ran the command \"{program}\" in container \"{}\"",
                open.container
            ),
        };
        self.store.record_event(event).await?;
        let request = ExecRequest {
            task_id: open.task_id.clone(),
            container: open.container.clone(),
            command: wanted.command,
            tty: wanted.tty,
            stdin: wanted.stdin,
            size: wanted.size,
        };
        match self.engine.exec(request).await {
            // The engine's own words are the user's business here: they are about the command.
            Err(EngineError::Refused(why)) => Err(ControlError::conflict(
                format!("the command could not be started: {why}"),
                format!("how the task gets on: neargate describe {}", open.task_id),
            )),
            begun => Ok(begun?),
        }
    }
}

pub(super) fn check_enabled(task: &Task) -> Result<(), ControlError> {
    if task.spec.enable_execute_command {
        return Ok(());
    }
    Err(ControlError::conflict(
        format!(
            "execute command was not enabled when task \"{}\" was run",
            task.id
        ),
        "run a new one with neargate run --enable-execute-command, or with enableExecuteCommand: true in its service",
    ))
}

fn meant(task: &Task, container: Option<ContainerName>) -> Result<ContainerName, ControlError> {
    let names: Vec<&ContainerName> = task.spec.containers.iter().map(|one| &one.name).collect();
    let list = || {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        names.join(", ")
    };
    match (container, names.as_slice()) {
        (Some(name), known) if known.contains(&&name) => Ok(name),
        (Some(name), _) => Err(ControlError::not_found(
            format!("container \"{name}\" of task \"{}\"", task.id),
            format!("its containers are: {}", list()),
        )),
        (None, [only]) => Ok((*only).clone()),
        (None, several) => Err(ControlError::invalid(
            "container",
            format!(
                "is missing: task \"{}\" has {} containers",
                task.id,
                several.len()
            ),
            format!("name one of them: {}", list()),
        )),
    }
}
