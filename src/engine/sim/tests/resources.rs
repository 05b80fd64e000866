//! Ports, addresses, images: what there is only so much of.

use super::*;

#[tokio::test]
async fn a_port_has_one_owner_at_a_time() {
    let world = World::new();
    let first = world.run(&publishing("app-a", Some(8080))).await;
    let second = world.create(&publishing("app-b", Some(8080))).await;
    let clash = world.docker.start_container(&second).await;
    assert!(message(clash).ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"));
    let found = world.look(&second).await;
    assert_eq!((found.status.as_str(), found.exit_code), ("created", 128));
    assert_eq!(found.ip_address, None);
    world
        .docker
        .signal_container(&first, "SIGTERM")
        .await
        .unwrap();
    assert!(world.look(&first).await.bindings.is_empty());
    world.docker.start_container(&second).await.unwrap();
    assert_eq!(world.look(&second).await.bindings[0].host_port, 8080);

    world.docker.inject(Fault::PortTaken { port: 32_769 });
    let mut ports = Vec::new();
    for name in ["any-1", "any-2"] {
        let id = world.run(&publishing(name, Some(0))).await;
        ports.push(world.look(&id).await.bindings[0].host_port);
    }
    assert_eq!(ports, [32_768, 32_770]);
    let taken = world.create(&publishing("app-c", Some(32_769))).await;
    let clash = world.docker.start_container(&taken).await;
    assert!(message(clash).ends_with("address already in use"));
}

#[tokio::test]
async fn addresses_are_for_the_running_and_run_out() {
    let world = World::with(SimConfig {
        addresses_per_network: 2,
        ..SimConfig::default()
    });
    world.docker.ensure_network(&network("nets")).await.unwrap();
    world.docker.ensure_network(&network("nets")).await.unwrap();
    let on = |name: &str| ContainerSpec {
        network_mode: "nets".to_owned(),
        ..spec(name, "nginx")
    };
    let first = world.run(&on("app-a")).await;
    let second = world.run(&on("app-b")).await;
    assert_eq!(
        world.look(&second).await.ip_address.as_deref(),
        Some("172.18.0.3")
    );
    let third = world.create(&on("app-c")).await;
    let full = message(world.docker.start_container(&third).await);
    assert!(full.starts_with("no available IPv4 addresses on this network's address pools: nets"));
    world.docker.remove_container(&first).await.unwrap();
    world.docker.start_container(&third).await.unwrap();
    assert_eq!(
        world.look(&third).await.ip_address.as_deref(),
        Some("172.18.0.2")
    );

    assert!(message(world.docker.remove_network("nets").await).contains("has active endpoints"));
    world.docker.remove_container(&second).await.unwrap();
    world.docker.remove_container(&third).await.unwrap();
    world.docker.remove_network("nets").await.unwrap();
    let lost = world.create(&on("app-d")).await;
    let missing = world.docker.start_container(&lost).await;
    assert_eq!(
        missing,
        Err(EngineError::NotFound("network nets".to_owned()))
    );
}

#[tokio::test]
async fn there_are_31_networks() {
    let world = World::new();
    for number in 0..30 {
        let name = format!("net-{number}");
        world.docker.ensure_network(&network(&name)).await.unwrap();
    }
    let one_more = world.docker.ensure_network(&network("net-30")).await;
    assert!(message(one_more).starts_with("could not find an available, non-overlapping IPv4"));
}

#[tokio::test]
async fn a_pull_comes_layer_by_layer() {
    let world = World::new();
    let mut pull = world
        .docker
        .pull_image("registry.example:5000/team/app:2", None)
        .await
        .unwrap();
    let mut seen = ready(&mut pull);
    for _ in 0..5 {
        world.pass(100);
        seen.extend(ready(&mut pull));
    }
    assert!(is_over(&mut pull));
    let seen: Vec<_> = seen.into_iter().map(Result::unwrap).collect();
    assert!(seen.len() >= 2);
    assert!(seen.is_sorted_by_key(|progress| progress.current_bytes));
    let last = seen[seen.len() - 1];
    assert_eq!(last.current_bytes, last.total_bytes);
    let image = world
        .docker
        .inspect_image("registry.example:5000/team/app:2")
        .await
        .unwrap()
        .unwrap();
    assert!(image.repo_digests[0].starts_with("registry.example:5000/team/app@sha256:"));
    // By its digest it is the same image, once it was pulled by it.
    let by_digest = &image.repo_digests[0];
    let mut again = world.docker.pull_image(by_digest, None).await.unwrap();
    world.pass(500);
    assert!(ready(&mut again).iter().all(Result::is_ok));
    let same = world
        .docker
        .inspect_image(by_digest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(same.id, image.id);
}

#[tokio::test]
async fn names_decide_what_a_registry_says() {
    let world = World::new();
    for (name, retryable, words) in [
        (
            "missing/app",
            false,
            "manifest for missing/app:latest not found: manifest unknown",
        ),
        ("nginx:missing", false, "manifest unknown"),
        ("denied/app", false, "pull access denied for denied/app"),
        ("limited/app", true, "toomanyrequests"),
        ("localhost:1/app", true, "connection refused"),
        ("Not An Image", false, "invalid reference format"),
        ("broken/app", true, "unexpected EOF"),
    ] {
        let mut pull = world.docker.pull_image(name, None).await.unwrap();
        let mut said = Vec::new();
        for _ in 0..10 {
            said.extend(ready(&mut pull));
            world.pass(100);
        }
        let error = said.pop().unwrap().unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
        assert_eq!(error.retryable(), retryable, "{name}");
        assert_eq!(world.docker.inspect_image(name).await, Ok(None), "{name}");
    }
    let mut stalled = world.docker.pull_image("stalled/app", None).await.unwrap();
    assert_eq!(ready(&mut stalled).len(), 1);
    world.pass(3_600_000);
    assert!(ready(&mut stalled).is_empty() && !is_over(&mut stalled));
}

#[tokio::test]
async fn callers_share_a_pull_and_the_last_one_gives_it_up() {
    let world = World::new();
    let first = world.docker.pull_image("redis", None).await.unwrap();
    let second = world
        .docker
        .pull_image("docker.io/library/redis:latest", None)
        .await
        .unwrap();
    assert_eq!(world.docker.snapshot().pulls, ["redis:latest"]);
    drop(first);
    assert_eq!(world.docker.snapshot().pulls.len(), 1);
    drop(second);
    world.pass(10_000);
    assert!(world.docker.snapshot().pulls.is_empty());
    assert_eq!(world.docker.inspect_image("redis").await, Ok(None));
}
