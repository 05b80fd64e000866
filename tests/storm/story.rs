//! What happens in a storm: users, faults, and the ends of Neargate, as a seed has it.

use std::time::Duration;

use neargate::control::{Control, RunTask};
use neargate::domain::{
    ClusterName, DurationMs, Family, TaskDefinitionReference, TaskId, TaskOverrides,
};
use neargate::engine::sim::{CallFault, CallKind, Fault, RebootExit};
use neargate::shapes::{Document, Format, ParsedTaskDefinition};
use neargate::store::WriteFault;
use serde_json::{Value, json};

use super::WORKLOAD;
use super::ledger::Ledger;
use super::mortal::Fuse;
use super::world::{Rng, World};

/// A step of a story.
pub async fn step(world: &mut World, ledger: &mut Ledger, rng: &mut Rng, log: &mut Vec<String>) {
    match rng.below(20) {
        0..=5 => run(world, rng, log).await,
        6..=7 => stop(world, ledger, rng, log).await,
        8..=10 => {
            let fault = fault(world, ledger, rng);
            if let Some(fault) = fault {
                if let Fault::ContainerRemoved { container } = &fault {
                    ledger.removed.insert(container.clone());
                }
                let happened = world.daemon.inject(fault.clone());
                log.push(format!("{fault:?} ({happened})"));
            }
        }
        11..=13 => {
            let (kind, fault) = call_fault(rng);
            log.push(format!("next {kind}: {fault:?}"));
            world.daemon.fail_next(kind, fault);
        }
        14 => end_of_life(world, rng, log).await,
        _ => {}
    }
    let length = match rng.below(12) {
        0..=4 => 0,
        5..=8 => rng.ms(100),
        9..=10 => rng.ms(3_000),
        _ => rng.ms(40_000),
    };
    world.pass(Duration::from_millis(length.into())).await;
    let over = world
        .life
        .as_ref()
        .is_some_and(|life| life.over.is_cancelled());
    if over {
        log.push("the fuse has burnt down".to_owned());
        world.kill();
    }
    if world.life.is_none() && (over || rng.one_in(3)) {
        if rng.one_in(4) {
            log.push("start over a store that was opened anew".to_owned());
            world.reopen().await;
        }
        log.push("start".to_owned());
        world.start();
    }
}

async fn run(world: &mut World, rng: &mut Rng, log: &mut Vec<String>) {
    let Some(life) = &world.life else { return };
    let document = definition(rng);
    let count = 1 + u32::from(rng.one_in(4)) * rng.ms(4);
    // Not every random definition makes sense.
    if let Some(ids) = run_document(&life.control, &document, count).await {
        log.push(format!("run {ids:?} {document}"));
    }
}

/// Runs tasks of a definition, if it is one.
pub async fn run_document(control: &Control, document: &Value, count: u32) -> Option<Vec<TaskId>> {
    if !register(control, document).await {
        return None;
    }
    let request = RunTask {
        enable_execute_command: false,
        launch: neargate::domain::LaunchPlan::default(),
        subnet: None,
        notes: Vec::new(),
        cluster: "default".parse::<ClusterName>().unwrap(),
        definition: TaskDefinitionReference {
            family: "storm".parse::<Family>().unwrap(),
            revision: None,
        },
        count,
        overrides: TaskOverrides::default(),
        overrides_document: json!({}),
        tags: std::collections::BTreeMap::default(),
        started_by: None,
        group: None,
        client_token: None,
    };
    // Writes go wrong when the story says so.
    let tasks = control.run_task(request).await.ok()?;
    Some(tasks.into_iter().map(|task| task.id).collect())
}

/// Registers a definition, if it is one.
pub async fn register(control: &Control, document: &Value) -> bool {
    let read = Document::read(document.to_string().as_bytes(), Format::Json).unwrap();
    let Ok(mut parsed) = ParsedTaskDefinition::parse(&read) else {
        return false;
    };
    for container in &mut parsed.definition.containers {
        if let Some(policy) = &mut container.restart_policy {
            // A minute is long in a storm.
            policy.attempt_period = DurationMs::from_millis(300);
        }
    }
    control
        .register_task_definition(&parsed.definition, document, &[])
        .await
        .is_ok()
}

async fn stop(world: &mut World, ledger: &Ledger, rng: &mut Rng, log: &mut Vec<String>) {
    let Some(life) = &world.life else { return };
    let unfinished: Vec<_> = ledger.tasks().filter(|task| !task.is_finished()).collect();
    let Some(task) = rng.pick(&unfinished) else {
        return;
    };
    let stopped = life.control.stop_task(&task.id, None).await;
    let said = stopped.err().map(|error| error.to_string());
    log.push(format!("stop {} {}", task.id, said.unwrap_or_default()));
}

