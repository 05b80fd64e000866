//! Stopping a deployment that is on its way: ECS's `StopServiceDeployment`.

use super::{Change, Control, ControlError};
use crate::domain::{
    ClientName, Deployment, DeploymentId, RolloutState, Service, ServiceDeploymentStatus,
    ServiceKey,
};

/// What becomes of a service whose deployment is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopType {
    /// Nothing more: no task of the deployment is started, and those that there are go on.
    Abort,
    /// It goes back to the last revision that was deployed completely.
    #[default]
    Rollback,
}

impl Control {
    /// A deployment of a service, as far back as they are remembered.
    pub async fn service_deployment(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
    ) -> Result<Deployment, ControlError> {
        let found = self.store.service_deployment(key, id).await?;
        found.ok_or_else(|| {
            ControlError::not_found(
                format!("deployment \"{id}\" of service \"{}\"", key.name),
                format!("neargate service history {} lists them", key.name),
            )
        })
    }

    /// Stops a deployment. Only the one that is on its way can be; [`ControlError::Conflict`] otherwise, and when there is
    /// nothing to go back to.
    pub async fn stop_service_deployment(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
        stop_type: StopType,
        client: Option<ClientName>,
    ) -> Result<Service, ControlError> {
        let asked = self.service_deployment(key, id).await?;
        let history = self.history(key).await?;
        self.change(key, |service| {
            let is_on_its_way = service.primary().is_some_and(|primary| {
                primary.id == *id && primary.outcome() == ServiceDeploymentStatus::InProgress
            });
            if !is_on_its_way {
                return Err(over(&asked));
            }
            match stop_type {
                StopType::Rollback => self.go_back(service, &history, client.clone()),
                StopType::Abort => Ok(self.abort(service)),
            }
        })
        .await
    }

    /// Gives the deployment up that is on its way.
    fn abort(&self, service: &mut Service) -> Change {
        let now = self.clock.now();
        service.is_steady = false;
        for deployment in &mut service.deployments {
            deployment.end_rollback(RolloutState::Failed, now);
        }
        let mut said = String::new();
        if let Some(primary) = service.deployments.first_mut() {
            primary.rollout_state = RolloutState::Failed;
            let reason = "Service deployment was stopped by a user.";
            reason.clone_into(&mut primary.rollout_state_reason);
            primary.updated_at = now;
            primary.finished_at = Some(now);
            said = format!("(deployment {}) was stopped by a user.", primary.id);
        }
        Change::of(self.event(service, &said))
    }
}

fn over(deployment: &Deployment) -> ControlError {
    let (id, outcome) = (&deployment.id, deployment.outcome());
    ControlError::conflict(
        format!("deployment \"{id}\" is not the one that is on its way: it was {outcome}"),
        "only the newest deployment of a service can be stopped, and only while it is IN_PROGRESS",
    )
}
