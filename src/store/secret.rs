//! Secrets: their names and versions in the clear, their values sealed (see `seal`).

use sqlx::SqliteConnection;

use super::column::{from_json, to_unsigned};
use super::page::List;
use super::seal::{Binding, Key, KeyFile, Sealable, Sealed};
use super::{Page, PageRequest, Store, StoreError, event};
use crate::domain::{
    EventKind, FamilyRevision, NewEvent, Secret, SecretName, SecretValue, TaskDefinition,
    TimestampMs,
};

impl Store {
    /// Puts a secret, in place of its earlier value if it has one.
    pub async fn put_secret(
        &self,
        name: &SecretName,
        value: &SecretValue,
        now: TimestampMs,
    ) -> Result<Secret, StoreError> {
        let (name, value) = (name.clone(), value.clone());
        let (instance, key_file) = (self.instance_id().clone(), self.key_file().clone());
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let key = key_to_seal_with(db, &key_file).await?;
                    let old = read(db, &name).await?;
                    let secret = Secret {
                        version: old.as_ref().map_or(1, |old| old.version + 1),
                        created_at: old.map_or(now, |old| old.created_at),
                        updated_at: now,
                        name,
                    };
                    let binding = Binding {
                        instance: &instance,
                        of: Sealable::Secret {
                            name: &secret.name,
                            version: secret.version,
                        },
                    };
                    let sealed = key.seal(&binding, &value)?;
                    write(db, &secret, &key, &sealed).await?;
                    let message = format!(
                        "Secret {} was put, version {}.",
                        secret.name, secret.version
                    );
                    let kind = EventKind::SecretPut;
                    event::insert(db, &change(kind, &secret.name, now, message)).await?;
                    Ok(secret)
                })
            })
            .await
    }

    /// Deletes a secret. With it goes what could be read of it, also where the key file is lost.
    pub async fn delete_secret(
        &self,
        name: &SecretName,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let text = name.as_str();
                    let deleted = sqlx::query!("DELETE FROM secrets WHERE name = ?1", text)
                        .execute(&mut *db)
                        .await?;
                    if deleted.rows_affected() == 0 {
                        return Err(StoreError::not_found(format!("secret `{name}`")));
                    }
                    let message = format!("Secret {name} was deleted.");
                    let kind = EventKind::SecretDeleted;
                    event::insert(db, &change(kind, &name, now, message)).await
                })
            })
            .await
    }

    /// The secret of that name, without its value.
    pub async fn secret(&self, name: &SecretName) -> Result<Option<Secret>, StoreError> {
        let found = async { read(&mut *self.readers().acquire().await?, name).await };
        self.readers().of(found).await
    }

    /// The value of the secret of that name.
    pub async fn secret_value(&self, name: &SecretName) -> Result<Option<SecretValue>, StoreError> {
        let text = name.as_str();
        let row = sqlx::query!(
            "SELECT version, key_id, nonce, ciphertext FROM secrets WHERE name = ?1",
            text
        )
        .fetch_optional(self.readers())
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let key = self.key_file().read()?;
        let key = key.ok_or_else(|| self.key_file().missing())?;
        if key.id != row.key_id {
            return Err(other_key(self.key_file()));
        }
        let binding = Binding {
            instance: self.instance_id(),
            of: Sealable::Secret {
                name,
                version: to_unsigned("secret.version", row.version)?,
            },
        };
        let sealed = Sealed {
            nonce: row.nonce,
            ciphertext: row.ciphertext,
        };
        let value = key.open(&binding, &sealed);
        value.map(Some).ok_or_else(|| {
            StoreError::unreadable(
                format!("secret `{name}`"),
                "it is not what was put there; put it anew",
            )
        })
    }

    /// The secrets by name, without their values.
    pub async fn secrets(&self, request: &PageRequest) -> Result<Page<Secret>, StoreError> {
        let after: String = request.after(List::Secrets)?.unwrap_or_default();
        let rows = request.rows();
        let rows = sqlx::query_as!(
            SecretRow,
            "SELECT name, version, created_at, updated_at FROM secrets
              WHERE name > ?1 ORDER BY name LIMIT ?2",
            after,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let secrets = rows.into_iter().map(Secret::try_from);
        request.page(
            List::Secrets,
            secrets.collect::<Result<_, _>>()?,
            |secret: &Secret| secret.name.clone(),
        )
    }

    /// The ACTIVE revisions that refer to a secret. Looks at all of them that have its name anywhere, so it is
    /// for what is done seldom.
    pub async fn users_of_secret(
        &self,
        name: &SecretName,
    ) -> Result<Vec<FamilyRevision>, StoreError> {
        let text = name.as_str();
        let rows = sqlx::query!(
            "SELECT revision, parsed FROM task_definitions
              WHERE status = 'ACTIVE' AND instr(parsed, ?1) > 0 ORDER BY family, revision",
            text
        )
        .fetch_all(self.readers())
        .await?;
        let mut users = Vec::new();
        for row in rows {
            let definition: TaskDefinition = from_json("task_definition.parsed", &row.parsed)?;
            let refers = definition
                .containers
                .iter()
                .flat_map(|container| container.secrets.references())
                .any(|reference| reference.candidates().any(|one| one == *name));
            if refers {
                users.push(FamilyRevision {
                    family: definition.family,
                    revision: to_unsigned("task_definition.revision", row.revision)?,
                });
            }
        }
        Ok(users)
    }
}