/// Writes go wrong for a while, or somebody sets the clock.
pub fn spoil(world: &World, rng: &mut Rng, log: &mut Vec<String>) {
    if rng.one_in(8) {
        let by_ms = i64::from(rng.ms(7_200_000)) - 3_600_000;
        log.push(format!("the clock is set by {by_ms} ms"));
        world.set_clock(by_ms);
        return;
    }
    spoil_writes(world, rng, log);
}

/// Writes go wrong for a while.
pub fn spoil_writes(world: &World, rng: &mut Rng, log: &mut Vec<String>) {
    let (fault, most) = match rng.below(3) {
        0 => (WriteFault::Fails, 3),
        1 => (WriteFault::AnswerLost, 3),
        _ => (WriteFault::DiskFull, 30),
    };
    let count = 1 + rng.below(most);
    if !super::with("writes") {
        return;
    }
    log.push(format!("the next {count} groups of writes: {fault:?}"));
    let faults = std::iter::repeat_n(fault, count);
    world.write_faults.lock().unwrap().extend(faults);
}

async fn end_of_life(world: &mut World, rng: &mut Rng, log: &mut Vec<String>) {
    match rng.below(4) {
        0 => {
            log.push("graceful stop".to_owned());
            world.shut_down().await;
        }
        1 => {
            let yields = rng.below(200);
            log.push(format!("killed after {yields} turns"));
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            world.kill();
        }
        _ => {
            let fuse = Fuse {
                calls: rng.ms(30),
                after: rng.one_in(2),
            };
            log.push(format!("{fuse:?}"));
            if let Some(life) = &world.life {
                *life.fuse.lock().unwrap() = Some(fuse);
            }
        }
    }
}

pub fn definition(rng: &mut Rng) -> Value {
    let count = 1 + if rng.one_in(2) { rng.below(4) } else { 0 };
    let main = rng.below(count);
    let containers: Vec<Value> = (0..count)
        .map(|index| container(rng, index, index == main))
        .collect();
    let mut document = json!({ "family": "storm", "containerDefinitions": containers });
    if rng.one_in(3) {
        with_volumes(&mut document, rng);
    }
    if rng.one_in(2) {
        document["cpu"] = json!("256");
        document["memory"] = json!("512");
    }
    if rng.one_in(5) {
        document["networkMode"] = json!("bridge");
        let host_port = if rng.one_in(2) { 0 } else { 8_000 + rng.ms(3) };
        document["containerDefinitions"][main]["portMappings"] =
            json!([{ "containerPort": 8080, "hostPort": host_port }]);
    }
    document
}

/// A volume of the task and one of the cluster, each mounted by some containers.
fn with_volumes(document: &mut Value, rng: &mut Rng) {
    document["volumes"] = json!([
        { "name": "own" },
        { "name": "shared", "dockerVolumeConfiguration": { "scope": "shared", "autoprovision": true } },
    ]);
    for container in document["containerDefinitions"].as_array_mut().unwrap() {
        let mounts: Vec<Value> = ["own", "shared"]
            .into_iter()
            .filter(|_| rng.one_in(2))
            .map(|name| json!({ "sourceVolume": name, "containerPath": format!("/{name}") }))
            .collect();
        container["mountPoints"] = json!(mounts);
    }
}

fn container(rng: &mut Rng, index: usize, essential: bool) -> Value {
    let image = match rng.below(24) {
        0 => "missing/app".to_owned(),
        1 => "stalled/app".to_owned(),
        2 => "broken/app".to_owned(),
        3 => "limited/app".to_owned(),
        4..=5 => format!("slow/app{}", rng.below(3)),
        6..=9 => format!("other/app{}", rng.below(6)),
        _ => WORKLOAD.to_owned(),
    };
    let quick = rng.ms(2_000).to_string();
    let code = rng.below(3).to_string();
    let command: Vec<&str> = match rng.below(12) {
        0..=3 => vec!["sleep"],
        4 => vec!["sleep", "--for-ms", &quick],
        5 => vec!["exit", "--code", &code],
        6..=7 => vec!["exit", "--after-ms", &quick, "--code", &code],
        8 => vec!["ignore-sigterm"],
        9 => vec!["ignore-sigterm", "--for-ms", &quick],
        10 => vec!["log", "--lines", "5", "--every-ms", "100"],
        _ => vec!["serve", "--delay-ms", &quick],
    };
    let mut one = json!({
        "name": format!("c{index}"), "image": image, "command": command, "memory": 64,
        "essential": essential || rng.one_in(3), "stopTimeout": 1 + rng.below(3),
    });
    if rng.one_in(3) {
        let check = if rng.one_in(2) {
            "health"
        } else {
            "fail-health"
        };
        one["healthCheck"] = json!({
            "command": ["CMD", "/workload", check, "--after-ms", "15000"],
            "interval": 5, "timeout": 2, "retries": 1,
        });
    }
    if rng.one_in(5) {
        one["secrets"] = json!([{ "name": "PASSWORD", "valueFrom": "storm/password" }]);
    }
    if rng.one_in(3) {
        one["restartPolicy"] = json!({ "enabled": true, "ignoredExitCodes": [2] });
    }
    if rng.one_in(30) {
        one["entryPoint"] = json!(["/does-not-exist"]);
    }
    if rng.one_in(4) {
        one["startTimeout"] = json!(2 + rng.below(20));
    }
    let dependencies: Vec<Value> = (0..index)
        .filter(|_| rng.one_in(2))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|on| {
            let condition = ["START", "COMPLETE", "SUCCESS", "HEALTHY"][rng.below(4)];
            json!({ "containerName": format!("c{on}"), "condition": condition })
        })
        .collect();
    if !dependencies.is_empty() {
        one["dependsOn"] = json!(dependencies);
    }
    one
}

