//! Where tasks are to say that they run: launch types, and the strategies of capacity providers.

use serde_json::Value;

use super::capacity_providers;
use super::error::EcsError;
use super::forms;
use super::input::Input;
use crate::control::Control;
use crate::domain::{CapacityStrategy, Cluster, LaunchPlan, LaunchType};

const LAUNCH_TYPES: [&str; 4] = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];
const STRATEGY: &str = "capacityProviderStrategy";

/// The launch type that a call names.
pub(super) fn launch_type(input: &Input) -> Result<Option<LaunchType>, EcsError> {
    let word = input.word("launchType", &LAUNCH_TYPES)?;
    Ok(word.and_then(LaunchType::parse))
}

/// The strategy that a call names, if its capacity providers are there.
pub(super) async fn strategy(
    input: &Input,
    control: &Control,
    cluster: &Cluster,
) -> Result<Option<CapacityStrategy>, EcsError> {
    let launch_type = launch_type(input)?;
    let Some(sent) = input.value(STRATEGY) else {
        return Ok(None);
    };
    let strategy = parse(sent, STRATEGY)?;
    if strategy.is_empty() {
        return Ok(None);
    }
    if launch_type.is_some() {
        return Err(EcsError::parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    let associated = cluster.kept.get("capacityProviders");
    let associated = associated.and_then(Value::as_array);
    let is_associated =
        |name: &str| associated.is_some_and(|all| all.iter().any(|one| one == name));
    let others = strategy.providers().filter(|name| !is_associated(name));
    capacity_providers::check_there(control, others).await?;
    Ok(Some(strategy))
}

/// A strategy that was sent as `name`.
pub(super) fn parse(sent: &Value, name: &str) -> Result<CapacityStrategy, EcsError> {
    forms::STRATEGY.check(sent, name)?;
    let mut sent = sent.clone();
    super::show::drop_nulls(&mut sent);
    CapacityStrategy::parse(&sent).map_err(EcsError::parameter)
}

/// The strategy of the cluster, for a call that says nothing of where its tasks are to run.
pub(super) fn default_strategy(input: &Input, cluster: &Cluster) -> Option<Value> {
    let is_said = |name: &str| match input.value(name) {
        Some(Value::Array(items)) => !items.is_empty(),
        other => other.is_some(),
    };
    if is_said("launchType") || is_said(STRATEGY) {
        return None;
    }
    let strategy = cluster.kept.get("defaultCapacityProviderStrategy")?;
    let is_one = strategy.as_array().is_some_and(|items| !items.is_empty());
    is_one.then(|| strategy.clone())
}

/// Where the tasks of a run are to say that they run.
pub(super) async fn plan(
    input: &Input,
    control: &Control,
    cluster: &Cluster,
) -> Result<LaunchPlan, EcsError> {
    if let Some(strategy) = strategy(input, control, cluster).await? {
        return Ok(LaunchPlan::Across(strategy));
    }
    if let Some(default) = default_strategy(input, cluster) {
        let strategy = parse(&default, "defaultCapacityProviderStrategy")?;
        return Ok(LaunchPlan::Across(strategy));
    }
    Ok(LaunchPlan::On(launch_type(input)?.unwrap_or_default()))
}
