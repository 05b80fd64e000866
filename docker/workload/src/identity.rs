//! Which task and which container this is, as the ECS task metadata endpoint (version 4) tells it.

use std::sync::OnceLock;
use std::time::Duration;

use crate::http::{self, Url};

/// Where ECS puts the address of the endpoint.
const ADDRESS_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";
const TIMEOUT: Duration = Duration::from_secs(2);

/// The task and the container that the process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The last part of the ARN of the task.
    pub task_id: String,
    /// The name of the container in its task definition.
    pub container_name: String,
}

/// Asks the endpoint, until it has answered once; what it does not tell is `unknown`.
pub fn identity() -> Identity {
    static KNOWN: OnceLock<Identity> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return known.clone();
    }
    let (task_id, container_name) = match std::env::var(ADDRESS_VARIABLE) {
        Ok(address) => ask(address.trim_end_matches('/')),
        Err(_) => (None, None),
    };
    if let (Some(task_id), Some(container_name)) = (&task_id, &container_name) {
        let known = Identity {
            task_id: task_id.clone(),
            container_name: container_name.clone(),
        };
        return KNOWN.get_or_init(|| known).clone();
    }
    let unknown = || "unknown".to_owned();
    Identity {
        task_id: task_id.unwrap_or_else(unknown),
        container_name: container_name.unwrap_or_else(unknown),
    }
}

fn ask(address: &str) -> (Option<String>, Option<String>) {
    let container = fetch(address).unwrap_or_default();
    let container_name = string_field(&container, "com.amazonaws.ecs.container-name")
        .or_else(|| string_field(&container, "Name"));
    let task_arn = string_field(&container, "com.amazonaws.ecs.task-arn").or_else(|| {
        let task = fetch(&format!("{address}/task"))?;
        string_field(&task, "TaskARN")
    });
    let task_id = task_arn.and_then(|arn| arn.rsplit('/').next().map(str::to_owned));
    (task_id, container_name)
}

fn fetch(address: &str) -> Option<String> {
    let answer = http::get(&Url::parse(address).ok()?, TIMEOUT).ok()?;
    if !answer.is_success() {
        return None;
    }
    String::from_utf8(answer.body).ok()
}

/// The first text in a JSON document that stands under `key`, at whatever depth.
///
/// Not a JSON parser: names and ARNs have no escapes in them, so one with a backslash counts as absent.
fn string_field(json: &str, key: &str) -> Option<String> {
    let quoted = format!("\"{key}\"");
    json.match_indices(&quoted).find_map(|(start, _)| {
        let after = json[start + quoted.len()..]
            .trim_start()
            .strip_prefix(':')?;
        let (value, _) = after.trim_start().strip_prefix('"')?.split_once('"')?;
        (!value.is_empty() && !value.contains('\\')).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_at_any_depth() {
        let json = r#"{"Image": "Name", "Name" : "web", "Labels":{"com.amazonaws.ecs.task-arn":"a/b"}, "N": 1}"#;
        assert_eq!(string_field(json, "Name").as_deref(), Some("web"));
        assert_eq!(
            string_field(json, "com.amazonaws.ecs.task-arn").as_deref(),
            Some("a/b")
        );
        assert_eq!(string_field(json, "N"), None);
        assert_eq!(string_field(json, "TaskARN"), None);
        assert_eq!(string_field(r#"{"Name": "w"#, "Name"), None);
    }
}
