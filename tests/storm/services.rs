//! Services in a storm: made, changed, rolled back and deleted while everything else happens, and held to their bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use neargate::control::{ConfigurationChange, Control, CreateService, UpdateService};
use neargate::domain::{
    CircuitBreaker, DurationMs, LastStatus, RolloutState, Service, ServiceConfiguration,
    ServiceKey, ServiceStatus, Task, TaskDefinitionReference, TimestampMs,
};
use serde_json::json;

use super::ledger::Ledger;
use super::world::{Rng, World};
use super::{PATIENCE, WORKLOAD, story};

const NAMES: [&str; 2] = ["alpha", "beta"];

/// When each was last changed by a user: what was started before may be more than is wanted now.
#[derive(Default)]
pub struct Changes(BTreeMap<String, TimestampMs>);

impl Changes {
    /// All were changed.
    pub fn all(at: TimestampMs) -> Self {
        Self(NAMES.iter().map(|name| ((*name).to_owned(), at)).collect())
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey {
        cluster: "default".parse().unwrap(),
        name: name.parse().unwrap(),
    }
}

fn newest() -> TaskDefinitionReference {
    TaskDefinitionReference {
        family: "storm".parse().unwrap(),
        revision: None,
    }
}

fn breaker(rng: &mut Rng) -> CircuitBreaker {
    CircuitBreaker {
        enable: rng.one_in(2),
        rollback: rng.one_in(2),
    }
}

/// Something that a user does with a service. What makes no sense at the moment is refused, and changes nothing.
pub async fn step(world: &World, changes: &mut Changes, rng: &mut Rng, log: &mut Vec<String>) {
    let Some(life) = &world.life else { return };
    let control = &life.control;
    let name = *rng.pick(&NAMES).unwrap();
    let key = key(name);
    let is_there = world
        .store
        .service(&key)
        .await
        .unwrap()
        .is_some_and(|service| service.status == ServiceStatus::Active);
    let (what, result) = if is_there {
        change(control, &key, rng).await
    } else {
        let document = story::definition(rng);
        if !story::register(control, &document).await {
            return;
        }
        let request = CreateService {
            key,
            definition: Some(newest()),
            desired_count: rng.ms(5),
            configuration: ServiceConfiguration {
                minimum_healthy_percent: rng.ms(101),
                maximum_percent: 100 + rng.ms(150),
                circuit_breaker: breaker(rng),
                health_check_grace_period: DurationMs::from_secs(rng.ms(3)),
                ..ServiceConfiguration::default()
            },
            tags: BTreeMap::new(),
            notes: Vec::new(),
            client: None,
            client_token: None,
        };
        let what = format!("create {} tasks of {document}", request.desired_count);
        (what, control.create_service(request).await)
    };
    let said = result.err().map(|error| error.to_string());
    log.push(format!(
        "service {name}: {what} {}",
        said.unwrap_or_default()
    ));
    changes.0.insert(name.to_owned(), world.now());
}

async fn change(
    control: &Control,
    key: &ServiceKey,
    rng: &mut Rng,
) -> (String, Result<Service, neargate::control::ControlError>) {
    let mut update = UpdateService::default();
    match rng.below(10) {
        0..=2 => update.desired_count = Some(rng.ms(5)),
        3..=5 => {
            let document = story::definition(rng);
            if story::register(control, &document).await {
                update.definition = Some(newest());
            }
        }
        6 => update.force_new_deployment = true,
        7 => {
            update.configuration = ConfigurationChange {
                minimum_healthy_percent: Some(rng.ms(101)),
                maximum_percent: Some(100 + rng.ms(150)),
                circuit_breaker: Some(breaker(rng)),
                ..ConfigurationChange::default()
            };
        }
        8 => {
            return (
                "roll back".to_owned(),
                control.roll_back_service(key, None).await,
            );
        }
        _ => return ("delete".to_owned(), control.delete_service(key, true).await),
    }
    (
        format!("{update:?}"),
        control.update_service(key, update).await,
    )
}

fn tasks_of<'a>(ledger: &'a Ledger, key: &ServiceKey) -> Vec<&'a Task> {
    let group = key.name.group();
    ledger.tasks().filter(|task| task.group == group).collect()
}

