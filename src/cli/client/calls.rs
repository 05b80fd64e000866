//! What the API can be asked: one function for each route that the command line uses.

use bytes::Bytes;
use futures_util::Stream;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Answer, ByteStream, Client, ClientError, EventStream, LogStream};
use crate::shapes::{
    AccessKey, Bill, Cluster, CreateAccessKeyRequest, CreateClusterRequest, Event, IssuedBill,
    NewAccessKey, Page, Readiness, Rightsizing, RunTaskRequest, RunTaskResponse, StopTaskRequest,
    StoredSecret, Task, TaskDefinition, TaskStats, TaskUsage, UpdateTaskProtectionRequest,
    UsageReport, UsageVerification,
};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Syntax {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl Syntax {
    /// How HTTP calls it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Yaml => "application/yaml",
            Self::Json => "application/json",
        }
    }
}

/// Which tasks are wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct TaskQuery {
    /// Where they run.
    pub(in crate::cli) cluster: Option<String>,
    /// What they were run from.
    pub(in crate::cli) family: Option<String>,
    /// The service that they belong to.
    pub(in crate::cli) service: Option<String>,
    /// What is.
    pub(in crate::cli) last_status: Option<String>,
}

/// Which lines of a log are wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct LogQuery {
    /// Of one container.
    pub(in crate::cli) container: Option<String>,
    /// Go on as new lines come.
    pub(in crate::cli) follow: bool,
    /// Only lines from this time on.
    pub(in crate::cli) since: Option<String>,
    /// Only so many from the end.
    pub(in crate::cli) tail: Option<u64>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct EventQuery {
    /// Only those with a larger number.
    pub(in crate::cli) after: Option<u64>,
    /// What kind of thing happened.
    pub(in crate::cli) kind: Option<String>,
    /// What it happened to.
    pub(in crate::cli) subject: Option<String>,
    /// Where it happened.
    pub(in crate::cli) cluster: Option<String>,
}

/// Whose usage is wanted, and of when.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct UsageQuery {
    /// Where the tasks ran.
    pub(in crate::cli) cluster: Option<String>,
    /// What they were run from.
    pub(in crate::cli) family: Option<String>,
    /// From when on.
    pub(in crate::cli) from: Option<String>,
    /// Until when.
    pub(in crate::cli) to: Option<String>,
}

/// Which bill is wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct BillQuery {
    /// Whose, and of when.
    pub(in crate::cli) usage: UsageQuery,
    /// What its lines stand for.
    pub(in crate::cli) group_by: Option<String>,
    /// What it is priced with.
    pub(in crate::cli) price_sheet: Option<String>,
    /// What it is compared with.
    pub(in crate::cli) compare: Option<String>,
}

impl BillQuery {
    fn parameters(&self) -> [(&'static str, Option<&str>); 7] {
        [
            ("cluster", self.usage.cluster.as_deref()),
            ("family", self.usage.family.as_deref()),
            ("from", self.usage.from.as_deref()),
            ("to", self.usage.to.as_deref()),
            ("groupBy", self.group_by.as_deref()),
            ("priceSheet", self.price_sheet.as_deref()),
            ("compare", self.compare.as_deref()),
        ]
    }
}

impl Client {
    /// How the server is. Also a server that is not ready gives this answer.
    pub(in crate::cli) async fn readiness(&self) -> Result<Answer<Readiness>, ClientError> {
        let response = self
            .send(self.request(Method::GET, &["readyz"], &[])?)
            .await?;
        let response = if response.status().as_u16() == 503 {
            response
        } else {
            self.check(response).await?
        };
        let body = self.body(response).await?;
        Ok(Answer {
            value: self.decode(&body)?,
            document: self.decode(&body)?,
        })
    }

    /// All clusters.
    pub(in crate::cli) async fn clusters(&self) -> Result<Answer<Vec<Cluster>>, ClientError> {
        self.list(&["v1", "clusters"], &[]).await
    }

