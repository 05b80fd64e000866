use super::lab::{Lab, at, target};
use super::*;
use crate::domain::{
    Capacity, DesiredStatus, PropagateTags, SchedulingStrategy, ServiceConfiguration,
    ServiceDeploymentStatus, ServiceRevisionId, Shortage, StopCode,
};

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
fn the_largest_service_comes_to_its_count_moves_to_another_revision_and_goes_to_none() {
    let most = crate::domain::MAX_DESIRED_COUNT;
    let mut lab = Lab::new(most, ServiceConfiguration::default());
    lab.settle();
    assert_eq!(lab.running(1), most as usize);
    assert!(lab.service.is_steady);
    lab.deploy(2);
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2)), (0, most as usize));
    lab.service.desired_count = 0;
    lab.settle();
    assert_eq!(lab.tasks, []);
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
fn while_a_budget_is_spent_nothing_is_started_and_nothing_that_runs_is_ended() {
    let half = ServiceConfiguration {
        minimum_healthy_percent: 50,
        ..ServiceConfiguration::default()
    };
    let mut lab = Lab::new(4, half);
    lab.settle();
    lab.held = Some(Hold {
        until: at(90_000),
        reason: "budget \"blue\" is spent".to_owned(),
    });
    // Neither a new revision nor a dead or an unhealthy task gets new ones, and nobody makes room for them.
    lab.deploy(2);
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2)), (4, 0));
    let waiting = lab.service.waiting.clone();
    assert_eq!(
        waiting.as_deref(),
        Some("4 tasks wait: budget \"blue\" is spent")
    );
    assert_eq!(lab.wake_at, Some(at(90_000)));
    lab.tasks[0].health = Some(HealthStatus::Unhealthy);
    lab.fail(1);
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2)), (0, 0));
    // Fewer can be wanted all the same.
    lab.service.desired_count = 3;
    lab.pass(90);
    lab.held = None;
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2)), (0, 3));
    lab.held = Some(Hold {
        until: at(900_000),
        reason: String::new(),
    });
    lab.service.desired_count = 1;
    lab.settle();
    assert_eq!((lab.running(2), lab.service.waiting.clone()), (1, None));
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
    assert_eq!(
        lab.tasks[0].stopped_reason.as_deref(),
        Some(FAILED_HEALTH_CHECKS)
    );
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
fn tasks_that_wait_for_the_host_say_how_much_they_need_and_how_much_there_is() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.round();
    let of = |memory_mib| Capacity {
        cpu_units: 0,
        memory_mib,
    };
    let shortage = Shortage::of(of(4_096), of(3_786), of(1_024)).unwrap();
    for task in &mut lab.tasks {
        task.waiting = Some(shortage.to_string());
    }
    lab.round();
    assert_eq!(
        lab.service.waiting.as_deref(),
        Some("2 tasks wait for memory: 1,024 MiB needed, 310 MiB free")
    );
}

#[test]
fn one_task_is_not_said_to_be_several() {
    let mut lab = Lab::new(1, ServiceConfiguration::default());
    lab.round();
    lab.round();
    let waiting = lab.service.waiting.as_deref().unwrap();
    assert!(waiting.starts_with("1 task waits: "), "{waiting}");
}

#[test]
fn a_deployment_that_was_given_up_counts_no_further_failures() {
    let mut lab = Lab::new(4, breaker());
    lab.deploy(2);
    let (mut given_up, mut failed) = (None, None);
    for _ in 0..50 {
        lab.round();
        let primary = &lab.service.deployments[0];
        if primary.rollout_state == RolloutState::Failed {
            given_up = Some(primary.clone());
            break;
        }
        lab.fail(2);
        failed = lab.tasks.last().cloned().or(failed);
        lab.pass(10);
    }
    let before = given_up.unwrap();
    // One more of its tasks comes to its end after that.
    let mut late = failed.unwrap();
    late.id = format!("{:032x}", 0xffff).parse().unwrap();
    late.deployment = before.id.to_string();
    lab.tasks.push(late);
    let told = lab.says("failed: ");
    lab.round();
    let after = &lab.service.deployments[0];
    assert_eq!(after.failed_tasks, before.failed_tasks);
    assert_eq!(after.failures, before.failures);
    assert_eq!(lab.says("failed: "), told + 1, "it is told all the same");
}