/// The key that all secrets are sealed with, those of access keys among them. It is made if there is neither a key nor
/// a secret.
pub(super) async fn key_to_seal_with(
    db: &mut SqliteConnection,
    key_file: &KeyFile,
) -> Result<Key, StoreError> {
    let used = sqlx::query_scalar!(
        r#"SELECT key_id AS "key_id!: String" FROM secrets
            UNION ALL SELECT key_id FROM access_keys WHERE key_id IS NOT NULL LIMIT 1"#
    )
    .fetch_optional(db)
    .await?;
    match (key_file.read()?, used) {
        (Some(key), Some(used)) if key.id != used => Err(other_key(key_file)),
        (Some(key), _) => Ok(key),
        (None, Some(_)) => Err(key_file.missing()),
        (None, None) => key_file.make(),
    }
}

pub(super) fn other_key(key_file: &KeyFile) -> StoreError {
    key_file.lost("the key file of the secrets is another one than they were sealed with")
}

async fn read(db: &mut SqliteConnection, name: &SecretName) -> Result<Option<Secret>, StoreError> {
    let name = name.as_str();
    let row = sqlx::query_as!(
        SecretRow,
        "SELECT name, version, created_at, updated_at FROM secrets WHERE name = ?1",
        name
    )
    .fetch_optional(db)
    .await?;
    row.map(Secret::try_from).transpose()
}

async fn write(
    db: &mut SqliteConnection,
    secret: &Secret,
    key: &Key,
    sealed: &Sealed,
) -> Result<(), StoreError> {
    let name = secret.name.as_str();
    let version = i64::try_from(secret.version).unwrap_or(i64::MAX);
    let (created, updated) = (secret.created_at.as_millis(), secret.updated_at.as_millis());
    sqlx::query!(
        "INSERT INTO secrets (name, version, key_id, nonce, ciphertext, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, key_id = excluded.key_id,
             nonce = excluded.nonce, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at",
        name,
        version,
        key.id,
        sealed.nonce,
        sealed.ciphertext,
        created,
        updated
    )
    .execute(db)
    .await?;
    Ok(())
}

fn change(kind: EventKind, name: &SecretName, at: TimestampMs, message: String) -> NewEvent {
    NewEvent {
        at,
        kind,
        cluster: None,
        subject: name.to_string(),
        status: None,
        message,
    }
}

