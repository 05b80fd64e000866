//! From creation to removal, as Docker does it.

use super::*;
use crate::domain::HealthStatus;

#[tokio::test]
async fn a_name_belongs_to_one_container_until_it_is_gone() {
    let world = World::new();
    let id = world.create(&spec("web", "nginx")).await;
    let again = world.docker.create_container(&spec("web", "nginx")).await;
    assert!(matches!(&again, Err(EngineError::NameTaken(text)) if text.contains(&id)));
    world.docker.rename_container(&id, "web-2").await.unwrap();
    let other = world.create(&spec("web", "nginx")).await;
    let taken = world.docker.rename_container(&other, "web-2").await;
    assert!(matches!(taken, Err(EngineError::NameTaken(_))));
    world.docker.remove_container("web-2").await.unwrap();
    world
        .docker
        .rename_container(&other, "web-2")
        .await
        .unwrap();
    let found = world.docker.inspect_container(&other[..12]).await.unwrap();
    assert_eq!(found.unwrap().name, "web-2");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let world = World::new();
    assert_eq!(world.docker.inspect_container("web").await, Ok(None));
    let started = world.docker.start_container("web").await;
    assert_eq!(
        started,
        Err(EngineError::NotFound("container web".to_owned()))
    );
    let created = world.docker.create_container(&spec("web", "redis")).await;
    assert_eq!(
        created,
        Err(EngineError::NotFound("image redis".to_owned()))
    );
    assert_eq!(
        world.docker.signal_container("web", "SIGTERM").await,
        Ok(())
    );
    assert_eq!(world.docker.remove_container("web").await, Ok(()));
    assert_eq!(world.docker.remove_network("nets").await, Ok(()));
}

#[tokio::test]
async fn a_life_from_creation_to_exit() {
    let world = World::new();
    let id = world
        .create(&workload("job", "exit --code 3 --after-ms 500"))
        .await;
    let created = world.look(&id).await;
    assert_eq!(
        (created.status.as_str(), created.started_at),
        ("created", None)
    );
    world.docker.start_container(&id).await.unwrap();
    world.docker.start_container(&id).await.unwrap();
    world.pass(499);
    assert_eq!(world.status(&id).await, "running");
    // However late one looks, it ended when it ended.
    world.pass(60_000);
    let ended = world.look(&id).await;
    assert_eq!((ended.status.as_str(), ended.exit_code), ("exited", 3));
    assert_eq!(ended.started_at, Some(START));
    assert_eq!(
        ended.finished_at,
        Some(START.plus(DurationMs::from_millis(500)))
    );
    assert_eq!(world.docker.containers()[0].starts, 1);
}

#[tokio::test]
async fn signals_end_a_process_as_it_likes() {
    let world = World::new();
    for (name, command, signal, expected) in [
        ("app-a", "serve", "SIGTERM", Some(0)),
        ("app-b", "exit --after-ms 90000", "TERM", Some(143)),
        ("app-c", "sleep --term-code 7", "15", Some(7)),
        ("app-d", "ignore-sigterm", "SIGTERM", None),
        ("app-e", "ignore-sigterm", "SIGKILL", Some(137)),
        ("app-f", "serve", "SIGQUIT", None),
    ] {
        let id = world.run_workload(name, command).await;
        world.docker.signal_container(&id, signal).await.unwrap();
        let found = world.look(&id).await;
        let code = (found.status == "exited").then_some(found.exit_code);
        assert_eq!(code, expected, "{command} on {signal}");
    }
    let other = world.run(&spec("app-g", "nginx")).await;
    world
        .docker
        .signal_container(&other, "SIGHUP")
        .await
        .unwrap();
    assert_eq!(world.look(&other).await.exit_code, 129);
    let wrong = world.docker.signal_container("app-d", "SIGNONSENSE").await;
    assert_eq!(message(wrong), "Invalid signal: SIGNONSENSE");
}

#[tokio::test]
async fn an_executable_that_is_not_there_fails_in_the_engines_words() {
    let world = World::new();
    let entrypoint = Some(vec!["/does-not-exist".to_owned()]);
    let broken = ContainerSpec {
        entrypoint,
        ..spec("web", "nginx")
    };
    let id = world.create(&broken).await;
    let refused = world.docker.start_container(&id).await;
    assert!(matches!(refused, Err(EngineError::Refused(_))));
    let found = world.look(&id).await;
    assert_eq!((found.status.as_str(), found.exit_code), ("created", 127));
    let error = found.error.unwrap();
    assert!(
        error.contains("exec: \"/does-not-exist\": stat /does-not-exist: no such file"),
        "{error}"
    );
    assert!(world.docker.snapshot().networks[0].addresses.is_empty());
}

