//! What the API can be asked about services.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Answer, Client, ClientError, Syntax};
use crate::clock::RandomIds;
use crate::domain::IdSource as _;
use crate::shapes::{Page, Service, ServiceDeployment, UpdateServiceRequest};

const SERVICES: [&str; 2] = ["v1", "services"];
/// How often a call is made of which nobody knows what has become.
const ATTEMPTS: u32 = 3;
/// Before the second time; twice as long before each one after that.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

impl Client {
    /// Makes a service of a document; in `cluster`, where the document names none. Where nobody knows what has become of the
    /// call, it is made again: a token says that it is the same.
    pub(in crate::cli) async fn create_service(
        &self,
        cluster: Option<&str>,
        syntax: Syntax,
        document: Vec<u8>,
    ) -> Result<Answer<Service>, ClientError> {
        let token = format!("{:032x}", RandomIds.next_id());
        let query = [("cluster", cluster), ("clientToken", Some(token.as_str()))];
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            let request = self.request(Method::POST, &SERVICES, &query)?;
            let request = request.header(CONTENT_TYPE, syntax.content_type());
            match self.answer(request.body(document.clone())).await {
                Err(error) if error.is_unknown() => {
                    tracing::debug!(%error, "the call is made again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answered => return answered,
            }
        }
        let request = self.request(Method::POST, &SERVICES, &query)?;
        let request = request.header(CONTENT_TYPE, syntax.content_type());
        self.answer(request.body(document)).await
    }

    /// All services that are not INACTIVE, of a cluster or of all, newest first.
    pub(in crate::cli) async fn services(
        &self,
        cluster: Option<&str>,
    ) -> Result<Answer<Vec<Service>>, ClientError> {
        self.list(&SERVICES, &[("cluster", cluster)]).await
    }

    /// One service.
    pub(in crate::cli) async fn service(
        &self,
        cluster: &str,
        name: &str,
    ) -> Result<Answer<Service>, ClientError> {
        self.get(&["v1", "services", name], &[("cluster", Some(cluster))])
            .await
    }

    /// Changes a service. What is `None` stays.
    pub(in crate::cli) async fn update_service(
        &self,
        cluster: &str,
        name: &str,
        change: &UpdateServiceRequest,
    ) -> Result<Answer<Service>, ClientError> {
        let path = ["v1", "services", name];
        let request = self.request(Method::PATCH, &path, &[("cluster", Some(cluster))])?;
        self.answer(request.json(change)).await
    }

    /// Goes back to the last revision that was deployed completely.
    pub(in crate::cli) async fn roll_back_service(
        &self,
        cluster: &str,
        name: &str,
    ) -> Result<Answer<Service>, ClientError> {
        let path = ["v1", "services", name, "rollback"];
        let request = self.request(Method::POST, &path, &[("cluster", Some(cluster))])?;
        self.answer(request).await
    }

    /// Deletes a service.
    pub(in crate::cli) async fn delete_service(
        &self,
        cluster: &str,
        name: &str,
        force: bool,
    ) -> Result<Answer<Value>, ClientError> {
        let query = [
            ("cluster", Some(cluster)),
            ("force", force.then_some("true")),
        ];
        let request = self.request(Method::DELETE, &["v1", "services", name], &query)?;
        self.answer(request).await
    }

    /// The newest deployments of a service, newest first.
    pub(in crate::cli) async fn deployments(
        &self,
        cluster: &str,
        name: &str,
        limit: u32,
    ) -> Result<Answer<Page<ServiceDeployment>>, ClientError> {
        let path = ["v1", "services", name, "deployments"];
        let limit = limit.to_string();
        let query = [("cluster", Some(cluster)), ("limit", Some(limit.as_str()))];
        self.get(&path, &query).await
    }
}
