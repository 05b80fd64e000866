//! A revision of a task definition: a summary. The whole document is one `--output yaml` away.

use serde_json::Value;

use super::Page;
use crate::cli::definitions::scalar;
use crate::cli::table::{Field, Look, Table};
use crate::cli::time;
use crate::domain::TimestampMs;
use crate::shapes::TaskDefinition;

/// What `definition` says, in short.
pub(super) fn render(definition: &TaskDefinition, now: TimestampMs, look: Look) -> String {
    let document = &definition.document;
    let mut page = Page::new(look);
    page.entry("Definition", &definition.task_definition);
    page.entry("Status", &definition.status);
    let moment = |at: &str| time::moment(at, now);
    page.entry("Registered", &moment(&definition.registered_at));
    page.optional(
        "Deregistered",
        definition.deregistered_at.as_deref().map(moment).as_deref(),
    );
    page.optional("CPU", Some(&scalar(&document["cpu"])));
    page.optional("Memory", Some(&scalar(&document["memory"])));
    page.optional("Network", Some(&scalar(&document["networkMode"])));

    page.heading("Containers");
    page.table(&containers(list(document, "containerDefinitions")), look);
    if !definition.warnings.is_empty() {
        page.heading("Without effect here");
        for warning in &definition.warnings {
            page.line(warning);
        }
    }
    page.finish()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn containers(containers: &[Value]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "ESSENTIAL",
        "CPU",
        "MEMORY",
        "PORTS",
        "IMAGE",
        "COMMAND",
    ]);
    for container in containers {
        let ports: Vec<String> = list(container, "portMappings").iter().map(port).collect();
        let command: Vec<&str> = list(container, "command")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let fields: [Field; 7] = [
            scalar(&container["name"]).into(),
            // ECS: essential unless said otherwise.
            if container["essential"] == Value::Bool(false) {
                "no"
            } else {
                "yes"
            }
            .into(),
            scalar(&container["cpu"]).into(),
            scalar(&container["memory"]).into(),
            ports.join(", ").into(),
            scalar(&container["image"]).into(),
            command.join(" ").into(),
        ];
        table.row(fields);
    }
    table
}

/// `8080->80/tcp`, or `80/tcp` where no port of the host is named.
fn port(mapping: &Value) -> String {
    let protocol = mapping["protocol"].as_str().unwrap_or("tcp");
    let inside = scalar(&mapping["containerPort"]);
    match scalar(&mapping["hostPort"]).as_str() {
        "" => format!("{inside}/{protocol}"),
        host => format!("{host}->{inside}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::sample;

    #[test]
    fn a_definition_in_short() {
        assert_eq!(
            render(&sample::definition(), sample::now(), Look::default()),
            "\
Definition  hello:1
Status      ACTIVE
Registered  2026-01-31T08:15:00.000Z (3 min ago)
CPU         256
Memory      512
Network     awsvpc

Containers
  NAME   ESSENTIAL  PORTS         IMAGE                     COMMAND
  hello  yes        8080->80/tcp  neargate/workload:latest  log --lines 5
  proxy  no         53/udp        proxy:2

Without effect here
  taskRoleArn: there are no roles here
"
        );
    }
}
