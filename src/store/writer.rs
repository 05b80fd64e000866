//! The one writer: whatever changes the database is a job that is handed to it.
//!
//! SQLite lets one connection write at a time and pays for durability once per commit. So the jobs that
//! have come in while the last commit was on its way are carried out as a group: one transaction, one
//! commit, and only then the answers. Within a group each job has a savepoint of its own, or is a single statement, which
//! SQLite takes back as a whole; one that is refused leaves no trace and does not disturb the others. When the commit fails, or SQLite may have
//! rolled back by itself, every job of the group is answered with that error and nothing of it is in
//! effect.
//!
//! While many wait for an answer, the loop, which nobody waits for, has a part of each group: who calls the API waits for few
//! jobs beside those of other callers, and what they asked for is taken up all the same.
//!
//! The writer must never answer before the commit, and must never let a caller that has gone away stop a
//! job half way: a job that was handed over is carried out whole or not at all. It holds the lock of the
//! data directory, so the directory is free exactly when nothing is written any more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteOperation};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};

use super::in_flight::{InFlight, Ticket};
use super::open::Lock;
use super::readers::Readers;
use super::{StoreError, Tuning, event};

/// Jobs that may wait; who comes when there are that many waits until there is room.
const QUEUE: usize = 1_024;
/// Jobs of the loop in a group where others are waited for.
const PATIENT_BESIDE: usize = 16;

/// The way to the writer. It ends when the last of these is gone, or when it is closed.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    counts: Arc<Counts>,
    /// Whether what comes this way lets others go first.
    is_patient: bool,
}

/// How much was written since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Jobs that were carried out, refused ones among them.
    pub jobs: u64,
    /// Commits that they were carried out in.
    pub commits: u64,
}

#[derive(Default)]
struct Counts {
    jobs: AtomicU64,
    commits: AtomicU64,
    in_flight: InFlight,
}

enum Message {
    Write(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// What the writer keeps for as long as it lives.
pub(super) struct Kept {
    /// The connection that everything is written through.
    pub(super) connection: SqliteConnection,
    /// How to open another one.
    pub(super) options: SqliteConnectOptions,
    /// Closed before the connection, so that the last one to leave is one that may checkpoint.
    pub(super) readers: Readers,
    /// Given back last of all.
    pub(super) lock: Lock,
    /// The bounds to keep to.
    pub(super) tuning: Tuning,
    /// Where the number of the last committed event is published.
    pub(super) event_seq: watch::Sender<u64>,
}

impl Writer {
    /// Starts the writer on the runtime that this is called on.
    pub(super) fn start(kept: Kept) -> Self {
        let (queue, inbox) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let pruned_at = *kept.event_seq.borrow();
        let desk = Desk {
            inbox,
            connection: Some(kept.connection),
            options: kept.options,
            readers: kept.readers,
            lock: kept.lock,
            tuning: kept.tuning,
            event_seq: kept.event_seq,
            inserted_seq: Arc::new(AtomicU64::new(pruned_at)),
            counts: Arc::clone(&counts),
            pruned_at,
        };
        tokio::spawn(desk.run());
        Self {
            queue,
            counts,
            is_patient: false,
        }
    }

    /// The same for who can wait.
    pub(super) fn patient(&self) -> Self {
        Self {
            is_patient: true,
            ..self.clone()
        }
    }

    /// Has `work` carried out, and returns when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        self.write_as(Undo::Savepoint, work).await
    }

    /// The same, where the caller says how it is taken back.
    pub(super) async fn write_as<T, F>(&self, undo: Undo, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Pending {
            work: Some(work),
            undo,
            is_patient: self.is_patient,
            outcome: Err(StoreError::Closed),
            answer,
            _ticket: self.counts.in_flight.begin(),
        });
        self.queue
            .send(Message::Write(job))
            .await
            .map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Has the jobs carried out that came before, and ends the writer. Closing what is closed succeeds.
    pub(super) async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.queue.send(Message::Close(closed)).await.is_ok() {
            // An error means that somebody else closed it first.
            let _ = is_closed.await;
        }
        self.queue.closed().await;
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Jobs that were handed over and are not answered yet.
    pub(super) fn in_flight(&self) -> usize {
        self.counts.in_flight.count()
    }

    /// How much was written so far.
    pub(super) fn counts(&self) -> WriteCounts {
        WriteCounts {
            jobs: self.counts.jobs.load(Ordering::Relaxed),
            commits: self.counts.commits.load(Ordering::Relaxed),
        }
    }
}

/// What goes wrong with a group of writes in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// It is not committed: the disk does not answer, say.
    Fails,
    /// It is committed, and the answer is an error.
    AnswerLost,
    /// The disk has room for nothing more; what needs none takes effect, and its answer is an error as well.
    DiskFull,
}

