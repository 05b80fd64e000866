//! Use cases of Application Auto Scaling. What they write, the loop acts on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::service::no_such_service;
use super::{Attempts, Control, ControlError, Obstacle};
use crate::domain::{
    MAX_DESIRED_COUNT, PolicyKind, ScalableTarget, ScalingActivity, ScalingPolicy,
    SchedulingStrategy, ServiceKey, ServiceStatus, SuspendedState, TargetTracking,
};
use crate::store::{Page, PageRequest, StoreError};

/// How a service is scaled.
#[derive(Clone, Debug)]
pub struct ScalingView {
    /// Between which bounds.
    pub target: ScalableTarget,
    /// By what, by name.
    pub policies: Vec<ScalingPolicy>,
    /// When it was, newest first; 10 at most.
    pub activities: Vec<ScalingActivity>,
}

/// So many policies may a target have, as with AWS.
const MAX_POLICIES: usize = 50;

/// So many activities are shown with a service.
const SHOWN: u32 = 10;

/// What is to be known of a target. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RegisterTarget {
    /// So many tasks at least.
    pub min_capacity: Option<u32>,
    /// So many tasks at most.
    pub max_capacity: Option<u32>,
    /// Given back.
    pub role_arn: Option<String>,
    /// What is not done for now.
    pub suspended: SuspendedChange,
    /// Keys and values, of a target that is new.
    pub tags: Option<BTreeMap<String, String>>,
}

/// What is not done from now on, or done again. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SuspendedChange {
    /// Scaling in by policies.
    pub dynamic_in: Option<bool>,
    /// Scaling out by policies.
    pub dynamic_out: Option<bool>,
    /// Scheduled actions.
    pub scheduled: Option<bool>,
}

impl Control {
    /// Makes a service one that can be scaled, or changes the bounds.
    pub async fn register_scalable_target(
        &self,
        service: &ServiceKey,
        request: RegisterTarget,
    ) -> Result<ScalableTarget, ControlError> {
        let found = self.service(service).await?.service;
        // One that is deleted is none, as with AWS.
        if found.status != ServiceStatus::Active {
            return Err(no_such_service(service));
        }
        if found.configuration.scheduling_strategy == SchedulingStrategy::Daemon {
            return Err(ControlError::invalid(
                "ResourceId",
                format!(
                    "service \"{}\" has no desired count that could be scaled",
                    service.name
                ),
                "name an ACTIVE service with the scheduling strategy REPLICA",
            ));
        }
        let mut attempts = Attempts::default();
        loop {
            let old = self.store.scalable_target(service).await?;
            let target = self.changed_target(old.as_ref(), &request)?;
            let put = self
                .store
                .put_scalable_target(service, old.as_ref(), &target);
            if attempts.landed(put.await)? {
                return Ok(target);
            }
        }
    }

    /// A target with what is asked for, and what it was where nothing is asked.
    fn changed_target(
        &self,
        old: Option<&ScalableTarget>,
        request: &RegisterTarget,
    ) -> Result<ScalableTarget, ControlError> {
        let least = request.min_capacity.or(old.map(|old| old.min_capacity));
        let most = request.max_capacity.or(old.map(|old| old.max_capacity));
        let (Some(least), Some(most)) = (least, most) else {
            return Err(ControlError::invalid(
                "MinCapacity",
                "and MaxCapacity must both be there for a new target",
                "name both",
            ));
        };
        if least > most || most > MAX_DESIRED_COUNT {
            return Err(ControlError::invalid(
                "MaxCapacity",
                format!("is {most}, and must be from MinCapacity, {least}, to {MAX_DESIRED_COUNT}"),
                "name other bounds",
            ));
        }
        let now = self.clock.now();
        let old = old.cloned().unwrap_or_else(|| ScalableTarget {
            id: self.new_id(),
            min_capacity: least,
            max_capacity: most,
            role_arn: None,
            suspended: SuspendedState::default(),
            tags: request.tags.clone().unwrap_or_default(),
            created_at: now,
            has_new_bounds: true,
            scaled_out_at: None,
            scaled_in_at: None,
        });
        let change = request.suspended;
        Ok(ScalableTarget {
            has_new_bounds: old.has_new_bounds
                || (least, most) != (old.min_capacity, old.max_capacity),
            min_capacity: least,
            max_capacity: most,
            role_arn: request.role_arn.clone().or(old.role_arn),
            suspended: SuspendedState {
                dynamic_in: change.dynamic_in.unwrap_or(old.suspended.dynamic_in),
                dynamic_out: change.dynamic_out.unwrap_or(old.suspended.dynamic_out),
                scheduled: change.scheduled.unwrap_or(old.suspended.scheduled),
            },
            ..old
        })
    }