fn call_fault(rng: &mut Rng) -> (CallKind, CallFault) {
    const OFTEN: &[CallKind] = &[
        CallKind::Create,
        CallKind::Start,
        CallKind::Start,
        CallKind::Rename,
        CallKind::Remove,
        CallKind::Signal,
    ];
    let kinds = if rng.one_in(2) { OFTEN } else { CallKind::ALL };
    let kind = *rng.pick(kinds).unwrap();
    let fault = match rng.below(8) {
        0 => CallFault::AwayBefore,
        1 => CallFault::AwayAfter,
        2 => CallFault::TimesOutBefore,
        3 => CallFault::TimesOutAfter,
        4 | 5 => CallFault::TimesOutThenHappens {
            after_ms: rng.ms(20_000),
        },
        6 => CallFault::Slow {
            by_ms: rng.ms(15_000),
        },
        _ => CallFault::Fails {
            message: "something went wrong".to_owned(),
        },
    };
    (kind, fault)
}

fn fault(world: &World, ledger: &Ledger, rng: &mut Rng) -> Option<Fault> {
    let containers = world.daemon.containers();
    let ours: Vec<String> = containers
        .iter()
        .filter(|one| one.labels.contains_key("neargate.instance"))
        .map(|one| one.id.clone())
        .collect();
    let container = rng.pick(&ours).cloned();
    let (short, long) = (rng.ms(3_000), rng.ms(30_000));
    let count = 1 + rng.ms(6);
    Some(match rng.below(36) {
        0 => Fault::Unreachable { for_ms: long },
        1 => Fault::Frozen { for_ms: long },
        2 => Fault::Restart {
            live_restore: true,
            for_ms: short,
        },
        3 => Fault::Restart {
            live_restore: false,
            for_ms: short,
        },
        4 if rng.one_in(2) => Fault::HostReboot {
            reports: if rng.one_in(2) {
                RebootExit::Code255
            } else {
                RebootExit::Code0
            },
            for_ms: long,
        },
        5..=6 => Fault::StreamsCut,
        7..=9 => Fault::EventsLost { count },
        10 => Fault::EventsDoubled { count },
        11 => Fault::EventsLate { count, by_ms: long },
        12 => Fault::RemovalsTake { ms: long },
        13 => Fault::RemovalsFail { count },
        14 => Fault::AddressesGone,
        15..=16 => Fault::AddressesBack,
        17 => Fault::DiskFull,
        18..=19 => Fault::DiskFreed,
        20 => Fault::PullsStall,
        21 => Fault::PullsResume,
        22 => Fault::RegistryAway,
        23 => Fault::RegistryBack,
        24 => Fault::PortTaken {
            port: 8_000 + u16::try_from(rng.below(3)).unwrap(),
        },
        25 => Fault::ContainerKilled {
            container: container?,
        },
        26 => Fault::ContainerOomKilled {
            container: container?,
        },
        27 => Fault::ContainerPaused {
            container: container?,
        },
        28 => Fault::ContainerUnpaused {
            container: container?,
        },
        29..=30 => Fault::ContainerRemoved {
            container: container?,
        },
        31 => Fault::SandboxKilled { of: container? },
        32 => Fault::NameTaken {
            name: name_to_take(ledger, rng)?,
        },
        33 if rng.one_in(3) => Fault::ClockStep {
            by_ms: i64::from(rng.ms(7_200_000)) - 3_600_000,
        },
        34 if rng.one_in(4) => Fault::ImageRemoved {
            image: WORKLOAD.to_owned(),
        },
        35 => Fault::GroupOomKilled {
            container: container?,
        },
        _ => return None,
    })
}

/// The name that something of a task is going to have, or its sandbox has.
fn name_to_take(ledger: &Ledger, rng: &mut Rng) -> Option<String> {
    let mut names = Vec::new();
    for task in ledger.tasks().filter(|task| !task.is_finished()) {
        names.push(format!("neargate-{}", task.id));
        for container in &task.spec.containers {
            let record = task.containers.get(&container.name);
            if record.is_none_or(|record| record.runtime_id.is_none()) {
                names.push(format!("neargate-{}-{}", task.id, container.name));
            }
        }
    }
    rng.pick(&names).cloned()
}
