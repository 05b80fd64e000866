//! An older backup is restored: what happened since is taken from the engine, and said.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use neargate::domain::{EndEvidence, LastStatus, TaskId};
use neargate::engine::docker::Settings;
use neargate::engine::sim::SimConfig;
use neargate::reconcile::Limits;
use neargate::store::EventFilter;
use serde_json::{Value, json};

use super::world::World;
use super::{WORKLOAD, in_virtual_time, story};

async fn run(world: &World, container: &Value) -> TaskId {
    let document = json!({ "family": "storm", "containerDefinitions": [container] });
    let control = &world.life.as_ref().unwrap().control;
    let ids = story::run_document(control, &document, 1).await.unwrap();
    world.pass(Duration::from_secs(2)).await;
    ids[0].clone()
}

fn container(command: &[&str]) -> Value {
    json!({ "name": "main", "image": WORKLOAD, "command": command, "memory": 64, "stopTimeout": 1 })
}

/// A backup is made, or the last one takes the place of what was recorded: then true.
pub async fn step(world: &mut World, kept: &mut Option<Vec<u8>>, log: &mut Vec<String>) -> bool {
    let Some(bytes) = kept.take() else {
        log.push("a backup is made".to_owned());
        *kept = Some(backup(world).await);
        return false;
    };
    log.push("killed, and the backup is restored".to_owned());
    world.kill();
    world.settle().await;
    world.restore(&bytes).await;
    true
}

/// A backup, as it would be kept somewhere else.
pub async fn backup(world: &World) -> Vec<u8> {
    let backup = world.store.backup().await.unwrap();
    let mut bytes = Vec::new();
    // Not with tokio's file, which is read by another thread.
    let mut file = backup.file.try_into_std().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// IDs of the containers of each task that run.
fn running(world: &World) -> BTreeMap<String, String> {
    let all = world.daemon.containers().into_iter();
    all.filter(|one| one.running)
        .filter_map(|one| Some((one.labels.get("neargate.task")?.clone(), one.id)))
        .collect()
}

#[test]
fn what_happened_since_a_backup_is_taken_from_the_engine_and_said() {
    in_virtual_time(async {
        let settings = Settings {
            warm_sandboxes: 1,
            ..Settings::default()
        };
        let mut world = World::new(1, SimConfig::default(), settings, Limits::default()).await;
        world.start();
        world.pass(Duration::from_secs(1)).await;
        let stays = run(&world, &container(&["sleep"])).await;
        let ends = run(&world, &container(&["sleep"])).await;
        let mut crashes = container(&["exit", "--code", "1", "--after-ms", "1000"]);
        crashes["restartPolicy"] = json!({ "enabled": true });
        let crashes = run(&world, &crashes).await;
        let backup_at = world.now();
        let bytes = backup(&world).await;

        let begun = run(&world, &container(&["sleep"])).await;
        let control = world.life.as_ref().unwrap().control.clone();
        control.stop_task(&ends, None).await.unwrap();
        world.pass(Duration::from_secs(30)).await;
        let before = running(&world);
        assert!(before.contains_key(begun.as_str()) && !before.contains_key(ends.as_str()));
        let attempts = world.store.task(&crashes).await.unwrap().unwrap();
        let attempts = attempts.containers[&"main".parse().unwrap()].attempt;
        assert!(attempts > 5, "{attempts}");

        drop(control);
        world.kill();
        world.restore(&bytes).await;
        world.start();
        world.pass(Duration::from_secs(90)).await;
        let after = running(&world);
        assert_eq!(
            after.get(stays.as_str()),
            before.get(stays.as_str()),
            "it went on"
        );
        assert!(!after.contains_key(begun.as_str()), "nobody knows it");
        let events = world
            .store
            .events(0, &EventFilter::default(), 1_000)
            .await
            .unwrap();
        let said = |text: &str| events.iter().any(|one| one.event.message.contains(text));
        assert!(
            said("was restored from a backup") && said(begun.as_str()),
            "{events:#?}"
        );
        let ended = world.store.task(&ends).await.unwrap().unwrap();
        assert_eq!(ended.last_status, LastStatus::Stopped);
        let usage = world.store.usage(&ends).await.unwrap().unwrap();
        let (closed, evidence) = usage.interval.closed.unwrap();
        assert_eq!(evidence, EndEvidence::Estimated);
        assert!(closed <= backup_at, "what cannot be shown is not billed");
        let later = world.store.task(&crashes).await.unwrap().unwrap();
        let record = &later.containers[&"main".parse().unwrap()];
        assert!(record.attempt > attempts, "{attempts} and then {record:?}");
        for one in world.daemon.containers() {
            assert!(one.starts <= 1, "{one:?}");
        }
        world.shut_down().await;
    });
}