#[test]
fn a_task_that_ends_right_after_its_start_takes_nobodys_place() {
    let mut lab = Lab::new(2, breaker());
    lab.settle();
    let before = lab.live();
    lab.deploy(2);
    // Each of the new ones is RUNNING for a moment, and the planner sees it.
    for _ in 0..10 {
        lab.round();
        if lab.says("rolling back") > 0 {
            break;
        }
        lab.engine();
        lab.pass(4);
        lab.round();
        assert_eq!(lab.says("deployment completed"), 1, "only the first");
        for task in &mut lab.tasks {
            if task.started_at == Some(at(lab.now.as_millis() - 4_000)) {
                task.last_status = LastStatus::Stopped;
                task.desired_status = DesiredStatus::Stopped;
                task.stopped_at = Some(lab.now);
                task.stop_code = Some(StopCode::EssentialContainerExited);
            }
        }
    }
    assert_eq!(lab.says("rolling back to deployment ecs-svc/"), 1);
    lab.settle();
    assert_eq!(lab.live(), before, "what was healthy serves on");
}

#[test]
fn a_revision_that_slowly_fails_its_health_checks_is_given_up() {
    let mut lab = Lab::new(1, breaker());
    lab.settle();
    lab.deploy(2);
    // ECS's defaults: three checks with half a minute between them. The second one ends by itself.
    for number in 0..10 {
        lab.round();
        if lab.says("rolling back") > 0 {
            break;
        }
        let newest = lab.service.deployments[0].id.to_string();
        lab.engine();
        let is_new = |task: &&mut ServiceTask| task.deployment == newest;
        lab.tasks.iter_mut().filter(is_new).for_each(|task| {
            task.health = Some(HealthStatus::Unknown);
        });
        lab.pass(90);
        lab.tasks.iter_mut().filter(is_new).for_each(|task| {
            if number == 1 {
                task.last_status = LastStatus::Stopped;
                task.stop_code = Some(StopCode::EssentialContainerExited);
            } else {
                task.health = Some(HealthStatus::Unhealthy);
            }
        });
    }
    assert_eq!(lab.says("rolling back"), 1, "{:#?}", lab.said);
    assert_eq!(lab.says(") failed container health checks."), 3);
    assert_eq!(
        lab.says("(service web) is unable to consistently start tasks successfully."),
        1
    );
}

#[test]
fn scaling_in_takes_the_unhealthy_then_the_oldest_revision_then_the_newest() {
    let mut lab = Lab::new(7, ServiceConfiguration::default());
    lab.settle();
    lab.deploy(2);
    lab.deploy(3);
    let [third, second, first] =
        [0, 1, 2].map(|index| lab.service.deployments[index].id.to_string());
    lab.service.deployments[0].rollout_state = RolloutState::Failed;
    let unhealthy = Some(HealthStatus::Unknown);
    let stories = [
        (&third, None, 5),
        (&third, unhealthy, 6),
        (&second, unhealthy, 4),
        (&second, None, 7),
        (&second, None, 3),
        (&first, None, 1),
        (&first, unhealthy, 2),
    ];
    for (task, (deployment, health, created_at)) in lab.tasks.iter_mut().zip(stories) {
        (task.deployment, task.health) = (deployment.clone(), health);
        task.created_at = at(created_at);
    }
    let mut stopped = Vec::new();
    for left in (0..7).rev() {
        lab.service.desired_count = left;
        lab.round();
        let ends = |task: &&ServiceTask| task.desired_status == DesiredStatus::Stopped;
        let ended = lab.tasks.iter().filter(ends).map(|task| task.created_at);
        stopped.extend(ended.map(TimestampMs::as_millis));
        lab.tasks
            .retain(|task| task.desired_status == DesiredStatus::Running);
    }
    assert_eq!(stopped, [6, 4, 2, 1, 7, 3, 5]);
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
            let settling = lab.service.configuration.settling();
            let healthy = |task: &&ServiceTask| task.is_healthy(settling, lab.now);
            assert!(lab.tasks.iter().filter(healthy).count() >= lower);
            lab.engine();
            lab.bounds();
            match lab.wake_at {
                Some(at) if is_empty => lab.now = at,
                None if is_empty => break,
                _ => {}
            }
        }
        assert_eq!((lab.running(1), lab.running(2)), (0, 4), "{least}/{most}");
        assert_eq!(lab.service.last_completed, Some(target(2)));
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
    assert_eq!(lab.service.deployments.len(), 1);
    let [left] = lab.retired.as_slice() else {
        panic!("{:#?}", lab.retired)
    };
    assert_eq!(left.outcome(), ServiceDeploymentStatus::RollbackSuccessful);
    let rollback = left.rollback.as_ref().unwrap();
    assert_eq!(rollback.target, target(1));
    assert!(left.finished_at >= Some(rollback.started_at));
    assert!((1..=Deployment::FAILURES_KEPT).contains(&left.failures.len()));
    assert!(left.failures.is_sorted_by_key(|failure| failure.at));
}

