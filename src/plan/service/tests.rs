use std::collections::BTreeMap;

use super::*;
use crate::domain::{
    DesiredStatus, IdSource, SchedulingStrategy, ServiceConfiguration, ServiceKey,
};

struct Fixed(u128);

impl IdSource for Fixed {
    fn next_id(&self) -> u128 {
        self.0
    }
}

fn at(ms: i64) -> TimestampMs {
    TimestampMs::from_millis(ms)
}

fn revision(number: u32) -> FamilyRevision {
    FamilyRevision {
        family: "web".parse().unwrap(),
        revision: number,
    }
}

/// A service in the making, and a world that carries out its plans.
struct Lab {
    service: Service,
    tasks: Vec<ServiceTask>,
    now: TimestampMs,
    ids: u128,
    said: Vec<String>,
    retired: Vec<Deployment>,
}

impl Lab {
    fn new(desired: u32, configuration: ServiceConfiguration) -> Self {
        let mut lab = Self {
            service: Service {
                key: ServiceKey {
                    cluster: "default".parse().unwrap(),
                    name: "web".parse().unwrap(),
                },
                status: ServiceStatus::Active,
                desired_count: desired,
                configuration,
                tags: BTreeMap::new(),
                deployments: Vec::new(),
                last_completed: None,
                is_steady: false,
                waiting: None,
                created_at: at(0),
                deleted_at: None,
                version: 1,
            },
            tasks: Vec::new(),
            now: at(0),
            ids: 0,
            said: Vec::new(),
            retired: Vec::new(),
        };
        lab.deploy(1);
        lab
    }

    fn next_id(&mut self) -> Fixed {
        self.ids += 1;
        Fixed(self.ids)
    }

    fn deploy(&mut self, number: u32) {
        let id = DeploymentId::generate(&self.next_id());
        let now = self.now;
        self.service.deploy(
            id,
            revision(number),
            DeploymentCause::User,
            String::new(),
            now,
        );
    }

    /// One round, carried out. True when it changed nothing.
    fn round(&mut self) -> bool {
        let next = DeploymentId::generate(&self.next_id());
        let plan = plan(ServiceWorld {
            service: &self.service,
            tasks: &self.tasks,
            next_deployment: &next,
            now: self.now,
        });
        let is_empty = plan.service == self.service
            && plan.start == 0
            && plan.stop.is_empty()
            && plan.noted.is_empty()
            && plan.events.is_empty();
        self.service = plan.service;
        self.retired.extend(plan.retired);
        self.said
            .extend(plan.events.into_iter().map(|event| event.message));
        self.tasks.retain(|task| !plan.noted.contains(&task.id));
        for (id, reason) in plan.stop {
            let task = self.tasks.iter_mut().find(|task| task.id == id).unwrap();
            task.desired_status = DesiredStatus::Stopped;
            task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
            task.stopped_reason = Some(reason);
        }
        for _ in 0..plan.start {
            let id = TaskId::generate(&self.next_id());
            self.tasks.push(ServiceTask {
                id,
                deployment: self.service.deployments[0].id.to_string(),
                created_at: self.now,
                last_status: LastStatus::Provisioning,
                desired_status: DesiredStatus::Running,
                health: None,
                started_at: None,
                stopped_at: None,
                stop_code: None,
                stopped_reason: None,
                waiting: None,
                protected_until: None,
            });
        }
        is_empty
    }

    /// Lets the engine do what is wanted of it: start what is to run, end what is to stop.
    fn engine(&mut self) {
        for task in &mut self.tasks {
            if task.desired_status == DesiredStatus::Stopped {
                task.last_status = LastStatus::Stopped;
                task.stopped_at = Some(self.now);
            } else if task.last_status < LastStatus::Running {
                task.last_status = LastStatus::Running;
                task.started_at = Some(self.now);
            }
        }
    }

    /// Lets every task of a revision fail to start.
    fn fail(&mut self, number: u32) {
        let broken: Vec<String> = self
            .service
            .deployments
            .iter()
            .filter(|deployment| deployment.task_definition == revision(number))
            .map(|deployment| deployment.id.to_string())
            .collect();
        for task in &mut self.tasks {
            if broken.contains(&task.deployment) && task.last_status != LastStatus::Stopped {
                task.last_status = LastStatus::Stopped;
                task.desired_status = DesiredStatus::Stopped;
                task.stopped_at = Some(self.now);
                task.stop_code = Some(StopCode::TaskFailedToStart);
                task.stopped_reason = Some("CannotPullContainerError: no such image".to_owned());
            }
        }
    }

    fn pass(&mut self, secs: u32) {
        self.now = self.now.plus(DurationMs::from_secs(secs));
    }

