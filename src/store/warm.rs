//! For how long sandboxes were kept ready, which no task pays for.

use super::{Store, StoreError};
use crate::domain::{TimestampMs, UsageStep};

impl Store {
    /// Adds `sandbox_ms`, milliseconds of each sandbox that waited, to the hour of `at`.
    pub async fn note_warm_sandboxes(
        &self,
        at: TimestampMs,
        sandbox_ms: i64,
    ) -> Result<(), StoreError> {
        let hour = UsageStep::Hour.start_of(at).as_millis();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    sqlx::query!(
                        "INSERT INTO warm_sandboxes (starts_at, sandbox_ms) VALUES (?1, ?2)
                         ON CONFLICT DO UPDATE SET sandbox_ms = sandbox_ms + excluded.sandbox_ms",
                        hour,
                        sandbox_ms
                    )
                    .execute(db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// For how many milliseconds sandboxes waited, together, in the hours that begin between `from` and `to`.
    pub async fn warm_sandbox_ms(
        &self,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<i64, StoreError> {
        let (from, to) = (from.as_millis(), to.as_millis());
        Ok(sqlx::query_scalar!(
            r#"SELECT coalesce(sum(sandbox_ms), 0) AS "sum!: i64" FROM warm_sandboxes
                WHERE starts_at >= ?1 AND starts_at < ?2"#,
            from,
            to
        )
        .fetch_one(self.readers())
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::testing::{Fixture, at};

    #[tokio::test]
    async fn what_waited_is_added_up_by_the_hour() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        for (when, sandbox_ms) in [(1, 10), (3_599_999, 20), (3_600_000, 400)] {
            store
                .note_warm_sandboxes(at(when), sandbox_ms)
                .await
                .unwrap();
        }
        for (from, to, sum) in [
            (0, 3_600_000, 30),
            (1, 7_200_000, 400),
            (0, i64::MAX, 430),
            (7_200_000, 9_000_000, 0),
        ] {
            assert_eq!(store.warm_sandbox_ms(at(from), at(to)).await, Ok(sum));
        }
    }
}
