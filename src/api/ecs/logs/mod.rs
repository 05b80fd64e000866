//! `CloudWatch` Logs: the part that those call who read what the containers of ECS wrote.
//!
//! Groups and streams are names of the logs that Neargate keeps anyway. A client can make and delete the names; only
//! containers write lines.

mod events;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::{Input, flag, list, long, map, number, text, texts};
use super::table::{Answer, Operation, does};
use crate::control::{Control, ControlError};
use crate::domain::{self, LogGroup, LogGroupName, LogStream, TimestampMs};
use crate::store::{PageRequest, StoreError, StreamOrder};

/// What the docs say before the table.
pub(super) const ABOUT: &str = "\
## CloudWatch Logs

`aws logs …` with the same endpoint. A container whose `logConfiguration` has the driver `awslogs` and an `awslogs-group`
has its log in that group, in the stream `prefix/container/task-id` (`container/task-id` without an
`awslogs-stream-prefix`). The first task makes the group, whatever `awslogs-create-group` says, so
`aws logs tail GROUP --follow` (version 2 of the AWS CLI) shows what the tasks write. Nothing is copied: a line is read
from the engine, or from the logs that Neargate keeps when containers are gone, and it goes with them. Of a container that
was started again, all attempts are one stream. Lines cannot be put by clients.

A `filterPattern` has terms and `\"quoted phrases\"`, which must all be in a line; `?term ?term` looks for one of several,
`-term` for lines without it. Patterns for JSON (`{ … }`), for columns (`[ … ]`) and regular expressions (`%…%`) are
refused. Operations that are not in this table answer `UnknownOperationException`.
";

#[rustfmt::skip]
pub(super) static OPERATIONS: [Operation; 13] = [
    does!("CreateLogGroup", create_group, [
        text("logGroupName").required(), text("kmsKeyId"), map("tags"), text("logGroupClass"),
        flag("deletionProtectionEnabled"),
    ], "kmsKeyId, logGroupClass and deletionProtectionEnabled have no effect"),
    does!("CreateLogStream", create_stream, [text("logGroupName").required(), text("logStreamName").required()],
        "nobody can write to it"),
    does!("DeleteLogGroup", delete_group, [text("logGroupName").required()],
        "the names go; what tasks wrote stays with them, for `neargate logs`"),
    does!("DeleteRetentionPolicy", delete_retention, [text("logGroupName").required()], ""),
    does!("DescribeLogGroups", describe_groups, [
        list("accountIdentifiers"), text("logGroupNamePrefix"), text("logGroupNamePattern"), text("nextToken"),
        number("limit"), flag("includeLinkedAccounts"), text("logGroupClass"), texts("logGroupIdentifiers"),
    ], "`storedBytes` is 0"),
    does!("DescribeLogStreams", describe_streams, [
        text("logGroupName"), text("logGroupIdentifier"), text("logStreamNamePrefix"), text("orderBy"),
        flag("descending"), text("nextToken"), number("limit"),
    ], "LastEventTime orders by when the streams were made"),
    does!("FilterLogEvents", events::filter, [
        text("logGroupName"), text("logGroupIdentifier"), texts("logStreamNames"), text("logStreamNamePrefix"),
        long("startTime"), long("endTime"), text("filterPattern"), text("nextToken"), number("limit"),
        flag("startFromHead"), flag("interleaved"), flag("unmask"),
    ], "always interleaved; a page has the lines of 64 streams at most"),
    does!("GetLogEvents", events::get, [
        text("logGroupName"), text("logGroupIdentifier"), text("logStreamName").required(), long("startTime"),
        long("endTime"), text("nextToken"), number("limit"), flag("startFromHead"), flag("unmask"),
    ], "`ingestionTime` is the line's time"),
    does!("ListTagsForResource", list_tags, [text("resourceArn").required()], "of log groups"),
    does!("ListTagsLogGroup", list_group_tags, [text("logGroupName").required()], ""),
    does!("PutRetentionPolicy", put_retention, [
        text("logGroupName").required(), number("retentionInDays").required(),
    ], "given back; what is kept for how long, the operator says (`kept_logs_max_age_days`)"),
    does!("TagResource", tag, [text("resourceArn").required(), map("tags").required()], "of log groups"),
    does!("UntagResource", untag, [text("resourceArn").required(), texts("tagKeys").required()], "of log groups"),
];