    /// Rounds and engine in turns until nothing changes.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let is_empty = self.round();
            self.engine();
            self.bounds();
            if is_empty {
                return;
            }
        }
        panic!("it does not settle: {:#?}", self.service);
    }

    fn bounds(&self) {
        let upper = self
            .service
            .configuration
            .upper_bound(self.service.wanted());
        let there = self.tasks.iter().filter(|task| task.occupies()).count();
        let surplus = self.tasks.iter().filter(|task| !task.is_wanted()).count();
        assert!(
            there <= upper as usize + surplus,
            "{there} tasks, {upper} at most"
        );
    }

    fn running(&self, number: u32) -> usize {
        let of = |task: &&ServiceTask| {
            self.service.deployments.iter().any(|deployment| {
                deployment.id.as_str() == task.deployment
                    && deployment.task_definition == revision(number)
            })
        };
        self.tasks
            .iter()
            .filter(|task| task.last_status == LastStatus::Running)
            .filter(of)
            .count()
    }

    /// The tasks that have not stopped.
    fn live(&self) -> Vec<TaskId> {
        let live = |task: &&ServiceTask| task.last_status != LastStatus::Stopped;
        let tasks = self.tasks.iter().filter(live);
        tasks.map(|task| task.id.clone()).collect()
    }

    fn says(&self, text: &str) -> usize {
        self.said.iter().filter(|said| said.contains(text)).count()
    }
}

fn breaker() -> ServiceConfiguration {
    ServiceConfiguration {
        circuit_breaker: CircuitBreaker {
            enable: true,
            rollback: true,
        },
        ..ServiceConfiguration::default()
    }
}

#[test]
fn a_service_comes_to_its_count_and_says_so_once() {
    let mut lab = Lab::new(3, ServiceConfiguration::default());
    lab.settle();
    assert_eq!(lab.running(1), 3);
    assert_eq!(
        lab.service.deployments[0].rollout_state,
        RolloutState::Completed
    );
    assert_eq!(lab.says("(service web) has reached a steady state."), 1);
    assert!(lab.round(), "nothing is left to do");
    assert_eq!(lab.service.waiting, None);
}

#[test]
fn a_dead_task_is_replaced() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.settle();
    lab.pass(100);
    let dead = &mut lab.tasks[0];
    dead.last_status = LastStatus::Stopped;
    dead.desired_status = DesiredStatus::Stopped;
    dead.stop_code = Some(StopCode::EssentialContainerExited);
    dead.stopped_at = Some(at(100_000));
    lab.settle();
    assert_eq!(lab.running(1), 2);
    assert_eq!(lab.says("has reached a steady state."), 2);
    assert_eq!(lab.service.deployments[0].failed_tasks, 1);
}

#[test]
fn an_unhealthy_task_is_replaced_but_not_within_its_grace_period() {
    let grace = ServiceConfiguration {
        health_check_grace_period: DurationMs::from_secs(30),
        ..ServiceConfiguration::default()
    };
    let mut lab = Lab::new(1, grace);
    lab.round();
    lab.engine();
    lab.tasks[0].health = Some(HealthStatus::Unhealthy);
    lab.round();
    assert_eq!(lab.tasks[0].desired_status, DesiredStatus::Running);
    lab.pass(30);
    lab.round();
    assert_eq!(lab.tasks[0].stopped_reason.as_deref(), Some(UNHEALTHY));
}

#[test]
fn within_the_grace_period_it_says_what_it_waits_for() {
    let mut lab = Lab::new(
        2,
        ServiceConfiguration {
            health_check_grace_period: DurationMs::from_secs(30),
            ..ServiceConfiguration::default()
        },
    );
    while lab.running(1) < 2 {
        lab.round();
        lab.engine();
    }
    lab.round();
    let waiting = lab.service.waiting.as_deref();
    assert_eq!(waiting, Some("2 tasks wait: to be healthy"));
}

#[test]
fn scaling_in_spares_the_protected_and_takes_the_newest() {
    let mut lab = Lab::new(3, ServiceConfiguration::default());
    lab.settle();
    for (n, task) in (0_i64..).zip(&mut lab.tasks) {
        task.created_at = at(n);
    }
    let protected = lab.tasks[2].id.clone();
    lab.tasks[2].protected_until = Some(at(i64::MAX));
    let newest_of_others = lab.tasks[1].id.clone();
    lab.service.desired_count = 2;
    lab.settle();
    assert!(lab.tasks.iter().any(|task| task.id == protected));
    assert!(lab.tasks.iter().all(|task| task.id != newest_of_others));
    lab.service.desired_count = 0;
    lab.tasks
        .iter_mut()
        .for_each(|task| task.protected_until = None);
    lab.settle();
    assert_eq!(lab.tasks, []);
    lab.service.desired_count = 2;
    lab.settle();
    assert_eq!(lab.running(1), 2);
}

#[test]
fn a_deployment_never_leaves_its_bounds() {
    for (least, most) in [(100, 200), (50, 100), (0, 100), (100, 150), (75, 125)] {
        let mut lab = Lab::new(
            4,
            ServiceConfiguration {
                minimum_healthy_percent: least,
                maximum_percent: most,
                ..ServiceConfiguration::default()
            },
        );
        lab.settle();
        lab.deploy(2);
        let lower = lab.service.configuration.lower_bound(4) as usize;
        for _ in 0..100 {
            let is_empty = lab.round();
            let healthy = |task: &&ServiceTask| task.is_healthy(DurationMs::from_secs(0), lab.now);
            assert!(lab.tasks.iter().filter(healthy).count() >= lower);
            lab.engine();
            lab.bounds();
            if is_empty {
                break;
            }
        }
        assert_eq!((lab.running(1), lab.running(2)), (0, 4), "{least}/{most}");
        assert_eq!(lab.service.last_completed, Some(revision(2)));
    }
}

