//! `neargate service`: tasks that are kept running, and moved from one revision to the next.

mod history;
mod show;
mod wait;

use clap::{Args, Subcommand, ValueEnum};

use super::client::Answer;
use super::failure::Failure;
use super::parse::{self, Source};
use super::{Session, time};
use crate::shapes::{
    DeploymentCircuitBreaker, DeploymentConfiguration, Service, UpdateServiceRequest,
};

/// Keep tasks running: create, change, list and delete services
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
With --wait, the command ends when the service is in a steady state, with 0, or when its deployment has failed \
or was rolled back, with 1.

Example:
  neargate service create services/web.yaml --wait
  neargate service update web --task-definition web:2 --wait")]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Create services from documents: the input of ECS's CreateService
    #[command(after_help = "Example:\n  neargate service create services/web.yaml --wait")]
    Create {
        /// Services in YAML or JSON; `-` is stdin
        #[arg(required = true, value_name = "FILE", value_parser = parse::source)]
        files: Vec<Source>,
        /// Wait for the steady state
        #[arg(short, long)]
        wait: bool,
    },
    /// Change a service; what is not named stays
    #[command(
        after_help = "Example:\n  neargate service update web --task-definition web:2 --wait"
    )]
    Update(Box<UpdateArgs>),
    /// Say how many tasks a service is to have
    #[command(after_help = "Example:\n  neargate service scale web 3 --wait")]
    Scale {
        /// The service
        name: String,
        /// How many
        #[arg(value_parser = clap::value_parser!(u32))]
        count: u32,
        /// Wait for the steady state
        #[arg(short, long)]
        wait: bool,
    },
    /// Go back to the last revision that was deployed completely
    #[command(after_help = "Example:\n  neargate service rollback web --wait")]
    Rollback {
        /// The service
        name: String,
        /// Wait for the steady state
        #[arg(short, long)]
        wait: bool,
    },
    /// Delete a service and stop its tasks
    #[command(after_help = "Example:\n  neargate service delete web --force")]
    Delete {
        /// The service
        name: String,
        /// Also when it is to have tasks
        #[arg(short, long)]
        force: bool,
    },
    /// List services
    #[command(after_help = "Example:\n  neargate service ls")]
    Ls,
    /// Show all that is known of a service
    #[command(after_help = "Example:\n  neargate service describe web")]
    Describe {
        /// The service
        name: String,
    },
    /// Show who deployed what, when, why, and how it ended
    #[command(after_help = "\
BY is what the client said of itself; nobody has verified it. Of a deployment whose tasks failed, the newest 5 of them are \
shown with the last lines that they wrote, also when their logs are gone.

