//! What the API can be asked about budgets.

use serde_json::Value;

use super::{Answer, Client, ClientError};
use crate::shapes::{Budget, PutBudgetRequest};

impl Client {
    /// All budgets by name.
    pub(in crate::cli) async fn budgets(&self) -> Result<Answer<Vec<Budget>>, ClientError> {
        self.list(&["v1", "budgets"], &[]).await
    }

    /// One budget.
    pub(in crate::cli) async fn budget(&self, name: &str) -> Result<Answer<Budget>, ClientError> {
        self.get(&["v1", "budgets", name], &[]).await
    }

    /// Makes a budget what `wanted` says.
    pub(in crate::cli) async fn put_budget(
        &self,
        name: &str,
        wanted: &PutBudgetRequest,
    ) -> Result<Answer<Budget>, ClientError> {
        self.put(&["v1", "budgets", name], wanted).await
    }

    /// Deletes a budget.
    pub(in crate::cli) async fn delete_budget(&self, name: &str) -> Result<Value, ClientError> {
        self.delete(&["v1", "budgets", name]).await
    }
}
