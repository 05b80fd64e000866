//! `neargate run`: tasks of a definition, started and, where wanted, followed to their end.

use clap::Args;

use super::client::Answer;
use super::failure::Failure;
use super::parse::{self, EnvArg, Target};
use super::{Session, exit, follow, register};
use crate::shapes::{
    ContainerOverride, KeyValuePair, RunTaskRequest, Tag, Task, TaskDefinition, TaskOverride,
};

/// Run tasks
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Without --follow or --wait, the IDs of the tasks are printed and that is all. With either, the exit code is \
that of the essential container that ended first; 125 if the task failed to start. Ctrl-C asks followed \
tasks to stop; a second Ctrl-C leaves them as they are.

Example:
  neargate run web:3 --count 2 --env web:STAGE=demo --follow")]
pub(super) struct RunArgs {
    /// FAMILY for its newest active revision, FAMILY:REVISION, or a file that is registered first
    #[arg(value_name = "FAMILY[:REV]|FILE", value_parser = parse::target)]
    target: Target,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    count: u32,
    /// A variable for a container's environment; without CONTAINER: for the only one, or that of --container
    #[arg(short, long, value_name = "[CONTAINER:]NAME=VALUE", value_parser = parse::env)]
    env: Vec<EnvArg>,
    /// The container that --command and --env without a name are for
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// CPU of the task as a whole: CPU units, or `1 vCPU`
    #[arg(long, value_name = "CPU")]
    cpu: Option<String>,
    /// Memory of the task as a whole: MiB, or `2 GB`
    #[arg(long, value_name = "MEMORY")]
    memory: Option<String>,
    /// Which of the engine's runtimes the containers run under, as `docker info` lists them
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Let people run commands in the tasks: neargate exec
    #[arg(long)]
    enable_execute_command: bool,
    /// A tag to find the tasks by
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse::tag)]
    tags: Vec<Tag>,
    /// A name to find the tasks by
    #[arg(long, value_name = "NAME")]
    started_by: Option<String>,
    /// What the tasks belong to; `family:FAMILY` unless said otherwise
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Makes the call safe to repeat: with the same token, the same tasks are given again
    #[arg(long, value_name = "TOKEN")]
    client_token: Option<String>,
    /// Follow the logs on stdout until the tasks have stopped
    #[arg(short, long, conflicts_with = "wait")]
    follow: bool,
    /// Wait until the tasks have stopped
    #[arg(short, long)]
    wait: bool,
    /// Replaces the container's command; everything after it belongs to it, so it comes last
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(super) async fn execute(session: &mut Session, args: RunArgs) -> Result<u8, Failure> {
    let definition = match &args.target {
        Target::Definition(name) => Definition::Named(name.clone()),
        Target::File(source) => {
            let registered = register::register(session, source).await?.value;
            session
                .console
                .talk(&format!("registered {}", registered.task_definition));
            Definition::Known(Box::new(registered))
        }
    };
    let (follow, wait) = (args.follow, args.wait);
    let request = request(session, args, definition).await?;
    let Answer {
        value: response,
        document,
    } = session.client.run_task(&request).await?;
    for warning in &response.warnings {
        session.console.warn(warning);
    }
    if !follow && !wait {
        if !session.console.document(&document)? {
            for task in &response.tasks {
                session.console.line(&task.task_id)?;
            }
        }
        return Ok(0);
    }
    if wait {
        return wait_for_tasks(session, response.tasks).await;
    }
    let stopped = follow::tasks(session, response.tasks, interrupted).await?;
    Ok(exit::of_tasks(&stopped))
}

/// What is to be run, as far as it is known.
enum Definition {
    Named(String),
    Known(Box<TaskDefinition>),
}

impl Definition {
    fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Known(definition) => &definition.task_definition,
        }
    }
}

async fn request(
    session: &Session,
    args: RunArgs,
    definition: Definition,
) -> Result<RunTaskRequest, Failure> {
    let needs_default =
        !args.command.is_empty() || args.env.iter().any(|variable| variable.container.is_none());
    let (default_container, task_definition) = match &args.container {
        Some(name) => (Some(name.clone()), definition.name().to_owned()),
        None if !needs_default => (None, definition.name().to_owned()),
        None => {
            let known = match definition {
                Definition::Known(definition) => definition,
                Definition::Named(name) => Box::new(session.client.definition(&name).await?.value),
            };
            // From here on it is that revision: another may come meanwhile, with other containers.
            (Some(only_container(&known)?), known.task_definition)
        }
    };
    let containers = container_overrides(args.env, args.command, default_container.as_deref());
    let overrides = TaskOverride {
        runtime: args.runtime,
        cpu: args.cpu,
        memory: args.memory,
        container_overrides: (!containers.is_empty()).then_some(containers),
    };
    Ok(RunTaskRequest {
        cluster: Some(session.cluster()),
        task_definition,
        count: Some(args.count),
        overrides: (overrides != TaskOverride::default()).then_some(overrides),
        enable_execute_command: args.enable_execute_command.then_some(true),
        tags: (!args.tags.is_empty()).then_some(args.tags),
        started_by: args.started_by,
        group: args.group,
        client_token: args.client_token,
        volume_configurations: None,
    })
}

