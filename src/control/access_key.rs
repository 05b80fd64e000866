//! Use cases of access keys. A secret is given back once, to whoever asked for the key.

use super::{Control, ControlError};
use crate::domain::{AccessKey, AccessKeyId, Role, SecretValue, UserName};
use crate::store::{Page, PageRequest, SigningKey, StoreError};

impl Control {
    /// Makes a key for `user`, who may have others. From the first key on, every call of ECS's API must be signed.
    pub async fn create_access_key(
        &self,
        user: UserName,
        role: Role,
    ) -> Result<(AccessKey, SecretValue), ControlError> {
        let key = AccessKey {
            id: AccessKeyId::generate(self.ids.as_ref()),
            user,
            role,
            created_at: self.clock.now(),
            revoked_at: None,
        };
        let secret = self.store.create_access_key(&key).await?;
        Ok((key, secret))
    }

    /// Keys in the order in which they were made, revoked ones among them.
    pub async fn access_keys(&self, page: PageRequest) -> Result<Page<AccessKey>, ControlError> {
        Ok(self.store.access_keys(&page).await?)
    }

    /// Takes a key away. With `forget` also from the list: when no key is left there, nobody needs to sign any more.
    pub async fn revoke_access_key(
        &self,
        id: &AccessKeyId,
        forget: bool,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        let done = if forget {
            self.store.forget_access_key(id, now).await
        } else {
            self.store.revoke_access_key(id, now).await
        };
        done.map_err(|error| match error {
            StoreError::NotFound { .. } => ControlError::not_found(
                format!("access key \"{id}\""),
                "neargate keys list lists those that do",
            ),
            other => other.into(),
        })
    }

    /// What to verify a signature with.
    pub async fn signing_key(&self, id: Option<&AccessKeyId>) -> Result<SigningKey, ControlError> {
        Ok(self.store.signing_key(id).await?)
    }
}
