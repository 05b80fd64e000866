//! Account settings: kept and given back. `containerInsights` says what clusters are made with; the others are about what
//! AWS does, and have no effect here.

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::input::Input;
use super::show;
use crate::control::{Control, ControlError};
use crate::store::{KeptKind, Page};

const KIND: KeptKind = KeptKind::AccountSetting;
const ON_OFF: &[&str] = &["enabled", "disabled"];
/// Only AWS itself changes these.
const FIXED: &[&str] = &[];
/// Whose settings hold for everybody without own ones.
const DEFAULT: &str = "default";

/// Names, what AWS's new accounts have, and what they can be.
const SETTINGS: [(&str, &str, &[&str]); 11] = [
    ("awsvpcTrunking", "disabled", ON_OFF),
    (
        "containerInsights",
        "disabled",
        &["enabled", "disabled", "enhanced"],
    ),
    ("containerInstanceLongArnFormat", "enabled", &["enabled"]),
    (
        "defaultLogDriverMode",
        "non-blocking",
        &["blocking", "non-blocking"],
    ),
    ("fargateEventWindows", "disabled", ON_OFF),
    ("fargateFIPSMode", "disabled", ON_OFF),
    ("fargateTaskRetirementWaitPeriod", "7", &["0", "7", "14"]),
    ("guardDutyActivate", "off", FIXED),
    ("serviceLongArnFormat", "enabled", &["enabled"]),
    ("tagResourceAuthorization", "off", &["on", "off"]),
    ("taskLongArnFormat", "enabled", &["enabled"]),
];

/// A setting by its name.
fn find(input: &Input) -> Result<(&'static str, &'static str, &'static [&'static str]), EcsError> {
    let names = SETTINGS.map(|(name, ..)| name);
    let wanted = input.word("name", &names)?.unwrap_or_default();
    let found = SETTINGS.iter().find(|(name, ..)| *name == wanted);
    found
        .copied()
        .ok_or_else(|| EcsError::parameter("Name can not be blank."))
}

/// Whose setting a call is about.
fn principal(input: &Input) -> Result<String, EcsError> {
    let Some(arn) = input.text("principalArn") else {
        return Ok(show::root_arn());
    };
    if !arn.starts_with("arn:aws:iam::")
        || arn.len() > 200
        || !arn.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(EcsError::parameter(
            "principalArn must be the ARN of a user, a role or the root of an account.",
        ));
    }
    Ok(arn.to_owned())
}

fn key(principal: &str, name: &str) -> String {
    format!("{principal}|{name}")
}

fn setting(name: &str, value: &str, principal: &str) -> Value {
    let kind = if name == "guardDutyActivate" {
        "aws_managed"
    } else {
        "user"
    };
    json!({ "name": name, "value": value, "principalArn": principal, "type": kind })
}

pub(super) async fn put(control: Control, input: Input) -> Result<Value, EcsError> {
    let principal = principal(&input)?;
    change(control, input, principal.clone(), principal).await
}

pub(super) async fn put_default(control: Control, input: Input) -> Result<Value, EcsError> {
    change(control, input, DEFAULT.to_owned(), show::root_arn()).await
}

async fn change(
    control: Control,
    input: Input,
    of: String,
    shown: String,
) -> Result<Value, EcsError> {
    let (name, _, values) = find(&input)?;
    if values.is_empty() {
        return Err(EcsError::parameter(format!(
            "{name} is managed by AWS, and cannot be changed."
        )));
    }
    let value = input.word("value", values)?.unwrap_or_default().to_owned();
    let document = Map::from_iter([("value".to_owned(), json!(value))]);
    let named = key(&of, name);
    let put = control.change_kept_document::<EcsError>(KIND, &named, |_| Ok(Some(document)));
    put.await.map_err(EcsError::no_room("ClientException"))??;
    Ok(json!({ "setting": setting(name, &value, &shown) }))
}

pub(super) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let principal = principal(&input)?;
    let (name, default, _) = find(&input)?;
    let named = key(&principal, name);
    let gone = control.change_kept_document::<EcsError>(KIND, &named, |_| Ok(None));
    gone.await??;
    let value = own(&control, DEFAULT, name).await?;
    let value = value.unwrap_or_else(|| default.to_owned());
    Ok(json!({ "setting": setting(name, &value, &principal) }))
}

/// What somebody has set.
async fn own(control: &Control, of: &str, name: &str) -> Result<Option<String>, EcsError> {
    let document = control.kept_document(KIND, &key(of, name)).await?;
    let value = document
        .as_ref()
        .and_then(|document| document.get("value")?.as_str());
    Ok(value.map(str::to_owned))
}

/// The `settings` of a cluster that is made without any, if they are other than AWS's own.
pub(super) async fn insights(control: &Control) -> Result<Option<Value>, EcsError> {
    let name = "containerInsights";
    let value = match own(control, &show::root_arn(), name).await? {
        Some(value) => Some(value),
        None => own(control, DEFAULT, name).await?,
    };
    Ok(value.map(|value| json!([{ "name": name, "value": value }])))
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let page = input.page(10)?;
    let names = SETTINGS.map(|(name, ..)| name);
    let wanted = input.word("name", &names)?;
    if input.text("value").is_some() && wanted.is_none() {
        return Err(EcsError::parameter(
            "value can only be there together with name.",
        ));
    }
    let principal = principal(&input)?;
    let effective = input.flag("effectiveSettings").unwrap_or_default();
    let set = control.all_kept_documents(KIND).await?;
    let set = |of: &str, name: &str| {
        let value = set.get(&key(of, name))?.get("value")?.as_str()?;
        Some(value.to_owned())
    };
    let mut all: Vec<(&str, String)> = Vec::new();
    for (name, default, _) in SETTINGS {
        let otherwise = || {
            let value = set(DEFAULT, name).unwrap_or_else(|| default.to_owned());
            effective.then_some(value)
        };
        all.extend(
            set(&principal, name)
                .or_else(otherwise)
                .map(|value| (name, value)),
        );
    }
    all.retain(|(name, value)| {
        wanted.is_none_or(|wanted| wanted == *name)
            && input.text("value").is_none_or(|wanted| wanted == value)
    });
    let page =
        Page::of_all(all, &page, |(name, _)| (*name).to_owned()).map_err(ControlError::from)?;
    let shown = page.items.iter();
    let shown: Vec<Value> = shown
        .map(|(name, value)| setting(name, value, &principal))
        .collect();
    Ok(json!({ "settings": shown, "nextToken": page.next }))
}
