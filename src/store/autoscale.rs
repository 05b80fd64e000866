//! Application Auto Scaling: targets, their policies, and when they were scaled.
//!
//! That a service is scaled is one record: its new desired count, the activity, the event and what the target remembers
//! of it. It is refused as stale if the service or the target has changed since it was decided.

use sqlx::SqliteConnection;

use super::column::{from_json, to_json};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError, event, service};
use crate::domain::{
    NewEvent, ScalableTarget, ScalingActivity, ScalingPolicy, Service, ServiceKey,
};

/// How many activities are remembered of each target, the newest of them.
pub const ACTIVITIES_KEPT: u32 = 100;

/// That a service is scaled.
#[derive(Clone, Debug)]
pub struct ScalingRecord {
    /// The target as it was read.
    pub old_target: ScalableTarget,
    /// The target as it is then.
    pub target: ScalableTarget,
    /// The service with its new desired count and the version that was read.
    pub service: Service,
    /// What is told of it.
    pub activity: ScalingActivity,
    /// The same among the service's events.
    pub event: NewEvent,
}

impl Store {
    /// Records a target that was `old` when it was read, and `None` when there was none. Fails with [`StoreError::Stale`] if
    /// it is not what it was.
    pub async fn put_scalable_target(
        &self,
        service: &ServiceKey,
        old: Option<&ScalableTarget>,
        target: &ScalableTarget,
    ) -> Result<(), StoreError> {
        let (key, old, text) = (service.clone(), old.cloned(), to_json(target)?);
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    if find_target(&mut *db, &key).await? != old {
                        return Err(StoreError::Stale);
                    }
                    put_target(db, &key, &text).await
                })
            })
            .await
    }

    /// Removes a target, its policies, and what was told of its scaling.
    pub async fn remove_scalable_target(&self, service: &ServiceKey) -> Result<(), StoreError> {
        let key = service.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
                    sqlx::query!(
                        "DELETE FROM scaling_policies WHERE cluster = ?1 AND service = ?2",
                        cluster,
                        name
                    )
                    .execute(&mut *db)
                    .await?;
                    sqlx::query!(
                        "DELETE FROM scaling_activities WHERE cluster = ?1 AND service = ?2",
                        cluster,
                        name
                    )
                    .execute(&mut *db)
                    .await?;
                    let deleted = sqlx::query!(
                        "DELETE FROM scalable_targets WHERE cluster = ?1 AND service = ?2",
                        cluster,
                        name
                    )
                    .execute(db)
                    .await?;
                    if deleted.rows_affected() == 0 {
                        return Err(no_target(&key));
                    }
                    Ok(())
                })
            })
            .await
    }

    /// The target that a service is.
    pub async fn scalable_target(
        &self,
        service: &ServiceKey,
    ) -> Result<Option<ScalableTarget>, StoreError> {
        let found = async { find_target(&mut *self.readers().acquire().await?, service).await };
        self.readers().of(found).await
    }

    /// All targets, by cluster and service.
    pub async fn scalable_targets(
        &self,
        request: &PageRequest,
    ) -> Result<Page<(ServiceKey, ScalableTarget)>, StoreError> {
        let (cluster, service): (String, String) =
            request.after(List::ScalableTargets)?.unwrap_or_default();
        let limit = request.rows();
        let rows = sqlx::query_as!(
            TargetRow,
            "SELECT cluster, service, target FROM scalable_targets
              WHERE (cluster, service) > (?1, ?2) ORDER BY cluster, service LIMIT ?3",
            cluster,
            service,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let key = |row: &TargetRow| (row.cluster.clone(), row.service.clone());
        let Page { items, next } = request.page(List::ScalableTargets, rows, key)?;
        let items = items.into_iter().map(|row| {
            let target = from_json("scalableTarget", &row.target)?;
            Ok::<_, StoreError>((service_key(&row.cluster, &row.service)?, target))
        });
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Records a policy, in place of one of its name. Fails with [`StoreError::NotFound`] if the service is no target.
    pub async fn put_scaling_policy(
        &self,
        service: &ServiceKey,
        policy: &ScalingPolicy,
    ) -> Result<(), StoreError> {
        let (key, name, text) = (service.clone(), policy.name.clone(), to_json(policy)?);
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    if find_target(&mut *db, &key).await?.is_none() {
                        return Err(no_target(&key));
                    }
                    let (cluster, service) = (key.cluster.as_str(), key.name.as_str());
                    sqlx::query!(
                        "INSERT INTO scaling_policies (cluster, service, name, policy) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (cluster, service, name) DO UPDATE SET policy = excluded.policy",
                        cluster,
                        service,
                        name,
                        text
                    )
                    .execute(db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Removes a policy.
    pub async fn remove_scaling_policy(
        &self,
        service: &ServiceKey,
        name: &str,
    ) -> Result<(), StoreError> {
        let (key, name) = (service.clone(), name.to_owned());
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let (cluster, service) = (key.cluster.as_str(), key.name.as_str());
                    let deleted = sqlx::query!(
                        "DELETE FROM scaling_policies WHERE cluster = ?1 AND service = ?2 AND name = ?3",
                        cluster,
                        service,
                        name
                    )
                    .execute(db)
                    .await?;
                    if deleted.rows_affected() == 0 {
                        return Err(StoreError::not_found(format!("scaling policy `{name}`")));
                    }
                    Ok(())
                })
            })
            .await
    }

    /// The policies of a target, by name.
    pub async fn scaling_policies(
        &self,
        service: &ServiceKey,
    ) -> Result<Vec<ScalingPolicy>, StoreError> {
        let (cluster, name) = (service.cluster.as_str(), service.name.as_str());
        let rows = sqlx::query_scalar!(
            "SELECT policy FROM scaling_policies WHERE cluster = ?1 AND service = ?2 ORDER BY name",
            cluster,
            name
        )
        .fetch_all(self.readers())
        .await?;
        let policies = rows.iter().map(|text| from_json("scalingPolicy", text));
        policies.collect()
    }

    /// When targets were scaled, newest first; only one of them, if it is named.
    pub async fn scaling_activities(
        &self,
        service: Option<&ServiceKey>,
        request: &PageRequest,
    ) -> Result<Page<(ServiceKey, ScalingActivity)>, StoreError> {
        let before: i64 = request.after(List::ScalingActivities)?.unwrap_or(i64::MAX);
        let cluster = service.map(|key| key.cluster.as_str());
        let name = service.map(|key| key.name.as_str());
        let limit = request.rows();
        let rows = sqlx::query_as!(
            ActivityRow,
            "SELECT seq, cluster, service, activity FROM scaling_activities
              WHERE (?1 IS NULL OR (cluster = ?1 AND service = ?2)) AND seq < ?3
              ORDER BY seq DESC LIMIT ?4",
            cluster,
            name,
            before,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let Page { items, next } =
            request.page(List::ScalingActivities, rows, |row: &ActivityRow| row.seq)?;
        let items = items.into_iter().map(|row| {
            let activity = from_json("scalingActivity", &row.activity)?;
            Ok::<_, StoreError>((service_key(&row.cluster, &row.service)?, activity))
        });
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The activities of a target that are not over, oldest first.
    pub async fn open_scaling_activities(
        &self,
        service: &ServiceKey,
    ) -> Result<Vec<ScalingActivity>, StoreError> {
        let (cluster, name) = (service.cluster.as_str(), service.name.as_str());
        let rows = sqlx::query_scalar!(
            "SELECT activity FROM scaling_activities
              WHERE cluster = ?1 AND service = ?2 AND is_open = 1 ORDER BY seq",
            cluster,
            name
        )
        .fetch_all(self.readers())
        .await?;
        let all = rows.iter().map(|text| from_json("scalingActivity", text));
        all.collect()
    }

    /// Records that activities are over.
    pub async fn close_scaling_activities(
        &self,
        activities: Vec<ScalingActivity>,
    ) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    for activity in &activities {
                        let text = to_json(activity)?;
                        sqlx::query!(
                            "UPDATE scaling_activities SET activity = ?2, is_open = 0 WHERE id = ?1",
                            activity.id,
                            text
                        )
                        .execute(&mut *db)
                        .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Records that a service is scaled, all of it or nothing. Fails with [`StoreError::Stale`] if the service or the
    /// target is not what it was any more.
    pub async fn record_scaling(&self, record: ScalingRecord) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let key = &record.service.key;
                    if find_target(&mut *db, key).await?.as_ref() != Some(&record.old_target)
                        || !service::update(&mut *db, &record.service).await?
                    {
                        return Err(StoreError::Stale);
                    }
                    put_target(&mut *db, key, &to_json(&record.target)?).await?;
                    insert_activity(&mut *db, key, &record.activity).await?;
                    event::insert(db, &record.event).await
                })
            })
            .await
    }
}