/// Groups or streams on a page, and the most of them, as in `CloudWatch` Logs.
const PAGE: i64 = 50;
/// For how many days lines can be kept there.
const RETENTIONS: [i64; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1_096, 1_827, 2_192, 2_557,
    2_922, 3_288, 3_653,
];
/// The most tags of a group.
const MOST_TAGS: usize = 50;

/// An error about a group or stream, in the words of `CloudWatch` Logs.
fn refused(error: ControlError, what: &'static str) -> EcsError {
    match error {
        ControlError::Store(StoreError::NotFound { what }) => EcsError::new(
            "ResourceNotFoundException",
            if what.starts_with("log stream") {
                "The specified log stream does not exist."
            } else {
                "The specified log group does not exist."
            },
        ),
        ControlError::Store(StoreError::AlreadyExists { .. }) => EcsError::new(
            "ResourceAlreadyExistsException",
            format!("The specified {what} already exists"),
        ),
        other => other.into(),
    }
}

fn arn(group: &LogGroupName) -> String {
    domain::arn("logs", format_args!("log-group:{group}"))
}

/// A group by its name or its ARN, with or without `:*`.
fn group_name(text: &str) -> Result<LogGroupName, EcsError> {
    let name = if text.starts_with("arn:") {
        let parts: Vec<&str> = text.splitn(7, ':').collect();
        let &["arn", _, "logs", region, account, "log-group", name] = parts.as_slice() else {
            return Err(EcsError::parameter("The ARN is not one of a log group."));
        };
        if (region, account) != (domain::region(), domain::account()) {
            return Err(EcsError::parameter(
                "The ARN is of another account or region.",
            ));
        }
        name.strip_suffix(":*").unwrap_or(name)
    } else {
        text
    };
    Ok(name.parse()?)
}

/// The group that a call is about, which exists.
async fn group(control: &Control, input: &Input) -> Result<LogGroup, EcsError> {
    let name = match (input.text("logGroupName"), input.text("logGroupIdentifier")) {
        (Some(name), None) | (None, Some(name)) => group_name(name)?,
        _ => {
            return Err(EcsError::parameter(
                "Either logGroupName or logGroupIdentifier must be specified, and not both.",
            ));
        }
    };
    let found = control.log_group(&name).await;
    found.map_err(|error| refused(error, "log group"))
}

fn tags(sent: Option<&Value>) -> Result<BTreeMap<String, String>, EcsError> {
    let mut tags = BTreeMap::new();
    for (key, value) in sent.and_then(Value::as_object).into_iter().flatten() {
        let Some(value) = value.as_str() else {
            return Err(EcsError::parameter("The value of a tag must be a text."));
        };
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            return Err(EcsError::parameter(
                "The tag key must have 1 to 128 characters, and the value 256 at most.",
            ));
        }
        tags.insert(key.clone(), value.to_owned());
    }
    if tags.len() > MOST_TAGS {
        return Err(EcsError::parameter("A log group can have 50 tags at most."));
    }
    Ok(tags)
}

async fn create_group(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = group_name(input.required("logGroupName"))?;
    let tags = tags(input.value("tags"))?;
    let made = control.create_log_group(name, tags).await;
    made.map_err(|error| refused(error, "log group"))?;
    Ok(json!({}))
}

async fn delete_group(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = group_name(input.required("logGroupName"))?;
    let gone = control.delete_log_group(&name).await;
    gone.map_err(|error| refused(error, "log group"))?;
    Ok(json!({}))
}

async fn put_retention(control: Control, input: Input) -> Result<Value, EcsError> {
    let days = input.number("retentionInDays", 1, 3_653)?;
    if !days.is_some_and(|days| RETENTIONS.contains(&days)) {
        return Err(EcsError::parameter(format!(
            "retentionInDays must be one of {RETENTIONS:?}"
        )));
    }
    retention(&control, &input, days).await
}

async fn delete_retention(control: Control, input: Input) -> Result<Value, EcsError> {
    retention(&control, &input, None).await
}

async fn retention(control: &Control, input: &Input, days: Option<i64>) -> Result<Value, EcsError> {
    let name = group_name(input.required("logGroupName"))?;
    let days = days.and_then(|days| u32::try_from(days).ok());
    let put = control.put_log_retention(&name, days).await;
    put.map_err(|error| refused(error, "log group"))?;
    Ok(json!({}))
}

async fn list_tags(control: Control, input: Input) -> Result<Value, EcsError> {
    shown_tags(&control, input.required("resourceArn")).await
}

