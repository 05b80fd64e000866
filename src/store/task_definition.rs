//! Task definitions: families, and revisions that never change.
//!
//! A revision is kept twice: as the document that was sent, to be given back field for field, and as what
//! Neargate understood of it. Tasks carry their own copy, so a revision can be deleted while they run.

use sqlx::SqliteConnection;

use super::column::{from_json, from_word, to_json, to_time, to_unsigned};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError, event};
use crate::domain::{
    EventKind, Family, FamilyRevision, NewEvent, RegisteredTaskDefinition, TaskDefinition,
    TaskDefinitionStatus, TimestampMs,
};

/// Which task definitions are wanted. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskDefinitionFilter {
    /// How the family begins.
    pub family_prefix: Option<String>,
    /// The family itself; stands above the prefix.
    pub family: Option<Family>,
    /// Whether tasks can still be run from it.
    pub status: Option<TaskDefinitionStatus>,
}

/// Sorts after every character that a family can have.
const AFTER_NAMES: &str = "\u{7f}";

impl TaskDefinitionFilter {
    /// The first and the last name that a family of this filter can have.
    fn bounds(&self) -> (String, String) {
        if let Some(family) = &self.family {
            return (family.to_string(), family.to_string());
        }
        let prefix = self.family_prefix.as_deref().unwrap_or_default();
        (prefix.to_owned(), format!("{prefix}{AFTER_NAMES}"))
    }
}

/// The task definitions that satisfy `$condition`.
macro_rules! revision_rows {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            RevisionRow,
            "SELECT revision, status, document, parsed, warnings, registered_at, deregistered_at
               FROM task_definitions WHERE " + $condition,
            $($argument),+
        )
    };
}

