//! One contract for the engine port, and every adapter that passes it.
//!
//! Each rule is a function over a [`World`], in a file for its topic; the macro at the end makes a test of each for
//! the real Docker daemon and for the simulated one. A new adapter adds one line there.

mod attempts;
mod images;
mod inside;
mod life;
mod limits;
mod network;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use neargate::clock::{Clock, RandomIds, SystemClock};
use neargate::domain::{
    ContainerName, ContainerState, Goal, IdSource, InstanceId, Observation, TaskId, TaskSpec,
    TimestampMs,
};
use neargate::engine::docker::client::DockerClient;
use neargate::engine::docker::daemon::Daemon;
use neargate::engine::docker::{DockerEngine, Settings};
use neargate::engine::sim::{SimClock, SimConfig, SimDaemon};
use neargate::engine::{Engine, LogRequest, NoSecrets, Order};
use neargate::shapes::{Document, Format, ParsedTaskDefinition};
use serde_json::json;

use crate::harness::{PATIENCE, Registry, require_engine, workload};

/// An engine, the daemon below it, and what a test leaves behind.
struct World {
    daemon: Arc<dyn Daemon>,
    instance: InstanceId,
    engine: Arc<dyn Engine>,
    foreign: Vec<String>,
    is_real: bool,
    registry: Option<Registry>,
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
    fn real() -> Self {
        Self::new(real_daemon(), true)
    }

    fn simulated() -> Self {
        Self::new(simulated_daemon(), false)
    }

    fn new(daemon: Arc<dyn Daemon>, is_real: bool) -> Self {
        let instance = InstanceId::generate(&RandomIds);
        let engine = adapter(&daemon, &instance, 0);
        Self {
            daemon,
            instance,
            engine,
            foreign: Vec::new(),
            is_real,
            registry: None,
        }
    }

    /// An image of the workload's that is in a registry and not on the engine; `None` where there is no registry.
    fn remote_image(&mut self) -> Option<String> {
        let image = "workload:contract";
        if !self.is_real {
            return Some(format!("registry.example.com/{image}"));
        }
        let registry = Registry::start(false)?;
        registry.push(image, 0);
        let image = format!("{}/{image}", registry.host());
        self.registry = Some(registry);
        Some(image)
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
    let settings = Settings {
        warm_sandboxes,
        ..Settings::default()
    };
    adapter_with(daemon, instance, settings)
}

fn adapter_with(
    daemon: &Arc<dyn Daemon>,
    instance: &InstanceId,
    settings: Settings,
) -> Arc<dyn Engine> {
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
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
        is_missed: false,
        now: SystemClock.now(),
        wall: SystemClock.now(),
    }
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

/// A test of each rule for each adapter.
macro_rules! contract {
    ({ $($adapter:ident = $world:expr,)+ } $rules:tt) => {
        $(mod $adapter {
            use super::*;
            contract!(@rules $world; $rules);
        })+
    };
    (@rules $world:expr; { $($topic:ident: [$($rule:ident,)+],)+ }) => {
        $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let mut world = $world;
            super::$topic::$rule(&mut world).await;
            world.clean_up().await;
        })+)+
    };
}

contract! {
    {
        docker = World::real(),
        sim = World::simulated(),
    }
    {
        life: [
            a_task_that_was_never_asked_for_is_absent,
            a_task_comes_up_with_an_address_and_only_once,
            an_exit_has_its_code_and_a_time_that_lies_after_its_start,
            a_process_that_obeys_ends_with_its_own_code_and_one_that_does_not_is_killed,
            what_depends_is_started_later_and_stopped_earlier,
            an_executable_that_is_not_there_is_said_by_name,
            a_name_that_somebody_else_has_is_a_failure_and_theirs_stays_untouched,
            removing_leaves_nothing_and_may_be_repeated,
            a_survey_tells_when_something_has_changed,
            the_end_of_a_container_is_hinted_at,
            the_end_of_a_task_that_is_missed_is_known_before_it_is_told,
            what_was_created_under_an_earlier_start_of_the_host_ended_nobody_knows_how,
            a_runtime_that_the_engine_does_not_have_ends_the_start_and_those_that_it_has_are_said,
        ],
        attempts: [
            what_runs_is_not_discarded_and_what_has_ended_is,
            a_container_that_is_recorded_as_started_is_not_made_again,
            an_attempt_that_is_over_makes_way_for_the_next_one,
            a_container_that_is_made_late_for_an_attempt_that_is_over_never_runs,
        ],
        network: [
            an_only_container_owns_its_network_when_no_sandbox_is_ready,
            a_host_port_that_is_taken_ends_the_start,
            the_network_of_a_cluster_that_is_gone_is_removed_once_no_task_is_on_it,
            a_network_that_somebody_has_pruned_is_made_again,
            warm_sandboxes_are_used_once_and_given_back,
        ],
        volumes: [
            a_volume_of_a_task_goes_with_it_and_one_that_a_crash_left_is_found,
            a_volume_of_a_cluster_stays_and_somebody_else_s_is_not_taken,
            a_folder_that_is_not_there_is_said_and_not_made,
        ],
        limits: [
            what_a_container_uses_is_told,
            a_task_with_a_size_is_held_by_a_cgroup_that_goes_with_it,
            a_cgroup_that_a_crash_left_behind_is_found,
        ],
        inside: [
            what_a_container_wrote_can_be_read_in_order,
            a_command_has_its_input_its_outputs_and_its_own_exit_code,
            a_command_with_a_terminal_learns_its_size,
            a_command_gets_the_signals_that_people_send,
            a_command_needs_a_container_that_runs_and_a_program_that_is_there,
            files_come_out_of_a_container_as_they_went_in,
        ],
        images: [
            an_image_that_cannot_be_had_is_a_failure_in_the_words_of_ecs,
            an_image_that_was_pulled_is_told_once_and_removed_when_nothing_uses_it,
            an_image_that_goes_before_its_container_is_created_is_pulled_again,
            an_image_that_was_there_before_is_not_told,
        ],
    }
}