async fn put_target(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    target: &str,
) -> Result<(), StoreError> {
    let (cluster, service) = (key.cluster.as_str(), key.name.as_str());
    sqlx::query!(
        "INSERT INTO scalable_targets (cluster, service, target) VALUES (?1, ?2, ?3)
         ON CONFLICT (cluster, service) DO UPDATE SET target = excluded.target",
        cluster,
        service,
        target
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn find_target(
    db: &mut SqliteConnection,
    key: &ServiceKey,
) -> Result<Option<ScalableTarget>, StoreError> {
    let (cluster, service) = (key.cluster.as_str(), key.name.as_str());
    let row = sqlx::query_scalar!(
        "SELECT target FROM scalable_targets WHERE cluster = ?1 AND service = ?2",
        cluster,
        service
    )
    .fetch_optional(db)
    .await?;
    row.map(|text| from_json("scalableTarget", &text))
        .transpose()
}

async fn insert_activity(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    activity: &ScalingActivity,
) -> Result<(), StoreError> {
    let (cluster, service) = (key.cluster.as_str(), key.name.as_str());
    let text = to_json(activity)?;
    sqlx::query!(
        "INSERT INTO scaling_activities (id, cluster, service, activity, is_open) VALUES (?1, ?2, ?3, ?4, 1)",
        activity.id,
        cluster,
        service,
        text
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "DELETE FROM scaling_activities
          WHERE cluster = ?1 AND service = ?2 AND seq <=
                (SELECT seq FROM scaling_activities WHERE cluster = ?1 AND service = ?2
                  ORDER BY seq DESC LIMIT 1 OFFSET ?3)",
        cluster,
        service,
        ACTIVITIES_KEPT
    )
    .execute(db)
    .await?;
    Ok(())
}

fn service_key(cluster: &str, service: &str) -> Result<ServiceKey, StoreError> {
    Ok(ServiceKey {
        cluster: cluster.parse()?,
        name: service.parse()?,
    })
}

fn no_target(key: &ServiceKey) -> StoreError {
    StoreError::not_found(format!("scalable target `service/{key}`"))
}

struct TargetRow {
    cluster: String,
    service: String,
    target: String,
}

struct ActivityRow {
    seq: i64,
    cluster: String,
    service: String,
    activity: String,
}

#[cfg(test)]
mod tests;