    /// A cluster.
    pub(in crate::cli) async fn cluster(&self, name: &str) -> Result<Answer<Cluster>, ClientError> {
        self.get(&["v1", "clusters", name], &[]).await
    }

    /// Makes a cluster.
    pub(in crate::cli) async fn create_cluster(
        &self,
        name: &str,
    ) -> Result<Answer<Cluster>, ClientError> {
        let request = CreateClusterRequest {
            cluster_name: name.to_owned(),
        };
        self.post(&["v1", "clusters"], &request).await
    }

    /// Removes a cluster.
    pub(in crate::cli) async fn delete_cluster(&self, name: &str) -> Result<Value, ClientError> {
        self.delete(&["v1", "clusters", name]).await
    }

    /// All secrets, without their values.
    pub(in crate::cli) async fn secrets(&self) -> Result<Answer<Vec<StoredSecret>>, ClientError> {
        self.list(&["v1", "secrets"], &[]).await
    }

    /// Puts a secret.
    pub(in crate::cli) async fn put_secret(
        &self,
        name: &str,
        value: Vec<u8>,
    ) -> Result<Answer<StoredSecret>, ClientError> {
        let request = self.request(Method::PUT, &["v1", "secrets", name], &[])?;
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        self.answer(request.body(value)).await
    }

    /// Removes a secret.
    pub(in crate::cli) async fn delete_secret(
        &self,
        name: &str,
        force: bool,
    ) -> Result<Value, ClientError> {
        let query = [("force", force.then_some("true"))];
        self.delete_with(&["v1", "secrets", name], &query).await
    }

    /// All access keys, without their secrets.
    pub(in crate::cli) async fn access_keys(&self) -> Result<Answer<Vec<AccessKey>>, ClientError> {
        self.list(&["v1", "keys"], &[]).await
    }

    /// Makes an access key; the answer has its secret.
    pub(in crate::cli) async fn create_access_key(
        &self,
        request: &CreateAccessKeyRequest,
    ) -> Result<Answer<NewAccessKey>, ClientError> {
        self.post(&["v1", "keys"], request).await
    }

    /// Revokes an access key.
    pub(in crate::cli) async fn revoke_access_key(
        &self,
        id: &str,
        forget: bool,
    ) -> Result<Value, ClientError> {
        let query = [("forget", forget.then_some("true"))];
        self.delete_with(&["v1", "keys", id], &query).await
    }

    /// Registers a document as the next revision of its family.
    pub(in crate::cli) async fn register(
        &self,
        syntax: Syntax,
        document: Vec<u8>,
    ) -> Result<Answer<TaskDefinition>, ClientError> {
        self.post_document(&["v1", "task-definitions"], syntax.content_type(), document)
            .await
    }

    /// One revision: the newest active one of a family, or `family:revision`.
    pub(in crate::cli) async fn definition(
        &self,
        name: &str,
    ) -> Result<Answer<TaskDefinition>, ClientError> {
        self.get(&["v1", "task-definitions", name], &[]).await
    }

    /// The revisions of one family, or of all.
    pub(in crate::cli) async fn definitions(
        &self,
        family: Option<&str>,
        status: Option<&str>,
    ) -> Result<Answer<Vec<TaskDefinition>>, ClientError> {
        self.list(
            &["v1", "task-definitions"],
            &[("family", family), ("status", status)],
        )
        .await
    }

    /// Takes a revision out of use.
    pub(in crate::cli) async fn deregister(
        &self,
        revision: &str,
    ) -> Result<Answer<TaskDefinition>, ClientError> {
        self.post(
            &["v1", "task-definitions", revision, "deregister"],
            &serde_json::json!({}),
        )
        .await
    }

    /// Removes a revision.
    pub(in crate::cli) async fn delete_definition(
        &self,
        revision: &str,
    ) -> Result<Value, ClientError> {
        self.delete(&["v1", "task-definitions", revision]).await
    }

