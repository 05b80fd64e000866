//! What the API can be asked about schedules.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Answer, Client, ClientError, Syntax};
use crate::shapes::{CreateScheduleRequest, Page, Schedule, ScheduleRun};

const SCHEDULES: [&str; 2] = ["v1", "schedules"];

impl Client {
    /// Makes a schedule.
    pub(in crate::cli) async fn create_schedule(
        &self,
        wanted: &CreateScheduleRequest,
    ) -> Result<Answer<Schedule>, ClientError> {
        let request = self.request(Method::POST, &SCHEDULES, &[])?;
        self.answer(request.json(wanted)).await
    }

    /// Makes a schedule of a document.
    pub(in crate::cli) async fn create_schedule_of(
        &self,
        syntax: Syntax,
        document: Vec<u8>,
    ) -> Result<Answer<Schedule>, ClientError> {
        let request = self.request(Method::POST, &SCHEDULES, &[])?;
        let request = request.header(CONTENT_TYPE, syntax.content_type());
        self.answer(request.body(document)).await
    }

    /// All schedules by name; only those that run their tasks in `cluster`, if one is named.
    pub(in crate::cli) async fn schedules(
        &self,
        cluster: Option<&str>,
    ) -> Result<Answer<Vec<Schedule>>, ClientError> {
        self.list(&SCHEDULES, &[("cluster", cluster)]).await
    }

    /// One schedule.
    pub(in crate::cli) async fn schedule(
        &self,
        name: &str,
    ) -> Result<Answer<Schedule>, ClientError> {
        self.get(&["v1", "schedules", name], &[]).await
    }

    /// Makes a schedule what `wanted` says.
    pub(in crate::cli) async fn update_schedule(
        &self,
        name: &str,
        wanted: &CreateScheduleRequest,
    ) -> Result<Answer<Schedule>, ClientError> {
        let request = self.request(Method::PUT, &["v1", "schedules", name], &[])?;
        self.answer(request.json(wanted)).await
    }

    /// Deletes a schedule.
    pub(in crate::cli) async fn delete_schedule(&self, name: &str) -> Result<Value, ClientError> {
        self.delete(&["v1", "schedules", name]).await
    }

    /// The newest of what became of its occurrences.
    pub(in crate::cli) async fn schedule_runs(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Answer<Page<ScheduleRun>>, ClientError> {
        let limit = limit.to_string();
        let path = ["v1", "schedules", name, "runs"];
        self.get(&path, &[("limit", Some(&limit))]).await
    }

    /// Runs what a schedule runs, now.
    pub(in crate::cli) async fn run_schedule(
        &self,
        name: &str,
    ) -> Result<Answer<ScheduleRun>, ClientError> {
        let request = self.request(Method::POST, &["v1", "schedules", name, "run"], &[])?;
        self.answer(request).await
    }
}