#[test]
fn a_deployment_is_shown_to_be_rolled_back_until_the_service_has_come_back() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.settle();
    lab.deploy(2);
    lab.round();
    lab.roll_back();
    let left = |lab: &Lab| lab.service.deployments.get(1).map(Deployment::outcome);
    let under_way = Some(ServiceDeploymentStatus::RollbackInProgress);
    assert_eq!(left(&lab), under_way);
    lab.round();
    assert_eq!(left(&lab), under_way, "also when none of its tasks goes on");
    lab.engine();
    lab.settle();
    assert_eq!(left(&lab), None);
    let [over] = lab.retired.as_slice() else {
        panic!("{:#?}", lab.retired)
    };
    assert_eq!(over.outcome(), ServiceDeploymentStatus::RollbackSuccessful);
    assert_eq!(over.status, DeploymentStatus::Inactive);
}

#[test]
fn what_becomes_of_a_deployment_that_another_one_takes_over_from() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.settle();
    lab.deploy(2);
    lab.round();
    lab.roll_back();
    lab.deploy(3);
    let primary = &lab.service.deployments[0];
    assert_eq!(primary.outcome(), ServiceDeploymentStatus::InProgress);
    let sources: Vec<&str> = primary
        .source_revisions
        .iter()
        .map(ServiceRevisionId::as_str)
        .collect();
    assert_eq!(sources, ["0000000000000000001", "0000000000000000002"]);
    let at = Some(lab.now);
    lab.deploy(4);
    lab.settle();
    let mut ends: Vec<_> = lab
        .retired
        .iter()
        .map(|one| (one.task_definition.revision, one.outcome(), one.finished_at))
        .collect();
    ends.sort();
    assert_eq!(
        ends,
        [
            (1, ServiceDeploymentStatus::Successful, at),
            (2, ServiceDeploymentStatus::RollbackFailed, at),
            (3, ServiceDeploymentStatus::Stopped, at),
        ],
        "1 was completed once, whatever came after that"
    );
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
fn tasks_that_fail_in_turns_are_held_back_as_well() {
    let mut lab = Lab::new(5, ServiceConfiguration::default());
    let mut starts = 0;
    for second in 0_usize..600 {
        let before = lab.live();
        lab.round();
        lab.engine();
        starts += lab.live().iter().filter(|id| !before.contains(id)).count();
        lab.pass(1);
        // Each lives for some seconds, and one of them is always on its way.
        let oldest = lab.live().into_iter().next();
        let of_now = oldest.filter(|_| second >= 4);
        for task in &mut lab.tasks {
            if Some(&task.id) == of_now.as_ref() {
                task.last_status = LastStatus::Stopped;
                task.desired_status = DesiredStatus::Stopped;
                task.stopped_at = Some(lab.now);
                task.stop_code = Some(StopCode::EssentialContainerExited);
            }
        }
    }
    assert!((10..60).contains(&starts), "{starts} starts in ten minutes");
}

