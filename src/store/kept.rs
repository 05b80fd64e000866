//! Small documents that the clients of ECS give and get back: capacity providers, account settings, and tags that were
//! changed after what they belong to was made.
//!
//! Nothing here decides what a document says. A task and a revision of a task definition never change, and bills are made of
//! the tags that a task was run with: so newer tags lie beside them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::SqliteConnection;

use super::column::{from_json, to_json, to_unsigned};
use super::{Store, StoreError};

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptKind {
    /// A setting of the account, by principal and name.
    AccountSetting,
    /// A capacity provider, by its name.
    CapacityProvider,
    /// The tags of a task that were changed, by its ID.
    TaskTags,
    /// The tags of a revision of a task definition that were changed, by `family:revision`.
    TaskDefinitionTags,
}

impl KeptKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccountSetting => "account-setting",
            Self::CapacityProvider => "capacity-provider",
            Self::TaskTags => "tags-of-task",
            Self::TaskDefinitionTags => "tags-of-task-definition",
        }
    }

    /// So many there may be; what has no bound of its own has that of what it belongs to.
    const fn most(self) -> u32 {
        match self {
            Self::AccountSetting | Self::CapacityProvider => 1_000,
            Self::TaskTags | Self::TaskDefinitionTags => u32::MAX,
        }
    }
}

/// A document, field by field.
pub type KeptDocument = Map<String, Value>;

impl Store {
    /// The documents of these names that there are, by name.
    pub async fn kept_documents(
        &self,
        kind: KeptKind,
        names: &[String],
    ) -> Result<BTreeMap<String, KeptDocument>, StoreError> {
        let (kind, names) = (kind.as_str(), to_json(names)?);
        let rows = sqlx::query!(
            "SELECT name, document FROM kept_documents
              WHERE kind = ?1 AND name IN (SELECT value FROM json_each(?2))",
            kind,
            names
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|row| Ok((row.name, from_json("kept.document", &row.document)?)))
            .collect()
    }

    /// All documents of a kind that is bounded, by name.
    pub async fn all_kept_documents(
        &self,
        kind: KeptKind,
    ) -> Result<BTreeMap<String, KeptDocument>, StoreError> {
        let kind = kind.as_str();
        let rows = sqlx::query!(
            "SELECT name, document FROM kept_documents WHERE kind = ?1",
            kind
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|row| Ok((row.name, from_json("kept.document", &row.document)?)))
            .collect()
    }

    /// Has `change` make a document of the one that there is: `None` for none, before and after. What it refuses with is
    /// the inner error, and nothing is changed then. Fails with [`StoreError::Refused`] when there are too many.
    pub async fn change_kept_document<E: Send + 'static>(
        &self,
        kind: KeptKind,
        name: &str,
        change: impl FnOnce(Option<KeptDocument>) -> Result<Option<KeptDocument>, E> + Send + 'static,
    ) -> Result<Result<Option<KeptDocument>, E>, StoreError> {
        let name = name.to_owned();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let before = read(db, kind, &name).await?;
                    let is_new = before.is_none();
                    let after = match change(before) {
                        Ok(after) => after,
                        Err(refused) => return Ok(Err(refused)),
                    };
                    if is_new && after.is_some() {
                        check_room(db, kind).await?;
                    }
                    write(db, kind, &name, after.as_ref()).await?;
                    Ok(Ok(after))
                })
            })
            .await
    }
}

async fn read(
    db: &mut SqliteConnection,
    kind: KeptKind,
    name: &str,
) -> Result<Option<KeptDocument>, StoreError> {
    let kind = kind.as_str();
    let found = sqlx::query_scalar!(
        "SELECT document FROM kept_documents WHERE kind = ?1 AND name = ?2",
        kind,
        name
    )
    .fetch_optional(db)
    .await?;
    found
        .map(|text| from_json("kept.document", &text))
        .transpose()
}

async fn check_room(db: &mut SqliteConnection, kind: KeptKind) -> Result<(), StoreError> {
    if kind.most() == u32::MAX {
        return Ok(());
    }
    let word = kind.as_str();
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!: i64" FROM kept_documents WHERE kind = ?1"#,
        word
    )
    .fetch_one(db)
    .await?;
    let count: u32 = to_unsigned("kept.count", count)?;
    if count < kind.most() {
        return Ok(());
    }
    let most = kind.most();
    Err(StoreError::Refused(format!(
        "there are {most} of {word}, and there can be no more"
    )))
}

async fn write(
    db: &mut SqliteConnection,
    kind: KeptKind,
    name: &str,
    document: Option<&KeptDocument>,
) -> Result<(), StoreError> {
    let kind = kind.as_str();
    let Some(document) = document else {
        sqlx::query!(
            "DELETE FROM kept_documents WHERE kind = ?1 AND name = ?2",
            kind,
            name
        )
        .execute(db)
        .await?;
        return Ok(());
    };
    let text = to_json(document)?;
    sqlx::query!(
        "INSERT INTO kept_documents (kind, name, document) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document",
        kind,
        name,
        text
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::Fixture;

    fn document(value: &Value) -> Option<KeptDocument> {
        value.as_object().cloned()
    }

    #[tokio::test]
    async fn a_document_is_made_changed_and_taken_away_and_a_refusal_changes_nothing() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let kind = KeptKind::CapacityProvider;
        let put = |value: Value| {
            store.change_kept_document::<()>(kind, "own", move |_| Ok(document(&value)))
        };
        put(json!({ "a": 1 })).await.unwrap().unwrap();
        put(json!({ "a": 2 })).await.unwrap().unwrap();
        let refused = store.change_kept_document(kind, "own", |before| {
            assert_eq!(before, document(&json!({ "a": 2 })));
            Err("no")
        });
        assert_eq!(refused.await.unwrap(), Err("no"));
        let names = ["own".to_owned(), "none".to_owned()];
        let found = store.kept_documents(kind, &names).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found.get("own").cloned(), document(&json!({ "a": 2 })));
        let other = store.kept_documents(KeptKind::TaskTags, &names).await;
        assert_eq!(other.unwrap(), BTreeMap::new());
        let gone = store.change_kept_document::<()>(kind, "own", |_| Ok(None));
        assert_eq!(gone.await.unwrap(), Ok(None));
        assert_eq!(
            store.all_kept_documents(kind).await.unwrap(),
            BTreeMap::new()
        );
    }
}
