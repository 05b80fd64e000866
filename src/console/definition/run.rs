//! Running a revision from its page: a form, what will happen, and then the tasks.
//!
//! What is filled in becomes the very document that `POST /v1/tasks` takes and is read by its rules. The page that says
//! what will happen carries a `clientToken`: sending it twice runs nothing twice.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{RevisionRow, named, revision_row};
use crate::api::{ApiError, Kind, order};
use crate::console::form::Action;
use crate::console::format::query;
use crate::console::frame::{Frame, Nav};
use crate::console::visit::Visit;
use crate::domain::{RegisteredTaskDefinition, display};
use crate::shapes::{Document, ParsedRunTask};

/// What a field of one container begins with, before its name.
const COMMAND: &str = "command.";
const ENVIRONMENT: &str = "environment.";

/// What is filled in; each field once, the last one of a name.
type Fields = Vec<(String, String)>;

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    let found = fields.iter().rev().find(|(known, _)| known == name);
    found.map(|(_, value)| value.trim()).unwrap_or_default()
}

/// A container whose command and environment can be changed.
struct Container {
    name: String,
    command: String,
}

#[derive(Template)]
#[template(path = "definition_run.html")]
struct RunPage {
    frame: Frame,
    row: RevisionRow,
    containers: Vec<Container>,
}

pub(super) async fn ask(
    visit: Visit,
    Path((family, revision)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let registered = named(&visit, &family, &revision).await?;
    let row = revision_row(&registered, visit.now);
    let containers = registered
        .definition
        .containers
        .iter()
        .map(|one| Container {
            name: one.name.to_string(),
            command: one.command.clone().unwrap_or_default().join(" "),
        });
    let page = RunPage {
        frame: visit.frame(
            Nav::Definitions,
            format!("Run {}:{}", row.family, row.revision),
        ),
        containers: containers.collect(),
        row,
    };
    visit.show(&page)
}

#[derive(Template)]
#[template(path = "definition_run_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    path: String,
    definition: String,
    cluster: String,
    count: u32,
    reserved: String,
    /// What changes, in lines of a name and a text.
    changes: Vec<(String, String)>,
    /// The form again, to be sent.
    fields: Fields,
    client_token: String,
}

pub(super) async fn run(
    Path((family, revision)): Path<(String, String)>,
    action: Action<Fields>,
) -> Result<Response, ApiError> {
    let Action { visit, form } = action;
    let registered = named(&visit, &family, &revision).await?;
    let document = document(&registered, &form)?;
    let parsed = ParsedRunTask::parse(&Document::from_value(&document))
        .map_err(|faults| ApiError::invalid(&faults))?;
    if field(&form, "step") != "run" {
        return confirm(&visit, &registered, &document, &parsed, form);
    }
    let (cluster, group) = (
        parsed.cluster.to_string(),
        registered.definition.family.to_string(),
    );
    let tasks = visit.control().run_task(order(parsed)).await?;
    Ok(match tasks.as_slice() {
        [only] => visit.go_on(&format!("/tasks/{}", only.id)),
        _ => visit.go_on(&format!(
            "/tasks?{}",
            query(&[("cluster", &cluster), ("family", &group)])
        )),
    })
}

fn confirm(
    visit: &Visit,
    registered: &RegisteredTaskDefinition,
    document: &Value,
    parsed: &ParsedRunTask,
    form: Fields,
) -> Result<Response, ApiError> {
    let definition = format!("{}:{}", registered.definition.family, registered.revision);
    let spec = crate::domain::TaskSpec::new(registered.definition.clone(), registered.revision);
    let spec = parsed
        .overrides
        .apply(spec)
        .map_err(|faults| ApiError::invalid(&faults))?;
    let count = u64::from(parsed.count);
    let reserved = format!(
        "{} vCPU and {} MiB",
        display::vcpu(u64::from(spec.reserved_cpu().0) * count),
        u64::from(spec.reserved_memory().0) * count
    );
    let path = format!(
        "/task-definitions/{}/{}/run",
        registered.definition.family, registered.revision
    );
    let page = ConfirmPage {
        frame: visit.frame(Nav::Definitions, format!("Run {definition}?")),
        path,
        definition,
        cluster: parsed.cluster.to_string(),
        count: parsed.count,
        reserved,
        changes: changes(document),
        fields: form
            .into_iter()
            .filter(|(name, value)| {
                !value.is_empty()
                    && !["step", "clientToken", crate::console::form::FIELD]
                        .contains(&name.as_str())
            })
            // A carriage return is only how browsers send the ends of lines.
            .map(|(name, value)| (name, value.replace('\r', "")))
            .collect(),
        client_token: format!("{:032x}", visit.console.ids.next_id()),
    };
    visit.show(&page)
}

