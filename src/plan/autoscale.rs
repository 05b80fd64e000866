//! To how many tasks a service is scaled: target tracking, as Application Auto Scaling does it.
//!
//! A figure that was above its target in each of the last three periods scales out, at once to as many tasks as would
//! bring it there; one that was below nine tenths of it in each of the last fifteen scales in, and only as far as even the
//! highest of them would still be below. So what was scaled out for a good reason is not taken back for a bad one, and
//! what is at its target stays. Where several policies differ, the most tasks win.
//!
//! Source: Application Auto Scaling user guide, "How target tracking scaling for Application Auto Scaling works", and
//! the alarms that it makes for ECS.

use crate::domain::{
    DurationMs, ScalableTarget, ScalingPolicy, ServiceKey, ServiceUse, TargetTracking, TimestampMs,
    alarm_name,
};

/// So many periods in a row above the target scale out.
pub const PERIODS_OUT: usize = 3;
/// So many periods in a row below the target scale in.
pub const PERIODS_IN: usize = 15;
/// Below so many percent of the target is below.
const LOW_PERCENT: u64 = 90;

/// All that the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct ScalingWorld<'a> {
    /// Which service.
    pub service: &'a ServiceKey,
    /// Its bounds, and when it was scaled last.
    pub target: &'a ScalableTarget,
    /// Its policies.
    pub policies: &'a [ScalingPolicy],
    /// What its tasks used in each period since the number of tasks last changed, oldest first.
    pub periods: &'a [ServiceUse],
    /// How many tasks it is to have.
    pub desired: u32,
    /// Now.
    pub now: TimestampMs,
}

/// Another number of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// So many.
    pub desired: u32,
    /// Why, in the words of Application Auto Scaling.
    pub cause: String,
}

/// To how many tasks the service is scaled now; `None` if it stays as it is.
pub fn plan(world: ScalingWorld<'_>) -> Option<Scaling> {
    if world.target.has_new_bounds
        && let Some(scaling) = into_bounds(world)
    {
        return Some(scaling);
    }
    scale_out(world).or_else(|| scale_in(world))
}

fn into_bounds(world: ScalingWorld<'_>) -> Option<Scaling> {
    let ScalableTarget {
        min_capacity: least,
        max_capacity: most,
        ..
    } = *world.target;
    let (desired, which) = if world.desired < least {
        (least, "minimum")
    } else if world.desired > most {
        (most, "maximum")
    } else {
        return None;
    };
    Some(Scaling {
        desired,
        cause: format!("{which} capacity was set to {desired}"),
    })
}

fn scale_out(world: ScalingWorld<'_>) -> Option<Scaling> {
    let target = world.target;
    if target.suspended.dynamic_out || world.desired >= target.max_capacity {
        return None;
    }
    let wanted = tracking(world).filter_map(|(policy, tracking)| {
        if within(
            target.scaled_out_at,
            tracking.scale_out_cooldown_s,
            world.now,
        ) {
            return None;
        }
        let last = last_periods(world, tracking, PERIODS_OUT)?;
        if last.iter().any(|used| *used <= tracking.target) {
            return None;
        }
        let average = last.iter().sum::<u64>() / last.len() as u64;
        let desired = needed(world.desired, average, tracking.target).max(world.desired + 1);
        Some((
            desired.clamp(target.min_capacity, target.max_capacity),
            policy,
        ))
    });
    // Of several that want as many, the first is told.
    let (desired, policy) =
        wanted.reduce(|one, other| if other.0 > one.0 { other } else { one })?;
    Some(triggered(world, desired, policy, "High"))
}

fn scale_in(world: ScalingWorld<'_>) -> Option<Scaling> {
    let target = world.target;
    if target.suspended.dynamic_in || world.desired <= target.min_capacity {
        return None;
    }
    let mut chosen: Option<(u32, &ScalingPolicy)> = None;
    let mut floor = target.min_capacity;
    for (policy, tracking) in tracking(world) {
        let last = last_periods(world, tracking, PERIODS_IN)?;
        let highest = last.iter().copied().max()?;
        let desired = needed(world.desired, highest, tracking.target);
        floor = floor.max(desired);
        if tracking.disable_scale_in {
            continue;
        }
        let last_scaled = target.scaled_in_at.max(target.scaled_out_at);
        let is_low = highest.saturating_mul(100) < tracking.target.saturating_mul(LOW_PERCENT);
        if !is_low || within(last_scaled, tracking.scale_in_cooldown_s, world.now) {
            return None;
        }
        if chosen.is_none_or(|(most, _)| desired > most) {
            chosen = Some((desired, policy));
        }
    }
    let (_, policy) = chosen?;
    let desired = floor.clamp(target.min_capacity, target.max_capacity);
    (desired < world.desired).then(|| triggered(world, desired, policy, "Low"))
}

fn triggered(
    world: ScalingWorld<'_>,
    desired: u32,
    policy: &ScalingPolicy,
    which: &str,
) -> Scaling {
    let alarm = alarm_name(world.service, policy, which);
    Scaling {
        desired,
        cause: format!(
            "monitor alarm {alarm} in state ALARM triggered policy {}",
            policy.name
        ),
    }
}

/// The policies that track something that is measured here.
fn tracking(world: ScalingWorld<'_>) -> impl Iterator<Item = (&ScalingPolicy, TargetTracking)> {
    let all = world.policies.iter();
    all.filter_map(|policy| Some((policy, policy.tracking?)))
}

/// What was measured in each of the last `count` periods; `None` if in one of them nothing was.
fn last_periods(
    world: ScalingWorld<'_>,
    tracking: TargetTracking,
    count: usize,
) -> Option<Vec<u64>> {
    let from = world.periods.len().checked_sub(count)?;
    let last = world.periods[from..].iter();
    last.map(|used| used.of(tracking.metric)).collect()
}

/// So many tasks would bring `used` of `desired` tasks to `target`.
fn needed(desired: u32, used: u64, target: u64) -> u32 {
    let whole = u64::from(desired).saturating_mul(used);
    u32::try_from(whole.div_ceil(target.max(1))).unwrap_or(u32::MAX)
}

fn within(since: Option<TimestampMs>, seconds: u32, now: TimestampMs) -> bool {
    since.is_some_and(|since| now < since.plus(DurationMs::from_secs(seconds)))
}

#[cfg(test)]
mod tests;
