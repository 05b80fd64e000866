//! What holds of the service planner whatever happens: stories drawn at random are played, and looked at after every
//! round.

use proptest::prelude::*;
use proptest::sample::Index;

use super::lab::Lab;
use super::*;
use crate::domain::{DesiredStatus, ServiceConfiguration, StopCode};

/// Something that happens to a service.
#[derive(Clone, Copy, Debug)]
enum Step {
    Round,
    Pass(u32),
    Starts(Index),
    Healthy(Index),
    Unhealthy(Index),
    Ends(Index),
    Fails(Index),
    Protect(Index, u32),
    Scale(u32),
    Deploy(u32),
    RollBack,
    Bounds(u32, u32),
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    let task = any::<Index>;
    prop_oneof![
        12 => Just(Step::Round),
        3 => (1_u32..90).prop_map(Step::Pass),
        12 => task().prop_map(Step::Starts),
        8 => task().prop_map(Step::Healthy),
        3 => task().prop_map(Step::Unhealthy),
        8 => task().prop_map(Step::Ends),
        5 => task().prop_map(Step::Fails),
        2 => (task(), 1_u32..60).prop_map(|(task, secs)| Step::Protect(task, secs)),
        2 => (0_u32..12).prop_map(Step::Scale),
        2 => (1_u32..5).prop_map(Step::Deploy),
        1 => Just(Step::RollBack),
        1 => bounds().prop_map(|(least, most)| Step::Bounds(least, most)),
        1 => prop_oneof![9 => Just(Step::Round), 1 => Just(Step::Delete)],
    ]
}

fn bounds() -> impl Strategy<Value = (u32, u32)> {
    (0_u32..=100, 100_u32..=300)
}

prop_compose! {
    fn configuration()(
        (minimum_healthy_percent, maximum_percent) in bounds(),
        enable: bool,
        rollback: bool,
        grace_s in prop_oneof![Just(0_u32), 1_u32..30],
    ) -> ServiceConfiguration {
        ServiceConfiguration {
            minimum_healthy_percent,
            maximum_percent,
            circuit_breaker: CircuitBreaker { enable, rollback },
            health_check_grace_period: DurationMs::from_secs(grace_s),
            ..ServiceConfiguration::default()
        }
    }
}

/// A lab whose tasks have health checks or have none.
struct World {
    lab: Lab,
    has_health_checks: bool,
}

impl World {
    fn healthy(&self) -> usize {
        let (settling, now) = (self.lab.service.configuration.settling(), self.lab.now);
        let is_healthy = |task: &&ServiceTask| task.is_healthy(settling, now);
        self.lab.tasks.iter().filter(is_healthy).count()
    }

    /// The protected tasks that nothing but protection keeps from being stopped.
    fn protected(&self) -> Vec<TaskId> {
        let is_protected = |task: &&ServiceTask| {
            let until = task.protected_until;
            let is_sound = task.health != Some(HealthStatus::Unhealthy);
            task.is_wanted() && is_sound && until.is_some_and(|until| until > self.lab.now)
        };
        let protected = self.lab.tasks.iter().filter(is_protected);
        protected.map(|task| task.id.clone()).collect()
    }

    fn occupied(&self) -> usize {
        self.lab.tasks.iter().filter(|task| task.occupies()).count()
    }

    fn with(&mut self, task: Index, change: impl FnOnce(&mut ServiceTask, TimestampMs)) {
        let now = self.lab.now;
        let mut live: Vec<&mut ServiceTask> = self
            .lab
            .tasks
            .iter_mut()
            .filter(|task| task.last_status != LastStatus::Stopped)
            .collect();
        if !live.is_empty() {
            let index = task.index(live.len());
            change(live[index], now);
        }
    }

    fn starts(&mut self, task: Index) {
        let health = self.has_health_checks.then_some(HealthStatus::Unknown);
        self.with(task, |task, now| {
            if task.last_status < LastStatus::Running {
                task.last_status = LastStatus::Running;
                task.started_at = Some(now);
                task.health = health;
            }
        });
    }