#[tokio::test]
async fn a_namespace_is_joined_while_its_owner_runs() {
    let world = World::new();
    let sandbox = world.create(&spec("sandbox", "nginx")).await;
    let app = world.create(&joining("app", &sandbox)).await;
    let early = world.docker.start_container(&app).await;
    assert!(message(early).starts_with("cannot join network of a non running container"));
    world.docker.start_container(&sandbox).await.unwrap();
    world.docker.start_container(&app).await.unwrap();
    assert_eq!(world.look(&app).await.ip_address, None);

    assert!(world.docker.inject(Fault::SandboxKilled {
        of: "app".to_owned()
    }));
    let (sandbox_now, app_now) = (world.look(&sandbox).await, world.look(&app).await);
    assert_eq!(
        (sandbox_now.status.as_str(), sandbox_now.exit_code),
        ("exited", 137)
    );
    assert_eq!(app_now.status, "running");
    assert_eq!(world.docker.containers()[1].joined, Some(sandbox.clone()));

    world.docker.remove_container(&sandbox).await.unwrap();
    assert_eq!(world.status(&app).await, "running");
    let gone = world.create(&joining("late", &sandbox)).await;
    let late = world.docker.start_container(&gone).await;
    assert!(matches!(late, Err(EngineError::NotFound(_))));
    let conflict = ContainerSpec {
        hostname: Some("web".to_owned()),
        ..joining("named", "app")
    };
    let refused = world.docker.create_container(&conflict).await;
    assert_eq!(
        message(refused),
        "conflicting options: hostname and the network mode"
    );
}

#[tokio::test]
async fn a_paused_container_takes_no_step_until_it_goes_on() {
    let world = World::new();
    let id = world.run_workload("job", "exit --after-ms 1000").await;
    let container = id.clone();
    assert!(world.docker.inject(Fault::ContainerPaused { container }));
    world.pass(5_000);
    assert_eq!(world.status(&id).await, "paused");
    let start = world.docker.start_container(&id).await;
    assert_eq!(
        message(start),
        "cannot start a paused container, try unpause instead"
    );
    let container = id.clone();
    assert!(world.docker.inject(Fault::ContainerUnpaused { container }));
    let ended = world.look(&id).await;
    assert_eq!(
        ended.finished_at,
        Some(START.plus(DurationMs::from_secs(5)))
    );

    let other = world.run_workload("other", "serve").await;
    let container = other.clone();
    assert!(world.docker.inject(Fault::ContainerPaused { container }));
    world.docker.remove_container(&other).await.unwrap();
    assert_eq!(world.docker.inspect_container(&other).await, Ok(None));
}

#[tokio::test]
async fn a_removal_that_takes_its_time_keeps_the_name() {
    let world = World::new();
    let id = world.run(&spec("web", "nginx")).await;
    world.docker.inject(Fault::RemovalsTake { ms: 3_000 });
    let removal = world.docker.remove_container(&id);
    let meanwhile = async {
        tokio::task::yield_now().await;
        assert_eq!(world.status(&id).await, "removing");
        assert_eq!(world.docker.remove_container(&id).await, Ok(()));
        assert_eq!(world.docker.signal_container(&id, "SIGTERM").await, Ok(()));
        let start = world.docker.start_container(&id).await;
        assert_eq!(
            message(start),
            "container is marked for removal and cannot be started"
        );
        let create = world.docker.create_container(&spec("web", "nginx")).await;
        assert!(matches!(create, Err(EngineError::NameTaken(_))));
        world.pass(3_000);
    };
    let (removed, ()) = futures_util::join!(removal, meanwhile);
    assert_eq!(removed, Ok(()));
    assert_eq!(world.docker.inspect_container(&id).await, Ok(None));
}

#[tokio::test]
async fn a_removal_that_fails_leaves_it_dead_and_can_be_repeated() {
    let world = World::new();
    let id = world.run(&spec("web", "nginx")).await;
    world.docker.inject(Fault::RemovalsFail { count: 1 });
    assert!(message(world.docker.remove_container(&id).await).contains("device or resource busy"));
    assert_eq!(world.status(&id).await, "dead");
    world.docker.remove_container(&id).await.unwrap();
    assert!(world.docker.containers().is_empty());
}

