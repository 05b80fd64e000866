//! What becomes of each field of a task definition and of a service here: a table of each, for the code and for the docs.
//!
//! A field that would be missed is not dropped in silence. Where running without it would be wrong or
//! unsafe, the document is refused with the reason; where it would merely be less, the field is kept, given
//! back, and a warning says that it has no effect. `docs/task-definition-fields.md` and `docs/service-fields.md` are
//! written from these tables, and a test holds them against the schemas, so that no field of ECS is without a verdict.

mod service;

use std::fmt::Write as _;

use serde_json::Value;

use super::path;
use crate::domain::Faults;

/// One row: a field, or everything below it.
struct Row {
    /// Where it is, with `[]` for every item of a list.
    path: &'static str,
    verdict: Verdict,
    /// More about it; for a field that is refused, the message.
    note: &'static str,
}

/// Whether a value asks for something.
type Asks = fn(&Value) -> bool;

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Verdict {
    /// It has the effect that it has in ECS, or the one that the note says.
    Honoured,
    /// It is given back and has no effect.
    Kept,
    /// It has its effect, unless it asks for something else: then it is only given back.
    KeptWhere(Asks),
    /// A document in which it asks for something is refused.
    Refused(Asks),
    /// Some values are honoured, the others refused.
    Partly(Asks),
}

use Verdict::{Honoured, Kept, KeptWhere, Partly, Refused};

