//! Clusters.
//!
//! Tags, settings, capacity providers and the like are kept and given back; there is one host, and nothing that they
//! would change.

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{account, capacity_providers, names, show};
use crate::control::{Control, ControlError};
use crate::domain::{ClusterName, DEFAULT_CLUSTER};

/// Clusters that one call can ask for, as in ECS.
const MOST: usize = 100;
const INCLUDES: [&str; 5] = [
    "ATTACHMENTS",
    "CONFIGURATIONS",
    "SETTINGS",
    "STATISTICS",
    "TAGS",
];

pub(super) async fn create(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = input.text("clusterName").unwrap_or(DEFAULT_CLUSTER);
    let name: ClusterName = name.parse()?;
    capacity_providers::check_of_cluster(&control, &input).await?;
    let mut kept = kept(&input)?;
    if !kept.contains_key("settings")
        && let Some(insights) = account::insights(&control).await?
    {
        kept.insert("settings".to_owned(), insights);
    }
    let tags = input.tags()?;
    if !tags.is_empty() {
        kept.insert("tags".to_owned(), show::tags(&tags));
    }
    let cluster = control.create_cluster_with(&name, &kept).await?;
    Ok(json!({ "cluster": show::cluster(&cluster, show::ClusterParts::ALL) }))
}

/// What is to be given back, if it has the right form: others would have to read it.
fn kept(input: &Input) -> Result<Map<String, Value>, EcsError> {
    let mut kept = Map::new();
    if let Some(settings) = input.value("settings") {
        kept.insert(
            "settings".to_owned(),
            parts(settings, "settings", &["name", "value"], &[])?,
        );
    }
    if input.value("capacityProviders").is_some() {
        let providers = input.texts("capacityProviders");
        kept.insert("capacityProviders".to_owned(), json!(providers));
    }
    let strategy = "defaultCapacityProviderStrategy";
    if let Some(sent) = input.value(strategy) {
        let sent = parts(sent, strategy, &["capacityProvider"], &["weight", "base"])?;
        kept.insert(strategy.to_owned(), sent);
    }
    for (name, inner) in [
        (
            "configuration",
            &["executeCommandConfiguration", "managedStorageConfiguration"][..],
        ),
        ("serviceConnectDefaults", &[][..]),
    ] {
        let Some(Value::Object(sent)) = input.value(name) else {
            continue;
        };
        let is_fine = |(key, value): (&String, &Value)| match value {
            Value::Object(_) => inner.contains(&key.as_str()),
            Value::String(_) => inner.is_empty() && key == "namespace",
            other => other.is_null(),
        };
        if !sent.iter().all(is_fine) {
            return Err(EcsError::parameter(format!(
                "{name} does not have the form that it must have."
            )));
        }
        kept.insert(name.to_owned(), Value::Object(sent.clone()));
    }
    Ok(kept)
}

/// `list`, if all its items are maps of these texts and numbers alone.
fn parts(list: &Value, name: &str, texts: &[&str], numbers: &[&str]) -> Result<Value, EcsError> {
    let is_fine = |item: &Value| {
        let fields = item.as_object();
        fields.is_some_and(|fields| {
            fields.iter().all(|(key, value)| {
                let key = key.as_str();
                value.is_null()
                    || (texts.contains(&key) && value.is_string())
                    || (numbers.contains(&key) && value.as_u64().is_some_and(|n| n <= 100_000))
            })
        })
    };
    if list
        .as_array()
        .is_some_and(|items| items.iter().all(is_fine))
    {
        Ok(list.clone())
    } else {
        Err(EcsError::parameter(format!(
            "{name} does not have the form that it must have."
        )))
    }
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let parts = show::ClusterParts {
        attachments: input.includes("ATTACHMENTS", &INCLUDES)?,
        configurations: input.includes("CONFIGURATIONS", &INCLUDES)?,
        settings: input.includes("SETTINGS", &INCLUDES)?,
        tags: input.includes("TAGS", &INCLUDES)?,
    };
    let wanted = if input.texts("clusters").is_empty() {
        vec![DEFAULT_CLUSTER]
    } else {
        input.some_texts("clusters", MOST)?
    };
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for text in wanted {
        let name = names::cluster(text)?;
        match control.cluster(&name).await {
            Ok(cluster) => clusters.push(show::cluster(&cluster, parts)),
            Err(ControlError::NotFound { .. }) => {
                failures.push(show::missing(&crate::domain::cluster_arn(&name)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(show::found("clusters", clusters, failures))
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let page = control.clusters(input.page(100)?).await?;
    let arns: Vec<String> = page
        .items
        .iter()
        .map(|cluster| crate::domain::cluster_arn(&cluster.name))
        .collect();
    Ok(json!({ "clusterArns": arns, "nextToken": page.next }))
}

/// Has the capacity providers of a cluster replaced.
pub(super) async fn put_capacity_providers(
    control: Control,
    input: Input,
) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?;
    capacity_providers::check_of_cluster(&control, &input).await?;
    capacity_providers::check_unused(&control, &cluster, &input).await?;
    let cluster = control
        .keep_of_cluster(&cluster.name, &kept(&input)?)
        .await?;
    Ok(json!({ "cluster": show::cluster(&cluster, show::ClusterParts::ALL) }))
}

/// The two operations that change what is given back.
pub(super) async fn change(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = input.cluster(&control).await?.name;
    let cluster = control.keep_of_cluster(&name, &kept(&input)?).await?;
    Ok(json!({ "cluster": show::cluster(&cluster, show::ClusterParts::ALL) }))
}

pub(super) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let mut cluster = input.cluster(&control).await?;
    if cluster.active_services > 0 {
        return Err(EcsError::new(
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active.",
        ));
    }
    match control.delete_cluster(&cluster.name).await {
        Err(ControlError::Store(crate::store::StoreError::ClusterInUse { .. })) => {
            return Err(EcsError::new(
                "ClusterContainsTasksException",
                "The Cluster cannot be deleted while Tasks are active.",
            ));
        }
        done => done?,
    }
    cluster.pending_tasks = 0;
    cluster.running_tasks = 0;
    let mut shown = show::cluster(&cluster, show::ClusterParts::default());
    shown["status"] = json!("INACTIVE");
    Ok(json!({ "cluster": shown }))
}