impl Store {
    /// Registers the next revision of the definition's family. A number is never given twice, also not
    /// after its revision was deleted.
    pub async fn register_task_definition(
        &self,
        definition: &TaskDefinition,
        document: &serde_json::Value,
        warnings: &[String],
        now: TimestampMs,
    ) -> Result<RegisteredTaskDefinition, StoreError> {
        let mut registered = RegisteredTaskDefinition {
            definition: definition.clone(),
            revision: 0,
            status: TaskDefinitionStatus::Active,
            document: document.clone(),
            warnings: warnings.to_vec(),
            registered_at: now,
            deregistered_at: None,
        };
        let parsed = to_json(definition)?;
        let document = to_json(document)?;
        let warnings = to_json(warnings)?;
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let family = registered.definition.family.as_str();
                    registered.revision = next_revision(db, family).await?;
                    let (revision, at) = (registered.revision, now.as_millis());
                    sqlx::query!(
                        "INSERT INTO task_definitions
                            (family, revision, status, document, parsed, warnings, registered_at)
                         VALUES (?1, ?2, 'ACTIVE', ?3, ?4, ?5, ?6)",
                        family,
                        revision,
                        document,
                        parsed,
                        warnings,
                        at
                    )
                    .execute(&mut *db)
                    .await?;
                    let kind = EventKind::TaskDefinitionRegistered;
                    event::insert(db, &change(kind, &name_of(&registered), now)).await?;
                    Ok(registered)
                })
            })
            .await
    }

    /// A revision, whatever its status, or without a number the newest one that is ACTIVE.
    pub async fn task_definition(
        &self,
        family: &Family,
        revision: Option<u32>,
    ) -> Result<Option<RegisteredTaskDefinition>, StoreError> {
        let family = family.as_str();
        let row = match revision {
            Some(revision) => {
                revision_rows!("family = ?1 AND revision = ?2", family, revision)
                    .fetch_optional(self.readers())
                    .await?
            }
            None => {
                revision_rows!(
                    "family = ?1 AND status = 'ACTIVE' ORDER BY revision DESC LIMIT 1",
                    family
                )
                .fetch_optional(self.readers())
                .await?
            }
        };
        row.map(RegisteredTaskDefinition::try_from).transpose()
    }

    /// Revisions by family and number.
    pub async fn task_definitions(
        &self,
        filter: &TaskDefinitionFilter,
        request: &PageRequest,
    ) -> Result<Page<RegisteredTaskDefinition>, StoreError> {
        let (after_family, after_revision): (String, u32) =
            request.after(List::TaskDefinitions)?.unwrap_or_default();
        let (first, last) = filter.bounds();
        let first = first.max(after_family.clone());
        let status = filter.status.map(status_word);
        let rows = request.rows();
        let rows = revision_rows!(
            "family BETWEEN ?1 AND ?2 AND (family, revision) > (?3, ?4)
                 AND (?5 IS NULL OR status = ?5)
               ORDER BY family, revision LIMIT ?6",
            first,
            last,
            after_family,
            after_revision,
            status,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let revisions = rows.into_iter().map(RegisteredTaskDefinition::try_from);
        request.page(
            List::TaskDefinitions,
            revisions.collect::<Result<_, _>>()?,
            |last: &RegisteredTaskDefinition| (last.definition.family.clone(), last.revision),
        )
    }

    /// The same from the other end: the last family first, and its newest revision before the others.
    pub async fn newest_task_definitions(
        &self,
        filter: &TaskDefinitionFilter,
        request: &PageRequest,
    ) -> Result<Page<RegisteredTaskDefinition>, StoreError> {
        let (first, last) = filter.bounds();
        let before: Option<(String, u32)> = request.after(List::NewestTaskDefinitions)?;
        let (before_family, before_revision) = before.unwrap_or((last.clone(), u32::MAX));
        let status = filter.status.map(status_word);
        let rows = request.rows();
        let rows = revision_rows!(
            "family BETWEEN ?1 AND ?2 AND (family, revision) < (?3, ?4)
                 AND (?5 IS NULL OR status = ?5)
               ORDER BY family DESC, revision DESC LIMIT ?6",
            first,
            last,
            before_family,
            before_revision,
            status,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let revisions = rows.into_iter().map(RegisteredTaskDefinition::try_from);
        request.page(
            List::NewestTaskDefinitions,
            revisions.collect::<Result<_, _>>()?,
            |last: &RegisteredTaskDefinition| (last.definition.family.clone(), last.revision),
        )
    }

    /// The families, by name, that have a revision of the filter's status.
    pub async fn families(
        &self,
        filter: &TaskDefinitionFilter,
        request: &PageRequest,
    ) -> Result<Page<Family>, StoreError> {
        let after: String = request.after(List::Families)?.unwrap_or_default();
        let (first, last) = filter.bounds();
        let first = first.max(after.clone());
        let status = filter.status.map(status_word);
        let rows = request.rows();
        let names = sqlx::query_scalar!(
            "SELECT family FROM families
              WHERE family BETWEEN ?1 AND ?2 AND family > ?3
                AND EXISTS (SELECT 1 FROM task_definitions
                             WHERE task_definitions.family = families.family
                               AND (?4 IS NULL OR status = ?4))
              ORDER BY family LIMIT ?5",
            first,
            last,
            after,
            status,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let families = names.into_iter().map(Family::try_from);
        request.page(
            List::Families,
            families.collect::<Result<_, _>>()?,
            Family::clone,
        )
    }

    /// Makes a revision INACTIVE. Doing so again changes nothing.
    pub async fn deregister_task_definition(
        &self,
        name: &FamilyRevision,
        now: TimestampMs,
    ) -> Result<RegisteredTaskDefinition, StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let (family, at) = (name.family.as_str(), now.as_millis());
                    let changed = sqlx::query!(
                        "UPDATE task_definitions SET status = 'INACTIVE', deregistered_at = ?1
                          WHERE family = ?2 AND revision = ?3 AND status = 'ACTIVE'",
                        at,
                        family,
                        name.revision
                    )
                    .execute(&mut *db)
                    .await?
                    .rows_affected();
                    if changed > 0 {
                        let kind = EventKind::TaskDefinitionDeregistered;
                        event::insert(db, &change(kind, &name, now)).await?;
                    }
                    read(db, &name).await
                })
            })
            .await
    }

    /// Deletes a revision, which must be INACTIVE, and returns it as it was last.
    pub async fn delete_task_definition(
        &self,
        name: &FamilyRevision,
        now: TimestampMs,
    ) -> Result<RegisteredTaskDefinition, StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let last = read(db, &name).await?;
                    if last.status == TaskDefinitionStatus::Active {
                        return Err(StoreError::Refused(format!(
                            "task definition `{name}` is ACTIVE, only an INACTIVE one can be deleted"
                        )));
                    }
                    let family = name.family.as_str();
                    sqlx::query!(
                        "DELETE FROM task_definitions WHERE family = ?1 AND revision = ?2",
                        family,
                        name.revision
                    )
                    .execute(&mut *db)
                    .await?;
                    let kind = EventKind::TaskDefinitionDeleted;
                    event::insert(db, &change(kind, &name, now)).await?;
                    Ok(last)
                })
            })
            .await
    }
}

