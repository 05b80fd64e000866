//! One contract for the engine port, and every adapter that passes it.
//!
//! Each rule is a function over a [`World`]; the macro at the end makes a test of each for the real Docker
//! daemon and for the simulated one. A new adapter adds one line there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use neargate::clock::{Clock, RandomIds, SystemClock};
use neargate::domain::{
    Condition, ContainerName, ContainerState, CpuUnits, DurationMs, Goal, IdSource, InstanceId,
    Known, LimitsEnforcedBy, MemoryMib, Mount, NetworkMode, NetworkObservation, Observation,
    PortMapping, Protocol, RestartPolicy, TaskId, TaskSize, TaskSpec, TimestampMs, Volume,
    VolumeName, VolumeSource,
};
use neargate::engine::docker::client::DockerClient;
use neargate::engine::docker::daemon::{self, ContainerSpec, Daemon, MountSource, VolumeSpec};
use neargate::engine::docker::host::{Group, GroupLimits};
use neargate::engine::docker::{DockerEngine, Settings};
use neargate::engine::sim::{SimClock, SimConfig, SimDaemon};
use neargate::engine::{Engine, EngineError, Hint, LogRequest, LogStream, NoSecrets, Order};
use neargate::shapes::{Document, Format, ParsedTaskDefinition};
use serde_json::json;

use crate::harness::{PATIENCE, require_engine, workload};

/// An engine, the daemon below it, and what a test leaves behind.
struct World {
    daemon: Arc<dyn Daemon>,
    instance: InstanceId,
    engine: Arc<dyn Engine>,
    foreign: Vec<String>,
}

pub struct SimTime;

impl SimClock for SimTime {
    fn now(&self) -> TimestampMs {
        SystemClock.now()
    }

    fn sleep_until(&self, at: TimestampMs) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(at.since(SystemClock.now()).to_std()))
    }
}

fn real_daemon() -> Arc<dyn Daemon> {
    require_engine();
    Arc::new(DockerClient::connect(None).unwrap())
}

fn simulated_daemon() -> Arc<dyn Daemon> {
    let mut config = SimConfig::default();
    "cgroupfs".clone_into(&mut config.info.cgroup_driver);
    let daemon = SimDaemon::new(config, Arc::new(SimTime));
    daemon.add_image(workload());
    tokio::spawn(daemon.drive());
    Arc::new(daemon)
}

impl World {
    fn new(daemon: Arc<dyn Daemon>, warm_sandboxes: u32) -> Self {
        let instance = InstanceId::generate(&RandomIds);
        let engine = adapter(&daemon, &instance, warm_sandboxes);
        Self {
            daemon,
            instance,
            engine,
            foreign: Vec::new(),
        }
    }

    /// The engine as another process would have it after a crash of this one.
    fn after_a_crash(&mut self) {
        self.engine = adapter(&self.daemon, &self.instance, 0);
    }

    async fn clean_up(&self) {
        for task in self.engine.survey().await.unwrap().keys() {
            self.engine.remove(task).await.unwrap();
        }
        for id in &self.foreign {
            self.daemon.remove_container(id).await.unwrap();
        }
        self.engine.shut_down().await;
        let left = self
            .daemon
            .list_containers(&format!("neargate.instance={}", self.instance))
            .await
            .unwrap();
        assert_eq!(left, [], "left over");
    }