/// In the order in which the API reference of ECS lists the fields.
#[rustfmt::skip]
const TABLE: [Row; 107] = [
    row("family", Honoured, ""),
    row("taskRoleArn", Kept, "Neargate gives tasks no credentials of AWS"),
    row("executionRoleArn", Kept, "Neargate pulls images and reads secrets by itself"),
    row("networkMode", Honoured, "`host` only where the operator sets `allow_host_network`"),
    row("runtime", Honoured, "Neargate's own: one of the engine's runtimes; otherwise the operator's choice for the cluster, or the engine's"),
    row("placementConstraints", Kept, "there is one host"),
    row("volumes[].name", Honoured, "with no more than a name (and an empty `host`): made for the task, shared by its containers, removed with it; an empty one gets what the image has at that place"),
    row("volumes[].host.sourcePath", Honoured, "a folder of the engine's host, only below those in the operator's `allowed_host_paths`; see docs/volumes.md"),
    row("volumes[].dockerVolumeConfiguration.scope", Honoured, "`task`: as with a name alone; `shared`: the cluster's volume of that name, which outlives its tasks"),
    row("volumes[].dockerVolumeConfiguration.autoprovision", Honoured, "of `shared`; without it the volume must be there, with Neargate's labels: see docs/volumes.md"),
    row("volumes[].dockerVolumeConfiguration.driver", Partly(not_local), "only `local` is supported: what another driver mounts, nobody could check; the operator can make such a volume for the cluster, see docs/volumes.md"),
    row("volumes[].dockerVolumeConfiguration.driverOpts", Refused(given), "is not supported: with options, the local driver mounts whatever the host has; the operator can make such a volume for the cluster, see docs/volumes.md"),
    row("volumes[].dockerVolumeConfiguration.labels", Honoured, "of a volume that is made; none may begin with `neargate.`"),
    row("volumes[].efsVolumeConfiguration", Kept, "there is no EFS here: it is the cluster's volume of that name, on the disk of this host, which outlives its tasks; the operator can put that on NFS, see docs/volumes.md"),
    row("volumes[].s3filesVolumeConfiguration", Kept, "there is no S3 Files here: it is the cluster's volume of that name, on the disk of this host, which outlives its tasks"),
    row("volumes[].fsxWindowsFileServerVolumeConfiguration", Kept, "there is no FSx here: it is the cluster's volume of that name, on the disk of this host, which outlives its tasks"),
    row("volumes[].configuredAtLaunch", Refused(given), "is not supported: there is no EBS here that a run could describe; a volume with only a name is as large as the engine's disk"),
    row("requiresCompatibilities", Honoured, "with `FARGATE`, `cpu` and `memory` are required and `networkMode` is `awsvpc`"),
    row("cpu", Honoured, "one of Fargate's sizes, together with `memory`"),
    row("memory", Honoured, "one of Fargate's sizes, together with `cpu`"),
    row("tags", Honoured, "kept and given back"),
    row("pidMode", Refused(given), "is not supported yet: each container sees its own processes only"),
    row("ipcMode", Partly(not_none), "only `none` is supported yet: each container has its own shared memory"),
    row("proxyConfiguration", Kept, "there is no App Mesh here: traffic goes past the proxy, unprotected"),
    row("inferenceAccelerators", Refused(given), "is not supported: there are no accelerators of Elastic Inference here"),
    row("ephemeralStorage", Kept, "it is not enforced: what a task writes to its containers and volumes is as large as the engine lets it be"),
    row("runtimePlatform.operatingSystemFamily", Partly(not_linux), "only `LINUX` is supported"),
    row("runtimePlatform.cpuArchitecture", Kept, "images run on the architecture of the engine"),
    row("enableFaultInjection", Kept, "there is no endpoint through which a task could ask for faults"),
    row("trustedExecutionConfiguration.isolationMode", Partly(not_shared), "only `SHARED` is supported: a task shares the kernel with others"),
    row("trustedExecutionConfiguration.attestationPolicy", Refused(given), "is not supported: there is nothing that could prove it"),
    row("containerDefinitions[].name", Honoured, ""),
    row("containerDefinitions[].image", Honoured, ""),
    row("containerDefinitions[].repositoryCredentials.credentialsParameter", Honoured, "a secret of Neargate: a JSON object with `username` and `password`"),
    row("containerDefinitions[].cpu", Honoured, ""),
    row("containerDefinitions[].memory", Honoured, ""),
    row("containerDefinitions[].memoryReservation", Honoured, ""),
    row("containerDefinitions[].links", Refused(given), "is not supported: containers of a task reach each other on localhost"),
    row("containerDefinitions[].portMappings[].containerPort", Honoured, ""),
    row("containerDefinitions[].portMappings[].hostPort", Honoured, "published with `networkMode` `bridge`"),
    row("containerDefinitions[].portMappings[].protocol", Honoured, ""),
    row("containerDefinitions[].portMappings[].name", Kept, "there is no Service Connect"),
    row("containerDefinitions[].portMappings[].appProtocol", Kept, "there is no Service Connect"),
    row("containerDefinitions[].portMappings[].containerPortRange", Refused(given), "is not supported yet: name each port"),
    row("containerDefinitions[].essential", Honoured, ""),
    row("containerDefinitions[].restartPolicy.enabled", Honoured, "what the container wrote outside of volumes is gone then; its address stays"),
    row("containerDefinitions[].restartPolicy.ignoredExitCodes", Honoured, ""),
    row("containerDefinitions[].restartPolicy.restartAttemptPeriod", Honoured, "counted from the start to the end of the process, by the engine's clock"),
    row("containerDefinitions[].entryPoint", Honoured, ""),
    row("containerDefinitions[].command", Honoured, ""),
    row("containerDefinitions[].environment[].name", Honoured, ""),
    row("containerDefinitions[].environment[].value", Honoured, ""),
    row("containerDefinitions[].environmentFiles[].value", Honoured, "there is no S3 here: the secret of that name holds the lines of the file, `BUCKET/KEY` for the ARN of an object (`neargate secret put BUCKET/KEY --from-file app.env`)"),
    row("containerDefinitions[].environmentFiles[].type", Honoured, "`s3`"),
    row("containerDefinitions[].mountPoints[].sourceVolume", Honoured, ""),
    row("containerDefinitions[].mountPoints[].containerPath", Honoured, "not `/`, `/dev`, or anything in `/proc` or `/sys`"),
    row("containerDefinitions[].mountPoints[].readOnly", Honoured, "of a folder of the host, file systems that are mounted below it are then not seen"),
    row("containerDefinitions[].volumesFrom[].sourceContainer", Honoured, "its `mountPoints`, and what it takes from others itself; not what its image declares with VOLUME. Nobody waits for anybody"),
    row("containerDefinitions[].volumesFrom[].readOnly", Honoured, ""),
    row("containerDefinitions[].linuxParameters.capabilities.add", Honoured, "`SYS_PTRACE`, as on Fargate, and what the operator lists in `allowed_capabilities`"),
    row("containerDefinitions[].linuxParameters.capabilities.drop", Honoured, ""),
    row("containerDefinitions[].linuxParameters.devices", Refused(given), "is not supported: a container reaches no device of the host"),
    row("containerDefinitions[].linuxParameters.initProcessEnabled", Honoured, ""),
    row("containerDefinitions[].linuxParameters.sharedMemorySize", Honoured, ""),
    row("containerDefinitions[].linuxParameters.tmpfs[].containerPath", Honoured, ""),
    row("containerDefinitions[].linuxParameters.tmpfs[].size", Honoured, ""),
    row("containerDefinitions[].linuxParameters.tmpfs[].mountOptions", Honoured, "those that stay within the container"),
    row("containerDefinitions[].linuxParameters.maxSwap", Kept, "containers do not swap"),
    row("containerDefinitions[].linuxParameters.swappiness", Kept, "containers do not swap"),
    row("containerDefinitions[].secrets[].name", Honoured, "`docker inspect` shows environment variables to whoever may use the engine; `secretFiles` are not shown"),
    row("containerDefinitions[].secrets[].valueFrom", Honoured, "the name of a secret of Neargate, or an ARN of Secrets Manager or the Parameter Store that ends in it; a JSON key may follow; the newest version alone is kept"),
    row("containerDefinitions[].secretFiles[].containerPath", Honoured, "Neargate's own: a file in memory, which never touches a disk and is in no answer of the engine; all files of a folder share a read-only mount that hides what the image has there"),
    row("containerDefinitions[].secretFiles[].valueFrom", Honoured, "Neargate's own: as in `secrets`, and the value may be any bytes"),
    row("containerDefinitions[].secretFiles[].mode", Honoured, "Neargate's own: octal digits, `0444` unless said otherwise"),
    row("containerDefinitions[].dependsOn[].containerName", Honoured, ""),
    row("containerDefinitions[].dependsOn[].condition", Honoured, ""),
    row("containerDefinitions[].startTimeout", Honoured, ""),
    row("containerDefinitions[].stopTimeout", Honoured, "up to a day, where ECS stops at 120 s"),
    row("containerDefinitions[].versionConsistency", Kept, "a task resolves each tag once, for all of its containers"),
    row("containerDefinitions[].hostname", Honoured, ""),
    row("containerDefinitions[].user", Honoured, ""),
    row("containerDefinitions[].workingDirectory", Honoured, ""),
    row("containerDefinitions[].disableNetworking", Refused(given), "is not supported: use `networkMode` `none` for the whole task"),
    row("containerDefinitions[].privileged", Honoured, "only where the operator sets `allow_privileged`: the container can do on the host whatever it wants"),
    row("containerDefinitions[].readonlyRootFilesystem", Honoured, ""),
    row("containerDefinitions[].dnsServers", Refused(given), "is not supported yet: names are resolved as the engine does it"),
    row("containerDefinitions[].dnsSearchDomains", Refused(given), "is not supported yet: names are resolved as the engine does it"),
    row("containerDefinitions[].extraHosts[].hostname", Honoured, ""),
    row("containerDefinitions[].extraHosts[].ipAddress", Honoured, ""),
    row("containerDefinitions[].dockerSecurityOptions", Refused(given), "is not supported yet: containers run under the profiles of the engine"),
    row("containerDefinitions[].interactive", Honoured, ""),
    row("containerDefinitions[].pseudoTerminal", Honoured, ""),
    row("containerDefinitions[].dockerLabels", Honoured, "none may begin with `neargate.`"),
    row("containerDefinitions[].ulimits[].name", Honoured, ""),
    row("containerDefinitions[].ulimits[].softLimit", Honoured, ""),
    row("containerDefinitions[].ulimits[].hardLimit", Honoured, ""),
    row("containerDefinitions[].logConfiguration", KeptWhere(not_awslogs), "Neargate keeps the log itself; with `awslogs` and an `awslogs-group`, clients of CloudWatch Logs find it there: see docs/ecs-api.md"),
    row("containerDefinitions[].healthCheck.command", Honoured, ""),
    row("containerDefinitions[].healthCheck.interval", Honoured, ""),
    row("containerDefinitions[].healthCheck.timeout", Honoured, ""),
    row("containerDefinitions[].healthCheck.retries", Honoured, ""),
    row("containerDefinitions[].healthCheck.startPeriod", Honoured, ""),
    row("containerDefinitions[].systemControls[].namespace", Honoured, "only parameters that a task has for itself: `net.*`, `fs.mqueue.*`, `kernel.msg*`, `kernel.sem`, `kernel.shm*`"),
    row("containerDefinitions[].systemControls[].value", Honoured, ""),
    row("containerDefinitions[].resourceRequirements", Refused(given), "is not supported yet: a container reaches no GPU or other device"),
    row("containerDefinitions[].firelensConfiguration", Kept, "Neargate keeps the log itself"),
    row("containerDefinitions[].credentialSpecs", Refused(given), "is not supported: there are no Windows containers here"),
];

