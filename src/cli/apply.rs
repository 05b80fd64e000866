//! `neargate apply`: makes what is there like documents say: task definitions, services and schedules together.
//!
//! All documents are read and checked before anything is changed, by the same code that the server checks them with.
//! Then the task definitions come first, as services and schedules name them. What is like its document already is left alone, so
//! applying the same documents twice changes nothing.

mod schedule;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::{Answer, ClientError, Syntax};
use super::failure::Failure;
use super::parse::Source;
use super::{Session, service};
use crate::domain::Faults;
use crate::shapes::diff::{Change, diff};
use crate::shapes::{
    Document, Format, ParsedSchedule, ParsedService, ParsedTaskDefinition, Problem, ProblemError,
    Service, UpdateServiceRequest,
};

/// The most files that are taken from a folder.
const MOST_FILES: usize = 1_000;

/// Make task definitions, services and schedules like documents say
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A document with a serviceName is a service, one with a scheduleExpression a schedule, one with a family a task definition. \
Of a folder, every .yaml, .yml \
and .json file is taken.

Example:
  neargate apply -f task-definitions -f services --dry-run")]
pub(super) struct ApplyArgs {
    /// A document, or a folder of them
    #[arg(short, long = "file", required = true, value_name = "FILE|FOLDER")]
    files: Vec<PathBuf>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Wait until each service that changes is in a steady state
    #[arg(short, long)]
    wait: bool,
}

/// A document that was read and is in order.
struct Wanted {
    file: String,
    syntax: Syntax,
    bytes: Vec<u8>,
    value: Value,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Definition,
    Service,
    Schedule,
}

/// What is to be done about one document.
struct Step {
    /// `task definition web` or `service web`.
    name: String,
    action: &'static str,
    changes: Vec<Change>,
}

/// What is to be done about a service.
enum Doing {
    Create,
    Update(Box<UpdateServiceRequest>),
    /// It is like its document. What it is may still be on its way.
    Nothing(Box<Service>),
}

pub(super) async fn execute(session: &mut Session, args: ApplyArgs) -> Result<u8, Failure> {
    let mut wanted = Vec::new();
    for file in files(&args.files)? {
        wanted.push(read(&file)?);
    }
    let of = |kind| wanted.iter().filter(move |one| one.kind == kind);
    let mut steps = Vec::new();
    let mut new_revisions = Vec::new();
    for one in of(Kind::Definition) {
        let step = definition(session, one).await?;
        say(session, &step)?;
        if step.action != "unchanged" {
            new_revisions.push(one.value["family"].as_str().unwrap_or_default().to_owned());
            if !args.dry_run {
                let answer = session.client.register(one.syntax, one.bytes.clone()).await;
                answer.map_err(|error| Failure::of_document(&one.file, error))?;
            }
        }
        steps.push(step);
    }
    let mut code = 0;
    for one in of(Kind::Service) {
        let (step, doing) = service_step(session, one, &new_revisions, args.dry_run).await?;
        say(session, &step)?;
        if !args.dry_run {
            let service = match doing {
                Doing::Nothing(current) => *current,
                Doing::Create => carry_out(session, one, None).await?.value,
                Doing::Update(change) => carry_out(session, one, Some(&*change)).await?.value,
            };
            if !args.wait {
                service::warn(session, &service);
            } else if let Err(failure) = service::steady(session, &service).await {
                session.console.complain(&failure);
                code = failure.code();
            }
        }
        steps.push(step);
    }
    for one in of(Kind::Schedule) {
        let (step, is_new) = schedule::step(session, one).await?;
        say(session, &step)?;
        if !args.dry_run && step.action != "unchanged" {
            schedule::carry_out(session, one, is_new).await?;
        }
        steps.push(step);
    }
    session.console.document(&json!({
        "dryRun": args.dry_run,
        "items": steps.iter().map(Step::document).collect::<Vec<_>>(),
    }))?;
    Ok(code)
}

impl Step {
    fn document(&self) -> Value {
        let change = |one: &Change| json!({ "path": one.path, "old": one.old, "new": one.new });
        json!({
            "name": self.name,
            "action": self.action,
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
        })
    }
}