#[tokio::test]
async fn lists_have_what_carries_the_label_newest_first() {
    let world = World::new();
    world.create(&spec("app-a", "nginx")).await;
    world.run(&spec("app-b", "nginx")).await;
    world.docker.add_foreign_container("app-c").unwrap();
    let names = |label: &'static str| async {
        let found = world.docker.list_containers(label).await.unwrap();
        found
            .into_iter()
            .map(|c| format!("{} {}", c.name, c.status))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("owner=us").await, ["app-b running", "app-a created"]);
    assert_eq!(names("owner=somebody-else").await, ["app-c running"]);
    assert_eq!(names("owner").await.len(), 3);
    assert!(names("owner=nobody").await.is_empty());
}

#[tokio::test]
async fn health_checks_go_as_docker_has_them() {
    let world = World::new();
    let good = world
        .run(&checked(
            "app-a",
            "serve --fail-health-after-ms 25000",
            "CMD /workload health",
        ))
        .await;
    let mut events = world.docker.events("owner=us").await.unwrap();
    assert_eq!(world.look(&good).await.health, Some(HealthStatus::Unknown));
    world.pass(10_000);
    assert_eq!(world.look(&good).await.health, Some(HealthStatus::Healthy));
    world.pass(20_000);
    assert_eq!(world.look(&good).await.health, Some(HealthStatus::Healthy));
    world.pass(10_000);
    let bad = world.look(&good).await;
    assert_eq!(bad.health, Some(HealthStatus::Unhealthy));
    assert!(bad.health_output.unwrap().ends_with("answered 503\n"));
    let told: Vec<String> = ready(&mut events)
        .into_iter()
        .map(|event| event.action)
        .filter(|action| action.starts_with("health_status"))
        .collect();
    assert_eq!(told, ["health_status: healthy", "health_status: unhealthy"]);
}

#[tokio::test]
async fn a_check_that_hangs_fails_and_a_start_period_forgives() {
    let world = World::new();
    let mut slow = checked("app-a", "serve", "CMD /workload sleep --for-ms 60000");
    let hangs = world.run(&slow).await;
    slow.name = "app-b".to_owned();
    slow.health_check.as_mut().unwrap().start_period = DurationMs::from_secs(30);
    let forgiven = world.run(&slow).await;
    world.pass(24_000);
    let found = world.look(&hangs).await;
    assert_eq!(found.health, Some(HealthStatus::Unhealthy));
    assert_eq!(
        found.health_output.as_deref(),
        Some("Health check exceeded timeout (2s)")
    );
    assert_eq!(
        world.look(&forgiven).await.health,
        Some(HealthStatus::Unknown)
    );
    world.pass(24_000);
    assert_eq!(
        world.look(&forgiven).await.health,
        Some(HealthStatus::Unhealthy)
    );
}

#[tokio::test]
async fn events_tell_what_happened_and_only_256_are_kept() {
    let world = World::new();
    let mut late = world.docker.events("owner=us").await.unwrap();
    let mut events = world.docker.events("owner=us").await.unwrap();
    world.docker.add_foreign_container("foreign").unwrap();
    let id = world.run(&spec("web", "nginx")).await;
    world.docker.remove_container(&id).await.unwrap();
    let actions: Vec<String> = ready(&mut events).into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["create", "start", "kill", "die", "destroy"]);
    for _ in 0..100 {
        let id = world.run(&spec("web", "nginx")).await;
        world.docker.remove_container(&id).await.unwrap();
    }
    let kept = ready(&mut late);
    assert_eq!(kept.len(), 256);
    assert_eq!(kept[255].action, "destroy");
}

#[tokio::test]
async fn a_stream_of_events_sees_an_exit_by_itself() {
    let world = World::new();
    let mut events = world.docker.events("owner=us").await.unwrap();
    world.run_workload("job", "exit --after-ms 700").await;
    assert_eq!(ready(&mut events).len(), 2);
    let died = world.during(700, events.next()).await.unwrap();
    assert_eq!((died.name.as_str(), died.action.as_str()), ("job", "die"));
    assert_eq!(world.clock.next_wake(), None);
}