/// How a job that is refused is taken back, where others are in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// To where it began.
    Savepoint,
    /// By SQLite itself, at a fraction of the cost: it changes the database by a single statement.
    Statement,
}

impl Undo {
    /// By SQLite itself if the job is one statement.
    pub(super) const fn of_one_statement(is_one: bool) -> Self {
        if is_one {
            Self::Statement
        } else {
            Self::Savepoint
        }
    }
}

/// A write on its way, whatever type its result has.
trait Job: Send {
    /// How it is taken back.
    fn undo(&self) -> Undo;

    /// Whether it lets others go first.
    fn is_patient(&self) -> bool;

    /// Carries it out and keeps what it came to; the error is also what became of its savepoint.
    fn run<'a>(&'a mut self, db: &'a mut SqliteConnection)
    -> BoxFuture<'a, Result<(), StoreError>>;

    /// Tells its caller: what it came to, or the error of the group as a whole.
    fn answer(self: Box<Self>, group: Result<(), StoreError>);
}

struct Pending<T, F> {
    work: Option<F>,
    undo: Undo,
    is_patient: bool,
    outcome: Result<T, StoreError>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    _ticket: Ticket,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send,
{
    fn undo(&self) -> Undo {
        self.undo
    }

    fn is_patient(&self) -> bool {
        self.is_patient
    }

    fn run<'a>(
        &'a mut self,
        db: &'a mut SqliteConnection,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.outcome = work(db).await;
            }
            match &self.outcome {
                Ok(_) => Ok(()),
                Err(error) => Err(error.clone()),
            }
        })
    }

    fn answer(self: Box<Self>, group: Result<(), StoreError>) {
        // A caller that has gone away does not want to know.
        let _ = self.answer.send(group.and(self.outcome));
    }
}

/// Where the writer sits.
struct Desk {
    inbox: mpsc::Receiver<Message>,
    /// `None` after an error that leaves its transaction in doubt; the next group opens a new one.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    readers: Readers,
    lock: Lock,
    tuning: Tuning,
    event_seq: watch::Sender<u64>,
    /// The number of the last event that was inserted and not taken back, as SQLite itself tells it.
    inserted_seq: Arc<AtomicU64>,
    counts: Arc<Counts>,
    /// The number of the last event when events were last pruned.
    pruned_at: u64,
}

impl Desk {
    async fn run(mut self) {
        let mut messages = Vec::new();
        let mut closing = Vec::new();
        let mut patient = VecDeque::new();
        let pace = self.tuning.pace();
        pace.of(self.begin()).await;
        while closing.is_empty() || !patient.is_empty() {
            if patient.is_empty() {
                let most = self.tuning.max_group;
                if self.inbox.recv_many(&mut messages, most).await == 0 {
                    break;
                }
            } else {
                self.take_what_came(&mut messages, patient.len());
            }
            let mut group = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    // Dropping a job tells its caller that the store is closed.
                    Message::Write(_) if !closing.is_empty() => {}
                    Message::Write(job) if job.is_patient() => patient.push_back(job),
                    Message::Write(job) => group.push(job),
                    Message::Close(closed) => closing.push(closed),
                }
            }
            let room = if group.is_empty() {
                self.tuning.max_group
            } else {
                PATIENT_BESIDE
            };
            group.extend(patient.drain(..room.min(patient.len())));
            pace.of(async {
                self.write(group).await;
                self.prune().await;
            })
            .await;
        }
        pace.of(self.finish()).await;
        for closed in closing {
            let _ = closed.send(());
        }
    }

    /// Takes what has come by now, where so many jobs are kept waiting already.
    fn take_what_came(&mut self, messages: &mut Vec<Message>, waiting: usize) {
        let most = self.tuning.max_group.min(QUEUE.saturating_sub(waiting));
        while messages.len() < most
            && let Ok(message) = self.inbox.try_recv()
        {
            messages.push(message);
        }
    }

    async fn begin(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = listen(connection, &self.inserted_seq).await
        {
            tracing::warn!(%error, "the writing connection is made anew");
            self.disconnect().await;
        }
    }

    /// Carries out a group and answers it.
    async fn write(&mut self, mut group: Vec<Box<dyn Job>>) {
        if group.is_empty() {
            return;
        }
        let jobs = u64::try_from(group.len()).unwrap_or(u64::MAX);
        self.counts.jobs.fetch_add(jobs, Ordering::Relaxed);
        let inserted_seq = Arc::clone(&self.inserted_seq);
        let fault = self.tuning.simulated.as_ref();
        let fault = fault.and_then(|simulated| (simulated.write_fault)());
        let result = match self.connection().await {
            Ok(connection) => commit(connection, &mut group, &inserted_seq, fault).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(()) => {
                self.counts.commits.fetch_add(1, Ordering::Relaxed);
                self.publish();
            }
            Err(error) => {
                tracing::warn!(%error, jobs, "a group of writes was rolled back");
                self.disconnect().await;
            }
        }
        for job in group {
            job.answer(result.clone());
        }
    }

    fn publish(&self) {
        let seq = self.inserted_seq.load(Ordering::Relaxed);
        self.event_seq.send_if_modified(|published| {
            let newer = seq > *published;
            *published = seq.max(*published);
            newer
        });
    }

    async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let mut connection = self.options.connect().await?;
            listen(&mut connection, &self.inserted_seq).await?;
            connection
        };
        Ok(self.connection.insert(connection))
    }

    /// Ends the connection, and with it whatever transaction may be left on it.
    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the writing connection did not close cleanly");
        }
    }

    /// Now and then, removes the events that are too old to be kept.
    async fn prune(&mut self) {
        let seq = *self.event_seq.borrow();
        if seq < self.pruned_at.saturating_add(self.tuning.prune_every) {
            return;
        }
        self.pruned_at = seq;
        let kept = self.tuning.events_kept;
        let result = match self.connection().await {
            Ok(connection) => event::prune(connection, seq, kept).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            // What is too old stays for another while; nothing depends on its going.
            tracing::warn!(%error, "old events were not pruned");
            self.disconnect().await;
        }
    }

    /// Moves everything into the database file, leaves it, and gives the directory back.
    async fn finish(mut self) {
        self.readers.close().await;
        if let Some(connection) = &mut self.connection
            && let Err(error) = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(connection)
                .await
        {
            // Nothing is lost: the next start reads the write-ahead log.
            tracing::warn!(%error, "the write-ahead log was not emptied");
        }
        self.disconnect().await;
        drop(self.lock);
    }
}

