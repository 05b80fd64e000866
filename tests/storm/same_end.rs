//! The same wishes come to the same end, whatever happens on the way: users who do not give up ask for services and tasks,
//! once on days when nothing goes wrong and once while everything does that ends no container. What there is in the end
//! is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use neargate::control::{
    ConfigurationChange, Control, ControlError, CreateService, RunTask, UpdateService,
};
use neargate::domain::{
    ClusterName, LastStatus, LaunchPlan, ServiceConfiguration, ServiceKey, TaskDefinitionReference,
    TaskId, TaskOverrides,
};
use neargate::engine::docker::Settings;
use neargate::engine::sim::{CallFault, CallKind, Fault, SimConfig};
use neargate::reconcile::Limits;
use neargate::store::ClientToken;
use serde_json::json;

use super::mortal::Fuse;
use super::world::{Rng, World};
use super::{PATIENCE, WORKLOAD, in_virtual_time, story};

const SEEDS: u64 = 12;
const WISHES: usize = 12;
const SERVICES: [&str; 2] = ["alpha", "beta"];
/// Exit codes of the tasks that end by themselves, by family and revision; the last one sleeps.
const CODES: [u32; 3] = [0, 3, 5];

/// What there is in the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct End {
    /// Desired and running tasks of each service, and what they run.
    services: BTreeMap<&'static str, (u32, usize, String)>,
    /// The state of each task that a user has run, its exit code and its stop code.
    tasks: Vec<(LastStatus, Option<i64>, String)>,
}

fn key(name: &str) -> ServiceKey {
    ServiceKey {
        cluster: "default".parse().unwrap(),
        name: name.parse().unwrap(),
    }
}

/// Revision 1 to 3 end with a code each, and the fourth one sleeps, as services need it.
fn revision(number: u32) -> TaskDefinitionReference {
    TaskDefinitionReference {
        family: "storm".parse().unwrap(),
        revision: Some(number),
    }
}

const SLEEPS: [u32; 2] = [4, 5];