const fn row(path: &'static str, verdict: Verdict, note: &'static str) -> Row {
    Row {
        path,
        verdict,
        note,
    }
}

/// Anything but nothing, false and what is empty.
fn given(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn not_none(value: &Value) -> bool {
    given(value) && value != "none"
}

fn not_local(value: &Value) -> bool {
    given(value) && value != "local"
}

fn not_linux(value: &Value) -> bool {
    given(value) && value != "LINUX"
}

fn not_shared(value: &Value) -> bool {
    given(value) && value != "SHARED"
}

/// A log that nobody but Neargate keeps, and that has no name.
fn not_awslogs(value: &Value) -> bool {
    given(value) && !(value["logDriver"] == "awslogs" && given(&value["options"]["awslogs-group"]))
}

/// Adds a fault for every field of `document` that is refused; gives a warning for every one that is only
/// kept.
pub(super) fn judge(document: &Value, faults: &mut Faults) -> Vec<String> {
    judge_by(
        &TABLE,
        "kept and given back; has no effect",
        document,
        faults,
    )
}

/// The same for a request about a service.
pub(super) fn judge_service(document: &Value, faults: &mut Faults) -> Vec<String> {
    judge_by(&service::TABLE, "has no effect", document, faults)
}

/// What a run asks for that has no effect, each with the reason: of what services can ask for, too, in the same words.
pub fn run_notes(sent: &Value) -> Vec<String> {
    let fields = [
        "networkConfiguration",
        "placementConstraints",
        "placementStrategy",
        "platformVersion",
    ];
    let asked = fields.map(|name| (name.to_owned(), sent[name].clone()));
    judge_service(&asked.into_iter().collect(), &mut Faults::default())
}

fn judge_by(table: &[Row], kept: &str, document: &Value, faults: &mut Faults) -> Vec<String> {
    let mut warnings = Vec::new();
    for row in table {
        let mut found = Vec::new();
        find(document, row.path, String::new(), &mut found);
        for (path, value) in found {
            match row.verdict {
                KeptWhere(asks) if asks(value) => {
                    warnings.push(format!("{path}: {kept}: {}", row.note));
                }
                Kept if given(value) => warnings.push(format!("{path}: {kept}: {}", row.note)),
                Refused(asks) | Partly(asks) if asks(value) => faults.add(path, row.note),
                Honoured | Kept | KeptWhere(_) | Refused(_) | Partly(_) => {}
            }
        }
    }
    warnings
}

/// Everything in `value` that `pattern` leads to, with its path.
fn find<'a>(value: &'a Value, pattern: &str, path: String, found: &mut Vec<(String, &'a Value)>) {
    if pattern.is_empty() {
        found.push((path, value));
        return;
    }
    let (segment, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    let (name, each) = segment
        .strip_suffix("[]")
        .map_or((segment, false), |name| (name, true));
    let Some(value) = value.get(name) else { return };
    let path = path::field(&path, name);
    if !each {
        return find(value, rest, path, found);
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        find(item, rest, path::item(&path, index), found);
    }
}

/// The paths of all rows.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.path)
}

/// The same of services.
#[cfg(test)]
pub(super) fn service_paths() -> impl Iterator<Item = &'static str> {
    service::TABLE.iter().map(|row| row.path)
}