/// Tables are for people, and so is this; documents come as a whole in the end.
fn say(session: &mut Session, step: &Step) -> Result<(), Failure> {
    if session.console.format == super::console::Format::Table {
        session
            .console
            .line(&format!("{}: {}", step.name, step.action))?;
        for change in &step.changes {
            session.console.line(&format!("  {}", change.line()))?;
        }
        session.console.flush()?;
    }
    Ok(())
}

/// The files, those of folders in the order of their names.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error: std::io::Error| {
            Failure::new(
                format!("{} cannot be read: {error}", path.display()),
                "name files and folders that you may read",
            )
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.is_file() && is_document(&file) {
                found.push(file);
            }
        }
        if found.is_empty() || found.len() > MOST_FILES {
            return Err(Failure::new(
                format!("folder {} has {} documents", path.display(), found.len()),
                format!("documents end in .yaml, .yml or .json; {MOST_FILES} at most are taken"),
            ));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn is_document(path: &Path) -> bool {
    let end = path
        .extension()
        .and_then(|end| end.to_str())
        .unwrap_or_default();
    ["yaml", "yml", "json"].contains(&end.to_ascii_lowercase().as_str())
}

/// Reads a document and checks it, as the server would.
fn read(path: &Path) -> Result<Wanted, Failure> {
    let source = Source::Path(path.to_owned());
    let (file, syntax, bytes) = (source.name(), source.syntax(), source.read()?);
    let faulty = |faults: Faults| of_faults(&file, &faults);
    let document = Document::read(&bytes, format(syntax)).map_err(faulty)?;
    let value = document.value();
    let kind = if value.get("serviceName").is_some() {
        ParsedService::create(&document, None).map_err(faulty)?;
        Kind::Service
    } else if value.get("scheduleExpression").is_some() {
        ParsedSchedule::parse(&document, None).map_err(faulty)?;
        Kind::Schedule
    } else if value.get("family").is_some() {
        ParsedTaskDefinition::parse(&document).map_err(faulty)?;
        Kind::Definition
    } else {
        return Err(Failure::new(
            format!(
                "{file} is no task definition, which has a family, no service, which has a serviceName, and no \
                 schedule, which has a scheduleExpression"
            ),
            "task-definitions, services and schedules beside Neargate's source have examples",
        ));
    };
    Ok(Wanted {
        file,
        syntax,
        bytes,
        value,
        kind,
    })
}

/// The document in `source`, or what is wrong with its form.
pub(super) fn document(source: &Source) -> Result<Document, Failure> {
    let bytes = source.read()?;
    Document::read(&bytes, format(source.syntax()))
        .map_err(|faults| of_faults(&source.name(), &faults))
}

const fn format(syntax: Syntax) -> Format {
    match syntax {
        Syntax::Yaml => Format::Yaml,
        Syntax::Json => Format::Json,
    }
}

pub(super) fn of_faults(file: &str, faults: &Faults) -> Failure {
    let problem = Problem {
        status: 400,
        errors: ProblemError::list(faults),
        ..Problem::default()
    };
    Failure::of_document(file, ClientError::Refused(Box::new(problem)))
}

/// `None` where there is nothing of that name.
fn if_there<T>(answer: Result<Answer<T>, ClientError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer.value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn definition(session: &Session, wanted: &Wanted) -> Result<Step, Failure> {
    let family = wanted.value["family"].as_str().unwrap_or_default();
    let current = if_there(session.client.definition(family).await)?;
    let changes = current
        .as_ref()
        .map(|one| diff(&one.document, &wanted.value));
    let action = match &changes {
        None => "is registered",
        Some(changes) if changes.is_empty() => "unchanged",
        Some(_) => "gets a new revision",
    };
    Ok(Step {
        name: format!("task definition {family}"),
        action,
        changes: changes.unwrap_or_default(),
    })
}

/// What is to be done about a service, and what of it is to be sent. `new_revisions` are the families that get one.
async fn service_step(
    session: &mut Session,
    wanted: &Wanted,
    new_revisions: &[String],
    dry_run: bool,
) -> Result<(Step, Doing), Failure> {
    let name = wanted.value["serviceName"].as_str().unwrap_or_default();
    let cluster = cluster(session, wanted);
    let current = if_there(session.client.service(&cluster, name).await)?;
    let Some(current) = current.filter(|current| current.status == "ACTIVE") else {
        let step = Step {
            name: format!("service {name}"),
            action: "is created",
            changes: Vec::new(),
        };
        return Ok((step, Doing::Create));
    };
    let definition = wanted.value["taskDefinition"].as_str().unwrap_or_default();
    let is_new = dry_run && new_revisions.iter().any(|family| family == definition);
    let revision = if is_new {
        format!("the new revision of {definition}")
    } else {
        session
            .client
            .definition(definition)
            .await?
            .value
            .task_definition
    };
    let (now, then) = compared(&current, &wanted.value, &revision);
    let changes = diff(&now, &then);
    let fixed = diff(
        &fixed(&json!(current)),
        &fixed(&with_defaults(&wanted.value)),
    );
    for one in fixed {
        session.console.warn(&format!(
            "{}: {}: it is set when a service is created and cannot be changed",
            wanted.file,
            one.line()
        ));
    }
    let (action, doing) = if changes.is_empty() {
        ("unchanged", Doing::Nothing(Box::new(current)))
    } else {
        // What is like it is sent as well: it changes nothing.
        let change = serde_json::from_value(then).unwrap_or_default();
        ("is updated", Doing::Update(Box::new(change)))
    };
    let step = Step {
        name: format!("service {name}"),
        action,
        changes,
    };
    Ok((step, doing))
}

fn cluster(session: &Session, wanted: &Wanted) -> String {
    let named = wanted.value["cluster"].as_str().map(str::to_owned);
    named.unwrap_or_else(|| session.cluster())
}

/// What of a service is its own, can be changed, and is shown by the server.
const CHANGEABLE: [&str; 5] = [
    "desiredCount",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "propagateTags",
    "enableECSManagedTags",
];

const CONFIGURATION: &str = "deploymentConfiguration";

/// What of a service can be changed and is named by `wanted`: as it is, and as it is to be.
fn compared(current: &Service, wanted: &Value, revision: &str) -> (Value, Value) {
    let is = json!(current);
    let (mut now, mut then) = (json!({}), json!({}));
    for name in CHANGEABLE {
        if !wanted[name].is_null() {
            now[name] = is[name].clone();
            then[name] = wanted[name].clone();
        }
    }
    for name in [
        "minimumHealthyPercent",
        "maximumPercent",
        "deploymentCircuitBreaker",
    ] {
        if !wanted[CONFIGURATION][name].is_null() {
            now[CONFIGURATION][name] = is[CONFIGURATION][name].clone();
            then[CONFIGURATION][name] = wanted[CONFIGURATION][name].clone();
        }
    }
    now["taskDefinition"] = is["taskDefinition"].clone();
    then["taskDefinition"] = json!(revision);
    (now, then)
}

/// What of a service is set once and for all.
fn fixed(service: &Value) -> Value {
    json!({ "schedulingStrategy": service["schedulingStrategy"], "tags": service["tags"] })
}

fn with_defaults(wanted: &Value) -> Value {
    let mut wanted = wanted.clone();
    if wanted["schedulingStrategy"].is_null() {
        wanted["schedulingStrategy"] = json!("REPLICA");
    }
    if wanted["tags"].is_null() {
        wanted["tags"] = json!([]);
    }
    wanted
}

async fn carry_out(
    session: &mut Session,
    wanted: &Wanted,
    change: Option<&UpdateServiceRequest>,
) -> Result<Answer<Service>, Failure> {
    let answer = if let Some(change) = change {
        let name = wanted.value["serviceName"].as_str().unwrap_or_default();
        let cluster = cluster(session, wanted);
        session.client.update_service(&cluster, name, change).await
    } else {
        let cluster = session.named_cluster.as_deref();
        let client = &session.client;
        client
            .create_service(cluster, wanted.syntax, wanted.bytes.clone())
            .await
    };
    answer.map_err(|error| Failure::of_document(&wanted.file, error))
}
