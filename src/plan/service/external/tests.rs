//! Services whose deployments somebody else carries out, in the same laboratory as the others.

use crate::domain::{
    DeploymentController, DeploymentId, LastStatus, Scale, ServiceConfiguration, ServiceStatus,
};
use crate::plan::service::lab::Lab;

fn external(desired: u32) -> Lab {
    let mut lab = Lab::new(
        desired,
        ServiceConfiguration {
            controller: DeploymentController::External,
            ..ServiceConfiguration::default()
        },
    );
    lab.service.deployments.clear();
    lab
}

fn live(lab: &Lab, set: &DeploymentId) -> usize {
    let tasks = lab.tasks.iter();
    tasks
        .filter(|task| task.deployment == set.as_str() && task.last_status != LastStatus::Stopped)
        .count()
}

fn scale(lab: &mut Lab, set: &DeploymentId, percent: f64) {
    let set = lab.service.task_set_mut(set).unwrap();
    set.scale = Scale::of_percent(percent).unwrap();
    set.is_steady = false;
}

#[test]
fn without_task_sets_it_has_no_tasks_and_waits_for_nothing() {
    let mut lab = external(3);
    lab.settle();
    assert!(lab.tasks.is_empty());
    assert!(lab.service.is_steady);
    assert_eq!(lab.service.waiting, None);
}

#[test]
fn each_task_set_keeps_its_share_rounded_up() {
    let mut lab = external(3);
    let blue = lab.add_set(1, 100.0);
    let green = lab.add_set(2, 50.0);
    let none = lab.add_set(3, 0.0);
    lab.settle();
    assert_eq!(
        [&blue, &green, &none].map(|set| live(&lab, set)),
        [3, 2, 0],
        "{:#?}",
        lab.said
    );
    assert!(lab.service.task_sets.iter().all(|set| set.is_steady));
    let steady = format!("(service web, taskSet {green}) has reached a steady state.");
    assert_eq!(lab.says(&steady), 1, "{:#?}", lab.said);
    assert_eq!(lab.says("deployment"), 0, "{:#?}", lab.said);

    lab.service.desired_count = 5;
    scale(&mut lab, &blue, 20.0);
    lab.settle();
    assert_eq!([&blue, &green].map(|set| live(&lab, set)), [1, 3]);
    assert_eq!(lab.says(&steady), 2, "{:#?}", lab.said);
    let why: Vec<_> = lab
        .said
        .iter()
        .filter(|said| said.contains("has stopped 2 running tasks"))
        .collect();
    assert_eq!(why.len(), 1, "{:#?}", lab.said);
}

#[test]
fn a_task_set_that_fails_waits_longer_and_longer_and_leaves_the_others_alone() {
    let mut lab = external(2);
    let good = lab.add_set(1, 100.0);
    lab.settle();
    let bad = lab.add_set(2, 100.0);
    for _ in 0..4 {
        lab.round();
        lab.fail_of(&[bad.to_string()]);
        lab.round();
    }
    assert_eq!(live(&lab, &good), 2);
    assert_eq!(live(&lab, &bad), 0, "{:#?}", lab.said);
    let waiting = lab.service.waiting.clone().unwrap();
    assert!(
        waiting.starts_with(&format!("task set {bad}: ")) && waiting.contains("have failed"),
        "{waiting}"
    );
    assert!(lab.wake_at.is_some());
    assert!(lab.service.task_set(&good).unwrap().is_steady);
    assert!(!lab.service.task_set(&bad).unwrap().is_steady);
}

#[test]
fn a_deleted_task_set_goes_when_its_last_task_has() {
    let mut lab = external(2);
    let blue = lab.add_set(1, 100.0);
    let green = lab.add_set(2, 100.0);
    lab.settle();
    lab.service.task_set_mut(&blue).unwrap().is_draining = true;
    lab.round();
    assert!(lab.service.task_set(&blue).is_some(), "its tasks are there");
    lab.engine();
    lab.settle();
    assert!(lab.service.task_set(&blue).is_none());
    assert_eq!((live(&lab, &green), lab.tasks.len()), (2, 2));
    assert_eq!(lab.service.status, ServiceStatus::Active);
}

#[test]
fn a_deleted_service_takes_its_task_sets_with_it() {
    let mut lab = external(2);
    lab.add_set(1, 100.0);
    lab.add_set(2, 50.0);
    lab.settle();
    lab.service.status = ServiceStatus::Draining;
    lab.settle();
    assert_eq!(lab.service.status, ServiceStatus::Inactive);
    assert!(lab.service.task_sets.is_empty() && lab.tasks.is_empty());
}

#[test]
fn the_set_that_serves_is_the_first_and_gives_the_service_its_settings() {
    let mut lab = external(1);
    let blue = lab.add_set(1, 100.0);
    let now = lab.now;
    assert!(lab.service.serve_by(&blue, now));
    let green = lab.add_set(2, 100.0);
    assert_eq!(lab.service.task_sets[0].id(), &blue);
    assert!(lab.service.serve_by(&green, now));
    let serving: Vec<bool> = lab
        .service
        .task_sets
        .iter()
        .map(crate::domain::TaskSet::is_primary)
        .collect();
    assert_eq!(
        (lab.service.task_sets[0].id(), serving),
        (&green, vec![true, false])
    );
    lab.settle();
    assert_eq!(lab.service.task_sets[0].id(), &green);
    assert!(lab.service.task_sets[0].is_primary());
}
