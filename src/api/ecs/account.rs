//! Account settings: as they are with a new account of AWS, and always so.

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::show;
use crate::control::Control;

/// Names and values, in ECS's order.
const SETTINGS: [(&str, &str); 10] = [
    ("awsvpcTrunking", "disabled"),
    ("containerInsights", "disabled"),
    ("containerInstanceLongArnFormat", "enabled"),
    ("defaultLogDriverMode", "non-blocking"),
    ("fargateFIPSMode", "disabled"),
    ("fargateTaskRetirementWaitPeriod", "7"),
    ("guardDutyActivate", "off"),
    ("serviceLongArnFormat", "enabled"),
    ("tagResourceAuthorization", "off"),
    ("taskLongArnFormat", "enabled"),
];

pub(super) async fn list(_: Control, input: Input) -> Result<Value, EcsError> {
    // All of them fit on the first page.
    input.page(10)?;
    let names = SETTINGS.map(|(name, _)| name);
    let name = input.word("name", &names)?;
    if input.text("value").is_some() && name.is_none() {
        return Err(EcsError::parameter(
            "value can only be there together with name.",
        ));
    }
    let effective = input.flag("effectiveSettings").unwrap_or_default();
    let settings: Vec<Value> = SETTINGS
        .iter()
        // Nobody has set any: these are the defaults.
        .filter(|_| effective)
        .filter(|(known, _)| name.is_none_or(|name| name == *known))
        .filter(|(_, known)| input.text("value").is_none_or(|value| value == *known))
        .map(|(name, value)| {
            json!({ "name": name, "value": value, "principalArn": show::root_arn(), "type": "user" })
        })
        .collect();
    Ok(json!({ "settings": settings }))
}