struct SecretRow {
    name: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<SecretRow> for Secret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.name.parse()?,
            version: to_unsigned("secret.version", row.version)?,
            created_at: TimestampMs::from_millis(row.created_at),
            updated_at: TimestampMs::from_millis(row.updated_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::SecretReference;
    use crate::store::testing::{Fixture, at, definition};

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec()).unwrap()
    }

    async fn put(fixture: &Fixture, text: &str, secret: &str) -> Result<Secret, StoreError> {
        let store = &fixture.store;
        store.put_secret(&name(text), &value(secret), at(5)).await
    }

    #[tokio::test]
    async fn a_secret_is_kept_sealed_and_given_back() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        assert_eq!(
            put(&fixture, "team/db", "hunter2hunter2")
                .await
                .unwrap()
                .version,
            1
        );
        let second = store
            .put_secret(&name("team/db"), &value("correct horse"), at(9))
            .await
            .unwrap();
        assert_eq!(
            (second.version, second.created_at, second.updated_at),
            (2, at(5), at(9))
        );
        assert_eq!(
            store.secret_value(&name("team/db")).await,
            Ok(Some(value("correct horse")))
        );
        assert_eq!(store.secret_value(&name("other")).await, Ok(None));

        let folder = fixture.folder.path().join("data");
        let mode = fs::metadata(folder.join("secret.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        for entry in fs::read_dir(&folder).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            for secret in ["hunter2hunter2", "correct horse"] {
                assert!(
                    !bytes
                        .windows(secret.len())
                        .any(|part| part == secret.as_bytes())
                );
            }
        }
        store.delete_secret(&name("team/db"), at(10)).await.unwrap();
        assert_eq!(store.secret(&name("team/db")).await, Ok(None));
        let again = store.delete_secret(&name("team/db"), at(11)).await;
        assert!(
            matches!(again, Err(StoreError::NotFound { .. })),
            "{again:?}"
        );
    }

    #[tokio::test]
    async fn a_row_cannot_stand_in_for_another() {
        let fixture = Fixture::new().await;
        put(&fixture, "low", "known to many").await.unwrap();
        put(&fixture, "high", "known to few").await.unwrap();
        for change in [
            "UPDATE secrets SET (nonce, ciphertext) = (SELECT nonce, ciphertext FROM secrets WHERE name = 'low')
              WHERE name = 'high'",
            "UPDATE secrets SET version = 7 WHERE name = 'low'",
        ] {
            fixture.execute(change).await.unwrap();
        }
        for text in ["low", "high"] {
            let read = fixture.store.secret_value(&name(text)).await;
            assert!(
                matches!(read, Err(StoreError::Unreadable { .. })),
                "{read:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_lost_key_is_said_and_nothing_is_overwritten() {
        let fixture = Fixture::new().await;
        let key = fixture.folder.path().join("data/secret.key");
        put(&fixture, "db", "hunter2").await.unwrap();
        let whole = fs::read(&key).unwrap();

        fs::remove_file(&key).unwrap();
        for text in ["db", "new"] {
            let error = put(&fixture, text, "x").await.unwrap_err();
            assert!(
                error.to_string().contains("secret.key, is missing"),
                "{error}"
            );
        }
        let error = fixture.store.secret_value(&name("db")).await.unwrap_err();
        assert!(matches!(error, StoreError::Sealed(_)), "{error:?}");
        assert!(!key.exists());

        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let error = put(&fixture, "new", "x").await.unwrap_err();
        assert!(error.to_string().contains("another one"), "{error}");
        fs::write(&key, &whole[..31]).unwrap();
        let error = put(&fixture, "new", "x").await.unwrap_err();
        assert!(error.to_string().contains("32 bytes"), "{error}");
        fs::write(&key, &whole).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let error = fixture.store.secret_value(&name("db")).await.unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");

        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(
            fixture.store.secret_value(&name("db")).await,
            Ok(Some(value("hunter2")))
        );
    }

    #[tokio::test]
    async fn with_all_secrets_gone_a_lost_key_is_made_anew() {
        let fixture = Fixture::new().await;
        put(&fixture, "db", "hunter2").await.unwrap();
        fs::remove_file(fixture.folder.path().join("data/secret.key")).unwrap();
        fixture
            .store
            .delete_secret(&name("db"), at(6))
            .await
            .unwrap();
        put(&fixture, "db", "hunter3").await.unwrap();
        assert_eq!(
            fixture.store.secret_value(&name("db")).await,
            Ok(Some(value("hunter3")))
        );
    }

    #[tokio::test]
    async fn secrets_come_in_pages_and_know_their_users() {
        let fixture = Fixture::new().await;
        for text in ["c", "a", "b"] {
            put(&fixture, text, "x").await.unwrap();
        }
        let mut request = PageRequest::first(2);
        let page = fixture.store.secrets(&request).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        request.token = page.next;
        assert_eq!(
            fixture.store.secrets(&request).await.unwrap().items.len(),
            1
        );

        let mut web = definition("web");
        let reference =
            SecretReference::parse("arn:aws:secretsmanager:x:1:secret:a-AbCdEf").unwrap();
        web.containers[0].secrets.variables = vec![("A".to_owned(), reference)];
        let document = serde_json::json!({});
        let store = &fixture.store;
        store
            .register_task_definition(&web, &document, &[], at(6))
            .await
            .unwrap();
        let users = store.users_of_secret(&name("a")).await.unwrap();
        assert_eq!(
            users.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["web:1"]
        );
        assert_eq!(store.users_of_secret(&name("w")).await, Ok(Vec::new()));
    }
}
