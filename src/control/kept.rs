//! Use cases of what the clients of ECS give and get back: capacity providers, account settings, tags, and the host as the
//! container instance of each cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Control, ControlError};
use crate::domain::{Capacity, Cluster, ClusterName, TagChange, Tags, Task, tags_of_document};
use crate::store::{KeptDocument, KeptKind, OpenUse};

/// Where a document has its tags.
const TAGS: &str = "tags";
/// Where what is kept of a cluster has what is known of its container instance.
pub const CONTAINER_INSTANCE: &str = "containerInstance";

/// `tags` as documents have them: a list of keys and values.
fn listed(tags: &Tags) -> Value {
    let tag = |(key, value): (&String, &String)| json!({ "key": key, "value": value });
    tags.iter().map(tag).collect()
}

fn too_many(why: String) -> ControlError {
    ControlError::invalid(TAGS, why, "take some of the others away first")
}

impl Control {
    /// All documents of a kind that is bounded, by name.
    pub async fn all_kept_documents(
        &self,
        kind: KeptKind,
    ) -> Result<BTreeMap<String, KeptDocument>, ControlError> {
        Ok(self.store.all_kept_documents(kind).await?)
    }

    /// The document of that name, if there is one.
    pub async fn kept_document(
        &self,
        kind: KeptKind,
        name: &str,
    ) -> Result<Option<KeptDocument>, ControlError> {
        let mut found = self.store.kept_documents(kind, &[name.to_owned()]).await?;
        Ok(found.remove(name))
    }

    /// Has `change` make a document of the one that there is; what it refuses with is the inner error.
    pub async fn change_kept_document<E: Send + 'static>(
        &self,
        kind: KeptKind,
        name: &str,
        change: impl FnOnce(Option<KeptDocument>) -> Result<Option<KeptDocument>, E> + Send + 'static,
    ) -> Result<Result<Option<KeptDocument>, E>, ControlError> {
        Ok(self.store.change_kept_document(kind, name, change).await?)
    }

    /// Has `change` change what is kept of a cluster; what it refuses with is the inner error.
    pub async fn change_cluster<E: Send + 'static>(
        &self,
        name: &ClusterName,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<Cluster, E>, ControlError> {
        Ok(self.store.change_cluster(name, change).await?)
    }

    /// The tags of tasks, or of revisions of task definitions, that were changed, by name.
    pub async fn changed_tags(
        &self,
        kind: KeptKind,
        names: &[String],
    ) -> Result<BTreeMap<String, Tags>, ControlError> {
        let found = self.store.kept_documents(kind, names).await?;
        let tags = found.into_iter();
        Ok(tags
            .map(|(name, document)| (name, tags_of_document(document.get(TAGS))))
            .collect())
    }

    /// Gives tasks the tags that they have now, in place of those that they were run with, by which bills go.
    pub async fn renew_tags(&self, tasks: &mut [Task]) -> Result<(), ControlError> {
        let names: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
        let mut changed = self.changed_tags(KeptKind::TaskTags, &names).await?;
        for task in tasks {
            if let Some(tags) = changed.remove(task.id.as_str()) {
                task.tags = tags;
            }
        }
        Ok(())
    }

    /// Changes the tags of a task or of a revision of a task definition, which has these if they were never changed. Bills
    /// go by what a task was run with.
    pub async fn change_tags(
        &self,
        kind: KeptKind,
        name: &str,
        first: Tags,
        change: &TagChange,
    ) -> Result<(), ControlError> {
        let change = change.clone();
        let changed = self.store.change_kept_document(kind, name, move |before| {
            let tags = before.map_or(first, |before| tags_of_document(before.get(TAGS)));
            let tags = listed(&change.apply(tags)?);
            Ok(Some(Map::from_iter([(TAGS.to_owned(), tags)])))
        });
        changed.await?.map(|_| ()).map_err(too_many)
    }

    /// Changes the tags of a capacity provider. [`ControlError::NotFound`] if there is none of that name.
    pub async fn tag_capacity_provider(
        &self,
        name: &str,
        change: &TagChange,
    ) -> Result<(), ControlError> {
        let change = change.clone();
        let kind = KeptKind::CapacityProvider;
        let changed = self.store.change_kept_document(kind, name, move |before| {
            let Some(mut document) = before else {
                return Err(None);
            };
            let tags = change.apply(tags_of_document(document.get(TAGS)));
            document.insert(TAGS.to_owned(), listed(&tags.map_err(Some)?));
            Ok(Some(document))
        });
        changed.await?.map(|_| ()).map_err(|refused| match refused {
            Some(why) => too_many(why),
            None => ControlError::not_found(
                format!("capacity provider \"{name}\""),
                "aws ecs describe-capacity-providers lists them",
            ),
        })
    }

    /// Changes the tags of a cluster, or of its container instance.
    pub async fn tag_cluster(
        &self,
        name: &ClusterName,
        of_instance: bool,
        change: &TagChange,
    ) -> Result<(), ControlError> {
        let change = change.clone();
        let changed = self.store.change_cluster(name, move |kept| {
            let retag = |kept: &mut Map<String, Value>| {
                let tags = change.apply(tags_of_document(kept.get(TAGS)))?;
                kept.insert(TAGS.to_owned(), listed(&tags));
                Ok(())
            };
            if of_instance {
                change_instance(kept, retag)
            } else {
                retag(kept)
            }
        });
        changed.await?.map(|_| ()).map_err(too_many)
    }

    /// Says whether tasks may be started on the container instance of a cluster. Its services look anew.
    pub async fn drain_container_instance(
        &self,
        name: &ClusterName,
        is_draining: bool,
    ) -> Result<Cluster, ControlError> {
        let status = if is_draining { "DRAINING" } else { "ACTIVE" };
        let changed = self.store.change_cluster::<()>(name, move |kept| {
            change_instance(kept, |instance| {
                instance.insert("status".to_owned(), json!(status));
            });
            Ok(())
        });
        let cluster = changed.await?;
        for key in self.store.unfinished_services().await? {
            if key.cluster == *name {
                self.bell.ring(&key);
            }
        }
        match cluster {
            Ok(cluster) => Ok(cluster),
            // It refuses nothing.
            Err(()) => self.cluster(name).await,
        }
    }

    /// What the tasks that go on hold of the host, by cluster; clusters without any are not in it.
    pub async fn open_use(&self) -> Result<BTreeMap<ClusterName, OpenUse>, ControlError> {
        Ok(self.store.open_use().await?)
    }

    /// What the host has, if that is known, and what is reserved of it.
    pub async fn host(&self) -> Result<(Option<Capacity>, Capacity), ControlError> {
        Ok((
            self.engine_status.capacity().ok(),
            self.store.reserved().await?,
        ))
    }
}

/// Has `change` change what is kept of a cluster's container instance, in what is kept of the cluster.
pub fn change_instance<T>(
    kept: &mut Map<String, Value>,
    change: impl FnOnce(&mut Map<String, Value>) -> T,
) -> T {
    let mut instance = match kept.remove(CONTAINER_INSTANCE) {
        Some(Value::Object(instance)) => instance,
        _ => Map::new(),
    };
    let done = change(&mut instance);
    kept.insert(CONTAINER_INSTANCE.to_owned(), Value::Object(instance));
    done
}