/// The document that was filled in, as `POST /v1/tasks` takes it.
fn document(registered: &RegisteredTaskDefinition, fields: &Fields) -> Result<Value, ApiError> {
    let definition = format!("{}:{}", registered.definition.family, registered.revision);
    let mut document = Map::new();
    document.insert("taskDefinition".to_owned(), json!(definition));
    for name in ["cluster", "startedBy", "clientToken"] {
        if !field(fields, name).is_empty() {
            document.insert(name.to_owned(), json!(field(fields, name)));
        }
    }
    if !field(fields, "count").is_empty() {
        let count: u32 = field(fields, "count").parse().map_err(|_| {
            ApiError::new(Kind::InvalidRequest, "count is no number")
                .hint("write how many tasks are wanted: 1")
        })?;
        document.insert("count".to_owned(), json!(count));
    }
    if !field(fields, "enableExecuteCommand").is_empty() {
        document.insert("enableExecuteCommand".to_owned(), json!(true));
    }
    let tags = pairs(field(fields, "tags"), "tags")?;
    if !tags.is_empty() {
        let tags = tags
            .into_iter()
            .map(|(key, value)| json!({ "key": key, "value": value }));
        document.insert("tags".to_owned(), tags.collect());
    }
    let overrides = overrides(registered, fields)?;
    if !overrides.is_empty() {
        document.insert("overrides".to_owned(), Value::Object(overrides));
    }
    Ok(Value::Object(document))
}

fn overrides(
    registered: &RegisteredTaskDefinition,
    fields: &Fields,
) -> Result<Map<String, Value>, ApiError> {
    let mut overrides = Map::new();
    for name in ["cpu", "memory"] {
        if !field(fields, name).is_empty() {
            overrides.insert(name.to_owned(), json!(field(fields, name)));
        }
    }
    let mut containers = Vec::new();
    for container in &registered.definition.containers {
        let name = container.name.as_str();
        let mut one = Map::new();
        let command: Vec<&str> = field(fields, &format!("{COMMAND}{name}")).lines().collect();
        if !command.is_empty() {
            one.insert("command".to_owned(), json!(command));
        }
        let path = format!("{ENVIRONMENT}{name}");
        let environment = pairs(field(fields, &path), &path)?;
        if !environment.is_empty() {
            let environment = environment
                .into_iter()
                .map(|(name, value)| json!({ "name": name, "value": value }));
            one.insert("environment".to_owned(), environment.collect());
        }
        if !one.is_empty() {
            one.insert("name".to_owned(), json!(name));
            containers.push(Value::Object(one));
        }
    }
    if !containers.is_empty() {
        overrides.insert("containerOverrides".to_owned(), Value::Array(containers));
    }
    Ok(overrides)
}

/// Lines of `NAME=value`.
fn pairs(text: &str, field: &str) -> Result<Vec<(String, String)>, ApiError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            // The line may hold a secret: it is not repeated.
            _ => Err(ApiError::new(
                Kind::InvalidRequest,
                format!("{field}: a line is not NAME=value"),
            )
            .hint("write one name and its value on each line")),
        })
        .collect()
}

/// What of the document differs from the definition, as the page says it. Values of variables are not repeated.
fn changes(document: &Value) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    let mut add = |name: String, value: String| changes.push((name, value));
    for (name, key) in [("Started by", "startedBy")] {
        if let Some(value) = document.get(key) {
            add(name.to_owned(), text(value));
        }
    }
    if document.get("enableExecuteCommand").is_some() {
        add(
            "Commands".to_owned(),
            "people may run commands in it".to_owned(),
        );
    }
    for tag in document["tags"].as_array().into_iter().flatten() {
        add(
            "Tag".to_owned(),
            format!("{}={}", text(&tag["key"]), text(&tag["value"])),
        );
    }
    let overrides = &document["overrides"];
    for (name, key) in [("CPU", "cpu"), ("Memory", "memory")] {
        if let Some(value) = overrides.get(key) {
            add(name.to_owned(), text(value));
        }
    }
    for container in overrides["containerOverrides"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = text(&container["name"]);
        if let Some(command) = container["command"].as_array() {
            let command: Vec<String> = command.iter().map(text).collect();
            add(format!("Command of {name}"), command.join(" "));
        }
        let variables = container["environment"].as_array().into_iter().flatten();
        let variables: Vec<String> = variables.map(|variable| text(&variable["name"])).collect();
        if !variables.is_empty() {
            add(format!("Variables of {name}"), variables.join(", "));
        }
    }
    changes
}