    /// Makes a service one that is not scaled any more. Its desired count stays.
    pub async fn deregister_scalable_target(
        &self,
        service: &ServiceKey,
    ) -> Result<(), ControlError> {
        Ok(self.store.remove_scalable_target(service).await?)
    }

    /// The bounds of a service, if it can be scaled.
    pub async fn scalable_target(
        &self,
        service: &ServiceKey,
    ) -> Result<Option<ScalableTarget>, ControlError> {
        Ok(self.store.scalable_target(service).await?)
    }

    /// How a service is scaled, if it is.
    pub async fn scaling_of(
        &self,
        service: &ServiceKey,
    ) -> Result<Option<ScalingView>, ControlError> {
        let Some(target) = self.store.scalable_target(service).await? else {
            return Ok(None);
        };
        let policies = self.store.scaling_policies(service).await?;
        let page = PageRequest::first(SHOWN);
        let activities = self.store.scaling_activities(Some(service), &page).await?;
        let activities = activities.items.into_iter();
        Ok(Some(ScalingView {
            target,
            policies,
            activities: activities.map(|(_, activity)| activity).collect(),
        }))
    }

    /// Every service that can be scaled.
    pub async fn scalable_targets(
        &self,
        page: PageRequest,
    ) -> Result<Page<(ServiceKey, ScalableTarget)>, ControlError> {
        Ok(self.store.scalable_targets(&page).await?)
    }

    /// Changes the tags of a target.
    pub async fn tag_scalable_target(
        &self,
        service: &ServiceKey,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), ControlError> {
        let mut attempts = Attempts::default();
        loop {
            let old = self.store.scalable_target(service).await?;
            let mut target = old.clone().ok_or_else(|| StoreError::NotFound {
                what: format!("scalable target `service/{service}`"),
            })?;
            change(&mut target.tags);
            let put = self
                .store
                .put_scalable_target(service, old.as_ref(), &target);
            if attempts.landed(put.await)? {
                return Ok(());
            }
        }
    }

    /// Puts a policy, in place of one of its name; one keeps its ID.
    pub async fn put_scaling_policy(
        &self,
        service: &ServiceKey,
        name: &str,
        kind: PolicyKind,
        configuration: Value,
        tracking: Option<TargetTracking>,
    ) -> Result<ScalingPolicy, ControlError> {
        let all = self.store.scaling_policies(service).await?;
        let count = all.len();
        let old = all.into_iter().find(|old| old.name == name);
        if old.is_none() && count >= MAX_POLICIES {
            return Err(ControlError::blocked(
                Obstacle::Limit,
                format!(
                    "the scalable target has {count} scaling policies, and no more can be made"
                ),
                "delete one first: aws application-autoscaling delete-scaling-policy",
            ));
        }
        let policy = ScalingPolicy {
            id: old
                .as_ref()
                .map_or_else(|| self.new_id(), |old| old.id.clone()),
            name: name.to_owned(),
            kind,
            configuration,
            tracking,
            created_at: old.map_or_else(|| self.clock.now(), |old| old.created_at),
        };
        self.store.put_scaling_policy(service, &policy).await?;
        Ok(policy)
    }

    /// Removes a policy.
    pub async fn remove_scaling_policy(
        &self,
        service: &ServiceKey,
        name: &str,
    ) -> Result<(), ControlError> {
        Ok(self.store.remove_scaling_policy(service, name).await?)
    }

    /// The policies of a service, by name.
    pub async fn scaling_policies(
        &self,
        service: &ServiceKey,
    ) -> Result<Vec<ScalingPolicy>, ControlError> {
        Ok(self.store.scaling_policies(service).await?)
    }

    /// When services were scaled, newest first.
    pub async fn scaling_activities(
        &self,
        service: Option<&ServiceKey>,
        page: PageRequest,
    ) -> Result<Page<(ServiceKey, ScalingActivity)>, ControlError> {
        Ok(self.store.scaling_activities(service, &page).await?)
    }

    fn new_id(&self) -> String {
        format!("{:032x}", self.ids.next_id())
    }
}
