//! The sample workload, and logs.

use super::*;

#[tokio::test]
async fn memory_beyond_the_limit_is_the_end() {
    let world = World::new();
    let mut events = world.docker.events("owner=us").await.unwrap();
    let limited = |name, command| ContainerSpec {
        memory_bytes: 64 * 1024 * 1024,
        ..workload(name, command)
    };
    let fits = world
        .run(&limited("fits", "allocate --mib 32 --hold-ms 1000"))
        .await;
    let bursts = world
        .run(&limited("bursts", "allocate --mib 128 --hold-ms 1000"))
        .await;
    world.pass(1_000);
    let fits = world.look(&fits).await;
    assert_eq!((fits.exit_code, fits.oom_killed), (0, false));
    let killed = world.look(&bursts).await;
    assert_eq!((killed.exit_code, killed.oom_killed), (137, true));
    let oom = ready(&mut events)
        .into_iter()
        .filter(|event| event.action == "oom")
        .count();
    assert_eq!(oom, 1);
}

#[tokio::test]
async fn commands_say_and_do_what_the_program_does() {
    let world = World::new();
    let environment = ContainerSpec {
        env: vec!["COLOR=green".to_owned()],
        ..workload("app-a", "env COLOR")
    };
    let env = world.run(&environment).await;
    let burn = ContainerSpec {
        nano_cpus: 500_000_000,
        ..workload("app-b", "burn-cpu --cpu-ms 100")
    };
    let burn = world.run(&burn).await;
    let wrong = world.run_workload("app-c", "dance").await;
    let serve = world.run_workload("app-d", "serve --port 80").await;
    world.pass(199);
    assert_eq!(world.status(&burn).await, "running");
    world.pass(1);
    world
        .docker
        .signal_container(&serve, "SIGTERM")
        .await
        .unwrap();
    assert_eq!(world.log(&env).await, ["green"]);
    assert_eq!(
        world.log(&burn).await,
        ["used 100 ms of CPU time in 200 ms"]
    );
    assert_eq!(world.look(&wrong).await.exit_code, 2);
    assert_eq!(
        world.log(&wrong).await[0],
        "workload: there is no command `dance`"
    );
    assert_eq!(
        world.log(&serve).await,
        ["listening on port 80", "SIGTERM: stopping"]
    );
}

#[tokio::test]
async fn lines_come_at_their_time_and_can_be_chosen() {
    let world = World::new();
    let command = "log --lines 5 --every-ms 100 --stderr-every 2";
    let id = world.run_workload("job", command).await;
    world.pass(10_000);
    let since = Some(START.plus(DurationMs::from_millis(100)));
    let options = LogOptions {
        since,
        tail: Some(3),
        follow: true,
    };
    let lines: Vec<_> = world
        .docker
        .container_logs(&id, options)
        .await
        .unwrap()
        .collect()
        .await;
    let seen: Vec<_> = lines
        .into_iter()
        .map(|line| line.unwrap())
        .map(|line| (line.at.since(START).as_millis(), line.stream, line.text))
        .collect();
    let expected = [
        (200, LogStream::Stdout, "line 3".into()),
        (300, LogStream::Stderr, "line 4".into()),
        (400, LogStream::Stdout, "line 5".into()),
    ];
    assert_eq!(seen, expected);
    let ended = world.look(&id).await.finished_at.unwrap();
    assert_eq!(ended.since(START).as_millis(), 400);
}

#[tokio::test]
async fn a_follower_gets_every_line_until_the_end() {
    let world = World::new();
    let id = world
        .run_workload("job", "log --lines 3 --every-ms 100")
        .await;
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut lines = world.docker.container_logs(&id, options).await.unwrap();
    assert_eq!(ready(&mut lines).len(), 1);
    let next = world.during(100, lines.next()).await.unwrap().unwrap();
    assert_eq!(next.text, "line 2");
    let next = world.during(100, lines.next()).await.unwrap().unwrap();
    assert_eq!(next.text, "line 3");
    assert!(is_over(&mut lines));
}

#[tokio::test]
async fn a_log_is_bounded_and_long_lines_are_cut() {
    let world = World::new();
    let mut small = workload("app-a", "log --lines 5000 --bytes 100");
    small.log_max_bytes = Some(10_000);
    let small = world.run(&small).await;
    let long = world
        .run_workload("app-b", "log --lines 2 --bytes 20000 --no-newline")
        .await;
    let mut none = workload("app-c", "log");
    none.log_max_bytes = None;
    let none = world.run(&none).await;
    world.pass(100);
    let kept = world.log(&small).await;
    assert!(kept.len() <= 100 && kept.len() >= 49, "{}", kept.len());
    assert!(kept.last().unwrap().starts_with("line 5000"));
    let lengths: Vec<usize> = world.log(&long).await.iter().map(String::len).collect();
    assert_eq!(lengths, [16_384, 16_384, 7_232]);
    let unread = world
        .docker
        .container_logs(&none, LogOptions::default())
        .await;
    assert_eq!(
        unread.err().unwrap().to_string(),
        "configured logging driver does not support reading"
    );
}

#[tokio::test]
async fn an_image_is_loaded_from_a_tar() {
    let world = World::new();
    let config = br#"{"config":{"Entrypoint":["/pause"],"StopSignal":"SIGINT"}}"#;
    let manifest = br#"[{"Config":"c.json","RepoTags":["neargate/sandbox:1"],"Layers":[]}]"#;
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [("c.json", config.as_slice()), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, path, text).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    world.docker.load_image(tar.clone().into()).await.unwrap();
    let image = world
        .docker
        .inspect_image("neargate/sandbox:1")
        .await
        .unwrap()
        .unwrap();
    assert!(image.repo_digests.is_empty());
    let id = world.run(&spec("sandbox", &image.id)).await;
    assert_eq!(world.look(&id).await.stop_signal, "SIGINT");
    let cut = world.docker.load_image(tar.slice_to(100)).await;
    assert!(cut.is_err());
}

/// The first bytes of something.
trait SliceTo {
    fn slice_to(&self, end: usize) -> bytes::Bytes;
}

impl SliceTo for Vec<u8> {
    fn slice_to(&self, end: usize) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self[..end])
    }
}