async fn next_revision(db: &mut SqliteConnection, family: &str) -> Result<u32, StoreError> {
    let revision = sqlx::query_scalar!(
        r#"INSERT INTO families (family, last_revision) VALUES (?1, 1)
           ON CONFLICT (family) DO UPDATE SET last_revision = last_revision + 1
           RETURNING last_revision AS "revision!: i64""#,
        family
    )
    .fetch_one(db)
    .await?;
    to_unsigned("taskDefinition.revision", revision)
}

async fn read(
    db: &mut SqliteConnection,
    name: &FamilyRevision,
) -> Result<RegisteredTaskDefinition, StoreError> {
    let family = name.family.as_str();
    revision_rows!("family = ?1 AND revision = ?2", family, name.revision)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| StoreError::not_found(format!("task definition `{name}`")))?
        .try_into()
}

fn name_of(registered: &RegisteredTaskDefinition) -> FamilyRevision {
    FamilyRevision {
        family: registered.definition.family.clone(),
        revision: registered.revision,
    }
}

fn change(kind: EventKind, name: &FamilyRevision, at: TimestampMs) -> NewEvent {
    let what = match kind {
        EventKind::TaskDefinitionRegistered => "was registered",
        EventKind::TaskDefinitionDeregistered => "was deregistered",
        _ => "was deleted",
    };
    NewEvent {
        at,
        kind,
        cluster: None,
        subject: name.to_string(),
        status: None,
        message: format!("Task definition {name} {what}."),
    }
}

const fn status_word(status: TaskDefinitionStatus) -> &'static str {
    match status {
        TaskDefinitionStatus::Active => "ACTIVE",
        TaskDefinitionStatus::Inactive => "INACTIVE",
    }
}

fn parse_status(word: &str) -> Option<TaskDefinitionStatus> {
    [TaskDefinitionStatus::Active, TaskDefinitionStatus::Inactive]
        .into_iter()
        .find(|status| status_word(*status) == word)
}

struct RevisionRow {
    revision: i64,
    status: String,
    document: String,
    parsed: String,
    warnings: String,
    registered_at: i64,
    deregistered_at: Option<i64>,
}

impl TryFrom<RevisionRow> for RegisteredTaskDefinition {
    type Error = StoreError;