Example:
  neargate service history web")]
    History {
        /// The service
        name: String,
        /// Show so many deployments at most, the newest
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Say in one sentence what a service waits for
    #[command(after_help = "Example:\n  neargate service explain web")]
    Explain {
        /// The service
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
struct UpdateArgs {
    /// The service
    name: String,
    /// What its tasks run: FAMILY for its newest active revision, or FAMILY:REVISION
    #[arg(long, value_name = "FAMILY[:REV]", value_parser = definition)]
    task_definition: Option<String>,
    /// How many tasks
    #[arg(long, value_name = "N")]
    desired_count: Option<u32>,
    /// Replace all tasks, also by those of the same revision
    #[arg(long)]
    force_new_deployment: bool,
    /// So many healthy tasks at least, in percent of the desired count
    #[arg(long, value_name = "PERCENT")]
    minimum_healthy_percent: Option<u32>,
    /// So many tasks at most, in percent of the desired count
    #[arg(long, value_name = "PERCENT")]
    maximum_percent: Option<u32>,
    /// Whether a deployment whose tasks keep failing is given up, and rolled back
    #[arg(
        long,
        value_enum,
        value_name = "off|on|rollback",
        hide_possible_values = true
    )]
    circuit_breaker: Option<Breaker>,
    /// Seconds after its start in which a task's health is not held against it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=2_147_483_647))]
    health_check_grace_period: Option<u32>,
    /// Wait for the steady state
    #[arg(short, long)]
    wait: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Breaker {
    Off,
    On,
    Rollback,
}

fn definition(text: &str) -> Result<String, String> {
    if parse::is_definition(text) {
        Ok(text.to_owned())
    } else {
        Err("write FAMILY or FAMILY:REVISION, as in web:3".to_owned())
    }
}

pub(super) async fn execute(session: &mut Session, args: ServiceArgs) -> Result<u8, Failure> {
    let cluster = session.cluster();
    match args.action {
        Action::Create { files, wait } => create(session, &files, wait).await,
        Action::Update(args) => {
            let (name, wait) = (args.name.clone(), args.wait);
            let change = change(*args)?;
            let changed = session
                .client
                .update_service(&cluster, &name, &change)
                .await;
            conclude(session, changed?, wait).await
        }
        Action::Scale { name, count, wait } => {
            let change = UpdateServiceRequest {
                desired_count: Some(count),
                ..UpdateServiceRequest::default()
            };
            let changed = session
                .client
                .update_service(&cluster, &name, &change)
                .await;
            conclude(session, changed?, wait).await
        }
        Action::Rollback { name, wait } => {
            let changed = session.client.roll_back_service(&cluster, &name).await;
            conclude(session, changed?, wait).await
        }
        Action::Delete { name, force } => {
            let answer = session
                .client
                .delete_service(&cluster, &name, force)
                .await?;
            if !session.console.document(&answer.document)? {
                let text = format!("service {name} is deleted; its tasks are stopped");
                session.console.talk(&text);
            }
            Ok(0)
        }
        Action::Ls => list(session).await,
        Action::Describe { name } => {
            let answer = session.client.service(&cluster, &name).await?;
            let history = session
                .client
                .deployments(&cluster, &name, show::DEPLOYMENTS)
                .await?;
            let console = &mut session.console;
            if !console.document(&answer.document)? {
                let (now, look) = (time::now(), console.look());
                let text = show::render(&answer.value, &history.value.items, now, look);
                console.text(&text)?;
            }
            Ok(0)
        }
        Action::History { name, limit } => {
            let answer = session.client.deployments(&cluster, &name, limit).await?;
            let console = &mut session.console;
            if !console.document(&answer.document)? {
                let (now, look) = (time::now(), console.look());
                console.text(&history::render(&answer.value.items, now, look))?;
            }
            Ok(0)
        }
        Action::Explain { name } => {
            let answer = session.client.service(&cluster, &name).await?;
            if !session.console.document(&answer.document)? {
                let said = show::explain_all(&answer.value, time::now());
                session.console.line(&said)?;
            }
            Ok(0)
        }
    }
}

/// Makes the service of each file; all are tried, whatever is wrong with some.
async fn create(session: &mut Session, files: &[Source], wait: bool) -> Result<u8, Failure> {
    let mut code = 0;
    for file in files {
        let done = match created(session, file).await {
            Ok(answer) => conclude(session, answer, wait).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            session.console.complain(&failure);
            code = failure.code();
        }
    }
    Ok(code)
}

/// Makes the service that `source` holds.
pub(super) async fn created(
    session: &mut Session,
    source: &Source,
) -> Result<Answer<Service>, Failure> {
    let document = source.read()?;
    let cluster = session.named_cluster.as_deref();
    let answer = session
        .client
        .create_service(cluster, source.syntax(), document)
        .await;
    answer.map_err(|error| Failure::of_document(&source.name(), error))
}

fn change(args: UpdateArgs) -> Result<UpdateServiceRequest, Failure> {
    let configuration = DeploymentConfiguration {
        minimum_healthy_percent: args.minimum_healthy_percent,
        maximum_percent: args.maximum_percent,
        deployment_circuit_breaker: args
            .circuit_breaker
            .map(|breaker| DeploymentCircuitBreaker {
                enable: breaker != Breaker::Off,
                rollback: breaker == Breaker::Rollback,
            }),
        ..DeploymentConfiguration::default()
    };
    let change = UpdateServiceRequest {
        task_definition: args.task_definition,
        desired_count: args.desired_count,
        force_new_deployment: args.force_new_deployment.then_some(true),
        deployment_configuration: (configuration != DeploymentConfiguration::default())
            .then_some(configuration),
        health_check_grace_period_seconds: args.health_check_grace_period,
        ..UpdateServiceRequest::default()
    };
    if change == UpdateServiceRequest::default() {
        return Err(Failure::usage(
            format!("nothing is to change about service {}", args.name),
            "neargate service update --help lists what can",
        ));
    }
    Ok(change)
}

/// Says what its user should know of a service.
pub(super) fn warn(session: &mut Session, service: &Service) {
    for warning in &service.warnings {
        session.console.warn(warning);
    }
}

/// Waits for the steady state of what a command has begun; gives the service as it is then.
pub(super) async fn steady(
    session: &mut Session,
    begun: &Service,
) -> Result<serde_json::Value, Failure> {
    warn(session, begun);
    wait::until_steady(session, begun).await
}

/// Says what came of it, and waits for the steady state if that is wanted.
pub(super) async fn conclude(
    session: &mut Session,
    answer: Answer<Service>,
    wait: bool,
) -> Result<u8, Failure> {
    let document = if wait {
        steady(session, &answer.value).await?
    } else {
        warn(session, &answer.value);
        answer.document
    };
    if !session.console.document(&document)? {
        session.console.line(&answer.value.service_name)?;
    }
    Ok(0)
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let cluster = session.cluster();
    let answer = session.client.services(Some(&cluster)).await?;
    if let (true, Some(name)) = (answer.value.is_empty(), &session.named_cluster) {
        // A name that is mistyped has no services either, and is no answer.
        session.client.cluster(name).await?;
    }
    let console = &mut session.console;
    if !console.document(&answer.document)? {
        let table = show::table(&answer.value, time::now());
        console.table(
            &table,
            "no services; make one: neargate service create FILE",
        )?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> UpdateArgs {
        UpdateArgs {
            name: "web".to_owned(),
            task_definition: None,
            desired_count: None,
            force_new_deployment: false,
            minimum_healthy_percent: None,
            maximum_percent: None,
            circuit_breaker: None,
            health_check_grace_period: None,
            wait: false,
        }
    }

    #[test]
    fn only_what_is_named_is_sent() {
        let change_of = |args| serde_json::to_value(change(args).unwrap()).unwrap();
        assert_eq!(
            change_of(UpdateArgs {
                desired_count: Some(0),
                ..args()
            }),
            serde_json::json!({ "desiredCount": 0 })
        );
        assert_eq!(
            change_of(UpdateArgs {
                circuit_breaker: Some(Breaker::Rollback),
                ..args()
            }),
            serde_json::json!({
                "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } }
            })
        );
        let failure = change(args()).unwrap_err();
        assert_eq!(failure.code(), 2);
    }
}
