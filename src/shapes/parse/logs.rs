//! Where a container's log goes: of all drivers, `awslogs` gives it a name under which clients of `CloudWatch` Logs find it.

use crate::domain::{AwsLogs, Faults, InvalidName, is_log_stream_name};
use crate::shapes::path;
use crate::shapes::{LogConfiguration, LogDriver};

/// The group and prefix that a container's `logConfiguration` names, if it does.
pub(super) fn awslogs(
    configuration: Option<&LogConfiguration>,
    path: &str,
    faults: &mut Faults,
) -> Option<AwsLogs> {
    let configuration = configuration?;
    if configuration.log_driver != Some(LogDriver::Awslogs) {
        return None;
    }
    let options = configuration.options.as_ref()?;
    let path = path::field(path, "options");
    let prefix = options
        .get("awslogs-stream-prefix")
        .filter(|prefix| !prefix.is_empty());
    if let Some(prefix) = prefix
        && (!is_log_stream_name(prefix) || prefix.chars().count() > LONGEST_PREFIX)
    {
        faults.add_with_hint(
            path::field(&path, "awslogs-stream-prefix"),
            format!("is {}, which no stream can begin with", path::quote(prefix)),
            "use up to 200 characters without : and *",
        );
    }
    let group = options.get("awslogs-group")?;
    let group = group.parse().map_err(|error: InvalidName| {
        faults.add_with_hint(
            path::field(&path, "awslogs-group"),
            format!("is {}, which is not a log group", path::quote(group)),
            error.rule,
        );
    });
    Some(AwsLogs {
        group: group.ok()?,
        stream_prefix: prefix.cloned(),
    })
}

/// A container's name of 255 characters and a task's ID fit behind it.
const LONGEST_PREFIX: usize = 200;