/// Has SQLite tell the number of each event that is inserted: asking for it would take every commit longer.
async fn listen(
    connection: &mut SqliteConnection,
    inserted_seq: &Arc<AtomicU64>,
) -> Result<(), StoreError> {
    inserted_seq.store(event::last_seq(connection).await?, Ordering::Relaxed);
    let inserted_seq = Arc::clone(inserted_seq);
    connection
        .lock_handle()
        .await?
        .set_update_hook(move |change| {
            if change.operation == SqliteOperation::Insert
                && change.table == event::TABLE
                && let Ok(seq) = u64::try_from(change.rowid)
            {
                inserted_seq.store(seq, Ordering::Relaxed);
            }
        });
    Ok(())
}

/// Carries out `group` in one transaction. `Ok` means that it is decided, job by job, and durable. What is
/// taken back gives back the numbers of its events.
async fn commit(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Job>],
    inserted_seq: &AtomicU64,
    fault: Option<WriteFault>,
) -> Result<(), StoreError> {
    if fault == Some(WriteFault::DiskFull) {
        // SQLite takes what there is for the least.
        let full = sqlx::raw_sql("PRAGMA max_page_count = 1");
        full.execute(&mut *connection).await?;
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if let [job] = group {
        // The transaction is the savepoint.
        let before = inserted_seq.load(Ordering::Relaxed);
        match job.run(&mut transaction).await {
            Ok(()) => {}
            Err(error) if error.leaves_the_transaction() => {
                transaction.rollback().await?;
                inserted_seq.store(before, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    } else {
        for job in group {
            let before = inserted_seq.load(Ordering::Relaxed);
            let ran = match job.undo() {
                Undo::Statement => job.run(&mut transaction).await,
                Undo::Savepoint => {
                    let mut savepoint = transaction.begin().await?;
                    match job.run(&mut savepoint).await {
                        Ok(()) => savepoint.commit().await.map_err(StoreError::from),
                        Err(error) if error.leaves_the_transaction() => {
                            savepoint.rollback().await?;
                            Err(error)
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            match ran {
                Ok(()) => {}
                Err(error) if error.leaves_the_transaction() => {
                    inserted_seq.store(before, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
    }
    let failed = StoreError::Failed("disk I/O error".to_owned());
    if fault == Some(WriteFault::Fails) {
        transaction.rollback().await?;
        return Err(failed);
    }
    transaction.commit().await?;
    match fault {
        None | Some(WriteFault::Fails) => Ok(()),
        // Then the connection is made anew, without the bound.
        Some(WriteFault::AnswerLost | WriteFault::DiskFull) => Err(failed),
    }
}

#[cfg(test)]
mod tests;