/// `docs/task-definition-fields.md`.
pub fn task_definition_fields() -> String {
    fields(
        "# Fields of a task definition\n\n\
        What becomes of each field that ECS knows. *Honoured*: it has its effect. *Kept*: it is given back\n\
        and has no effect, and registering says so. *Refused*: a document in which it asks for something is\n\
        refused, because running without it would be wrong or unsafe.\n\n\
        Written from the table in `src/shapes/support.rs`; a test compares them.\n\n",
        &TABLE,
        "kept",
    )
}

/// `docs/service-fields.md`.
pub fn service_fields() -> String {
    fields(
        "# Fields of a service\n\n\
        What becomes of each field of ECS's CreateService and UpdateService. *Honoured*: it has its effect.\n\
        *Ignored*: it has none, and the answer says so. *Refused*: a request in which it asks for something is\n\
        refused, because running without it would be wrong or unsafe.\n\n\
        Written from the table in `src/shapes/support/service.rs`; a test compares them.\n\n",
        &service::TABLE,
        "ignored",
    )
}

fn fields(head: &str, table: &[Row], kept: &str) -> String {
    let mut text = format!("{head}| Field | | Note |\n| --- | --- | --- |\n");
    for row in table {
        let verdict = match row.verdict {
            Honoured => "honoured",
            Kept => kept,
            Refused(_) => "refused",
            Partly(_) | KeptWhere(_) => "in part",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {verdict} | {} |", row.path, row.note);
    }
    text
}
