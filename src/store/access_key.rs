//! Access keys: their public halves in the clear, their secrets sealed (see `seal`), because a signature can only be
//! verified by who has the secret itself.
//!
//! A key that is revoked loses its secret and keeps its row, so that people can see that there was one, and so that
//! signatures go on being asked for: a server whose last key was taken away must not take anybody's.

use super::column::{from_word, to_time};
use super::page::List;
use super::seal::{Binding, Sealable, Sealed, access_key_secret};
use super::secret::{key_to_seal_with, other_key};
use super::{Page, PageRequest, Store, StoreError, event};
use crate::domain::{AccessKey, AccessKeyId, EventKind, NewEvent, Role, SecretValue, TimestampMs};

/// What there is to verify a signature with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// No key was ever made, or all were forgotten: nobody needs to sign.
    NoKeys,
    /// There are keys, and this is none of them, or one that is revoked.
    Unknown,
    /// The key and its secret.
    Known(AccessKey, SecretValue),
}

impl Store {
    /// Keeps a key, with a secret that is made here. It is given back this once.
    pub async fn create_access_key(&self, key: &AccessKey) -> Result<SecretValue, StoreError> {
        let key = key.clone();
        let (instance, key_file) = (self.instance_id().clone(), self.key_file().clone());
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let sealing = key_to_seal_with(db, &key_file).await?;
                    let secret = access_key_secret()?;
                    let binding = Binding {
                        instance: &instance,
                        of: Sealable::AccessKey(&key.id),
                    };
                    let sealed = sealing.seal(&binding, &secret)?;
                    let (id, user, role) = (key.id.as_str(), key.user.as_str(), key.role.as_str());
                    let at = key.created_at.as_millis();
                    sqlx::query!(
                        "INSERT INTO access_keys (id, user_name, role, key_id, nonce, ciphertext, created_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                        id,
                        user,
                        role,
                        sealing.id,
                        sealed.nonce,
                        sealed.ciphertext,
                        at
                    )
                    .execute(&mut *db)
                    .await?;
                    let message = format!("Access key {id} was made for {user}, {role}.");
                    let kind = EventKind::AccessKeyCreated;
                    event::insert(db, &change(kind, &key.id, key.created_at, message)).await?;
                    Ok(secret)
                })
            })
            .await
    }

    /// Takes a key away: its secret is gone. Doing so again changes nothing.
    pub async fn revoke_access_key(
        &self,
        id: &AccessKeyId,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let id = id.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let (text, at) = (id.as_str(), now.as_millis());
                    let revoked = sqlx::query!(
                        "UPDATE access_keys SET revoked_at = ?2, key_id = NULL, nonce = NULL, ciphertext = NULL
                          WHERE id = ?1 AND revoked_at IS NULL",
                        text,
                        at
                    )
                    .execute(&mut *db)
                    .await?;
                    if revoked.rows_affected() > 0 {
                        let message = format!("Access key {id} was revoked.");
                        let kind = EventKind::AccessKeyRevoked;
                        return event::insert(db, &change(kind, &id, now, message)).await;
                    }
                    let known = sqlx::query_scalar!(
                        r#"SELECT 1 AS "known!: i64" FROM access_keys WHERE id = ?1"#,
                        text
                    )
                    .fetch_optional(db)
                    .await?;
                    known.map(|_| ()).ok_or_else(|| not_found(&id))
                })
            })
            .await
    }

    /// Takes a key away together with all memory of it. When none is left, nobody needs to sign any more.
    pub async fn forget_access_key(
        &self,
        id: &AccessKeyId,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let id = id.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let text = id.as_str();
                    let gone = sqlx::query!("DELETE FROM access_keys WHERE id = ?1", text)
                        .execute(&mut *db)
                        .await?;
                    if gone.rows_affected() == 0 {
                        return Err(not_found(&id));
                    }
                    let message = format!("Access key {id} was revoked and forgotten.");
                    let kind = EventKind::AccessKeyRevoked;
                    event::insert(db, &change(kind, &id, now, message)).await
                })
            })
            .await
    }

    /// The keys in the order in which they were made, without their secrets.
    pub async fn access_keys(&self, request: &PageRequest) -> Result<Page<AccessKey>, StoreError> {
        let after: Option<(i64, String)> = request.after(List::AccessKeys)?;
        let (after_at, after_id) = after.unwrap_or((i64::MIN, String::new()));
        let rows = request.rows();
        let rows = sqlx::query_as!(
            KeyRow,
            "SELECT id, user_name, role, created_at, revoked_at FROM access_keys
              WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3",
            after_at,
            after_id,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let keys = rows.into_iter().map(AccessKey::try_from);
        request.page(
            List::AccessKeys,
            keys.collect::<Result<_, _>>()?,
            |key: &AccessKey| (key.created_at.as_millis(), key.id.clone()),
        )
    }

    /// What to verify a signature with that claims to be made with the key `id`; without one, whether there are keys.
    pub async fn signing_key(&self, id: Option<&AccessKeyId>) -> Result<SigningKey, StoreError> {
        let text = id.map(AccessKeyId::as_str);
        // One query for both answers: this is asked for every call.
        let row = sqlx::query!(
            r#"SELECT EXISTS (SELECT 1 FROM access_keys) AS "any!: bool",
                      k.user_name AS "user_name?", k.role AS "role?", k.created_at AS "created_at?",
                      k.key_id AS "key_id?", k.nonce AS "nonce?", k.ciphertext AS "ciphertext?"
                 FROM (SELECT 1) LEFT JOIN access_keys AS k ON k.id = ?1"#,
            text
        )
        .fetch_one(self.readers())
        .await?;
        if !row.any {
            return Ok(SigningKey::NoKeys);
        }
        let (Some(id), Some(user_name), Some(role), Some(created_at)) =
            (id, row.user_name, row.role, row.created_at)
        else {
            return Ok(SigningKey::Unknown);
        };
        let (Some(key_id), Some(nonce), Some(ciphertext)) = (row.key_id, row.nonce, row.ciphertext)
        else {
            return Ok(SigningKey::Unknown);
        };
        let key = KeyRow {
            id: id.to_string(),
            user_name,
            role,
            created_at,
            revoked_at: None,
        };
        let sealing = self.key_file().read()?;
        let sealing = sealing.ok_or_else(|| self.key_file().missing())?;
        if sealing.id != key_id {
            return Err(other_key(self.key_file()));
        }
        let binding = Binding {
            instance: self.instance_id(),
            of: Sealable::AccessKey(id),
        };
        let secret = sealing.open(&binding, &Sealed { nonce, ciphertext });
        let secret = secret.ok_or_else(|| {
            StoreError::unreadable(
                format!("access key `{id}`"),
                "it is not what was put there; revoke it and make another",
            )
        })?;
        Ok(SigningKey::Known(key.try_into()?, secret))
    }
}