    /// Lets a task go on until `done`, coming back as the engine asks for it.
    async fn drive(
        &self,
        order: &mut Order,
        what: &str,
        done: impl Fn(&Observation) -> bool,
    ) -> Observation {
        let deadline = Instant::now() + PATIENCE;
        loop {
            order.now = SystemClock.now();
            let seen = self.engine.observe(order).await.unwrap();
            let seen = self.engine.advance(order, seen).await.unwrap();
            if done(&seen) {
                return seen;
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what}; instead: {seen:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn run(&self, order: &mut Order) -> Observation {
        let all = order.spec.containers.len();
        self.drive(order, "all containers to be started", |seen| {
            seen.containers
                .values()
                .filter(|one| one.state != ContainerState::Created)
                .count()
                == all
        })
        .await
    }

    /// Looks until the container `name` has ended.
    async fn ended(&self, order: &Order, name: &str) -> (Observation, Option<i64>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.engine.observe(order).await.unwrap();
            if let Some(ContainerState::Exited { exit_code, .. }) = state(&seen, name) {
                return (seen, exit_code);
            }
            assert!(
                Instant::now() < deadline,
                "waited for {name} to end; instead: {seen:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(&self, order: &mut Order) -> Observation {
        order.goal = Goal::Stop {
            since: SystemClock.now(),
        };
        self.drive(order, "all containers to have ended", |seen| {
            !seen
                .containers
                .values()
                .any(|one| one.state == ContainerState::Running)
        })
        .await
    }
}

fn adapter(
    daemon: &Arc<dyn Daemon>,
    instance: &InstanceId,
    warm_sandboxes: u32,
) -> Arc<dyn Engine> {
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let settings = Settings {
        warm_sandboxes,
        ..Settings::default()
    };
    DockerEngine::new(
        "test",
        Arc::clone(daemon),
        instance.clone(),
        ids,
        settings,
        Arc::new(NoSecrets),
    )
}

fn name(text: &str) -> ContainerName {
    text.parse().unwrap()
}

fn state(seen: &Observation, container: &str) -> Option<ContainerState> {
    seen.containers
        .get(&name(container))
        .map(|one| one.state.clone())
}

/// A task of containers that run the workload with these commands.
pub fn order(containers: &[(&str, &[&str])]) -> Order {
    let containers: Vec<_> = containers
        .iter()
        .map(|(name, command)| {
            json!({ "name": name, "image": workload(), "command": command, "stopTimeout": 1, "memory": 64 })
        })
        .collect();
    let document = json!({ "family": "contract", "containerDefinitions": containers });
    let document = Document::read(document.to_string().as_bytes(), Format::Json).unwrap();
    let definition = ParsedTaskDefinition::parse(&document).unwrap().definition;
    Order {
        task_id: TaskId::generate(&RandomIds),
        cluster: "default".to_owned(),
        spec: TaskSpec::new(definition, 1),
        goal: Goal::Run,
        known: BTreeMap::new(),
        attempts: BTreeMap::new(),
        digests: BTreeMap::new(),
        now: SystemClock.now(),
    }
}

async fn a_task_that_was_never_asked_for_is_absent(world: &mut World) {
    let order = order(&[("main", &["sleep"])]);
    let seen = world.engine.observe(&order).await.unwrap();
    assert_eq!(seen, Observation::default());
    world.engine.remove(&order.task_id).await.unwrap();
}

async fn a_task_comes_up_with_an_address_and_only_once(world: &mut World) {
    let mut order = order(&[("one", &["sleep"]), ("two", &["sleep"])]);
    let first = world.run(&mut order).await;
    let NetworkObservation::Up {
        address: Some(address),
        ..
    } = &first.network
    else {
        panic!("{:?}", first.network);
    };
    address.parse::<std::net::Ipv4Addr>().unwrap();
    let again = world.run(&mut order).await;
    world.after_a_crash();
    let adopted = world.run(&mut order).await;
    for container in ["one", "two"] {
        let id = |seen: &Observation| seen.containers[&name(container)].runtime_id.clone();
        assert_eq!(id(&first), id(&again));
        assert_eq!(id(&first), id(&adopted), "adopted, not made anew");
    }
}

async fn an_only_container_owns_its_network_when_no_sandbox_is_ready(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let first = world.run(&mut order).await;
    let sandbox = world
        .daemon
        .inspect_container(&format!("neargate-{}", order.task_id))
        .await
        .unwrap();
    assert_eq!(sandbox, None, "one container is enough");
    let NetworkObservation::Up {
        address: Some(_), ..
    } = &first.network
    else {
        panic!("{:?}", first.network);
    };
    world.after_a_crash();
    let adopted = world.run(&mut order).await;
    assert_eq!(adopted.network, first.network);
    let id = |seen: &Observation| seen.containers[&name("main")].runtime_id.clone();
    assert_eq!(id(&first), id(&adopted), "adopted, not made anew");
    let stopped = world.stop(&mut order).await;
    assert_eq!(
        world.engine.observe(&order).await.unwrap().network,
        NetworkObservation::Absent,
        "it ended with its process, and cut nobody off; {stopped:?}"
    );
}

async fn a_host_port_that_is_taken_ends_the_start(world: &mut World) {
    let published = |containers: &[(&str, &[&str])], host_port: u16| {
        let mut order = order(containers);
        order.spec.network_mode = NetworkMode::Bridge;
        order.spec.containers[0].port_mappings = vec![PortMapping {
            container_port: 80,
            host_port: Some(host_port),
            protocol: Protocol::Tcp,
        }];
        order
    };
    let mut first = published(&[("main", &["sleep"])], 0);
    let NetworkObservation::Up { bindings, .. } = world.run(&mut first).await.network else {
        panic!("no network");
    };
    let taken = bindings[0].host_port;
    assert_ne!(taken, 0, "the engine chose one");
    let sleep: &[&str] = &["sleep"];
    let both = [("main", sleep), ("side", sleep)];
    for containers in [&both[..1], &both] {
        let mut second = published(containers, taken);
        let seen = world
            .drive(&mut second, "the start to have failed", |seen| {
                seen.failure.is_some()
                    || matches!(state(seen, "main"), Some(ContainerState::Exited { .. }))
            })
            .await;
        let reason = match (&seen.failure, state(&seen, "main")) {
            (Some(failure), _) => failure.reason.clone(),
            (None, Some(ContainerState::Exited { error, .. })) => error.unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(
            reason.starts_with("Cannot") && reason.contains(&taken.to_string()),
            "{reason}"
        );
    }
}

async fn an_exit_has_its_code_and_a_time_that_lies_after_its_start(world: &mut World) {
    let before = SystemClock.now();
    let mut order = order(&[("main", &["exit", "--code", "3", "--after-ms", "50"])]);
    world.run(&mut order).await;
    let (seen, code) = world.ended(&order, "main").await;
    assert_eq!(code, Some(3));
    let Some(ContainerState::Exited {
        finished_at,
        oom_killed,
        error,
        ..
    }) = state(&seen, "main")
    else {
        unreachable!();
    };
    let started_at = seen.containers[&name("main")].started_at.unwrap();
    assert!(before <= started_at && started_at < finished_at && finished_at <= SystemClock.now());
    assert_eq!((oom_killed, error), (false, None));
}

async fn a_process_that_obeys_ends_with_its_own_code_and_one_that_does_not_is_killed(
    world: &mut World,
) {
    let mut order = order(&[
        ("good", &["sleep", "--term-code", "5"]),
        ("bad", &["ignore-sigterm"]),
    ]);
    world.run(&mut order).await;
    let seen = world.stop(&mut order).await;
    let code = |container: &str| match state(&seen, container) {
        Some(ContainerState::Exited { exit_code, .. }) => exit_code,
        other => panic!("{container}: {other:?}"),
    };
    assert_eq!((code("good"), code("bad")), (Some(5), Some(137)));
}

async fn what_depends_is_started_later_and_stopped_earlier(world: &mut World) {
    let mut order = order(&[("base", &["sleep"]), ("top", &["sleep"])]);
    order.spec.containers[1].depends_on = vec![neargate::domain::Dependency {
        container: name("base"),
        condition: Condition::Start,
    }];
    let seen = world.run(&mut order).await;
    let started = |text: &str| seen.containers[&name(text)].started_at.unwrap();
    assert!(started("base") <= started("top"));
    let seen = world.stop(&mut order).await;
    let finished = |text: &str| match state(&seen, text) {
        Some(ContainerState::Exited { finished_at, .. }) => finished_at,
        other => panic!("{text}: {other:?}"),
    };
    assert!(finished("top") <= finished("base"));
}

async fn what_a_container_uses_is_told(world: &mut World) {
    let mut order = order(&[("main", &["sleep"]), ("side", &["sleep"])]);
    world.run(&mut order).await;
    let (main, nobody) = ("main".parse().unwrap(), "nobody".parse().unwrap());
    let figures = world
        .engine
        .stats(&order.task_id, &main, false)
        .await
        .unwrap();
    assert!(
        figures["memory_stats"]["usage"].as_u64().unwrap() > 0,
        "{figures:#}"
    );
    let absent = world.engine.stats(&order.task_id, &nobody, true).await;
    assert!(
        matches!(absent, Err(EngineError::NotFound(_))),
        "{absent:?}"
    );
}

async fn the_network_of_a_cluster_that_is_gone_is_removed_once_no_task_is_on_it(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    "blue".clone_into(&mut order.cluster);
    world.run(&mut order).await;
    let blue = std::collections::BTreeSet::from(["blue".to_owned()]);
    assert!(world.engine.clusters().await.unwrap().contains("blue"));
    world.engine.remove_clusters(&blue).await.unwrap();
    assert!(world.engine.clusters().await.unwrap().contains("blue"));
    world.engine.remove(&order.task_id).await.unwrap();
    world.engine.remove_clusters(&blue).await.unwrap();
    assert!(!world.engine.clusters().await.unwrap().contains("blue"));
    // Whoever comes back gets a new one.
    world.run(&mut order).await;
    assert!(world.engine.clusters().await.unwrap().contains("blue"));
}

async fn a_network_that_somebody_has_pruned_is_made_again(world: &mut World) {
    let mut first = order(&[("main", &["sleep"])]);
    world.run(&mut first).await;
    world.engine.remove(&first.task_id).await.unwrap();
    let network = format!("neargate-{}-default", world.instance);
    world.daemon.remove_network(&network).await.unwrap();
    let mut second = order(&[("main", &["sleep"])]);
    let seen = world.engine.observe(&second).await.unwrap();
    let error = world.engine.advance(&second, seen).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    world.run(&mut second).await;
}

async fn what_runs_is_not_discarded_and_what_has_ended_is(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let seen = world.run(&mut order).await;
    let id = &seen.containers[&name("main")].runtime_id;
    assert!(!world.daemon.discard_container(id).await.unwrap());
    let seen = world.stop(&mut order).await;
    assert!(seen.containers.contains_key(&name("main")), "{seen:#?}");
    assert!(world.daemon.discard_container(id).await.unwrap());
    assert!(world.daemon.discard_container(id).await.unwrap(), "again");
    let seen = world.engine.observe(&order).await.unwrap();
    assert_eq!(seen.containers, BTreeMap::new());
}

async fn a_container_that_is_recorded_as_started_is_not_made_again(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let seen = world.run(&mut order).await;
    world
        .daemon
        .remove_container(&seen.containers[&name("main")].runtime_id)
        .await
        .unwrap();
    order.known.insert(name("main"), Known::Started);
    let seen = world.engine.observe(&order).await.unwrap();
    let seen = world.engine.advance(&order, seen).await.unwrap();
    assert_eq!(seen.containers, BTreeMap::new());
}

async fn an_attempt_that_is_over_makes_way_for_the_next_one(world: &mut World) {
    let mut order = order(&[("main", &["exit", "--code", "3"]), ("side", &["sleep"])]);
    order.spec.containers[1].depends_on = vec![neargate::domain::Dependency {
        container: name("main"),
        condition: Condition::Start,
    }];
    let first = world.run(&mut order).await;
    let (ended, _) = world.ended(&order, "main").await;
    assert_eq!(ended.containers[&name("main")].attempt, 0);
    let id = |seen: &Observation, text: &str| seen.containers[&name(text)].runtime_id.clone();
    let mut before = id(&ended, "main");
    for attempt in [1, 2] {
        order.attempts.insert(name("main"), attempt);
        order.known.insert(name("side"), Known::Started);
        if attempt == 2 {
            world.after_a_crash();
        }
        let seen = world
            .drive(&mut order, "the next attempt to be started", |seen| {
                seen.containers.get(&name("main")).is_some_and(|one| {
                    one.attempt == attempt && one.state != ContainerState::Created
                })
            })
            .await;
        assert_ne!(
            id(&seen, "main"),
            before,
            "one that has run never runs again"
        );
        assert_eq!(
            id(&seen, "side"),
            id(&first, "side"),
            "nobody else is touched"
        );
        assert_eq!(seen.network, first.network, "the task keeps its address");
        let (ended, code) = world.ended(&order, "main").await;
        assert_eq!(code, Some(3));
        before = id(&ended, "main");
        let gone = world.engine.logs(log_of(&order, "main", attempt - 1, None));
        assert!(matches!(gone.await, Err(EngineError::NotFound(_))));
        let log = world.engine.logs(log_of(&order, "main", attempt, None));
        assert!(log.await.is_ok());
    }
}

async fn a_container_that_is_made_late_for_an_attempt_that_is_over_never_runs(world: &mut World) {
    let mut order = order(&[("main", &["exit", "--code", "3"])]);
    order.spec.containers[0].restart_policy = Some(RestartPolicy {
        ignored_exit_codes: Vec::new(),
        attempt_period: DurationMs::from_secs(60),
    });
    world.run(&mut order).await;
    let (ended, _) = world.ended(&order, "main").await;
    let inspect = async |id: &str| world.daemon.inspect_container(id).await.unwrap().unwrap();
    let first = inspect(&ended.containers[&name("main")].runtime_id).await;
    world.daemon.remove_container(&first.id).await.unwrap();
    let late = ContainerSpec {
        name: first.name.clone(),
        image: workload().to_owned(),
        labels: first.labels,
        network_mode: first.network_mode,
        ..ContainerSpec::default()
    };
    let late = world.daemon.create_container(&late).await.unwrap();
    order.attempts.insert(name("main"), 1);
    let seen = world
        .drive(&mut order, "the next attempt to be started", |seen| {
            seen.containers
                .get(&name("main"))
                .is_some_and(|one| one.attempt == 1 && one.started_at.is_some())
        })
        .await;
    assert_ne!(seen.containers[&name("main")].runtime_id, late);
    assert_eq!(world.daemon.inspect_container(&late).await.unwrap(), None);
}

fn log_of(order: &Order, container: &str, attempt: u32, tail: Option<u64>) -> LogRequest {
    LogRequest {
        task_id: order.task_id.clone(),
        container: name(container),
        attempt,
        follow: false,
        since: None,
        tail,
    }
}

async fn an_image_that_cannot_be_had_is_a_failure_in_the_words_of_ecs(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    "localhost:1/missing/image:none".clone_into(&mut order.spec.containers[0].image);
    let seen = world
        .drive(&mut order, "the pull to fail", |seen| {
            seen.failure.is_some()
        })
        .await;
    let failure = seen.failure.unwrap();
    assert_eq!(failure.container, Some(name("main")));
    assert!(
        failure.reason.starts_with("CannotPullContainerError: "),
        "{}",
        failure.reason
    );
}

async fn an_executable_that_is_not_there_is_said_by_name(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    order.spec.containers[0].entry_point = Some(vec!["/does-not-exist".to_owned()]);
    let seen = world.run(&mut order).await;
    let Some(ContainerState::Exited {
        error: Some(error), ..
    }) = state(&seen, "main")
    else {
        panic!("{seen:#?}");
    };
    assert!(error.starts_with("CannotStartContainerError: "), "{error}");
    assert!(error.contains("/does-not-exist"), "{error}");
    let later = world.engine.observe(&order).await.unwrap();
    assert!(
        matches!(
            state(&later, "main"),
            Some(ContainerState::Exited { error: Some(_), .. })
        ),
        "it is still known when somebody looks again: {later:#?}"
    );
}

async fn a_name_that_somebody_else_has_is_a_failure_and_theirs_stays_untouched(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let taken = format!("neargate-{}-main", order.task_id);
    let theirs = ContainerSpec {
        name: taken.clone(),
        image: workload().to_owned(),
        network_mode: "none".to_owned(),
        ..ContainerSpec::default()
    };
    let id = world.daemon.create_container(&theirs).await.unwrap();
    world.foreign.push(id.clone());
    let seen = world
        .drive(&mut order, "the clash", |seen| seen.failure.is_some())
        .await;
    let reason = seen.failure.unwrap().reason;
    assert!(
        reason.starts_with("CannotCreateContainerError: ") && reason.contains(&taken),
        "{reason}"
    );
    world.engine.remove(&order.task_id).await.unwrap();
    let theirs = world
        .daemon
        .inspect_container(&id)
        .await
        .unwrap()
        .expect("it is still there");
    assert_eq!((theirs.name, theirs.status.as_str()), (taken, "created"));
}

async fn removing_leaves_nothing_and_may_be_repeated(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    assert!(
        world
            .engine
            .survey()
            .await
            .unwrap()
            .contains_key(&order.task_id)
    );
    world.engine.remove(&order.task_id).await.unwrap();
    world.engine.remove(&order.task_id).await.unwrap();
    assert!(
        !world
            .engine
            .survey()
            .await
            .unwrap()
            .contains_key(&order.task_id)
    );
    assert_eq!(
        world.engine.observe(&order).await.unwrap(),
        Observation::default()
    );
}

async fn a_survey_tells_when_something_has_changed(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    let before = world.engine.survey().await.unwrap();
    assert_eq!(before, world.engine.survey().await.unwrap());
    world.stop(&mut order).await;
    assert_ne!(before, world.engine.survey().await.unwrap());
}

async fn what_a_container_wrote_can_be_read_in_order(world: &mut World) {
    let mut order = order(&[("main", &["log", "--lines", "6", "--stderr-every", "3"])]);
    world.run(&mut order).await;
    world.ended(&order, "main").await;
    let request = |container: &str, tail| log_of(&order, container, 0, tail);
    let lines: Vec<_> = world
        .engine
        .logs(request("main", None))
        .await
        .unwrap()
        .collect()
        .await;
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    // The two streams are two pipes: each is in order, and nothing says how they interleave.
    for (stream, expected) in [
        (
            LogStream::Stdout,
            vec!["line 1", "line 2", "line 4", "line 5"],
        ),
        (LogStream::Stderr, vec!["line 3", "line 6"]),
    ] {
        let text: Vec<_> = lines
            .iter()
            .filter(|line| line.stream == stream)
            .map(|line| line.text.clone())
            .collect();
        assert_eq!(text, expected);
    }
    let last: Vec<_> = world
        .engine
        .logs(request("main", Some(2)))
        .await
        .unwrap()
        .collect()
        .await;
    assert_eq!(last.len(), 2);
    let Err(error) = world.engine.logs(request("other", None)).await else {
        panic!("there is no such container");
    };
    assert!(matches!(error, EngineError::NotFound(_)), "{error:?}");
}

async fn the_end_of_a_container_is_hinted_at(world: &mut World) {
    let mut order = order(&[("main", &["exit", "--after-ms", "300"])]);
    let mut hints = world.engine.hints().await.unwrap();
    world.run(&mut order).await;
    let hinted = async {
        while let Some(hint) = hints.next().await {
            if hint == Hint::Task(order.task_id.clone()) {
                return;
            }
        }
        panic!("the hints ended");
    };
    tokio::time::timeout(PATIENCE, hinted)
        .await
        .expect("a hint");
    world.ended(&order, "main").await;
}

async fn a_task_with_a_size_is_held_by_a_cgroup_that_goes_with_it(world: &mut World) {
    let mut order = order(&[("one", &["sleep"]), ("two", &["sleep"])]);
    order.spec.size = Some(TaskSize::new(CpuUnits(256), MemoryMib(512)).unwrap());
    let seen = world.run(&mut order).await;
    assert_eq!(seen.limits, Some(LimitsEnforcedBy::TaskCgroup));
    let host = world.daemon.host().await.unwrap().expect("this machine");
    let group = host_group(world, &order);
    for container in ["one", "two"] {
        let id = &seen.containers[&name(container)].runtime_id;
        let inspect = world.daemon.inspect_container(id).await.unwrap().unwrap();
        assert_eq!(inspect.cgroup_parent, Some(host.parent(&group)));
        let is_in = host.is_in(&group, inspect.pid.unwrap()).await;
        assert_eq!(is_in, Some(true), "{container}");
    }
    assert!(host.groups(&world.instance).await.contains(&group));
    assert!(host.remove(&group).await.is_err(), "it is in use");
    world.after_a_crash();
    let adopted = world.engine.observe(&order).await.unwrap();
    assert_eq!(adopted.limits, Some(LimitsEnforcedBy::TaskCgroup));
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(host.groups(&world.instance).await, []);
}

fn host_group(world: &World, order: &Order) -> Group {
    Group {
        instance: world.instance.clone(),
        name: order.task_id.to_string(),
    }
}

async fn a_cgroup_that_a_crash_left_behind_is_found(world: &mut World) {
    let order = order(&[("main", &["sleep"])]);
    let host = world.daemon.host().await.unwrap().expect("this machine");
    let limits = GroupLimits {
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        pids: 10,
    };
    host.hold(&host_group(world, &order), limits).await.unwrap();
    let found = world.engine.survey().await.unwrap();
    assert!(found.contains_key(&order.task_id));
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(host.groups(&world.instance).await, []);
}

async fn what_was_created_under_an_earlier_start_of_the_host_ended_nobody_knows_how(
    world: &mut World,
) {
    let order = order(&[("main", &["exit", "--code", "0"])]);
    let boot = world.daemon.host().await.unwrap().unwrap().boot_id();
    assert!(boot.is_some());
    let labels = [
        ("neargate.instance", world.instance.as_str()),
        ("neargate.role", "container"),
        ("neargate.task", order.task_id.as_str()),
        ("neargate.container", "main"),
        ("neargate.boot", "an-earlier-one"),
    ];
    let spec = ContainerSpec {
        name: format!("neargate-{}-main", order.task_id),
        image: workload().to_owned(),
        labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        cmd: Some(vec!["exit".to_owned()]),
        network_mode: "none".to_owned(),
        ..ContainerSpec::default()
    };
    let id = world.daemon.create_container(&spec).await.unwrap();
    world.daemon.start_container(&id).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = world.engine.observe(&order).await.unwrap();
        if state(&seen, "main") == Some(ContainerState::Lost) {
            return;
        }
        assert!(
            state(&seen, "main") == Some(ContainerState::Running) && Instant::now() < deadline,
            "waited for it to be lost; instead: {seen:#?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A task of two containers that mount one volume.
fn sharing(source: VolumeSource) -> Order {
    let mut order = order(&[("one", &["sleep"]), ("two", &["sleep"])]);
    let volume: VolumeName = "shared".parse().unwrap();
    for container in &mut order.spec.containers {
        container.mounts = vec![Mount {
            volume: volume.clone(),
            container_path: "/data".to_owned(),
            read_only: false,
        }];
    }
    order.spec.volumes = vec![Volume {
        name: volume,
        source,
    }];
    order
}

async fn a_volume_of_a_task_goes_with_it_and_one_that_a_crash_left_is_found(world: &mut World) {
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let mut order = sharing(VolumeSource::Task { labels });
    world.run(&mut order).await;
    let filter = format!("neargate.task={}", order.task_id);
    let volumes = world.daemon.list_volumes(&filter).await.unwrap();
    let [(name, labels)] = &volumes[..] else {
        panic!("{volumes:?}");
    };
    assert_eq!(labels.get("team").map(String::as_str), Some("a"));
    let in_use = world.daemon.remove_volume(name).await;
    assert!(matches!(in_use, Err(EngineError::Refused(_))), "{in_use:?}");
    world.after_a_crash();
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(world.daemon.list_volumes(&filter).await.unwrap(), []);

    let left = VolumeSpec {
        name: name.clone(),
        labels: labels.clone(),
    };
    assert_eq!(world.daemon.ensure_volume(&left).await.as_ref(), Ok(labels));
    let found = world.engine.survey().await.unwrap();
    assert!(found.contains_key(&order.task_id));
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(world.daemon.inspect_volume(name).await, Ok(None));
}

async fn a_volume_of_a_cluster_stays_and_somebody_else_s_is_not_taken(world: &mut World) {
    let cluster = |autoprovision| VolumeSource::Cluster {
        autoprovision,
        labels: BTreeMap::new(),
    };
    let name = format!("neargate-{}.default.shared", world.instance);
    let failing = async |autoprovision| {
        let mut order = sharing(cluster(autoprovision));
        let seen = world
            .drive(&mut order, "the start to fail", |seen| {
                seen.failure.is_some()
            })
            .await;
        world.engine.remove(&order.task_id).await.unwrap();
        seen.failure.unwrap().reason
    };
    let reason = failing(false).await;
    assert!(
        reason.starts_with("CannotCreateVolumeError: volume shared: ") && reason.contains(&name),
        "{reason}"
    );

    let mut first = sharing(cluster(true));
    world.run(&mut first).await;
    world.engine.remove(&first.task_id).await.unwrap();
    let mut second = sharing(cluster(false));
    world.run(&mut second).await;
    world.engine.remove(&second.task_id).await.unwrap();
    let found = world.daemon.inspect_volume(&name).await.unwrap();
    assert!(found.is_some(), "it outlives its tasks");
    world.daemon.remove_volume(&name).await.unwrap();

    let theirs = VolumeSpec {
        name: name.clone(),
        labels: BTreeMap::from([("neargate.instance".to_owned(), world.instance.to_string())]),
    };
    world.daemon.ensure_volume(&theirs).await.unwrap();
    let reason = failing(true).await;
    let found = world.daemon.inspect_volume(&name).await.unwrap();
    world.daemon.remove_volume(&name).await.unwrap();
    assert!(reason.contains("is not Neargate's"), "{reason}");
    assert_eq!(found, Some(theirs.labels), "it is left as it was");
}

async fn a_folder_that_is_not_there_is_said_and_not_made(world: &mut World) {
    let path = "/neargate-contract/missing";
    let spec = ContainerSpec {
        name: format!("neargate-contract-{}", world.instance),
        image: workload().to_owned(),
        network_mode: "none".to_owned(),
        mounts: vec![daemon::Mount {
            source: MountSource::Folder(path.into()),
            path: "/data".to_owned(),
            read_only: false,
        }],
        ..ContainerSpec::default()
    };
    let refused = world.daemon.create_container(&spec).await;
    let Err(EngineError::Refused(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        why.contains("does not exist") && why.contains(path),
        "{why}"
    );
    let host = world.daemon.host().await.unwrap().expect("this machine");
    let told = host.resolve(std::path::Path::new(path)).await.unwrap_err();
    assert!(told.contains("does not exist"), "{told}");
    let there = host.resolve(std::path::Path::new("/usr/../usr/.")).await;
    assert_eq!(there, Ok("/usr".into()));
    assert!(!host.engine_files().is_empty());
}

async fn warm_sandboxes_are_used_once_and_given_back(world: &mut World) {
    world.engine = adapter(&world.daemon, &world.instance, 2);
    let _hints = world.engine.hints().await.unwrap();
    let warm = async || {
        let listed = world
            .daemon
            .list_containers(&format!("neargate.instance={}", world.instance))
            .await
            .unwrap();
        let warm = listed
            .into_iter()
            .filter(|one| one.name.contains("-warm-") && one.status == "running");
        warm.map(|one| one.id).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    let before = loop {
        let warm = warm().await;
        if warm.len() == 2 {
            break warm;
        }
        assert!(
            Instant::now() < deadline,
            "two warm sandboxes; instead: {warm:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (mut one, mut two) = (
        order(&[("main", &["sleep"])]),
        order(&[("main", &["sleep"])]),
    );
    let (first, second) = tokio::join!(world.run(&mut one), world.run(&mut two));
    assert_ne!(first.network, second.network, "two tasks never share one");
    for order in [&one, &two] {
        let sandbox = world
            .daemon
            .inspect_container(&format!("neargate-{}", order.task_id))
            .await
            .unwrap()
            .unwrap();
        assert!(before.contains(&sandbox.id), "a warm one was taken");
    }
}

/// A test of each rule for each adapter.
macro_rules! contract {
    ({ $($adapter:ident = $daemon:expr,)+ } $rules:tt) => {
        $(mod $adapter {
            use super::*;
            contract!(@rules $daemon; $rules);
        })+
    };
    (@rules $daemon:expr; { $($rule:ident,)+ }) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let mut world = World::new($daemon, 0);
            super::$rule(&mut world).await;
            world.clean_up().await;
        })+
    };
}

contract! {
    {
        docker = real_daemon(),
        sim = simulated_daemon(),
    }
    {
        a_task_that_was_never_asked_for_is_absent,
        a_task_comes_up_with_an_address_and_only_once,
        an_only_container_owns_its_network_when_no_sandbox_is_ready,
        a_host_port_that_is_taken_ends_the_start,
        an_exit_has_its_code_and_a_time_that_lies_after_its_start,
        a_process_that_obeys_ends_with_its_own_code_and_one_that_does_not_is_killed,
        what_depends_is_started_later_and_stopped_earlier,
        a_network_that_somebody_has_pruned_is_made_again,
        what_a_container_uses_is_told,
        the_network_of_a_cluster_that_is_gone_is_removed_once_no_task_is_on_it,
        what_runs_is_not_discarded_and_what_has_ended_is,
        a_container_that_is_recorded_as_started_is_not_made_again,
        an_attempt_that_is_over_makes_way_for_the_next_one,
        a_container_that_is_made_late_for_an_attempt_that_is_over_never_runs,
        an_image_that_cannot_be_had_is_a_failure_in_the_words_of_ecs,
        an_executable_that_is_not_there_is_said_by_name,
        a_name_that_somebody_else_has_is_a_failure_and_theirs_stays_untouched,
        removing_leaves_nothing_and_may_be_repeated,
        a_survey_tells_when_something_has_changed,
        what_a_container_wrote_can_be_read_in_order,
        the_end_of_a_container_is_hinted_at,
        warm_sandboxes_are_used_once_and_given_back,
        a_volume_of_a_task_goes_with_it_and_one_that_a_crash_left_is_found,
        a_volume_of_a_cluster_stays_and_somebody_else_s_is_not_taken,
        a_folder_that_is_not_there_is_said_and_not_made,
        a_task_with_a_size_is_held_by_a_cgroup_that_goes_with_it,
        a_cgroup_that_a_crash_left_behind_is_found,
        what_was_created_under_an_earlier_start_of_the_host_ended_nobody_knows_how,
    }
}
