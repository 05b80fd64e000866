//! Target tracking: what it does in a few plain cases, and what holds whatever is measured.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{PolicyKind, ScalingMetric, SuspendedState};

fn at(seconds: i64) -> TimestampMs {
    TimestampMs::from_millis(seconds * 1_000)
}

fn service() -> ServiceKey {
    ServiceKey {
        cluster: "default".parse().unwrap(),
        name: "web".parse().unwrap(),
    }
}

fn target(least: u32, most: u32) -> ScalableTarget {
    ScalableTarget {
        id: "0".repeat(32),
        min_capacity: least,
        max_capacity: most,
        role_arn: None,
        suspended: SuspendedState::default(),
        tags: BTreeMap::new(),
        created_at: at(0),
        has_new_bounds: false,
        scaled_out_at: None,
        scaled_in_at: None,
    }
}

fn policy(name: &str, metric: ScalingMetric, percent: u64) -> ScalingPolicy {
    ScalingPolicy {
        id: "ab".repeat(16),
        name: name.to_owned(),
        kind: PolicyKind::TargetTrackingScaling,
        configuration: serde_json::json!({}),
        tracking: Some(TargetTracking {
            metric,
            target: percent * 100,
            scale_out_cooldown_s: 60,
            scale_in_cooldown_s: 120,
            disable_scale_in: false,
        }),
        created_at: at(0),
    }
}

fn cpu(percents: &[u64]) -> Vec<ServiceUse> {
    let period = |percent: &u64| ServiceUse {
        cpu: Some(percent * 100),
        memory: None,
    };
    percents.iter().map(period).collect()
}

/// To how many tasks the service is scaled that has `desired`.
fn scaled(
    target: &ScalableTarget,
    policies: &[ScalingPolicy],
    periods: &[ServiceUse],
    desired: u32,
) -> Option<u32> {
    let world = ScalingWorld {
        service: &service(),
        target,
        policies,
        periods,
        desired,
        now: at(1_000),
    };
    plan(world).map(|scaling| scaling.desired)
}

#[test]
fn three_periods_above_the_target_scale_out_to_what_would_be_enough() {
    let policies = [policy("cpu", ScalingMetric::Cpu, 50)];
    let target = target(1, 10);
    assert_eq!(scaled(&target, &policies, &cpu(&[90, 90]), 2), None);
    assert_eq!(scaled(&target, &policies, &cpu(&[90, 50, 90]), 2), None);
    assert_eq!(
        scaled(&target, &policies, &cpu(&[10, 90, 90, 90]), 2),
        Some(4)
    );
    assert_eq!(scaled(&target, &policies, &cpu(&[51; 3]), 2), Some(3));
    assert_eq!(scaled(&target, &policies, &cpu(&[500; 3]), 2), Some(10));
    assert_eq!(scaled(&target, &policies, &cpu(&[90; 3]), 10), None);
    let world = ScalingWorld {
        service: &service(),
        target: &target,
        policies: &policies,
        periods: &cpu(&[90; 3]),
        desired: 2,
        now: at(0),
    };
    let cause = plan(world).unwrap().cause;
    let alarm = format!(
        "TargetTracking-service/default/web-AlarmHigh-{}",
        "ab".repeat(16)
    );
    assert_eq!(
        cause,
        format!("monitor alarm {alarm} in state ALARM triggered policy cpu")
    );
}

#[test]
fn fifteen_periods_below_it_scale_in_as_far_as_the_highest_allows() {
    let policies = [policy("cpu", ScalingMetric::Cpu, 50)];
    let target = target(1, 10);
    assert_eq!(scaled(&target, &policies, &cpu(&[0; 14]), 4), None);
    assert_eq!(scaled(&target, &policies, &cpu(&[0; 15]), 4), Some(1));
    let mut once = [0; 15];
    once[3] = 30;
    assert_eq!(scaled(&target, &policies, &cpu(&once), 4), Some(3));
    once[3] = 45;
    assert_eq!(
        scaled(&target, &policies, &cpu(&once), 4),
        None,
        "nine tenths are not below"
    );
    assert_eq!(scaled(&target, &policies, &cpu(&[0; 15]), 1), None);
}

#[test]
fn cool_downs_are_waited_for() {
    let policies = [policy("cpu", ScalingMetric::Cpu, 50)];
    let at_out = |seconds| ScalableTarget {
        scaled_out_at: Some(at(seconds)),
        ..target(1, 10)
    };
    let at_in = |seconds| ScalableTarget {
        scaled_in_at: Some(at(seconds)),
        ..target(1, 10)
    };
    let (high, low) = (cpu(&[90; 3]), cpu(&[0; 15]));
    assert_eq!(scaled(&at_out(941), &policies, &high, 2), None);
    assert_eq!(scaled(&at_out(940), &policies, &high, 2), Some(4));
    assert_eq!(
        scaled(&at_in(999), &policies, &high, 2),
        Some(4),
        "only scaling in cools down"
    );
    let both: [&dyn Fn(i64) -> ScalableTarget; 2] = [&at_out, &at_in];
    for cooling in both {
        assert_eq!(scaled(&cooling(881), &policies, &low, 2), None);
        assert_eq!(scaled(&cooling(880), &policies, &low, 2), Some(1));
    }
}

#[test]
fn new_bounds_move_the_service_into_them_and_old_ones_do_not() {
    let new = |least, most| ScalableTarget {
        has_new_bounds: true,
        ..target(least, most)
    };
    assert_eq!(scaled(&new(2, 4), &[], &[], 1), Some(2));
    assert_eq!(scaled(&new(2, 4), &[], &[], 9), Some(4));
    assert_eq!(scaled(&new(2, 4), &[], &[], 3), None);
    assert_eq!(
        scaled(&target(2, 4), &[], &[], 0),
        None,
        "it was scaled by hand"
    );
}