    /// Runs tasks: they are recorded when this returns, and run when they do.
    pub(in crate::cli) async fn run_task(
        &self,
        request: &RunTaskRequest,
    ) -> Result<Answer<RunTaskResponse>, ClientError> {
        self.post(&["v1", "tasks"], request).await
    }

    /// Tasks, newest first.
    pub(in crate::cli) async fn tasks(
        &self,
        query: &TaskQuery,
    ) -> Result<Answer<Vec<Task>>, ClientError> {
        let query = [
            ("cluster", query.cluster.as_deref()),
            ("family", query.family.as_deref()),
            ("serviceName", query.service.as_deref()),
            ("lastStatus", query.last_status.as_deref()),
        ];
        self.list(&["v1", "tasks"], &query).await
    }

    /// The task whose ID is, or begins with, `id`.
    pub(in crate::cli) async fn task(&self, id: &str) -> Result<Answer<Task>, ClientError> {
        self.get(&["v1", "tasks", id], &[]).await
    }

    /// Asks a task to stop.
    pub(in crate::cli) async fn stop_task(
        &self,
        id: &str,
        reason: Option<String>,
    ) -> Result<Answer<Task>, ClientError> {
        self.post(&["v1", "tasks", id, "stop"], &StopTaskRequest { reason })
            .await
    }

    /// Protects a task of a service, or takes the protection back.
    pub(in crate::cli) async fn protect_task(
        &self,
        id: &str,
        protection_enabled: bool,
        expires_in_minutes: Option<u32>,
    ) -> Result<Answer<Task>, ClientError> {
        let request = UpdateTaskProtectionRequest {
            protection_enabled,
            expires_in_minutes,
        };
        self.put(&["v1", "tasks", id, "protection"], &request).await
    }

    /// What a task's containers wrote.
    pub(in crate::cli) async fn logs(
        &self,
        id: &str,
        query: &LogQuery,
    ) -> Result<LogStream, ClientError> {
        let tail = query.tail.map(|tail| tail.to_string());
        let query = [
            ("container", query.container.as_deref()),
            ("follow", query.follow.then_some("true")),
            ("since", query.since.as_deref()),
            ("tail", tail.as_deref()),
        ];
        let request = self.request(Method::GET, &["v1", "tasks", id, "logs"], &query)?;
        let response = self.open_head(request, "application/x-ndjson").await?;
        let note = response.headers().get("neargate-note");
        let note = note.and_then(|note| note.to_str().ok()).map(str::to_owned);
        let bytes = self.stream_of(response);
        Ok(LogStream::new(self.clone(), bytes, note))
    }

    /// A tar of what is at a path of a container.
    pub(in crate::cli) async fn files(
        &self,
        id: &str,
        container: Option<&str>,
        path: &str,
    ) -> Result<ByteStream, ClientError> {
        let query = [("container", container), ("path", Some(path))];
        let request = self.request(Method::GET, &["v1", "tasks", id, "files"], &query)?;
        self.open(request, "application/x-tar").await
    }

    /// Unpacks a tar in a folder of a container. It may take as long as it takes.
    pub(in crate::cli) async fn put_files(
        &self,
        id: &str,
        container: Option<&str>,
        folder: &str,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), ClientError> {
        let query = [("container", container), ("path", Some(folder))];
        let request = self
            .request(Method::PUT, &["v1", "tasks", id, "files"], &query)?
            .header(CONTENT_TYPE, "application/x-tar")
            .body(reqwest::Body::wrap_stream(tar));
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        self.check(response).await.map(drop)
    }

    /// A copy of the server's database. It takes as long as it takes to make one.
    pub(in crate::cli) async fn backup(&self) -> Result<ByteStream, ClientError> {
        let request = self.request(Method::POST, &["v1", "backup"], &[])?;
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        Ok(self.stream_of(self.check(response).await?))
    }

    /// What a task uses now.
    pub(in crate::cli) async fn task_stats(
        &self,
        id: &str,
    ) -> Result<Answer<TaskStats>, ClientError> {
        self.get(&["v1", "tasks", id, "stats"], &[]).await
    }

