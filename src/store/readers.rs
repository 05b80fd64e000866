//! The way to the database for who reads: a pool of connections, or in a simulation a single one, where an answer comes when
//! the simulation says so (`pace`). A query is put to either in the same way.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use sqlx::sqlite::{
    SqliteConnectOptions, SqlitePoolOptions, SqliteQueryResult, SqliteRow, SqliteStatement,
    SqliteTypeInfo,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Describe, Either, Error, Execute, Executor, SqlStr,
    Sqlite, SqliteConnection, SqlitePool,
};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::pace::Pace;

/// Connections that cannot write. Clones are the same.
#[derive(Clone, Debug)]
pub(super) enum Readers {
    /// Several, each made when it is first needed.
    Pool(SqlitePool),
    /// One, until it is closed.
    One {
        /// Nobody ever waits for it: who has it is done with it before anybody else goes on.
        connection: Arc<Mutex<Option<SqliteConnection>>>,
        /// When answers come.
        pace: Pace,
    },
}

/// A connection to read from, for as long as this is held.
pub(super) enum Reader {
    /// Of several.
    Pooled(sqlx::pool::PoolConnection<Sqlite>),
    /// The only one.
    One(OwnedMappedMutexGuard<Option<SqliteConnection>, SqliteConnection>),
}

impl std::ops::Deref for Reader {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Pooled(reader) => reader,
            Self::One(reader) => reader,
        }
    }
}

impl std::ops::DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(reader) => reader,
            Self::One(reader) => reader,
        }
    }
}

impl Readers {
    /// Up to `most` connections, none of which is made yet.
    pub(super) fn pool(options: SqliteConnectOptions, most: u32) -> Self {
        Self::Pool(
            SqlitePoolOptions::new()
                .max_connections(most)
                // A file does not go away as a server does: connections are kept, with their prepared queries.
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options),
        )
    }

    /// A single connection.
    pub(super) async fn one(options: &SqliteConnectOptions, pace: Pace) -> Result<Self, Error> {
        let connection = Arc::new(Mutex::new(Some(options.connect().await?)));
        Ok(Self::One { connection, pace })
    }

    /// A connection for several queries. All that is done with it must be one piece of work, for [`Readers::of`].
    pub(super) async fn acquire(&self) -> Result<Reader, Error> {
        match self {
            Self::Pool(pool) => pool.acquire().await.map(Reader::Pooled),
            Self::One { connection, .. } => {
                let reader = Arc::clone(connection).lock_owned().await;
                let reader = OwnedMutexGuard::try_map(reader, Option::as_mut);
                reader.map(Reader::One).map_err(|_| Error::PoolClosed)
            }
        }
    }

    /// Does `work`, which acquires a connection.
    pub(super) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        match self {
            Self::Pool(_) => work.await,
            Self::One { pace, .. } => pace.of(work).await,
        }
    }

    /// Closes what is open. Whoever comes later is refused.
    pub(super) async fn close(&self) {
        match self {
            Self::Pool(pool) => pool.close().await,
            Self::One { connection, .. } => {
                if let Some(connection) = connection.lock().await.take()
                    && let Err(error) = connection.close().await
                {
                    tracing::warn!(%error, "the reading connection did not close cleanly");
                }
            }
        }
    }

    /// Reads that are on their way.
    pub(super) fn in_flight(&self) -> usize {
        match self {
            Self::Pool(pool) => {
                let open = usize::try_from(pool.size()).unwrap_or(usize::MAX);
                open.saturating_sub(pool.num_idle())
            }
            Self::One { pace, .. } => pace.in_flight(),
        }
    }
}

type Step = Result<Either<SqliteQueryResult, SqliteRow>, Error>;

/// With a connection for each query.
impl<'p> Executor<'p> for &'p Readers {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'p: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        if let Readers::Pool(pool) = self {
            return pool.fetch_many(query);
        }
        let all = self.of(async move {
            match self.acquire().await {
                Ok(mut reader) => reader.fetch_many(query).collect::<Vec<Step>>().await,
                Err(error) => vec![Err(error)],
            }
        });
        stream::once(all).flat_map(stream::iter).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<SqliteRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        if let Readers::Pool(pool) = self {
            return pool.fetch_optional(query);
        }
        let one = async move { self.acquire().await?.fetch_optional(query).await };
        Box::pin(self.of(one))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, Error>>
    where
        'p: 'e,
    {
        let prepared = async move { self.acquire().await?.prepare_with(sql, parameters).await };
        Box::pin(self.of(prepared))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Sqlite>, Error>>
    where
        'p: 'e,
    {
        let described = async move { self.acquire().await?.describe(sql).await };
        Box::pin(self.of(described))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, at};
    use super::super::{Simulated, StoreError, Tuning, WriteFault};
    use super::*;

    /// A store of a simulation, where `faults` happen one after the other.
    async fn simulated(faults: Vec<WriteFault>) -> Fixture {
        let faults = std::sync::Mutex::new(faults.into_iter());
        let simulated = Simulated {
            turns: Arc::new(|| 2),
            write_fault: Arc::new(move || faults.lock().unwrap().next()),
        };
        Fixture::with(Tuning {
            simulated: Some(simulated),
            ..Tuning::default()
        })
        .await
    }

    #[tokio::test]
    async fn in_a_simulation_what_was_written_is_read_and_what_is_closed_is_closed() {
        let fixture = simulated(Vec::new()).await;
        let store = &fixture.store;
        let task = fixture.created().await;
        assert_eq!(store.task(&task.id).await.unwrap().as_ref(), Some(&task));
        let unfinished = store.unfinished_tasks().await.unwrap();
        assert_eq!(unfinished, std::slice::from_ref(&task.id));
        let cluster = store.cluster(&task.cluster).await.unwrap();
        assert_eq!(cluster.unwrap().name, task.cluster);
        assert_eq!(store.books(at(0)).await.unwrap().tasks, 0);
        assert!(store.backup().await.unwrap().bytes > 0);
        assert_eq!(store.in_flight(), 0);
        store.close().await;
        assert_eq!(store.task(&task.id).await, Err(StoreError::Closed));
        assert_eq!(store.cluster(&task.cluster).await, Err(StoreError::Closed));
    }

    #[tokio::test]
    async fn a_commit_that_fails_has_no_effect_and_one_whose_answer_is_lost_has() {
        let fixture = simulated(vec![WriteFault::Fails, WriteFault::AnswerLost]).await;
        let before = *fixture.store.event_seq().borrow();
        for is_there in [false, true] {
            let task = fixture.task();
            let made = fixture
                .store
                .create_tasks(std::slice::from_ref(&task), None);
            let error = made.await.err().unwrap();
            assert!(error.retryable(), "{error}");
            let found = fixture.store.task(&task.id).await.unwrap();
            assert_eq!(found.is_some(), is_there);
        }
        fixture.created().await;
        let seq = *fixture.store.event_seq().borrow();
        assert_eq!(seq, before + 2, "no event was lost, none told twice");
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
        let fixture = simulated(vec![WriteFault::DiskFull; 30]).await;
        let mut errors = Vec::new();
        for _ in 0..30 {
            let task = fixture.task();
            let made = fixture
                .store
                .create_tasks(std::slice::from_ref(&task), None);
            errors.push(made.await.err().unwrap());
        }
        assert!(errors.contains(&StoreError::Full), "{errors:?}");
        fixture.created().await;
    }
}
