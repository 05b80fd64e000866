//! The host's clocks and its capacity, as they were over time: what lengths and idle capacity are computed from.

use super::column::to_unsigned;
use super::{Store, StoreError};
use crate::domain::{Capacity, ClockStretch, TimestampMs};

/// More stretches than a clock that is set once an hour has in a year.
const STRETCHES_READ: i64 = 10_000;

impl Store {
    /// The stretches of time in which the host's clock was not set, the oldest first.
    pub async fn clock_stretches(&self) -> Result<Vec<ClockStretch>, StoreError> {
        let rows = sqlx::query!(
            "SELECT seq, boot_id, offset_ms, first_ms, last_ms FROM clock_stretches ORDER BY seq DESC LIMIT ?1",
            STRETCHES_READ
        )
        .fetch_all(self.readers())
        .await?;
        let newest_first = rows.into_iter().map(|row| ClockStretch {
            seq: row.seq,
            boot_id: row.boot_id,
            offset_ms: row.offset_ms,
            first_ms: row.first_ms,
            last_ms: row.last_ms,
        });
        let mut stretches: Vec<ClockStretch> = newest_first.collect();
        stretches.reverse();
        Ok(stretches)
    }

    /// Begins a stretch, or notes that it goes on.
    pub async fn note_clock(&self, stretch: ClockStretch) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    sqlx::query!(
                        "INSERT INTO clock_stretches (seq, boot_id, offset_ms, first_ms, last_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (seq) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)",
                        stretch.seq,
                        stretch.boot_id,
                        stretch.offset_ms,
                        stretch.first_ms,
                        stretch.last_ms
                    )
                    .execute(db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Notes what the engine has to give from `at` on, if that is another amount than before.
    pub async fn note_capacity(
        &self,
        at: TimestampMs,
        capacity: Capacity,
    ) -> Result<(), StoreError> {
        if self.capacities().await?.last().map(|last| last.1) == Some(capacity) {
            return Ok(());
        }
        let at = at.as_millis();
        let cpu_units = i64::try_from(capacity.cpu_units).unwrap_or(i64::MAX);
        let memory_mib = i64::try_from(capacity.memory_mib).unwrap_or(i64::MAX);
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    sqlx::query!(
                        "INSERT INTO capacities (at, cpu_units, memory_mib) VALUES (?1, ?2, ?3)",
                        at,
                        cpu_units,
                        memory_mib
                    )
                    .execute(db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// What the engine has had to give, each amount with the time from which on, in order.
    pub async fn capacities(&self) -> Result<Vec<(TimestampMs, Capacity)>, StoreError> {
        let rows = sqlx::query!("SELECT at, cpu_units, memory_mib FROM capacities ORDER BY seq")
            .fetch_all(self.readers())
            .await?;
        rows.into_iter()
            .map(|row| {
                let capacity = Capacity {
                    cpu_units: to_unsigned("capacity.cpuUnits", row.cpu_units)?,
                    memory_mib: to_unsigned("capacity.memoryMib", row.memory_mib)?,
                };
                Ok((TimestampMs::from_millis(row.at), capacity))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Fixture, at};

    #[tokio::test]
    async fn clocks_and_capacities_are_kept_and_never_changed() {
        let fixture = Fixture::new().await;
        let mut stretch = ClockStretch {
            seq: 1,
            boot_id: "boot".to_owned(),
            offset_ms: 7,
            first_ms: 10,
            last_ms: 20,
        };
        fixture.store.note_clock(stretch.clone()).await.unwrap();
        stretch.last_ms = 15;
        fixture.store.note_clock(stretch.clone()).await.unwrap();
        stretch.last_ms = 20;
        assert_eq!(fixture.store.clock_stretches().await.unwrap(), [stretch]);

        let size = |cpu_units| Capacity {
            cpu_units,
            memory_mib: 512,
        };
        for (time, cpu_units) in [(1, 1_024), (2, 1_024), (3, 2_048), (4, 1_024)] {
            let store = &fixture.store;
            store
                .note_capacity(at(time), size(cpu_units))
                .await
                .unwrap();
        }
        let kept = fixture.store.capacities().await.unwrap();
        let expected = [
            (at(1), size(1_024)),
            (at(3), size(2_048)),
            (at(4), size(1_024)),
        ];
        assert_eq!(kept, expected);
        for statement in [
            "DELETE FROM clock_stretches",
            "UPDATE clock_stretches SET last_ms = 19",
            "UPDATE clock_stretches SET offset_ms = 8",
            "DELETE FROM capacities",
            "UPDATE capacities SET cpu_units = 1",
        ] {
            let answer = fixture.execute(statement).await;
            assert!(
                matches!(answer, Err(StoreError::Refused(_))),
                "{statement}: {answer:?}"
            );
        }
    }
}
