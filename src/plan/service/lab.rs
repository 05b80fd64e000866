//! A service in the making, and a world that carries out its plans: what the planner's tests play with.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{
    DesiredStatus, FamilyRevision, IdSource, Scale, ServiceConfiguration, ServiceKey, StopCode,
    TaskSet,
};

struct Fixed(u128);

impl IdSource for Fixed {
    fn next_id(&self) -> u128 {
        self.0
    }
}

pub(super) fn at(ms: i64) -> TimestampMs {
    TimestampMs::from_millis(ms)
}

pub(super) fn revision(number: u32) -> FamilyRevision {
    FamilyRevision {
        family: "web".parse().unwrap(),
        revision: number,
    }
}

/// A revision of the service that runs this revision of the task definition.
pub(super) fn target(number: u32) -> DeploymentTarget {
    DeploymentTarget {
        task_definition: revision(number),
        service_revision: format!("{number:019}").parse().unwrap(),
        settings: crate::domain::RevisionSettings::default(),
    }
}

/// A service in the making, and a world that carries out its plans.
pub(super) struct Lab {
    pub(super) service: Service,
    pub(super) tasks: Vec<ServiceTask>,
    /// What keeps new tasks from beginning.
    pub(super) held: Option<Hold>,
    pub(super) now: TimestampMs,
    pub(super) is_draining: bool,
    ids: u128,
    pub(super) said: Vec<String>,
    pub(super) retired: Vec<Deployment>,
    /// When the last round asked to be woken.
    pub(super) wake_at: Option<TimestampMs>,
}

impl Lab {
    pub(super) fn new(desired: u32, configuration: ServiceConfiguration) -> Self {
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
                task_sets: Vec::new(),
                last_completed: None,
                is_steady: false,
                waiting: None,
                created_at: at(0),
                deleted_at: None,
                version: 1,
            },
            tasks: Vec::new(),
            held: None,
            now: at(0),
            is_draining: false,
            ids: 0,
            said: Vec::new(),
            retired: Vec::new(),
            wake_at: None,
        };
        lab.deploy(1);
        lab
    }

    fn next_id(&mut self) -> Fixed {
        self.ids += 1;
        Fixed(self.ids)
    }

    pub(super) fn deploy(&mut self, number: u32) {
        self.deploy_to(target(number));
    }

    pub(super) fn deploy_to(&mut self, target: DeploymentTarget) {
        let id = DeploymentId::generate(&self.next_id());
        let occasion = self.occasion(DeploymentCause::User);
        self.service.deploy(id, target, occasion);
    }

    /// What `neargate service rollback` does, where there is something to go back to.
    pub(super) fn roll_back(&mut self) {
        let id = DeploymentId::generate(&self.next_id());
        let current = self.service.primary().map(Deployment::target);
        let back_to = self.service.last_completed.clone();
        if let Some(back_to) = back_to.filter(|back_to| current.as_ref() != Some(back_to)) {
            let occasion = self.occasion(DeploymentCause::Rollback);
            self.service.return_to(id, back_to, occasion);
        }
    }

    /// Adds a task set of this revision, for so many percent of the tasks.
    pub(super) fn add_set(&mut self, number: u32, percent: f64) -> DeploymentId {
        let id = DeploymentId::generate(&self.next_id());
        let scale = Scale::of_percent(percent).unwrap();
        let occasion = self.occasion(DeploymentCause::User);
        let set = TaskSet::new(id.clone(), target(number), scale, occasion);
        self.service.add_task_set(set);
        id
    }

    fn occasion(&self, cause: DeploymentCause) -> Occasion {
        Occasion {
            cause,
            client: None,
            reason: String::new(),
            at: self.now,
        }
    }

    /// One round, carried out. True when it changed nothing.
    pub(super) fn round(&mut self) -> bool {
        let next = DeploymentId::generate(&self.next_id());
        let world = ServiceWorld {
            service: &self.service,
            tasks: &self.tasks,
            held: self.held.as_ref(),
            next_deployment: &next,
            is_draining: self.is_draining,
            now: self.now,
        };
        let plan = plan(world);
        assert_eq!(plan, super::plan(world), "the same world, the same plan");
        self.wake_at = plan.wake_at;
        let is_empty = plan.service == self.service
            && plan.start == 0
            && plan.start_of_sets.is_empty()
            && plan.stop.is_empty()
            && plan.counted.is_empty()
            && plan.noted.is_empty()
            && plan.events.is_empty();
        self.service = plan.service;
        self.retired.extend(plan.retired);
        self.said
            .extend(plan.events.into_iter().map(|event| event.message));
        for task in &mut self.tasks {
            task.is_counted |= plan.counted.contains(&task.id);
        }
        self.tasks.retain(|task| !plan.noted.contains(&task.id));
        for (id, reason) in plan.stop {
            let task = self.tasks.iter_mut().find(|task| task.id == id).unwrap();
            task.desired_status = DesiredStatus::Stopped;
            task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
            task.stopped_reason = Some(reason);
        }
        let primary = self.service.deployments.first().map(|one| one.id.clone());
        let mut start: Vec<_> = primary.map(|id| (id, plan.start)).into_iter().collect();
        start.extend(plan.start_of_sets);
        let each = start
            .iter()
            .flat_map(|(id, count)| (0..*count).map(move |_| id.to_string()));
        for deployment in each.collect::<Vec<_>>() {
            let id = TaskId::generate(&self.next_id());
            self.tasks.push(ServiceTask {
                id,
                deployment,
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
                is_counted: false,
            });
        }
        is_empty
    }

    /// Lets the engine do what is wanted of it: start what is to run, end what is to stop.
    pub(super) fn engine(&mut self) {
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
    pub(super) fn fail(&mut self, number: u32) {
        let broken: Vec<String> = self
            .service
            .deployments
            .iter()
            .filter(|deployment| deployment.task_definition == revision(number))
            .map(|deployment| deployment.id.to_string())
            .collect();
        self.fail_of(&broken);
    }

    /// The same of the tasks of these deployments.
    pub(super) fn fail_of(&mut self, broken: &[String]) {
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

    pub(super) fn pass(&mut self, secs: u32) {
        self.now = self.now.plus(DurationMs::from_secs(secs));
    }

    /// Rounds and engine in turns until nothing changes, with the time that tasks need to show that they go on.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000 {
            let is_empty = self.round();
            self.engine();
            self.bounds();
            if !is_empty {
                continue;
            }
            let settling = self.service.configuration.settling();
            let in_grace = |task: &ServiceTask| task.in_grace_until(settling, self.now).is_some();
            if !self.tasks.iter().any(in_grace) {
                return;
            }
            self.pass(1);
        }
        panic!("it does not settle: {:#?}", self.service);
    }

    pub(super) fn bounds(&self) {
        // Task sets have bounds of their own.
        if self.service.is_external() {
            return;
        }
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

    pub(super) fn running(&self, number: u32) -> usize {
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
    pub(super) fn live(&self) -> Vec<TaskId> {
        let live = |task: &&ServiceTask| task.last_status != LastStatus::Stopped;
        let tasks = self.tasks.iter().filter(live);
        tasks.map(|task| task.id.clone()).collect()
    }

    pub(super) fn says(&self, text: &str) -> usize {
        self.said.iter().filter(|said| said.contains(text)).count()
    }
}