/// The name of the container of a definition that has one.
fn only_container(definition: &TaskDefinition) -> Result<String, Failure> {
    let containers = definition.document["containerDefinitions"].as_array();
    let names = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str());
    let names: Vec<&str> = names.collect();
    if let [name] = names.as_slice() {
        return Ok((*name).to_owned());
    }
    let fact = format!(
        "task definition {} has {} containers: {}",
        definition.task_definition,
        names.len(),
        names.join(", ")
    );
    Err(Failure::usage(
        fact,
        "say which one is meant: --container NAME, or --env NAME:KEY=VALUE",
    ))
}

/// What changes in each container, in the order in which the containers were named. `default` is the one that
/// is meant where none is; there is one whenever it is needed.
fn container_overrides(
    env: Vec<EnvArg>,
    command: Vec<String>,
    default: Option<&str>,
) -> Vec<ContainerOverride> {
    let default = default.unwrap_or_default();
    let mut overrides: Vec<ContainerOverride> = Vec::new();
    let position_of = |overrides: &mut Vec<ContainerOverride>, name: String| {
        overrides
            .iter()
            .position(|known| known.name == name)
            .unwrap_or_else(|| {
                overrides.push(ContainerOverride {
                    name,
                    ..ContainerOverride::default()
                });
                overrides.len() - 1
            })
    };
    for variable in env {
        let name = variable.container.unwrap_or_else(|| default.to_owned());
        let position = position_of(&mut overrides, name);
        overrides[position]
            .environment
            .get_or_insert_default()
            .push(KeyValuePair {
                name: Some(variable.name),
                value: Some(variable.value),
            });
    }
    // `--command -- sh -c …` is what those write who know other programs.
    let skipped = usize::from(command.first().is_some_and(|first| first == "--"));
    let command: Vec<String> = command.into_iter().skip(skipped).collect();
    if !command.is_empty() {
        let position = position_of(&mut overrides, default.to_owned());
        overrides[position].command = Some(command);
    }
    overrides
}

async fn wait_for_tasks(session: &mut Session, tasks: Vec<Task>) -> Result<u8, Failure> {
    let first = tasks.first().map_or("TASK", |task| &task.task_id);
    let left = format!("left as they are; how they get on: neargate describe {first}");
    tokio::select! {
        stopped = follow::until_stopped(session, tasks) => {
            let stopped = stopped?;
            session.console.document(&serde_json::json!({ "tasks": stopped }))?;
            Ok(exit::of_tasks(&stopped))
        }
        () = interrupted() => Err(Failure::new("interrupted", left).with_code(exit::INTERRUPTED)),
    }
}

/// Comes back when Ctrl-C is pressed; never, where that cannot be known.
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(names: &[&str]) -> TaskDefinition {
        let containers: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({ "name": name }))
            .collect();
        TaskDefinition {
            task_definition: "web:3".to_owned(),
            document: serde_json::json!({ "family": "web", "containerDefinitions": containers }),
            ..crate::cli::tests::sample::definition()
        }
    }

    #[test]
    fn the_only_container_need_not_be_named() {
        assert_eq!(only_container(&definition(&["web"])), Ok("web".to_owned()));
        let failure = only_container(&definition(&["web", "proxy"])).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert_eq!(
            failure.render(false),
            "error: task definition web:3 has 2 containers: web, proxy\n\
             hint: say which one is meant: --container NAME, or --env NAME:KEY=VALUE\n"
        );
    }

    #[test]
    fn what_changes_in_one_container_stands_together() {
        let env = ["proxy:A=1", "B=2", "proxy:C=3"]
            .map(|text| parse::env(text).unwrap())
            .to_vec();
        let command = ["--", "sh", "-c", "x"].map(str::to_owned).to_vec();
        let overrides = container_overrides(env, command, Some("web"));
        let overrides = serde_json::to_value(overrides).unwrap();
        assert_eq!(
            overrides,
            serde_json::json!([
                { "name": "proxy", "environment": [{ "name": "A", "value": "1" }, { "name": "C", "value": "3" }] },
                { "name": "web", "command": ["sh", "-c", "x"], "environment": [{ "name": "B", "value": "2" }] },
            ])
        );
    }
}