/// What a user wants.
#[derive(Clone, Debug)]
enum Wish {
    Run(u32),
    Stop(usize),
    Scale(&'static str, u32),
    Deploy(&'static str, u32),
}

impl Wish {
    fn of(rng: &mut Rng) -> Self {
        let service = *rng.pick(&SERVICES).unwrap();
        match rng.below(6) {
            0..=1 => Self::Run(1 + rng.ms(4)),
            2 => Self::Stop(rng.below(4)),
            3..=4 => Self::Scale(service, rng.ms(4)),
            _ => Self::Deploy(service, *rng.pick(&SLEEPS).unwrap()),
        }
    }

    /// Asks for it; asking twice is asking once.
    async fn ask(
        &self,
        control: &Control,
        number: usize,
        tasks: &mut Vec<TaskId>,
    ) -> Result<(), ControlError> {
        match self {
            Self::Run(of) => {
                let request = RunTask {
                    enable_execute_command: false,
                    notes: Vec::new(),
                    subnet: None,
                    launch: LaunchPlan::default(),
                    cluster: "default".parse::<ClusterName>().unwrap(),
                    definition: revision(*of),
                    count: 1,
                    overrides: TaskOverrides::default(),
                    overrides_document: json!({}),
                    tags: BTreeMap::new(),
                    started_by: None,
                    group: None,
                    client_token: Some(ClientToken {
                        token: format!("wish-{number}"),
                        request_hash: String::new(),
                    }),
                };
                let made = control.run_task(request).await?;
                tasks.extend(made.into_iter().map(|task| task.id));
            }
            Self::Stop(number) => {
                let Some(id) = tasks.get(*number) else {
                    return Ok(());
                };
                // The others may have ended by themselves.
                let task = control.task(id).await?;
                if SLEEPS.contains(&task.spec.definition.revision) {
                    control.stop_task(id, None).await?;
                }
            }
            Self::Scale(name, count) => {
                let update = UpdateService {
                    desired_count: Some(*count),
                    ..UpdateService::default()
                };
                control.update_service(&key(name), update).await?;
            }
            Self::Deploy(name, of) => {
                let update = UpdateService {
                    definition: Some(revision(*of)),
                    configuration: ConfigurationChange::default(),
                    ..UpdateService::default()
                };
                control.update_service(&key(name), update).await?;
            }
        }
        Ok(())
    }
}

/// Asks until it is heard.
async fn insist(world: &mut World, wish: &Wish, number: usize, tasks: &mut Vec<TaskId>) {
    let begun = world.time();
    loop {
        alive(world);
        let control = world.life.as_ref().unwrap().control.clone();
        let Err(error) = wish.ask(&control, number, tasks).await else {
            return;
        };
        assert!(
            world.time().since(begun).to_std() < PATIENCE,
            "{wish:?} is heard in the end: {error}"
        );
        world.pass(Duration::from_secs(1)).await;
    }
}

/// Starts Neargate, if it was killed.
fn alive(world: &mut World) {
    if world
        .life
        .as_ref()
        .is_some_and(|life| life.over.is_cancelled())
    {
        world.kill();
    }
    if world.life.is_none() {
        world.start();
    }
}

/// Something that goes wrong and ends no container.
fn misfortune(world: &mut World, rng: &mut Rng, log: &mut Vec<String>) {
    let (short, longer) = (rng.ms(3_000), rng.ms(20_000));
    let count = 1 + rng.ms(6);
    let fault = match rng.below(12) {
        0 => Fault::Unreachable { for_ms: longer },
        1 => Fault::Frozen { for_ms: longer },
        2 => Fault::Restart {
            live_restore: true,
            for_ms: short,
        },
        3 => Fault::StreamsCut,
        4 => Fault::EventsLost { count },
        5 => Fault::EventsDoubled { count },
        6 => Fault::EventsLate {
            count,
            by_ms: longer,
        },
        7 => Fault::RemovalsTake { ms: longer },
        8 => Fault::RemovalsFail { count },
        9 => {
            let kind = *rng.pick(CallKind::ALL).unwrap();
            let after_ms = rng.ms(20_000);
            let fault = match rng.below(5) {
                0 => CallFault::AwayBefore,
                1 => CallFault::AwayAfter,
                2 => CallFault::TimesOutAfter,
                3 => CallFault::TimesOutThenHappens { after_ms },
                _ => CallFault::Slow { by_ms: short },
            };
            log.push(format!("next {kind}: {fault:?}"));
            world.daemon.fail_next(kind, fault);
            return;
        }
        10 => {
            let fuse = Fuse {
                calls: rng.ms(10),
                after: rng.one_in(2),
            };
            log.push(format!("{fuse:?}"));
            if let Some(life) = &world.life {
                *life.fuse.lock().unwrap() = Some(fuse);
            }
            return;
        }
        _ => {
            story::spoil_writes(world, rng, log);
            return;
        }
    };
    log.push(format!("{fault:?}"));
    world.daemon.inject(fault);
}

async fn begin(seed: u64) -> World {
    let config = SimConfig {
        call_deadline_ms: 2_000,
        ..SimConfig::default()
    };
    let settings = Settings {
        warm_sandboxes: 1,
        ..Settings::default()
    };
    let mut world = World::new(seed, config, settings, Limits::default()).await;
    world.start();
    world.pass(Duration::from_secs(1)).await;
    let control = world.life.as_ref().unwrap().control.clone();
    let sleeps = SLEEPS.iter().map(|_| vec!["sleep".to_owned()]);
    let ends = CODES.map(|code| {
        let words = ["exit", "--after-ms", "500", "--code"];
        let words = words.into_iter().map(str::to_owned);
        words.chain([code.to_string()]).collect::<Vec<_>>()
    });
    for command in ends.into_iter().chain(sleeps) {
        let document = json!({ "family": "storm", "containerDefinitions": [
            { "name": "main", "image": WORKLOAD, "command": command, "memory": 64, "stopTimeout": 1 },
        ] });
        assert!(story::register(&control, &document).await);
    }
    for name in SERVICES {
        let request = CreateService {
            key: key(name),
            definition: Some(revision(SLEEPS[0])),
            desired_count: 1,
            configuration: ServiceConfiguration::default(),
            tags: BTreeMap::new(),
            notes: Vec::new(),
            client: None,
            client_token: None,
        };
        control.create_service(request).await.unwrap();
    }
    world
}

/// What the wishes of a seed come to.
async fn lived(seed: u64, is_rough: bool) -> (End, Vec<String>) {
    let mut world = begin(seed).await;
    let (mut tasks, mut log) = (Vec::new(), Vec::new());
    for number in 0..WISHES {
        let wishes = &mut Rng::of_step(seed, number);
        let wish = Wish::of(wishes);
        if is_rough {
            let rng = &mut Rng::of_step(seed, 1_000 + number);
            for _ in 0..rng.below(3) {
                misfortune(&mut world, rng, &mut log);
            }
        }
        log.push(format!("{wish:?}"));
        insist(&mut world, &wish, number, &mut tasks).await;
        let pause = Duration::from_millis(wishes.ms(5_000).into());
        world.pass(pause).await;
    }
    world.daemon.inject(Fault::Calm);
    world.write_faults.lock().unwrap().clear();
    if let Some(life) = &world.life {
        *life.fuse.lock().unwrap() = None;
    }
    world.pass(Duration::from_secs(30)).await;
    alive(&mut world);
    let begun = world.time();
    let end = loop {
        world.pass(Duration::from_secs(5)).await;
        match end_of(&world, &tasks).await {
            Ok(end) => break end,
            Err(instead) => assert!(
                world.time().since(begun).to_std() < PATIENCE,
                "seed {seed} comes to rest: {instead}\n{log:#?}"
            ),
        }
    };
    for id in &tasks {
        let task = world.store.task(id).await.unwrap().unwrap();
        log.push(format!("{task:#?}"));
    }
    world.shut_down().await;
    (end, log)
}

/// What there is, if it is what there will be.
async fn end_of(world: &World, tasks: &[TaskId]) -> Result<End, String> {
    let mut end = End::default();
    for name in SERVICES {
        let service = world.store.service(&key(name)).await.unwrap().unwrap();
        let there = world.store.service_tasks(&key(name)).await.unwrap();
        if !service.is_steady || there.len() != service.desired_count as usize {
            return Err(format!("{service:#?} {there:#?}"));
        }
        let primary = service.primary().unwrap();
        let runs = primary.task_definition.to_string();
        end.services
            .insert(name, (service.desired_count, there.len(), runs));
    }
    for id in tasks {
        let task = world.store.task(id).await.unwrap().unwrap();
        let sleeps = SLEEPS.contains(&task.spec.definition.revision);
        let is_asked = task.stop_request.is_some();
        let is_over = task.is_finished() || (sleeps && !is_asked);
        if !is_over || task.last_status < LastStatus::Running {
            return Err(format!("{task:#?}"));
        }
        let exit_code = task.containers.values().find_map(|one| one.exit_code);
        // Who is asked to stop may not have begun.
        let exit_code = exit_code.filter(|_| !is_asked);
        let stop_code = format!("{:?}", task.stop_code);
        end.tasks.push((task.last_status, exit_code, stop_code));
    }
    Ok(end)
}

#[test]
fn with_faults_and_without_them_the_same_wishes_come_to_the_same_end() {
    for seed in 1..=SEEDS {
        let (calm, _) = in_virtual_time(lived(seed, false));
        let (rough, log) = in_virtual_time(lived(seed, true));
        let log = log.join("\n");
        assert_eq!(calm, rough, "seed {seed}: {log}");
        assert!(!calm.services.is_empty());
    }
}