    fn try_from(row: RevisionRow) -> Result<Self, StoreError> {
        Ok(Self {
            definition: from_json("taskDefinition.parsed", &row.parsed)?,
            revision: to_unsigned("taskDefinition.revision", row.revision)?,
            status: from_word("taskDefinition.status", &row.status, parse_status)?,
            document: from_json("taskDefinition.document", &row.document)?,
            warnings: from_json("taskDefinition.warnings", &row.warnings)?,
            registered_at: TimestampMs::from_millis(row.registered_at),
            deregistered_at: to_time(row.deregistered_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::{Fixture, at, definition};

    async fn register(fixture: &Fixture, family: &str) -> FamilyRevision {
        let registered = fixture
            .store
            .register_task_definition(&definition(family), &json!({}), &[], at(1))
            .await
            .unwrap();
        name_of(&registered)
    }

    #[tokio::test]
    async fn a_revision_comes_back_as_it_was_registered() {
        let fixture = Fixture::new().await;
        // The order of the fields is part of the document.
        let document: serde_json::Value =
            serde_json::from_str(r#"{"z":1,"family":"web","a":{"y":[null,1.5],"b":"ü"}}"#).unwrap();
        let warnings = ["volumes has no effect here".to_owned()];
        let registered = fixture
            .store
            .register_task_definition(&definition("web"), &document, &warnings, at(7))
            .await
            .unwrap();
        let family = "web".parse().unwrap();
        let found = fixture.store.task_definition(&family, Some(1)).await;
        assert_eq!(found.unwrap(), Some(registered.clone()));
        assert_eq!(
            registered.document.to_string(),
            serde_json::to_string(&document).unwrap()
        );
        assert_eq!(registered.definition, definition("web"));
        assert_eq!(registered.warnings, warnings);
        assert_eq!(registered.registered_at, at(7));
    }

    #[tokio::test]
    async fn no_revision_is_ever_given_twice() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let first = register(&fixture, "web").await;
        let second = register(&fixture, "web").await;
        store
            .deregister_task_definition(&second, at(2))
            .await
            .unwrap();
        store.delete_task_definition(&second, at(3)).await.unwrap();
        let third = register(&fixture, "web").await;
        assert_eq!((first.revision, second.revision, third.revision), (1, 2, 3));
    }

    #[tokio::test]
    async fn the_newest_active_revision_is_meant_without_a_number() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        register(&fixture, "web").await;
        let second = register(&fixture, "web").await;
        let inactive = store
            .deregister_task_definition(&second, at(2))
            .await
            .unwrap();
        assert_eq!(inactive.deregistered_at, Some(at(2)));
        let again = store
            .deregister_task_definition(&second, at(3))
            .await
            .unwrap();
        assert_eq!(again, inactive, "doing it again changes nothing");
        let found = store.task_definition(&second.family, None).await.unwrap();
        assert_eq!(found.unwrap().revision, 1);
        let found = store
            .task_definition(&second.family, Some(2))
            .await
            .unwrap();
        assert_eq!(found, Some(inactive));
    }

    #[tokio::test]
    async fn an_active_revision_is_not_deleted() {
        let fixture = Fixture::new().await;
        let name = register(&fixture, "web").await;
        let refused = fixture.store.delete_task_definition(&name, at(2)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
        let past_the_store = fixture.execute("DELETE FROM task_definitions").await;
        assert!(matches!(past_the_store, Err(StoreError::Refused(_))));
        let changed = fixture
            .execute("UPDATE task_definitions SET document = '{}', parsed = '[]'")
            .await;
        assert!(matches!(changed, Err(StoreError::Refused(_))));
    }

    #[tokio::test]
    async fn lists_follow_prefix_family_and_status() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        for family in ["web", "web", "web-api", "worker", "Web"] {
            register(&fixture, family).await;
        }
        let gone = FamilyRevision {
            family: "worker".parse().unwrap(),
            revision: 1,
        };
        store
            .deregister_task_definition(&gone, at(2))
            .await
            .unwrap();
        let names = |filter: TaskDefinitionFilter| async move {
            let mut names = Vec::new();
            let mut request = PageRequest::first(2);
            loop {
                let page = store.task_definitions(&filter, &request).await.unwrap();
                names.extend(page.items.iter().map(|found| name_of(found).to_string()));
                request.token = page.next;
                if request.token.is_none() {
                    return names;
                }
            }
        };
        let all = TaskDefinitionFilter::default();
        assert_eq!(
            names(all.clone()).await,
            ["Web:1", "web:1", "web:2", "web-api:1", "worker:1"]
        );
        let prefix = TaskDefinitionFilter {
            family_prefix: Some("we".to_owned()),
            ..all.clone()
        };
        assert_eq!(names(prefix.clone()).await, ["web:1", "web:2", "web-api:1"]);
        let family = TaskDefinitionFilter {
            family: Some("web".parse().unwrap()),
            ..all.clone()
        };
        assert_eq!(names(family).await, ["web:1", "web:2"]);
        let inactive = TaskDefinitionFilter {
            status: Some(TaskDefinitionStatus::Inactive),
            ..all
        };
        assert_eq!(names(inactive.clone()).await, ["worker:1"]);

        let request = PageRequest::first(10);
        let families = store.families(&inactive, &request).await.unwrap();
        assert_eq!(families.items, ["worker".parse().unwrap()]);
        let families = store.families(&prefix, &request).await.unwrap();
        assert_eq!(families.items.len(), 2);
    }
}