fn not_found(id: &AccessKeyId) -> StoreError {
    StoreError::not_found(format!("access key `{id}`"))
}

fn change(kind: EventKind, id: &AccessKeyId, at: TimestampMs, message: String) -> NewEvent {
    NewEvent {
        at,
        kind,
        cluster: None,
        subject: id.to_string(),
        status: None,
        message,
    }
}

struct KeyRow {
    id: String,
    user_name: String,
    role: String,
    created_at: i64,
    revoked_at: Option<i64>,
}

impl TryFrom<KeyRow> for AccessKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.parse()?,
            user: row.user_name.parse()?,
            role: from_word("access_key.role", &row.role, Role::parse)?,
            created_at: TimestampMs::from_millis(row.created_at),
            revoked_at: to_time(row.revoked_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::testing::{Fixture, at};

    async fn made(fixture: &Fixture, user: &str, role: Role) -> (AccessKey, SecretValue) {
        let key = AccessKey {
            id: AccessKeyId::generate(&fixture.ids),
            user: user.parse().unwrap(),
            role,
            created_at: at(5),
            revoked_at: None,
        };
        let secret = fixture.store.create_access_key(&key).await.unwrap();
        (key, secret)
    }

    #[tokio::test]
    async fn a_key_is_kept_sealed_until_it_is_revoked() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        assert_eq!(store.signing_key(None).await, Ok(SigningKey::NoKeys));
        let (key, secret) = made(&fixture, "ci", Role::ReadOnly).await;
        assert_eq!(secret.expose().len(), 40);
        let known = SigningKey::Known(key.clone(), secret.clone());
        assert_eq!(store.signing_key(Some(&key.id)).await, Ok(known));
        assert_eq!(store.signing_key(None).await, Ok(SigningKey::Unknown));
        let other: AccessKeyId = "AKIAIOSFODNN7EXAMPLE".parse().unwrap();
        let found = store.signing_key(Some(&other)).await;
        assert_eq!(found, Ok(SigningKey::Unknown));
        let (_, another) = made(&fixture, "ci", Role::Admin).await;
        assert_ne!(secret, another);
        for entry in fs::read_dir(fixture.folder.path().join("data")).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let shows = bytes.windows(40).any(|part| part == secret.expose());
            assert!(!shows);
        }

        store.revoke_access_key(&key.id, at(9)).await.unwrap();
        store.revoke_access_key(&key.id, at(10)).await.unwrap();
        let found = store.signing_key(Some(&key.id)).await;
        assert_eq!(found, Ok(SigningKey::Unknown));
        let gone = store.revoke_access_key(&other, at(9)).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
        let back = fixture
            .execute("UPDATE access_keys SET revoked_at = NULL, role = 'admin'")
            .await;
        assert!(matches!(back, Err(StoreError::Refused(_))), "{back:?}");
    }

    #[tokio::test]
    async fn signatures_are_asked_for_until_all_keys_are_forgotten() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let (key, _) = made(&fixture, "ann", Role::Admin).await;
        store.revoke_access_key(&key.id, at(9)).await.unwrap();
        assert_eq!(store.signing_key(None).await, Ok(SigningKey::Unknown));
        store.forget_access_key(&key.id, at(10)).await.unwrap();
        assert_eq!(store.signing_key(None).await, Ok(SigningKey::NoKeys));
        let gone = store.forget_access_key(&key.id, at(11)).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    }

    #[tokio::test]
    async fn a_row_cannot_stand_in_for_another_and_a_lost_key_file_is_said() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let (low, _) = made(&fixture, "low", Role::ReadOnly).await;
        let (high, _) = made(&fixture, "high", Role::Admin).await;
        // The trigger is the first wall; who is past it has the database's file, and not the key.
        for change in [
            "DROP TRIGGER access_keys_are_only_revoked",
            "UPDATE access_keys SET (nonce, ciphertext) =
                (SELECT nonce, ciphertext FROM access_keys WHERE user_name = 'low') WHERE user_name = 'high'",
        ] {
            fixture.execute(change).await.unwrap();
        }
        let found = store.signing_key(Some(&high.id)).await;
        assert!(
            matches!(found, Err(StoreError::Unreadable { .. })),
            "{found:?}"
        );
        let file = fixture.folder.path().join("data/secret.key");
        fs::remove_file(&file).unwrap();
        let found = store.signing_key(Some(&low.id)).await;
        assert!(matches!(found, Err(StoreError::Sealed(_))), "{found:?}");
        // Nor is another key file made while there are keys that this one opens.
        let name = "db".parse().unwrap();
        let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
        let put = store.put_secret(&name, &value, at(6)).await;
        assert!(matches!(put, Err(StoreError::Sealed(_))), "{put:?}");
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn keys_come_in_pages_in_the_order_in_which_they_were_made() {
        let fixture = Fixture::new().await;
        let mut all = Vec::new();
        for user in ["c", "a", "b"] {
            all.push(made(&fixture, user, Role::Admin).await.0);
        }
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let mut request = PageRequest::first(2);
        let page = fixture.store.access_keys(&request).await.unwrap();
        assert_eq!(page.items, all[..2]);
        request.token = page.next;
        let page = fixture.store.access_keys(&request).await.unwrap();
        assert_eq!((page.items, page.next), (all[2..].to_vec(), None));
    }
}