/// What must always hold of them.
pub async fn check(world: &World, ledger: &Ledger, changes: &Changes) -> Result<(), String> {
    for name in NAMES {
        let key = key(name);
        let Some(service) = world.store.service(&key).await.unwrap() else {
            continue;
        };
        let since = changes.0.get(name).copied().unwrap_or(service.created_at);
        let there: Vec<&Task> = tasks_of(ledger, &key)
            .into_iter()
            .filter(|task| task.last_status <= LastStatus::Running)
            .collect();
        let upper = service.configuration.upper_bound(service.wanted()) as usize;
        // When the clock is set, what was created later need not have a later time.
        let is_known = !world.clock_was_set();
        let is_later = |task: &&Task| is_known && task.created_at > since;
        if there.len() > upper && there.iter().any(is_later) {
            return Err(format!(
                "a service never starts more than its upper bound: {} tasks, {upper} at most: {service:#?}: {there:#?}",
                there.len()
            ));
        }
        if let Some(deleted) = service.deleted_at
            && !world.clock_was_set()
            && let Some(late) = there.iter().find(|task| task.created_at > deleted)
        {
            return Err(format!("a deleted service starts nothing: {late:#?}"));
        }
    }
    Ok(())
}

/// When all is well, each service becomes what was asked for, and goes when it is deleted.
pub async fn calm_down(world: &World, ledger: &mut Ledger) -> Result<(), String> {
    let control = &world.life.as_ref().unwrap().control;
    world.daemon.add_image(WORKLOAD);
    let good = json!({ "family": "storm", "containerDefinitions": [
        { "name": "main", "image": WORKLOAD, "command": ["sleep"], "memory": 64, "stopTimeout": 1 },
    ] });
    assert!(story::register(control, &good).await);
    // All of them first: on a small host, one may have the room that another needs.
    let mut changed = Vec::new();
    for name in NAMES {
        let key = key(name);
        let service = world.store.service(&key).await.unwrap();
        let Some(service) = service.filter(|one| one.status == ServiceStatus::Active) else {
            continue;
        };
        let update = UpdateService {
            definition: Some(newest()),
            desired_count: Some(service.desired_count.min(2)),
            configuration: ConfigurationChange {
                minimum_healthy_percent: Some(0),
                maximum_percent: Some(200),
                ..ConfigurationChange::default()
            },
            force_new_deployment: false,
            ..UpdateService::default()
        };
        control.update_service(&key, update).await.unwrap();
        changed.push(key);
    }
    for key in changed {
        let steady = wait(world, &key, |service| service.is_steady).await?;
        ledger.check(world).await?;
        let running = tasks_of(ledger, &key)
            .into_iter()
            .filter(|task| task.last_status == LastStatus::Running)
            .filter(|task| task.started_by == steady.primary().map(|one| one.id.to_string()))
            .count();
        let state = steady.primary().map(|one| one.rollout_state);
        if running != steady.desired_count as usize || state != Some(RolloutState::Completed) {
            return Err(format!(
                "a steady service has what it wants: {running} tasks: {steady:#?}"
            ));
        }
        control.delete_service(&key, true).await.unwrap();
        wait(world, &key, |service| {
            service.status == ServiceStatus::Inactive
        })
        .await?;
    }
    Ok(())
}

async fn wait(
    world: &World,
    key: &ServiceKey,
    is_reached: impl Fn(&Service) -> bool,
) -> Result<Service, String> {
    let begun = world.time();
    loop {
        let service = world.store.service(key).await.unwrap().unwrap();
        if is_reached(&service) {
            return Ok(service);
        }
        if world.time().since(begun).to_std() > PATIENCE {
            let tasks = world.store.service_tasks(key).await.unwrap();
            return Err(format!("a service comes to rest: {service:#?}: {tasks:#?}"));
        }
        world.pass(Duration::from_secs(5)).await;
    }
}
