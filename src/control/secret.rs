//! Use cases of secrets. None of them ever gives a value back: only containers get it.

use super::{Control, ControlError};
use crate::domain::{Secret, SecretName, SecretValue};
use crate::store::{Page, PageRequest};

/// How many definitions that use a secret are named.
const USERS_SHOWN: usize = 5;

impl Control {
    /// Puts a secret, in place of its earlier value if it has one. Tasks that run keep the value that they have.
    pub async fn put_secret(
        &self,
        name: &SecretName,
        value: &SecretValue,
    ) -> Result<Secret, ControlError> {
        Ok(self.store.put_secret(name, value, self.clock.now()).await?)
    }

    /// Secrets by name.
    pub async fn secrets(&self, page: PageRequest) -> Result<Page<Secret>, ControlError> {
        Ok(self.store.secrets(&page).await?)
    }

    /// Deletes a secret. One that ACTIVE definitions use only if `force` says so: tasks of them would not start
    /// any more.
    pub async fn delete_secret(&self, name: &SecretName, force: bool) -> Result<(), ControlError> {
        if self.store.secret(name).await?.is_none() {
            return Err(ControlError::not_found(
                format!("secret \"{name}\""),
                "neargate secret list lists those that do",
            ));
        }
        if !force {
            let users = self.store.users_of_secret(name).await?;
            let mut named: Vec<String> = users.iter().map(ToString::to_string).collect();
            let more = named.len().saturating_sub(USERS_SHOWN);
            named.truncate(USERS_SHOWN);
            if more > 0 {
                named.push(format!("{more} more"));
            }
            if !named.is_empty() {
                return Err(ControlError::conflict(
                    format!("secret \"{name}\" is used by {}", named.join(", ")),
                    format!(
                        "deregister them first, or let them fail to start: neargate secret delete {name} --force"
                    ),
                ));
            }
        }
        self.store.delete_secret(name, self.clock.now()).await?;
        Ok(())
    }
}