#[test]
fn a_deployment_without_room_says_what_it_waits_for() {
    let tight = ServiceConfiguration {
        maximum_percent: 100,
        ..ServiceConfiguration::default()
    };
    let mut lab = Lab::new(2, tight);
    lab.settle();
    lab.deploy(2);
    lab.settle();
    assert_eq!(lab.running(1), 2, "they go on");
    let waiting = lab.service.waiting.unwrap();
    assert!(waiting.contains("leave no room"), "{waiting}");
}

#[test]
fn a_bad_revision_is_given_up_and_the_last_good_one_comes_back() {
    let mut lab = Lab::new(4, breaker());
    lab.settle();
    let before = lab.live();
    lab.deploy(2);
    for _ in 0..50 {
        lab.round();
        lab.fail(2);
        lab.engine();
        lab.pass(10);
        if lab.says("rolling back") > 0 {
            break;
        }
    }
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2)), (4, 0));
    assert_eq!(lab.says("deployment failed: tasks failed to start."), 1);
    let primary = &lab.service.deployments[0];
    assert_eq!(primary.cause, DeploymentCause::CircuitBreaker);
    assert_eq!(lab.live(), before, "what was healthy serves on");
    assert_eq!(primary.rollout_state, RolloutState::Completed);
}

#[test]
fn without_a_breaker_failures_are_followed_by_growing_pauses() {
    let mut lab = Lab::new(1, ServiceConfiguration::default());
    let mut starts = 0;
    for _ in 0..600 {
        let before = lab.tasks.len();
        lab.round();
        starts += lab.tasks.len().saturating_sub(before);
        lab.fail(1);
        lab.pass(1);
    }
    assert!((5..20).contains(&starts), "{starts} starts in ten minutes");
    assert!(lab.service.waiting.unwrap().contains("tasks have failed"));
}

#[test]
fn tasks_that_fail_together_cost_one_pause_and_then_one_is_tried_at_a_time() {
    let mut lab = Lab::new(10, ServiceConfiguration::default());
    for _ in 0..3 {
        lab.round();
        assert_eq!(lab.tasks.len(), 10, "no attempt so far had to wait");
        lab.pass(1);
        lab.fail(1);
        lab.round();
        lab.pass(1);
    }
    lab.pass(2);
    for _ in 0..5 {
        lab.round();
        assert_eq!(
            lab.tasks.len(),
            1,
            "the others wait until it has shown that it works"
        );
    }
    for _ in 0..20 {
        lab.engine();
        lab.round();
    }
    assert_eq!(lab.running(1), 10);
}

#[test]
fn a_deployment_that_was_given_up_does_not_keep_the_service_from_being_scaled_in() {
    let no_rollback = ServiceConfiguration {
        circuit_breaker: CircuitBreaker {
            enable: true,
            rollback: false,
        },
        ..ServiceConfiguration::default()
    };
    let mut lab = Lab::new(4, no_rollback);
    lab.settle();
    lab.deploy(2);
    for _ in 0..10 {
        lab.round();
        lab.fail(2);
        lab.pass(10);
    }
    assert_eq!(
        lab.service.deployments[0].rollout_state,
        RolloutState::Failed
    );
    assert_eq!(lab.running(1), 4, "they serve on");
    lab.service.desired_count = 1;
    lab.settle();
    assert_eq!(lab.running(1), 1);
}

#[test]
fn a_newer_deployment_takes_over_and_an_older_one_is_retired() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.settle();
    lab.deploy(2);
    lab.round();
    lab.deploy(3);
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2), lab.running(3)), (0, 0, 2));
    assert_eq!(lab.service.deployments.len(), 1);
}

#[test]
fn a_deleted_service_starts_nothing_and_ends_when_its_last_task_has() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.settle();
    lab.service.status = ServiceStatus::Draining;
    lab.service.deleted_at = Some(lab.now);
    lab.settle();
    assert_eq!(lab.tasks, []);
    assert_eq!(lab.service.status, ServiceStatus::Inactive);
    let ends: Vec<_> = lab.retired.iter().map(|one| one.status).collect();
    assert_eq!(
        ends,
        [DeploymentStatus::Inactive],
        "it is in the history as what it is"
    );
}

#[test]
fn a_daemon_has_one_task() {
    let daemon = ServiceConfiguration {
        scheduling_strategy: SchedulingStrategy::Daemon,
        ..ServiceConfiguration::default()
    };
    let mut lab = Lab::new(7, daemon);
    lab.settle();
    assert_eq!(lab.running(1), 1);
}