    /// What one task has used.
    pub(in crate::cli) async fn task_usage(
        &self,
        id: &str,
    ) -> Result<Answer<TaskUsage>, ClientError> {
        self.get(&["v1", "tasks", id, "usage"], &[]).await
    }

    /// Whether the books of the meter are right.
    pub(in crate::cli) async fn verify_usage(
        &self,
    ) -> Result<Answer<UsageVerification>, ClientError> {
        self.get(&["v1", "usage", "verification"], &[]).await
    }

    /// One page of what tasks have used.
    pub(in crate::cli) async fn usage(
        &self,
        query: &UsageQuery,
        token: Option<&str>,
    ) -> Result<Answer<UsageReport>, ClientError> {
        let query = [
            ("cluster", query.cluster.as_deref()),
            ("family", query.family.as_deref()),
            ("from", query.from.as_deref()),
            ("to", query.to.as_deref()),
        ];
        self.page(&["v1", "usage"], &query, token).await
    }

    /// What tasks reserved, used and cost.
    pub(in crate::cli) async fn bill(
        &self,
        query: &BillQuery,
    ) -> Result<Answer<Bill>, ClientError> {
        self.get(&["v1", "bill"], &query.parameters()).await
    }

    /// Issues a bill.
    pub(in crate::cli) async fn issue_bill(
        &self,
        query: &BillQuery,
    ) -> Result<Answer<IssuedBill>, ClientError> {
        let request = self.request(Method::POST, &["v1", "bills"], &query.parameters())?;
        self.answer(request).await
    }

    /// A bill that was issued.
    pub(in crate::cli) async fn issued_bill(
        &self,
        number: u64,
    ) -> Result<Answer<IssuedBill>, ClientError> {
        self.get(&["v1", "bills", &number.to_string()], &[]).await
    }

    /// The smallest sizes that would have done; what the bill would be grouped by does not matter.
    pub(in crate::cli) async fn rightsize(
        &self,
        query: &BillQuery,
        margin_percent: u32,
    ) -> Result<Answer<Rightsizing>, ClientError> {
        let margin_percent = margin_percent.to_string();
        let query = [
            ("cluster", query.usage.cluster.as_deref()),
            ("family", query.usage.family.as_deref()),
            ("from", query.usage.from.as_deref()),
            ("to", query.usage.to.as_deref()),
            ("priceSheet", query.price_sheet.as_deref()),
            ("marginPercent", Some(margin_percent.as_str())),
        ];
        self.get(&["v1", "rightsize"], &query).await
    }

    /// One page of events, oldest first. A `token` says by itself where to go on.
    pub(in crate::cli) async fn events(
        &self,
        query: &EventQuery,
        token: Option<&str>,
    ) -> Result<Answer<Page<Event>>, ClientError> {
        let after = query
            .after
            .filter(|_| token.is_none())
            .map(|after| after.to_string());
        let query = [
            ("after", after.as_deref()),
            ("kind", query.kind.as_deref()),
            ("subject", query.subject.as_deref()),
            ("cluster", query.cluster.as_deref()),
        ];
        self.page(&["v1", "events"], &query, token).await
    }

    /// Events as they happen; those after the one numbered `query.after` first, if that is given.
    pub(in crate::cli) async fn event_stream(
        &self,
        query: &EventQuery,
    ) -> Result<EventStream, ClientError> {
        let filter = [
            ("kind", query.kind.as_deref()),
            ("subject", query.subject.as_deref()),
            ("cluster", query.cluster.as_deref()),
        ];
        let mut request = self.request(Method::GET, &["v1", "events", "stream"], &filter)?;
        if let Some(after) = query.after {
            request = request.header("Last-Event-ID", after);
        }
        let bytes = self.open(request, "text/event-stream").await?;
        Ok(EventStream::new(self.clone(), bytes))
    }
}