#[test]
fn the_most_tasks_win_and_all_must_agree_to_scale_in() {
    let used = |cpu: u64, memory: u64| ServiceUse {
        cpu: Some(cpu * 100),
        memory: Some(memory * 100),
    };
    let policies = [
        policy("cpu", ScalingMetric::Cpu, 50),
        policy("memory", ScalingMetric::Memory, 50),
    ];
    let target = target(1, 10);
    assert_eq!(scaled(&target, &policies, &[used(90, 150); 3], 2), Some(6));
    assert_eq!(scaled(&target, &policies, &[used(0, 49); 15], 4), None);
    assert_eq!(scaled(&target, &policies, &[used(0, 25); 15], 4), Some(2));
    let mut only_out = policies;
    only_out[0].tracking.as_mut().unwrap().disable_scale_in = true;
    assert_eq!(
        scaled(&target, &only_out, &[used(30, 0); 15], 4),
        Some(3),
        "it is still asked"
    );
    only_out[1].tracking.as_mut().unwrap().disable_scale_in = true;
    assert_eq!(scaled(&target, &only_out, &[used(0, 0); 15], 4), None);
    assert_eq!(scaled(&target, &[], &[used(90, 90); 15], 4), None);
}

prop_compose! {
    fn worlds()(
        least in 0_u32..5, more in 0_u32..10, desired in 0_u32..20,
        percents in prop::collection::vec((prop::option::weighted(0.95, 0_u64..400), 0_u64..120), 0..40),
        level in prop::option::of(0_u64..400),
        targets in prop::collection::vec((any::<bool>(), 1_u64..150, 0_u32..300, 0_u32..300, any::<bool>()), 0..4),
        (no_in, no_out, is_new) in any::<(bool, bool, bool)>(),
        (out_at, in_at) in (prop::option::of(0_i64..1_000), prop::option::of(0_i64..1_000)),
    ) -> (ScalableTarget, Vec<ScalingPolicy>, Vec<ServiceUse>, u32) {
        let target = ScalableTarget {
            suspended: SuspendedState { dynamic_in: no_in, dynamic_out: no_out, scheduled: false },
            has_new_bounds: is_new,
            scaled_out_at: out_at.map(at),
            scaled_in_at: in_at.map(at),
            ..target(least, least + more)
        };
        let policies = targets.into_iter().map(|(is_cpu, percent, out, cool, only_out)| {
            let metric = if is_cpu { ScalingMetric::Cpu } else { ScalingMetric::Memory };
            let mut policy = policy("p", metric, percent);
            let tracking = policy.tracking.as_mut().unwrap();
            (tracking.scale_out_cooldown_s, tracking.scale_in_cooldown_s) = (out, cool);
            tracking.disable_scale_in = only_out;
            policy
        }).collect();
        let periods = percents.into_iter().map(|(cpu, memory)| ServiceUse {
            // Often all of them are alike, or nothing would ever be scaled.
            cpu: level.or(cpu).map(|percent| percent * 100),
            memory: Some(level.unwrap_or(memory) * 100),
        }).collect();
        (target, policies, periods, desired)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_measured((target, policies, periods, desired) in worlds()) {
        let scale = |target: &ScalableTarget, periods: &[ServiceUse], desired| {
            scaled(target, &policies, periods, desired)
        };
        let found = scale(&target, &periods, desired);
        // The same input has the same answer.
        prop_assert_eq!(found, scale(&target, &periods, desired));
        let Some(to) = found else { return Ok(()) };
        prop_assert!((target.min_capacity..=target.max_capacity).contains(&to), "within bounds");
        prop_assert_ne!(to, desired, "a change");
        if target.has_new_bounds {
            return Ok(());
        }
        let is_out = to > desired;
        prop_assert!(!is_out || !target.suspended.dynamic_out);
        prop_assert!(is_out || !target.suspended.dynamic_in);
        prop_assert!(periods.len() >= if is_out { PERIODS_OUT } else { PERIODS_IN }, "scaling in is slower");
        let can_scale_in = policies.iter().any(|one| one.tracking.is_some_and(|one| !one.disable_scale_in));
        prop_assert!(is_out || can_scale_in);
        // If the work stays the same, the new number of tasks is not scaled again in the other direction.
        let after: Vec<ServiceUse> = periods.iter().map(|used| {
            let spread = |used: Option<u64>| Some(used? * u64::from(desired) / u64::from(to.max(1)));
            ServiceUse { cpu: spread(used.cpu), memory: spread(used.memory) }
        }).collect();
        let cooled = ScalableTarget { scaled_out_at: None, scaled_in_at: None, ..target.clone() };
        if !is_out && to > 0 {
            let again = scale(&cooled, &after, to);
            prop_assert!(again.is_none_or(|again| again <= to), "{desired} to {to} and back to {again:?}");
        }
    }

    #[test]
    fn what_is_at_its_target_stays(desired in 1_u32..50, percent in 1_u64..100, jitter in prop::collection::vec(0_u64..=9, 40)) {
        let policies = [policy("cpu", ScalingMetric::Cpu, percent)];
        let target = target(0, 100);
        // From nine tenths of the target up to it.
        let periods: Vec<ServiceUse> = jitter.iter().map(|tenth| ServiceUse {
            cpu: Some(percent * 100 - percent * tenth),
            memory: None,
        }).collect();
        prop_assert!(periods[25..].iter().any(|used| used.cpu >= Some(percent * 90)));
        prop_assert_eq!(scaled(&target, &policies, &periods, desired), None);
    }
}