    fn health(&mut self, task: Index, health: HealthStatus) {
        if self.has_health_checks {
            self.with(task, |task, _| {
                if task.last_status == LastStatus::Running {
                    task.health = Some(health);
                }
            });
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Round => {
                self.round();
            }
            Step::Pass(secs) => self.lab.pass(secs),
            Step::Starts(task) => self.starts(task),
            Step::Healthy(task) => self.health(task, HealthStatus::Healthy),
            Step::Unhealthy(task) => self.health(task, HealthStatus::Unhealthy),
            Step::Ends(task) => self.with(task, |task, now| {
                if task.desired_status == DesiredStatus::Stopped {
                    task.last_status = LastStatus::Stopped;
                    task.stopped_at = Some(now);
                }
            }),
            Step::Fails(task) => self.with(task, |task, now| {
                task.last_status = LastStatus::Stopped;
                task.desired_status = DesiredStatus::Stopped;
                task.stopped_at = Some(now);
                task.stop_code
                    .get_or_insert(StopCode::EssentialContainerExited);
            }),
            Step::Protect(task, secs) => self.with(task, |task, now| {
                task.protected_until = Some(now.plus(DurationMs::from_secs(secs)));
            }),
            Step::Scale(count) => self.lab.service.desired_count = count,
            Step::Deploy(number) => {
                if self.lab.service.status == ServiceStatus::Active {
                    self.lab.deploy(number);
                }
            }
            Step::RollBack => self.lab.roll_back(),
            Step::Bounds(least, most) => {
                let configuration = &mut self.lab.service.configuration;
                configuration.minimum_healthy_percent = least;
                configuration.maximum_percent = most;
            }
            Step::Delete => {
                if self.lab.service.status == ServiceStatus::Active {
                    self.lab.service.status = ServiceStatus::Draining;
                }
            }
        }
    }

    /// A round, and what must hold of each.
    fn round(&mut self) -> bool {
        let (healthy, occupied) = (self.healthy(), self.occupied());
        let was_status = self.lab.service.status;
        let before: Vec<TaskId> = self.lab.tasks.iter().map(|task| task.id.clone()).collect();
        let spared = self.protected();
        let is_empty = self.lab.round();
        assert!(
            was_status != ServiceStatus::Active || self.protected() == spared,
            "a protected task goes on while the service is kept: {:#?}",
            self.lab.tasks
        );
        let service = &self.lab.service;
        let (wanted, configuration) = (service.wanted(), &service.configuration);
        let started = self
            .lab
            .tasks
            .iter()
            .filter(|task| !before.contains(&task.id))
            .count();
        if started > 0 {
            assert_eq!(
                was_status,
                ServiceStatus::Active,
                "only what is kept starts"
            );
            let upper = configuration.upper_bound(wanted) as usize;
            assert!(
                occupied + started <= upper,
                "{started} started beside {occupied}, with {upper} at most"
            );
        }
        let lower = configuration.lower_bound(wanted) as usize;
        let left = self.healthy();
        assert!(
            left >= healthy.min(lower),
            "{left} healthy tasks are left of {healthy}, with {lower} at least"
        );
        is_empty
    }

    /// No more faults: whatever is started comes up, whatever is stopped ends. Time passes only to the next alarm, so
    /// that a round which forgets to set one is found out. Returns when a round has nothing to do and nothing to wait for.
    fn come_to_rest(&mut self) {
        for _ in 0..2_000 {
            let was = self.lab.tasks.clone();
            let is_empty = self.round() && was == self.come_up();
            match self.lab.wake_at {
                _ if !is_empty => {}
                Some(at) => self.lab.now = self.lab.now.max(at),
                None => return,
            }
        }
        panic!("it does not come to rest: {:#?}", self.lab.service);
    }

    fn come_up(&mut self) -> Vec<ServiceTask> {
        self.lab.engine();
        for task in &mut self.lab.tasks {
            if task.last_status == LastStatus::Running && self.has_health_checks {
                task.health = Some(HealthStatus::Healthy);
            }
        }
        self.lab.tasks.clone()
    }

    /// At rest a service is what it was asked to be, unless its deployment was given up or can never begin.
    fn is_as_wanted(&self) {
        let service = &self.lab.service;
        if service.status != ServiceStatus::Active {
            assert_eq!(service.status, ServiceStatus::Inactive);
            assert!(self.lab.tasks.is_empty());
            return;
        }
        let primary = service.primary().unwrap();
        let wanted = service.wanted() as usize;
        if primary.rollout_state == RolloutState::Failed {
            assert!(self.lab.tasks.len() <= wanted);
            return;
        }
        if service.configuration.stuck(service.wanted()).is_some() && !service.is_steady {
            assert_ne!(service.waiting, None, "it says what it waits for");
            return;
        }
        assert!(service.is_steady, "{service:#?}");
        assert_eq!(self.lab.tasks.len(), wanted);
        assert!(
            self.lab
                .tasks
                .iter()
                .all(|task| task.deployment == primary.id.as_str())
        );
    }
}

proptest! {
    #[test]
    fn bounds_hold_and_the_service_becomes_what_was_asked_for(
        desired in 0_u32..12,
        configuration in configuration(),
        has_health_checks: bool,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let lab = Lab::new(desired, configuration);
        let mut world = World { lab, has_health_checks };
        for step in steps {
            world.play(step);
        }
        world.come_to_rest();
        world.is_as_wanted();
        for _ in 0..3 {
            prop_assert!(world.round(), "the plan stays empty");
        }
    }
}