async fn list_group_tags(control: Control, input: Input) -> Result<Value, EcsError> {
    shown_tags(&control, input.required("logGroupName")).await
}

async fn shown_tags(control: &Control, name: &str) -> Result<Value, EcsError> {
    let found = control.log_group(&group_name(name)?).await;
    let group = found.map_err(|error| refused(error, "log group"))?;
    Ok(json!({ "tags": group.tags }))
}

async fn tag(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = group_name(input.required("resourceArn"))?;
    let tags = tags(input.value("tags"))?;
    let put = control.tag_log_group(&name, tags).await;
    put.map_err(|error| refused(error, "log group"))?;
    Ok(json!({}))
}

async fn untag(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = group_name(input.required("resourceArn"))?;
    let keys = input.texts("tagKeys").into_iter().map(str::to_owned);
    let gone = control.untag_log_group(&name, keys.collect()).await;
    gone.map_err(|error| refused(error, "log group"))?;
    Ok(json!({}))
}

fn page(input: &Input) -> Result<PageRequest, EcsError> {
    let limit = input.number("limit", 1, PAGE)?.unwrap_or(PAGE);
    Ok(PageRequest {
        limit: u32::try_from(limit).unwrap_or_default(),
        token: input.text("nextToken").map(str::to_owned),
    })
}

async fn describe_groups(control: Control, input: Input) -> Result<Value, EcsError> {
    let prefix = input.text("logGroupNamePrefix").unwrap_or_default();
    let part = input.text("logGroupNamePattern").unwrap_or_default();
    if !prefix.is_empty() && !part.is_empty() {
        return Err(EcsError::parameter(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let identifiers = input.texts("logGroupIdentifiers");
    if !identifiers.is_empty() {
        let mut groups = Vec::new();
        for text in identifiers {
            match control.log_group(&group_name(text)?).await {
                Ok(group) => groups.push(shown_group(&group)),
                Err(ControlError::Store(StoreError::NotFound { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(json!({ "logGroups": groups }));
    }
    let page = control.log_groups(prefix, part, page(&input)?).await?;
    let groups: Vec<Value> = page.items.iter().map(shown_group).collect();
    Ok(json!({ "logGroups": groups, "nextToken": page.next }))
}

fn shown_group(group: &LogGroup) -> Value {
    let arn = arn(&group.name);
    json!({
        "logGroupName": group.name,
        "creationTime": group.created_at.as_millis(),
        "retentionInDays": group.retention_in_days,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
    })
}

async fn create_stream(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = group_name(input.required("logGroupName"))?;
    let stream = input.required("logStreamName");
    let made = control.create_log_stream(&name, stream).await;
    made.map_err(|error| refused(error, "log stream"))?;
    Ok(json!({}))
}

async fn describe_streams(control: Control, input: Input) -> Result<Value, EcsError> {
    let by = input.word("orderBy", &["LogStreamName", "LastEventTime"])?;
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    let is_descending = input.flag("descending").unwrap_or_default();
    let order = match (by == Some("LastEventTime"), is_descending) {
        (true, _) if !prefix.is_empty() => {
            return Err(EcsError::parameter(
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ));
        }
        (true, true) => StreamOrder::AgeDescending,
        (true, false) => StreamOrder::Age,
        (false, true) => StreamOrder::NameDescending,
        (false, false) => StreamOrder::Name,
    };
    let page = page(&input)?;
    let group = group(&control, &input).await?.name;
    let found = control.log_streams(&group, prefix, order, page).await?;
    let streams = found.items.iter();
    let streams: Vec<Value> = streams
        .map(|(stream, times)| shown_stream(&group, stream, *times))
        .collect();
    Ok(json!({ "logStreams": streams, "nextToken": found.next }))
}

fn shown_stream(
    group: &LogGroupName,
    stream: &LogStream,
    times: Option<(TimestampMs, TimestampMs)>,
) -> Value {
    let (first, last) = times.unzip();
    let ms = |at: Option<TimestampMs>| at.map(TimestampMs::as_millis);
    json!({
        "logStreamName": stream.name,
        "creationTime": stream.created_at.as_millis(),
        "firstEventTimestamp": ms(first),
        "lastEventTimestamp": ms(last),
        "lastIngestionTime": ms(last),
        "uploadSequenceToken": stream.seq.to_string(),
        "arn": format!("{}:log-stream:{}", arn(group), stream.name),
        "storedBytes": 0,
    })
}