#[test]
fn a_failure_is_counted_once_and_as_soon_as_the_end_is_decided() {
    let mut lab = Lab::new(1, ServiceConfiguration::default());
    lab.settle();
    let failed = lab.tasks[0].id.clone();
    lab.tasks[0].desired_status = DesiredStatus::Stopped;
    lab.tasks[0].stop_code = Some(StopCode::EssentialContainerExited);
    lab.tasks[0].last_status = LastStatus::Stopping;
    lab.pass(1);
    lab.round();
    assert_eq!(lab.service.deployments[0].failed_tasks, 1);
    assert_eq!(lab.tasks.len(), 2, "its place is taken while it ends");
    lab.round();
    lab.tasks[0].last_status = LastStatus::Stopped;
    lab.tasks[0].stopped_at = Some(lab.now);
    lab.settle();
    assert_eq!(lab.service.deployments[0].failed_tasks, 1);
    assert_eq!(lab.says(&format!("(task {failed}) failed")), 1);
    assert!(lab.tasks.iter().all(|task| task.id != failed), "noted");
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
    lab.engine();
    lab.pass(4);
    lab.round();
    assert_eq!(lab.tasks.len(), 1, "it may still end");
    for _ in 0..9 {
        lab.engine();
        lab.pass(5);
        lab.round();
    }
    lab.engine();
    assert_eq!(lab.running(1), 10);
}

#[test]
fn a_clock_that_is_set_back_does_not_make_a_grace_period_longer() {
    let grace = ServiceConfiguration {
        health_check_grace_period: DurationMs::from_secs(5),
        ..ServiceConfiguration::default()
    };
    let mut lab = Lab::new(1, grace);
    lab.pass(3_600);
    lab.round();
    lab.engine();
    lab.now = at(0);
    lab.round();
    assert!(lab.service.is_steady, "{:#?}", lab.service);
}

#[test]
fn a_clock_that_is_set_back_does_not_make_a_pause_after_failures_longer() {
    let mut lab = Lab::new(1, ServiceConfiguration::default());
    lab.pass(3_600);
    for _ in 0..60 {
        lab.round();
        lab.fail(1);
        lab.pass(1);
    }
    lab.round();
    assert_eq!(lab.tasks.len(), 0, "the next one has to wait");
    lab.now = at(0);
    lab.round();
    assert_eq!(lab.tasks.len(), 1, "{:#?}", lab.service);
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

#[test]
fn on_a_draining_host_nothing_is_started_and_nothing_is_taken_away() {
    let mut lab = Lab::new(2, ServiceConfiguration::default());
    lab.settle();
    let tasks = lab.live();
    lab.is_draining = true;
    lab.deploy(2);
    lab.service.desired_count = 3;
    lab.settle();
    assert_eq!(lab.live(), tasks, "nothing could take their place");
    let waiting = lab.service.waiting.clone().unwrap();
    assert!(waiting.contains("DRAINING"), "{waiting}");
    lab.is_draining = false;
    lab.settle();
    assert_eq!((lab.running(1), lab.running(2)), (0, 3));
}

#[test]
fn a_rollback_brings_the_whole_revision_back_not_only_what_it_ran() {
    let mut lab = Lab::new(1, breaker());
    lab.settle();
    assert_eq!(lab.service.last_completed, Some(target(1)));
    // The same task definition with other settings is another revision, and fails.
    let mut other = target(1);
    other.service_revision = "0000000000000000009".parse().unwrap();
    other.settings.enable_execute_command = true;
    other.settings.propagate_tags = PropagateTags::Service;
    let settings = &mut lab.service.configuration.settings;
    settings.clone_from(&other.settings);
    lab.deploy_to(other.clone());
    for _ in 0..10 {
        lab.round();
        let of_new: Vec<_> = lab.service.deployments[..1]
            .iter()
            .map(|one| one.id.to_string())
            .collect();
        if lab.says("rolling back") > 0 {
            break;
        }
        lab.fail_of(&of_new);
        lab.pass(400);
    }
    assert_eq!(lab.says("rolling back"), 1, "{:#?}", lab.said);
    lab.settle();
    let settings = &lab.service.configuration.settings;
    assert_eq!(*settings, target(1).settings, "exec and tags are as before");
    let primary = lab.service.primary().unwrap();
    assert_eq!(primary.settings, target(1).settings);
    assert_eq!(primary.rollout_state, RolloutState::Completed);
}
